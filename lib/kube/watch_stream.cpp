#include "kube/watch_stream.hpp"

#include <utility>

#include "base/text.hpp"
#include "kube/rest_client.hpp"
#include "kube/status_error.hpp"

namespace vmbackup::kube {

using base::Error;
using base::ErrorCode;

WatchStream::WatchStream(std::shared_ptr<WatchQueue> queue, int source, std::string what, std::size_t most_line)
    : queue_(std::move(queue)), source_(source), what_(std::move(what)), most_line_(most_line) {}

void WatchStream::data(std::string_view bytes) {
  while (!finished_ && !bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (piece.size() > most_line_ - rest_.size()) {
      return finish(Error(ErrorCode::invalid, what_ + ": an event is longer than " + std::to_string(most_line_) + " bytes"));
    }
    if (end == std::string_view::npos) {
      rest_.append(piece);
      return;
    }
    if (rest_.empty()) {
      take_line(piece);
    } else {
      rest_.append(piece);
      const std::string line = std::exchange(rest_, {});
      take_line(line);
    }
    bytes.remove_prefix(end + 1);
  }
}

void WatchStream::take_line(std::string_view line) {
  if (base::trim(line).empty()) return;
  base::Result<json::Value> event = json::parse(line, most_line_, k_unread);
  if (!event) return finish(event.error().wrap(what_ + ": an event cannot be read"));
  const std::string type = event->path({"type"}).as_string();
  json::Value* found = event->find("object");
  json::Value object = found != nullptr ? std::move(*found) : json::Value();
  if (type == "ADDED") return push(WatchEvent::Type::added, std::move(object), line);
  if (type == "MODIFIED") return push(WatchEvent::Type::modified, std::move(object), line);
  if (type == "DELETED") return push(WatchEvent::Type::deleted, std::move(object), line);
  if (type == "BOOKMARK") return push(WatchEvent::Type::bookmark, std::move(object), line);
  if (type == "ERROR") {
    const int code = static_cast<int>(object.path({"code"}).as_integer(500));
    return finish(error_of_status(code, object, {}, what_));
  }
  finish(Error(ErrorCode::invalid, what_ + ": an event of the unknown type \"" + base::printable(type, 100) + "\""));
}

void WatchStream::end(const base::Result<HttpResponse>& end) {
  if (!end) return finish(end.error().wrap(what_));
  if (end->status >= 300) return finish(error_of_response(*end, what_));
  finish(std::nullopt);
}

void WatchStream::finish(std::optional<Error> error) {
  if (std::exchange(finished_, true)) return;
  rest_ = {};
  queue_->push({source_, WatchEvent::Type::ended, {}, std::move(error)});
}

void WatchStream::push(WatchEvent::Type type, json::Value object, std::string_view line) {
  queue_->push({source_, type, std::move(object), std::nullopt}, line);
}

}  // namespace vmbackup::kube
