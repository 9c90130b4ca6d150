#include "kubevirt/guest_control.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "json/reader.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::kubevirt {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr const char* k_freeze = "guest-fsfreeze-freeze";
constexpr std::size_t k_most_file_systems = 10;  // of guestosinfo

bool has(const Error& error, std::string_view words) { return error.message().find(words) != std::string::npos; }

// The API server or virt-api answered, and asked no guest.
bool asked_no_guest(const Error& error) {
  switch (error.code()) {
    case ErrorCode::unavailable:
    case ErrorCode::timeout:
    case ErrorCode::cancelled:
    case ErrorCode::internal:
      return error.reason() == "TooManyRequests";
    case ErrorCode::invalid:
      return !error.reason().empty();  // else a good answer that nobody can read
    default:
      return true;
  }
}

// virt-launcher passes on that somebody waited in vain; the agent may still act.
bool waited_in_vain(const Error& error) {
  constexpr std::array<std::string_view, 5> k_words = {"imeout", "imed out", "eadline", "not available for now", "context canceled"};
  return std::any_of(k_words.begin(), k_words.end(), [&](std::string_view words) { return has(error, words); });
}

Result<void> put(kube::Client& client, const kube::Name& name, const char* what, const json::Value& body, const kube::Call& call,
                 const std::stop_token& stop) {
  const Result<json::Value> answer = client.put_subresource(guest_subresources(), name, what, body, call, stop);
  if (!answer) return answer.error();
  return {};
}

FileSystem decode_file_system(const json::Reader& reader) {
  FileSystem system;
  system.device = reader.string("diskName");
  system.mount_point = reader.string("mountPoint");
  system.type = reader.string("fileSystemType");
  reader.for_each("disk", [&](const json::Reader& disk) { system.serials.push_back(disk.string("serial")); });
  return system;
}

}  // namespace

FreezeAnswer freeze_answer(const Result<void>& answer) {
  if (answer.ok()) return FreezeAnswer::frozen;
  const Error& error = answer.error();
  if (asked_no_guest(error)) return FreezeAnswer::refused;
  // libvirt looks at the domain before it speaks to the agent: one that is paused is "not running". [libvirt, src/qemu/qemu_driver.c]
  for (const char* words : {"VMI is currently during migration", "QEMU guest agent is not connected", "domain is not running"}) {
    if (has(error, words)) return FreezeAnswer::refused;
  }
  if (has(error, "command Freeze failed") && !waited_in_vain(error)) return FreezeAnswer::failed;
  return FreezeAnswer::unclear;
}

ThawAnswer thaw_answer(const Result<void>& answer) {
  if (answer.ok()) return ThawAnswer::thawed;
  const Error& error = answer.error();
  if (has(error, "fsfreeze is limited")) return ThawAnswer::vss_limit;
  if (error.code() == ErrorCode::not_found || has(error, "VMI is not running")) return ThawAnswer::not_running;
  if (has(error, "domain is not running")) return ThawAnswer::paused;
  // An agent that lacks the command, or may not use it, says nothing of its guest. [libvirt, src/qemu/qemu_agent.c; qemu,
  // qapi/qmp-dispatch.c]
  const bool able = !has(error, "has been disabled") && !has(error, "has not been found");
  if (able && has(error, "unable to execute QEMU agent command 'guest-fsfreeze-thaw'")) return ThawAnswer::refused;
  return ThawAnswer::unclear;
}

PauseAnswer pause_answer(const Result<void>& answer) {
  if (answer.ok()) return PauseAnswer::paused;
  return asked_no_guest(answer.error()) ? PauseAnswer::refused : PauseAnswer::unclear;
}

UnpauseAnswer unpause_answer(const Result<void>& answer) {
  if (answer.ok()) return UnpauseAnswer::running;
  const Error& error = answer.error();
  if (error.code() == ErrorCode::not_found || has(error, "VMI is not running")) return UnpauseAnswer::not_running;
  if (has(error, "VMI is not paused")) return UnpauseAnswer::not_paused;
  return has(error, "VM snapshot is in progress") ? UnpauseAnswer::snapshot : UnpauseAnswer::unclear;
}

Result<void> freeze(kube::Client& client, const kube::Name& name, std::chrono::seconds safety_timeout, const kube::Call& call,
                    const std::stop_token& stop) {
  const json::Value body = json::Value::object({{"unfreezeTimeout", std::to_string(safety_timeout.count()) + "s"}});
  return put(client, name, "freeze", body, call, stop);
}

