#include "backup/listing.hpp"

#include <algorithm>
#include <tuple>

#include "backup/consistency.hpp"
#include "backup/lookup.hpp"
#include "backup/run_id.hpp"
#include "kube/object_meta.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

using ContentsByName = std::map<kube::Name, kubevirt::VmSnapshotContent>;

// Contents refine; without the right to read them the list is still good.
Result<ContentsByName> contents_by_name(kube::Client& client, const std::string& version, const std::string& ns, const kube::Call& call,
                                        const std::stop_token& stop) {
  ContentsByName contents;
  const kube::ListSink sink{.begin = [&contents] { contents.clear(); },
                            .take = [&contents](const json::Value& object) -> Result<void> {
                              Result<kubevirt::VmSnapshotContent> content = kubevirt::decode_vm_snapshot_content(object);
                              if (!content.ok()) return content.error();
                              kube::Name name{content->ns, content->name};
                              contents.emplace(std::move(name), std::move(*content));
                              return {};
                            }};
  const Result<std::string> listed = client.list_each(kubevirt::vm_snapshot_contents(version), ns, {}, sink, call, stop);
  if (!listed.ok()) return listed.error();
  return contents;
}

std::string no_sizes(const Error& error) { return k_no_sizes + error.message(); }

// Sizes refine too, and a cluster may have no VolumeSnapshots at all.
Result<RestoreSizes> restore_sizes(kube::Client& client, const std::string& ns, const kube::Call& call, const std::stop_token& stop) {
  RestoreSizes sizes;
  const kube::ListSink sink{.begin = [&sizes] { sizes.bytes.clear(); },
                            .take = [&sizes](const json::Value& object) -> Result<void> {
                              const Result<kubevirt::VolumeSnapshot> snapshot = kubevirt::decode_volume_snapshot(object);
                              if (snapshot.ok()) sizes.bytes[{snapshot->ns, snapshot->name}] = snapshot->restore_size;
                              return {};
                            }};
  const Result<std::string> listed = client.list_each(kubevirt::volume_snapshots(), ns, {}, sink, call, stop);
  if (listed.ok()) return sizes;
  const ErrorCode code = listed.error().code();
  if (code != ErrorCode::forbidden && code != ErrorCode::not_found) return listed.error();
  sizes.unreadable = no_sizes(listed.error());
  return sizes;
}

// A VM without snapshots is an empty list; a VM that never was is a slip of the keyboard.
Result<void> check_vm_exists(kube::Client& client, const ListRequest& request, const kube::Call& call, const std::stop_token& stop) {
  const kube::Name name{request.ns, request.vm};
  const Result<json::Value> vm = client.get(kubevirt::virtual_machines(), name, call, stop);
  if (vm.ok() || vm.error().code() != ErrorCode::not_found) return {};
  return not_found_with_suggestion(client, kubevirt::virtual_machines(), name, vm.error(), call, stop);
}

Result<void> check_what_was_named(kube::Client& client, const ListRequest& request, const kube::Call& call, const std::stop_token& stop) {
  return request.vm.empty() ? check_namespace(client, request.ns, call, stop) : check_vm_exists(client, request, call, stop);
}

bool is_wanted(const kubevirt::VmSnapshot& snapshot, const ListRequest& request) {
  return (request.vm.empty() || snapshot.source_name == request.vm) && (request.all_tools || is_ours(snapshot.labels));
}

// The levels are those of a list without sizes: what VolumeSnapshots say of cuts and handles is for `show`.
SnapshotItem item_of(const SnapshotParts& parts, const ListRequest& request, const RestoreSizes& sizes) {
  SnapshotItem item = assemble(parts);
  item.outcome = outcome_of(parts.snapshot);
  add_level(parts, request.ignore_recorded, item);
  if (!request.sizes) return item;
  for (DiskReport& disk : item.disks) {
    const auto found = sizes.bytes.find({item.ns, disk.volume_snapshot});
    if (found != sizes.bytes.end()) disk.restore_size = found->second;
  }
  sum_sizes(item);
  if (!sizes.unreadable.empty()) item.reasons.push_back(sizes.unreadable);
  return item;
}

bool by_age(const SnapshotItem& left, const SnapshotItem& right) {
  return std::tie(left.created, left.ns, left.name) < std::tie(right.created, right.ns, right.name);
}

