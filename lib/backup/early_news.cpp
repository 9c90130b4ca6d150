#include "backup/early_news.hpp"

#include <utility>

#include "kube/object_meta.hpp"
#include "kubevirt/vm_snapshot.hpp"

namespace vmbackup::backup {

void EarlyNews::expect(const kube::Name& name) { expected_.try_emplace(name); }

void EarlyNews::take_snapshot(const json::Value& object, bool present) {
  const auto found = expected_.find(kube::name_of(object));
  if (found == expected_.end()) return;
  const std::string& uid = kube::meta(object, "uid");
  if (present) {
    found->second.snapshot = object;
    names_[uid] = found->first;
  } else {
    found->second = {.snapshot = {}, .content = {}, .volume_snapshots = {}, .gone = uid};
    names_.erase(uid);
  }
}

void EarlyNews::take_content(const json::Value& object, bool present) {
  News* const news = of(kubevirt::snapshot_uid_of_content(kube::meta(object, "name")));
  if (news == nullptr) return;
  news->content = present ? std::optional(object) : std::nullopt;
}

void EarlyNews::take_volume_snapshot(const json::Value& object, bool present) {
  const std::string& name = kube::meta(object, "name");
  News* const news = of(kubevirt::snapshot_uid_of_volume_snapshot(name));
  if (news == nullptr) return;
  if (present) {
    news->volume_snapshots.insert_or_assign(name, object);
  } else {
    news->volume_snapshots.erase(name);
  }
}

EarlyNews::News* EarlyNews::of(const std::string& uid) {
  const auto name = names_.find(uid);
  if (name == names_.end()) return nullptr;
  const auto found = expected_.find(name->second);
  return found == expected_.end() ? nullptr : &found->second;
}

void EarlyNews::forget() {
  expected_.clear();
  names_.clear();
}

std::optional<EarlyNews::News> EarlyNews::release(const kube::Name& name) {
  const auto found = expected_.find(name);
  if (found == expected_.end()) return std::nullopt;
  News news = std::move(found->second);
  if (news.snapshot) names_.erase(kube::meta(*news.snapshot, "uid"));
  expected_.erase(found);
  return news;
}

}  // namespace vmbackup::backup
