#include "support/fake_cluster_guest.hpp"

namespace vmbackup::test {

std::string condition(const json::Value& object, const std::string& type) {
  for (const json::Value& item : object.path({"status", "conditions"}).items()) {
    if (item.path({"type"}).as_string() == type) return item.path({"status"}).as_string();
  }
  return "";
}

std::string disk_device(std::size_t number) {
  std::string letters;
  for (std::size_t rest = number + 1; rest > 0; rest = (rest - 1) / 26) {
    letters.insert(letters.begin(), static_cast<char>('a' + (rest - 1) % 26));
  }
  return "vd" + letters;
}

void drop_condition(json::Value& object, const std::string& type) {
  json::Value left = json::Value::array();
  for (const json::Value& item : object.path({"status", "conditions"}).items()) {
    if (item.path({"type"}).as_string() != type) left.push_back(item);
  }
  object["status"].set("conditions", std::move(left));
}

void set_condition(World& world, json::Value& object, const std::string& type, const std::string& status, const std::string& reason,
                   const std::string& message) {
  json::Value entry =
      json::Value::object({{"type", type}, {"status", status}, {"lastProbeTime", nullptr}, {"lastTransitionTime", world.store.now_text()}});
  if (!reason.empty()) entry.set("reason", reason);
  if (!message.empty()) entry.set("message", message);
  json::Value all = json::Value::array();
  bool found = false;
  for (const json::Value& item : object.path({"status", "conditions"}).items()) {
    if (item.path({"type"}).as_string() != type) {
      all.push_back(item);
      continue;
    }
    found = true;
    // The time of a condition that stays as it is does not move.
    const bool same = item.path({"status"}).as_string() == status && item.path({"reason"}).as_string() == reason &&
                      item.path({"message"}).as_string() == message;
    all.push_back(same ? item : entry);
  }
  if (!found) all.push_back(entry);
  object["status"].set("conditions", std::move(all));
}

}  // namespace vmbackup::test
