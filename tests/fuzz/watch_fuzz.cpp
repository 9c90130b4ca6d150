// kube::WatchStream: however the body of a watch is cut into pieces, the events are the same, and exactly one end comes last.
#include <string_view>
#include <vector>

#include "check.hpp"
#include "kube/watch_stream.hpp"

using vmbackup::base::Deadline;
using vmbackup::fuzz::require;
using vmbackup::kube::HttpResponse;
using vmbackup::kube::WatchEvent;
using vmbackup::kube::WatchQueue;
using vmbackup::kube::WatchStream;

namespace {

constexpr std::size_t k_most_line = 512;

std::vector<WatchEvent> events_of(std::string_view body, std::size_t piece) {
  const std::shared_ptr<WatchQueue> queue = std::make_shared<WatchQueue>();
  WatchStream stream(queue, 1, "watch", k_most_line);
  for (std::size_t at = 0; at < body.size(); at += piece) stream.data(body.substr(at, piece));
  HttpResponse response;
  response.status = 200;
  stream.end(response);
  stream.data("{\"type\":\"ADDED\",\"object\":{}}\n");
  vmbackup::base::SystemClock clock;
  std::vector<WatchEvent> events;
  while (std::optional<WatchEvent> event = queue->pop(clock, Deadline::at(clock.now()), {})) events.push_back(std::move(*event));
  return events;
}

bool same(const WatchEvent& left, const WatchEvent& right) {
  if (left.type != right.type || left.source != right.source || !(left.object == right.object)) return false;
  if (!left.error || !right.error) return left.error.has_value() == right.error.has_value();
  return left.error->code() == right.error->code() && left.error->message() == right.error->message();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<WatchEvent> whole = events_of(body, size);
  require(!whole.empty() && whole.back().type == WatchEvent::Type::ended, "an end comes last");
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) require(whole[i].type != WatchEvent::Type::ended, "there is one end");
  if (whole.back().error) require(!whole.back().error->message().empty(), "an end that is an error says why");
  const std::vector<WatchEvent> pieces = events_of(body, 1 + data[0] % 16);
  require(pieces.size() == whole.size(), "pieces give as many events");
  for (std::size_t i = 0; i < whole.size(); ++i) require(same(whole[i], pieces[i]), "pieces give the same events");
  return 0;
}