Level level_of(const SnapshotItem& item) { return item.judged ? item.judged->verdict.level : Level::unknown; }

void sort_items(std::vector<SnapshotItem>& items, SortBy by) {
  std::sort(items.begin(), items.end(), by_age);
  std::stable_sort(items.begin(), items.end(), [by](const SnapshotItem& left, const SnapshotItem& right) {
    switch (by) {
      case SortBy::age:
        return false;
      case SortBy::vm:
        return std::tie(left.ns, left.vm) < std::tie(right.ns, right.vm);
      case SortBy::name:
        return left.name < right.name;
      case SortBy::level:
        return stronger(level_of(left), level_of(right));
      case SortBy::size:
        return left.restore_size > right.restore_size;
    }
    return false;
  });
}

}  // namespace

bool is_ours(const std::vector<std::pair<std::string, std::string>>& labels) {
  return std::any_of(labels.begin(), labels.end(),
                     [](const auto& label) { return label.first == k_managed_by_label && label.second == k_managed_by; });
}

Result<std::vector<SnapshotItem>> list_snapshots(kube::Client& client, const ListRequest& request, const base::Deadline& deadline,
                                                 const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const Result<std::string> version = snapshot_api_version(client, call, stop);
  if (!version.ok()) return version.error();
  std::vector<SnapshotParts> found;
  const kube::ListSink sink{.begin = [&found] { found.clear(); },
                            .take = [&](const json::Value& object) -> Result<void> {
                              Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(object);
                              if (!snapshot.ok()) return snapshot.error();
                              if (is_wanted(*snapshot, request)) found.push_back({std::move(*snapshot), {}, {}, {}});
                              return {};
                            }};
  const Result<std::string> listed = client.list_each(kubevirt::vm_snapshots(*version), request.ns, {}, sink, call, stop);
  if (!listed.ok()) return listed.error();
  std::vector<SnapshotItem> items;
  if (found.empty()) {
    if (const Result<void> there = check_what_was_named(client, request, call, stop); !there.ok()) return there.error();
    return items;
  }
  Result<ContentsByName> contents = contents_by_name(client, *version, request.ns, call, stop);
  if (!contents.ok() && contents.error().code() != ErrorCode::forbidden) return contents.error();
  const Result<RestoreSizes> sizes = request.sizes ? restore_sizes(client, request.ns, call, stop) : RestoreSizes{};
  if (!sizes.ok()) return sizes.error();
  for (SnapshotParts& parts : found) {
    if (contents.ok()) {
      const auto content = contents->find({parts.snapshot.ns, kubevirt::content_name_of(parts.snapshot.uid)});
      if (content != contents->end()) parts.content = std::move(content->second);
    }
    items.push_back(item_of(parts, request, *sizes));
  }
  sort_items(items, request.sort_by);
  return items;
}

// ---- as it changes ----

ListWatch::ListWatch(kube::Client& client, base::Clock& clock, ListRequest request)
    : client_(client), request_(std::move(request)), follower_(client, clock) {}

void ListWatch::follow(Part part, const kube::Resource& resource) {
  const int number =
      follower_.follow(resource, request_.ns, {.label_selector = {}, .field_selector = {}, .optional = part != Part::snapshots});
  sources_[number] = part;
  unread_.insert(number);
}

Result<std::vector<SnapshotItem>> ListWatch::begin(const base::Deadline& deadline, const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const Result<std::string> version = snapshot_api_version(client_, call, stop);
  if (!version.ok()) return version.error();
  follow(Part::snapshots, kubevirt::vm_snapshots(*version));
  follow(Part::contents, kubevirt::vm_snapshot_contents(*version));
  if (request_.sizes) follow(Part::volume_snapshots, kubevirt::volume_snapshots());
  while (!unread_.empty()) {
    const Result<kube::Change> change = follower_.next(deadline, stop);
    if (!change.ok()) return change.error();
    if (const Result<Entry*> taken = take(*change); !taken.ok()) return taken.error();
  }
  for (auto& [key, entry] : entries_) entry.told = entry.listed();
  std::vector<SnapshotItem> found = items();
  if (found.empty()) {
    if (const Result<void> there = check_what_was_named(client_, request_, call, stop); !there.ok()) return there.error();
  }
  return found;
}

