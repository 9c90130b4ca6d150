// Events of running watches, gathered in one queue.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
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

// Thread-safe. Watches push, one consumer pops. An event that has to wait behind others is kept as the text it came as, which takes a
// fraction of the memory, and is read again when its turn comes: a thousand objects may change faster than they are looked at.
class WatchQueue {
 public:
  // `line`: the text of the event, known to be readable; empty where there is none.
  void push(WatchEvent event, std::string_view line = {});
  // The next event; empty when the deadline passed or `stop` was requested before one came.
  std::optional<WatchEvent> pop(base::Clock& clock, const base::Deadline& deadline, const std::stop_token& stop);

 private:
  base::Wakeup wakeup_;
  struct Waiting {
    WatchEvent event;
    std::string line;  // not empty: the event's object is in here
  };
  std::mutex mutex_;
  std::deque<Waiting> events_;
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
