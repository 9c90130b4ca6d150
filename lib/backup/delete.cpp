#include "backup/inventory.hpp"

#include <map>
#include "backup/lookup.hpp"
#include "backup/snapshot_users.hpp"

#include "kube/wait.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// Follows snapshot and content until neither exists. An object of the same name with another UID is not the planned one.
class Disappearance {
 public:
  Disappearance(kube::Client& client, base::Clock& clock, Observer& observer, const DeletePlan& plan)
      : clock_(clock), observer_(observer), plan_(plan), follower_(client, clock) {
    add(kubevirt::vm_snapshots(plan.api_version), plan.name.name, plan.uid, false);
    if (plan.retains) return;
    add(kubevirt::vm_snapshot_contents(plan.api_version), plan.content, {}, true);
    for (const std::string& name : plan.volume_snapshots) add(kubevirt::volume_snapshots(), name, {}, true);
  }

  Result<void> wait(const base::Deadline& deadline, const std::stop_token& stop) {
    while (!watched_.empty()) {
      const Result<kube::Change> change = follower_.next(deadline, stop);
      if (!change.ok()) return explain(change.error());
      take(*change);
    }
    return {};
  }

 private:
  struct Watched {
    std::string what;
    std::string uid;
    bool seen = false;
  };

  void add(const kube::Resource& resource, const std::string& name, const std::string& uid, bool optional) {
    const int source =
        follower_.follow(resource, plan_.name.ns, {.label_selector = {}, .field_selector = "metadata.name=" + name, .optional = optional});
    watched_[source] = {kubevirt::describe(resource, {plan_.name.ns, name}), uid, false};
  }

  void take(const kube::Change& change) {
    const auto found = watched_.find(change.source);
    if (found == watched_.end()) return;
    Watched& watched = found->second;
    const std::string uid = change.object.path({"metadata", "uid"}).as_string();
    const bool other = !watched.uid.empty() && !uid.empty() && uid != watched.uid;
    switch (change.type) {
      case kube::Change::Type::present:
        if (other) return end(found);
        watched.seen = true;
        return;
      case kube::Change::Type::gone:
        if (!other) end(found);
        return;
      case kube::Change::Type::synced:
        if (!watched.seen) end(found);
        return;
      case kube::Change::Type::lost:
        observer_.on({Event::Kind::unreadable,
                      plan_.name.ns,
                      plan_.item.vm,
                      watched.what,
                      {},
                      change.error ? change.error->message() : std::string(),
                      clock_.wall_now()});
        watched_.erase(found);
        return;
      case kube::Change::Type::gap:
      case kube::Change::Type::woken:
        return;
    }
  }

  void end(std::map<int, Watched>::iterator found) {
    observer_.on({Event::Kind::gone, plan_.name.ns, plan_.item.vm, found->second.what, {}, {}, clock_.wall_now()});
    follower_.unfollow(found->first);
    watched_.erase(found);
  }

  Error explain(const Error& error) const {
    if (error.code() != ErrorCode::timeout && error.code() != ErrorCode::cancelled) return error.wrap("waiting for the deletion");
    std::string left;
    for (const auto& [source, watched] : watched_) left += (left.empty() ? "" : " and ") + watched.what;
    const char* clause = error.code() == ErrorCode::timeout ? "the deadline passed: " : "interrupted: ";
    return Error(error.code(), clause + left + " still there; the deletion goes on in the cluster",
                 "follow it with: kubectl vmbackup wait vmsnapshot/" + plan_.name.name + " --for deleted -n " + plan_.name.ns);
  }

  base::Clock& clock_;
  Observer& observer_;
  const DeletePlan& plan_;
  kube::Follower follower_;
  std::map<int, Watched> watched_;
};

std::string describe_content(const DeletePlan& plan) {
  return kubevirt::describe(kubevirt::vm_snapshot_contents(plan.api_version), {plan.name.ns, plan.content});
}

}  // namespace

DeletePlan delete_plan_of(const SnapshotItem& shown, const std::string& api_version) {
  DeletePlan plan;
  plan.name = {shown.ns, shown.name};
  plan.uid = shown.uid;
  plan.api_version = api_version;
  plan.content = kubevirt::content_name_of(shown.uid);
  // Retain keeps a content that is ready; one that is not is deleted all the same. [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go]
  plan.retains = shown.deletion_policy != "Delete" && shown.ready_to_use;
  plan.item.ns = shown.ns;
  plan.item.name = shown.name;
  plan.item.vm = shown.vm;
  plan.item.outcome = Outcome::planned;
  plan.item.deletes.push_back(kubevirt::describe(kubevirt::vm_snapshots(api_version), plan.name));
  std::vector<std::string>& rest = plan.retains ? plan.item.stays : plan.item.deletes;
  if (!shown.content.empty()) rest.push_back(describe_content(plan));
  for (const DiskReport& disk : shown.disks) {
    if (disk.volume_snapshot.empty()) continue;
    plan.volume_snapshots.push_back(disk.volume_snapshot);
    rest.push_back(kubevirt::describe(kubevirt::volume_snapshots(), {shown.ns, disk.volume_snapshot}));
  }
  return plan;
}

Result<DeletePlan> plan_delete(kube::Client& client, const kube::Name& name, const base::Deadline& deadline, const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const Result<std::string> version = snapshot_api_version(client, call, stop);
  if (!version.ok()) return version.error();
  const Result<SnapshotItem> shown = read_snapshot(client, *version, name, false, call, stop);
  if (!shown.ok()) return shown.error();
  DeletePlan plan = delete_plan_of(*shown, *version);
  const Result<SnapshotUsers> users = find_snapshot_users(client, *version, name.ns, call, stop);
  if (!users.ok()) return users.error();
  const auto found = users->by_snapshot.find(name);
  plan.in_use = found != users->by_snapshot.end();
  if (plan.in_use) plan.item.users = found->second;
  plan.item.users.insert(plan.item.users.end(), users->unreadable.begin(), users->unreadable.end());
  return plan;
}

DeleteItem delete_snapshot(kube::Client& client, base::Clock& clock, Observer& observer, const DeletePlan& plan, bool wait,
                           const base::Deadline& deadline, const std::stop_token& stop) {
  DeleteItem item = plan.item;
  item.outcome = Outcome::failed;
  const std::string what = kubevirt::describe(kubevirt::vm_snapshots(plan.api_version), plan.name);
  const Result<void> sent = client.remove(kubevirt::vm_snapshots(plan.api_version), plan.name, {.uid = plan.uid, .propagation = {}},
                                          {.deadline = deadline}, stop);
  if (!sent.ok() && sent.error().code() == ErrorCode::precondition) {
    item.error =
        Error(ErrorCode::precondition, what + " was replaced by another of the same name since it was looked at; nothing was deleted",
              "look again with: kubectl vmbackup show " + plan.name.name + " -n " + plan.name.ns);
    return item;
  }
  // Gone already is what was asked for; the content may still be on its way.
  if (!sent.ok() && sent.error().code() != ErrorCode::not_found) {
    item.error = sent.error().wrap("deleting " + what);
    return item;
  }
  item.accepted = true;
  observer.on({Event::Kind::deleting, plan.name.ns, plan.item.vm, plan.name.name, {}, {}, clock.wall_now()});
  if (wait) {
    Disappearance disappearance(client, clock, observer, plan);
    if (const Result<void> gone = disappearance.wait(deadline, stop); !gone.ok()) {
      item.error = gone.error();
      return item;
    }
  }
  item.outcome = Outcome::done;
  return item;
}

}  // namespace vmbackup::backup
