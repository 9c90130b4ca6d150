// The body of a watch: one JSON event per line, turned into WatchEvents as it comes. [apimachinery/pkg/apis/meta/v1/watch.go: WatchEvent]
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "kube/transport.hpp"
#include "kube/watch.hpp"

namespace vmbackup::kube {

// Pushes events under one source number, and exactly one `ended` as the last. Used by one thread (the transport's).
class WatchStream {
 public:
  // A line that is longer than `most_line` ends the watch as invalid.
  WatchStream(std::shared_ptr<WatchQueue> queue, int source, std::string what, std::size_t most_line = std::size_t{16} << 20);

  void data(std::string_view bytes);
  // A broken off last line is dropped: its event comes again with the next watch.
  void end(const base::Result<HttpResponse>& end);

 private:
  void take_line(std::string_view line);
  void finish(std::optional<base::Error> error);
  void push(WatchEvent::Type type, json::Value object, std::string_view line);

  const std::shared_ptr<WatchQueue> queue_;
  const int source_;
  const std::string what_;
  const std::size_t most_line_;
  std::string rest_;  // the beginning of a line whose end has not come
  bool finished_ = false;
};

}  // namespace vmbackup::kube