Result<void> unfreeze(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop) {
  return put(client, name, "unfreeze", {}, call, stop);
}

Result<void> pause(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop) {
  return put(client, name, "pause", json::Value::object(), call, stop);
}

Result<void> unpause(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop) {
  return put(client, name, "unpause", json::Value::object(), call, stop);
}

Result<void> annotate(kube::Client& client, const kube::Resource& resource, const kube::Name& name, const std::string& key,
                      const std::optional<std::string>& value, const kube::Call& call, const std::stop_token& stop) {
  const json::Value annotations = json::Value::object({{key, value ? json::Value(*value) : json::Value()}});
  const json::Value change = json::Value::object({{"metadata", json::Value::object({{"annotations", annotations}})}});
  const Result<json::Value> changed = client.patch(resource, name, kube::PatchType::merge, change, call, stop);
  if (!changed) return changed.error();
  return {};
}

Result<void> annotate_unchanged(kube::Client& client, const kube::Resource& resource, const kube::Name& name,
                                const std::string& resource_version, const std::string& key, const std::string& value,
                                const kube::Call& call, const std::stop_token& stop) {
  const json::Value metadata =
      json::Value::object({{"annotations", json::Value::object({{key, value}})}, {"resourceVersion", resource_version}});
  const json::Value change = json::Value::object({{"metadata", metadata}});
  const Result<json::Value> changed = client.patch(resource, name, kube::PatchType::merge, change, call, stop);
  if (!changed) return changed.error();
  return {};
}

Result<void> drop_annotation(kube::Client& client, const kube::Resource& resource, const kube::Name& name, const std::string& key,
                             const std::string& value, const kube::Call& call, const std::stop_token& stop) {
  std::string path = "/metadata/annotations/";
  for (const char letter : key) path += letter == '/' ? "~1" : letter == '~' ? "~0" : std::string(1, letter);
  const json::Value change = json::Value::array(
      {json::Value::object({{"op", "test"}, {"path", path}, {"value", value}}), json::Value::object({{"op", "remove"}, {"path", path}})});
  const Result<json::Value> changed = client.patch(resource, name, kube::PatchType::json, change, call, stop);
  if (!changed) return changed.error();
  return {};
}

Result<GuestInfo> guest_info(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop) {
  const Result<json::Value> answer = client.get_subresource(guest_subresources(), name, "guestosinfo", call, stop);
  if (!answer) return answer.error();
  const json::Reader root(*answer, "guestosinfo of " + describe(virtual_machine_instances(), name));
  GuestInfo info;
  info.os_id = root.member("os").string("id");
  info.freeze_status = root.string("fsFreezeStatus");
  std::vector<std::string> usable;
  bool listed = false;
  root.for_each("supportedCommands", [&](const json::Reader& command) {
    listed = true;
    const std::string word = command.string("name");
    // A frozen agent allows no other freeze, and what virt-launcher knows of its commands may be older than the last thaw.
    if (word == k_freeze || command.optional_bool("enabled").value_or(false)) usable.push_back(word);
  });
  root.member("fsInfo").for_each("disks", [&](const json::Reader& each) { info.file_systems.list.push_back(decode_file_system(each)); });
  info.file_systems.whole = !info.file_systems.list.empty() && info.file_systems.list.size() < k_most_file_systems;
  for (const char* needed : {k_freeze, "guest-fsfreeze-thaw", "guest-fsfreeze-status"}) {
    // An agent that lists nothing says nothing.
    if (listed && std::find(usable.begin(), usable.end(), needed) == usable.end()) info.disabled.emplace_back(needed);
  }
  if (std::optional<Error> error = root.error()) return *error;
  return info;
}

Result<FileSystems> file_systems(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop) {
  const Result<json::Value> answer = client.get_subresource(guest_subresources(), name, "filesystemlist", call, stop);
  if (!answer) return answer.error();
  const json::Reader root(*answer, "filesystemlist of " + describe(virtual_machine_instances(), name));
  FileSystems systems;
  root.for_each("items", [&](const json::Reader& each) { systems.list.push_back(decode_file_system(each)); });
  systems.whole = !systems.list.empty();
  if (std::optional<Error> error = root.error()) return *error;
  return systems;
}

}  // namespace vmbackup::kubevirt
