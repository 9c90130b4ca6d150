// Events of running watches, gathered in one queue.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "json/value.hpp"

namespace vmbackup::kube {

struct WatchOptions {
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;  // events after this one
};

struct WatchEvent {
  enum class Type {
    added,
    modified,
    deleted,
    bookmark,  // `object` holds only the resourceVersion
    ended,     // the last one of its watch; `error` says why, empty for an ordinary end (start again from the last resourceVersion)
  };
  int source = 0;  // the number the watch was started with
  Type type = Type::ended;
  json::Value object;
  std::optional<base::Error> error;  // reason "Expired": list anew
};

// Thread-safe. Watches push, one consumer pops.
class WatchQueue {
 public:
  void push(WatchEvent event);
  // The next event; empty when the deadline passed or `stop` was requested before one came.
  std::optional<WatchEvent> pop(base::Clock& clock, const base::Deadline& deadline, const std::stop_token& stop);

 private:
  base::Wakeup wakeup_;
  std::mutex mutex_;
  std::deque<WatchEvent> events_;
};

// Owns one running watch: destroying it (or assigning over it) ends the watch. After that, no event of it comes any more.
class WatchHandle {
 public:
  WatchHandle() = default;
  // `doubt`: see below; may be none.
  explicit WatchHandle(std::function<void()> cancel, std::function<void()> doubt = {})
      : cancel_(std::move(cancel)), doubt_(std::move(doubt)) {}
  WatchHandle(WatchHandle&& other) noexcept
      : cancel_(std::exchange(other.cancel_, nullptr)), doubt_(std::exchange(other.doubt_, nullptr)) {}
  WatchHandle& operator=(WatchHandle&& other) noexcept;
  WatchHandle(const WatchHandle&) = delete;
  WatchHandle& operator=(const WatchHandle&) = delete;
  ~WatchHandle();
  // Ends the watch because it has been silent for too long: the connection under it may be dead, so the next one is to come over another.
  void doubt();

 private:
  std::function<void()> cancel_;
  std::function<void()> doubt_;
};

}  // namespace vmbackup::kube
