#include "backup/inventory.hpp"

#include <map>
#include <optional>

#include "backup/assemble.hpp"
#include "backup/consistency.hpp"
#include "backup/lookup.hpp"
#include "backup/snapshot_watch.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// Adds the content and VolumeSnapshots of one snapshot. What may not be read is returned as sentences.
std::vector<std::string> read_parts(kube::Client& client, const std::string& version, SnapshotParts& parts, const kube::Call& call,
                                    const std::stop_token& stop) {
  std::vector<std::string> missing;
  const kube::Name content_name{parts.snapshot.ns, kubevirt::content_name_of(parts.snapshot.uid)};
  const Result<json::Value> content = client.get(kubevirt::vm_snapshot_contents(version), content_name, call, stop);
  if (content.ok()) {
    Result<kubevirt::VmSnapshotContent> decoded = kubevirt::decode_vm_snapshot_content(*content);
    if (decoded.ok()) {
      parts.content = std::move(*decoded);
    } else {
      missing.push_back(decoded.error().message());
    }
  } else if (content.error().code() != ErrorCode::not_found) {
    missing.push_back("VirtualMachineSnapshotContents may not be read: " + content.error().message());
  }
  const kube::ListOptions options{.label_selector = "snapshot.kubevirt.io/source-vm-name=" + parts.snapshot.source_name,
                                  .field_selector = {}};
  const Result<kube::ObjectList> list = client.list(kubevirt::volume_snapshots(), parts.snapshot.ns, options, call, stop);
  if (!list.ok()) {
    missing.push_back("VolumeSnapshots may not be read: " + list.error().message());
    return missing;
  }
  for (const json::Value& object : list->items) {
    Result<kubevirt::VolumeSnapshot> snapshot = kubevirt::decode_volume_snapshot(object);
    if (!snapshot.ok()) {
      missing.push_back(snapshot.error().message());
    } else if (snapshot->name.starts_with(kubevirt::volume_snapshot_prefix(parts.snapshot.uid))) {
      parts.volume_snapshots.push_back(std::move(*snapshot));
    }
  }
  return missing;
}

SnapshotItem failed_item(const kube::Name& name, Error error) {
  SnapshotItem item;
  item.ns = name.ns;
  item.name = name.name;
  item.outcome = Outcome::failed;
  item.error = std::move(error);
  return item;
}

Milestone milestone_of(AwaitState state) {
  switch (state) {
    case AwaitState::ready:
      return Milestone::ready;
    case AwaitState::cut:
      return Milestone::cut;
    case AwaitState::deleted:
      return Milestone::deleted;
  }
  return Milestone::ready;
}

}  // namespace

Result<SnapshotItem> show_snapshot(kube::Client& client, const kube::Name& name, bool ignore_recorded, const base::Deadline& deadline,
                                   const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const Result<std::string> version = snapshot_api_version(client, call, stop);
  if (!version.ok()) return version.error();
  return read_snapshot(client, *version, name, ignore_recorded, call, stop);
}

Result<SnapshotItem> read_snapshot(kube::Client& client, const std::string& version, const kube::Name& name, bool ignore_recorded,
                                   const kube::Call& call, const std::stop_token& stop) {
  const kube::Resource resource = kubevirt::vm_snapshots(version);
  const Result<json::Value> object = client.get(resource, name, call, stop);
  if (!object.ok()) {
    if (object.error().code() == ErrorCode::not_found) {
      return not_found_with_suggestion(client, resource, name, object.error(), call, stop);
    }
    return object.error();
  }
  Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(*object);
  if (!snapshot.ok()) return snapshot.error();
  SnapshotParts parts{std::move(*snapshot), {}, {}, {}};
  const std::vector<std::string> missing = read_parts(client, version, parts, call, stop);
  SnapshotItem item = assemble(parts);
  item.outcome = outcome_of(parts.snapshot);
  add_level(parts, ignore_recorded, item);
  for (const std::string& sentence : missing) item.reasons.push_back(sentence);
  return item;
}

std::vector<SnapshotItem> await_snapshots(kube::Client& client, base::Clock& clock, Observer& observer, const std::string& ns,
                                          const std::vector<std::string>& names, AwaitState state, bool wait_on_error,
                                          const base::Deadline& deadline, const std::stop_token& stop) {
  const base::TimePoint begin = clock.now();
  const kube::Call call{.deadline = deadline};
  std::vector<SnapshotItem> items;
  for (const std::string& name : names) items.push_back(failed_item({ns, name}, Error(ErrorCode::internal, "not waited for")));
  const Result<std::string> version = snapshot_api_version(client, call, stop);
  if (!version.ok()) {
    for (SnapshotItem& item : items) item.error = version.error();
    return items;
  }
  const WatchScope scope{.api_version = *version, .one = items.size() == 1, .ns = ns, .label_selector = {}, .wait_on_error = wait_on_error};
  SnapshotWatch watch(client, clock, observer, scope, milestone_of(state));
  std::map<int, std::size_t> places;
  for (std::size_t i = 0; i < items.size(); ++i) {
    places[watch.add({.name = {ns, items[i].name}, .uid = {}, .vm = {}, .planned = {}})] = i;
  }
  std::optional<Suggestions> suggestions;
  while (watch.waiting() > 0) {
    const SnapshotEnd end = watch.next(deadline, stop);
    SnapshotItem& item = items[places.at(end.target)];
    const kube::Name name{ns, item.name};
    if (end.parts) {
      item = assemble(*end.parts);
      if (end.reached.ok() && state != AwaitState::deleted) add_level(*end.parts, false, item);
      for (const std::string& missing : end.unreadable) item.reasons.push_back(missing);
    }
    item.error.reset();
    item.outcome = end.reached.ok() ? Outcome::done : Outcome::failed;
    item.seconds = base::to_seconds(clock.now() - begin);
    if (end.reached.ok()) continue;
    const Error& error = end.reached.error();
    item.error = end.stuck ? error : error.with_hint(next_step(name, end.parts ? &*end.parts : nullptr, error));
    if (error.code() != ErrorCode::not_found || end.parts) continue;
    if (!suggestions) suggestions.emplace(client, kubevirt::vm_snapshots(*version), ns, call, stop);
    item.error = suggestions->not_found(item.name, error);
  }
  return items;
}

}  // namespace vmbackup::backup
