#include "kube/event.hpp"

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

constexpr std::size_t k_longest_message = 1024;

// "db-0.18af3c2b9d6e4f00", as client-go names them: the time in hexadecimal nanoseconds.
std::string name_of(const NewEvent& event) {
  constexpr const char* k_digits = "0123456789abcdef";
  auto rest = static_cast<std::uint64_t>(event.now.time_since_epoch().count());
  std::string hex;
  for (; rest > 0; rest >>= 4) hex.insert(hex.begin(), k_digits[rest & 15U]);
  return event.about.name + "." + hex;
}

}  // namespace

base::Result<void> create_event(Client& client, const NewEvent& event, const Call& call, const std::stop_token& stop) {
  // Whole seconds: an Event's times are no MicroTime.
  const std::string time = base::format_time(event.now).substr(0, 19) + "Z";
  const json::Value object =
      json::Value::object({{"apiVersion", "v1"},
                           {"kind", "Event"},
                           {"metadata", json::Value::object({{"name", name_of(event)}, {"namespace", event.about.ns}})},
                           {"involvedObject", json::Value::object({{"apiVersion", event.api_version},
                                                                   {"kind", event.kind},
                                                                   {"namespace", event.about.ns},
                                                                   {"name", event.about.name},
                                                                   {"uid", event.uid}})},
                           {"type", event.warning ? "Warning" : "Normal"},
                           {"reason", event.reason},
                           {"message", base::printable(event.message, k_longest_message - 3)},
                           {"source", json::Value::object({{"component", event.component}})},
                           {"firstTimestamp", time},
                           {"lastTimestamp", time},
                           {"count", 1}});
  const base::Result<json::Value> made = client.create({"", "v1", "events", "Event", true}, event.about.ns, object, call, stop);
  if (!made && made.error().code() != base::ErrorCode::already_exists) return made.error();
  return {};
}

}  // namespace vmbackup::kube