std::vector<SnapshotItem> ListWatch::items() const {
  std::vector<SnapshotItem> items;
  for (const auto& [key, entry] : entries_) {
    if (entry.listed()) items.push_back(item_of(entry.parts, request_, sizes_));
  }
  sort_items(items, request_.sort_by);
  return items;
}

Result<ListChange> ListWatch::next(const base::Deadline& deadline, const std::stop_token& stop) {
  for (;;) {
    const Result<kube::Change> change = follower_.next(deadline, stop);
    if (!change.ok()) return change.error();
    const Result<Entry*> taken = take(*change);
    if (!taken.ok()) return taken.error();
    Entry* entry = *taken;
    if (entry == nullptr) continue;
    const bool listed = entry->listed();
    const bool told = std::exchange(entry->told, listed);
    ListChange found{.kind = told ? ListChange::Kind::changed : ListChange::Kind::added, .item = {}};
    if (told && !listed) found.kind = ListChange::Kind::gone;
    if (told || listed) found.item = item_of(entry->parts, request_, sizes_);
    // One of others is remembered, so that its content is not held.
    if (!entry->seen) entries_.erase({entry->parts.snapshot.ns, entry->parts.snapshot.uid});
    if (told || listed) return found;
  }
}

Result<ListWatch::Entry*> ListWatch::take(const kube::Change& change) {
  using Type = kube::Change::Type;
  const auto found = sources_.find(change.source);
  if (found == sources_.end()) return nullptr;
  const Part part = found->second;
  if (change.type == Type::synced || change.type == Type::lost) unread_.erase(change.source);
  if (change.type == Type::lost && part == Part::volume_snapshots && change.error) sizes_.unreadable = no_sizes(*change.error);
  if (change.type != Type::present && change.type != Type::gone) return nullptr;
  if (part == Part::snapshots) return take_snapshot(change);
  return part == Part::contents ? take_content(change) : take_volume_snapshot(change);
}

Result<ListWatch::Entry*> ListWatch::take_snapshot(const kube::Change& change) {
  const Key key{kube::meta(change.object, "namespace"), kube::meta(change.object, "uid")};
  if (change.type == kube::Change::Type::gone) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    found->second.seen = false;
    return &found->second;
  }
  Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(change.object);
  if (!snapshot.ok()) return snapshot.error();
  Entry& entry = entries_[key];
  entry.seen = true;
  entry.wanted = is_wanted(*snapshot, request_);
  entry.parts.snapshot = std::move(*snapshot);
  if (!entry.wanted) entry.parts.content.reset();
  return &entry;
}

Result<ListWatch::Entry*> ListWatch::take_content(const kube::Change& change) {
  const std::string uid = kubevirt::snapshot_uid_of_content(kube::meta(change.object, "name"));
  if (uid.empty()) return nullptr;
  const Key key{kube::meta(change.object, "namespace"), uid};
  const auto found = entries_.find(key);
  if (change.type == kube::Change::Type::gone) {
    if (found == entries_.end()) return nullptr;
    found->second.parts.content.reset();
    if (found->second.seen) return &found->second;
    entries_.erase(found);
    return nullptr;
  }
  if (found != entries_.end() && found->second.seen && !found->second.wanted) return nullptr;
  Result<kubevirt::VmSnapshotContent> content = kubevirt::decode_vm_snapshot_content(change.object);
  if (!content.ok()) return content.error();
  Entry& entry = entries_[key];
  entry.parts.content = std::move(*content);
  return entry.seen ? &entry : nullptr;
}

Result<ListWatch::Entry*> ListWatch::take_volume_snapshot(const kube::Change& change) {
  const kube::Name name = kube::name_of(change.object);
  const std::string uid = kubevirt::snapshot_uid_of_volume_snapshot(name.name);
  if (uid.empty()) return nullptr;
  if (change.type == kube::Change::Type::gone) {
    sizes_.bytes.erase(name);
  } else {
    const Result<kubevirt::VolumeSnapshot> snapshot = kubevirt::decode_volume_snapshot(change.object);
    if (!snapshot.ok()) return nullptr;
    sizes_.bytes[name] = snapshot->restore_size;
  }
  const auto found = entries_.find({name.ns, uid});
  return found != entries_.end() && found->second.listed() ? &found->second : nullptr;
}

}  // namespace vmbackup::backup
