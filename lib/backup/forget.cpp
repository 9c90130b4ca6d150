#include "backup/forget.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "backup/consistency.hpp"
#include "backup/lookup.hpp"
#include "backup/run_id.hpp"
#include "backup/snapshot_users.hpp"
#include "base/text.hpp"
#include "kubevirt/resources.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// The server tells whole seconds.
constexpr base::Duration k_clock_tolerance = std::chrono::minutes(5) + std::chrono::seconds(1);

struct Vms {
  std::set<std::pair<std::string, std::string>> uids;   // namespace and UID of all that exist
  std::set<std::pair<std::string, std::string>> names;  // namespace and name
};

Result<Vms> list_vms(kube::Client& client, const std::string& ns, const std::string& selector, const kube::Call& call,
                     const std::stop_token& stop) {
  const kube::ListOptions options{.label_selector = selector, .field_selector = {}};
  Vms vms;
  const kube::ListSink sink{.begin = [&vms] { vms = Vms{}; },
                            .take = [&vms](const json::Value& object) -> Result<void> {
                              const Result<kubevirt::VirtualMachine> vm = kubevirt::decode_virtual_machine(object);
                              if (!vm.ok()) return vm.error();
                              vms.uids.emplace(vm->ns, vm->uid);
                              vms.names.emplace(vm->ns, vm->name);
                              return {};
                            }};
  const Result<std::string> listed = client.list_each(kubevirt::virtual_machines(), ns, options, sink, call, stop);
  if (!listed.ok()) return listed.error();
  return vms;
}

// By UID, or by name while the snapshot does not say which VM it is of.
bool holds(const Vms& vms, const SnapshotItem& item) {
  return item.vm_uid.empty() ? vms.names.count({item.ns, item.vm}) > 0 : vms.uids.count({item.ns, item.vm_uid}) > 0;
}

RetentionCandidate::State state_of(const SnapshotItem& item) {
  using State = RetentionCandidate::State;
  if (item.deleting) return State::deleting;
  if (item.phase == "Failed") return State::failed;
  return item.outcome == Outcome::done ? State::good : State::unfinished;
}

RetentionCandidate candidate_of(const SnapshotItem& item, const Vms& vms, const SnapshotUsers& users) {
  RetentionCandidate one;
  one.ns = item.ns;
  one.vm = item.vm;
  one.vm_uid = item.vm_uid;
  one.name = item.name;
  one.created = item.created.value_or(base::WallTime{});
  one.state = state_of(item);
  one.level = item.judged ? item.judged->verdict.level : Level::unknown;
  one.clean_stop = item.judged && one.level == Level::offline && stopped_cleanly(item.judged->evidence);
  one.complete = item.complete;
  one.ours = is_ours(item.labels);
  one.vm_gone = !holds(vms, item);
  one.labels = item.labels;
  const auto found = users.by_snapshot.find({item.ns, item.name});
  if (found != users.by_snapshot.end()) {
    for (const std::string& user : found->second) one.users.push_back("in use: " + user);
  }
  for (const std::string& sentence : users.unreadable) one.users.push_back("perhaps in use: " + sentence);
  return one;
}

// A name that has neither VM nor snapshot is a slip of the keyboard.
Result<void> check_names(kube::Client& client, const ForgetRequest& request, const Vms& vms, const std::vector<SnapshotItem>& items,
                         const kube::Call& call, const std::stop_token& stop) {
  for (const std::string& name : request.vms) {
    const auto of_vm = [&name](const SnapshotItem& item) { return item.vm == name; };
    const auto is_vm = [&name](const auto& vm) { return vm.second == name; };
    if (std::any_of(items.begin(), items.end(), of_vm) || std::any_of(vms.names.begin(), vms.names.end(), is_vm)) continue;
    const Error error(ErrorCode::not_found, "VirtualMachine " + name + " not found");
    if (request.ns.empty()) return error;
    return not_found_with_suggestion(client, kubevirt::virtual_machines(), {request.ns, name}, error, call, stop);
  }
  return {};
}

// Only those that are asked for.
Result<void> select(kube::Client& client, const ForgetRequest& request, const Vms& vms, const kube::Call& call, const std::stop_token& stop,
                    std::vector<SnapshotItem>& items) {
  if (Result<void> known = check_names(client, request, vms, items, call, stop); !known.ok()) return known.error();
  if (!request.vms.empty()) {
    std::erase_if(items, [&request](const SnapshotItem& item) {
      return std::find(request.vms.begin(), request.vms.end(), item.vm) == request.vms.end();
    });
  }
  if (request.selector.empty()) return {};
  const Result<Vms> selected = list_vms(client, request.ns, request.selector, call, stop);
  if (!selected.ok()) return selected.error();
  if (selected->names.empty()) return Error(ErrorCode::not_found, "no VirtualMachine has the labels " + base::printable(request.selector));
  std::erase_if(items, [&selected](const SnapshotItem& item) { return !holds(*selected, item); });
  return {};
}

std::optional<std::string> clock_warning(base::WallTime ours, base::WallTime servers) {
  const base::Duration apart = ours > servers ? ours - servers : servers - ours;
  if (apart <= k_clock_tolerance) return std::nullopt;
  return "the server's clock is " + base::format_duration(std::chrono::round<std::chrono::seconds>(apart)) +
         (ours > servers ? " behind" : " ahead of") + " this machine's; the server's counts";
}

void decide(const std::vector<SnapshotItem>& items, const std::vector<RetentionCandidate>& candidates, const RetentionRules& rules,
            const std::string& version, ForgetPlan& plan) {
  const std::vector<RetentionDecision> decisions = decide_retention(candidates, rules, plan.report.now);
  for (std::size_t i = 0; i < items.size(); ++i) {
    DeletePlan gone = delete_plan_of(items[i], version);
    ForgetItem forget;
    forget.item = gone.item;
    forget.item.users = candidates[i].users;
    forget.uid = items[i].uid;
    forget.vm_uid = items[i].vm_uid;
    forget.created = items[i].created;
    forget.judged = items[i].judged;
    forget.complete = items[i].complete;
    forget.fate = decisions[i].fate;
    forget.reasons = decisions[i].reasons;
    if (forget.fate == Fate::forget) {
      plan.plans.push_back(std::move(gone));
    } else {
      forget.item.outcome = Outcome::skipped;
      forget.item.deletes.clear();
      forget.item.stays.clear();
    }
    plan.report.items.push_back(std::move(forget));
  }
}

}  // namespace

Result<ForgetPlan> plan_forget(kube::Client& client, base::Clock& clock, const ForgetRequest& request, const base::Deadline& deadline,
                               const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const Result<std::string> version = snapshot_api_version(client, call, stop);
  if (!version.ok()) return version.error();
  const Result<base::WallTime> now = client.server_time(call, stop);
  if (!now.ok()) return now.error();
  Result<std::vector<SnapshotItem>> items = list_snapshots(client, {.ns = request.ns, .vm = {}}, deadline, stop);
  if (!items.ok()) return items.error();
  const Result<Vms> vms = list_vms(client, request.ns, {}, call, stop);
  if (!vms.ok()) return vms.error();
  if (Result<void> selected = select(client, request, *vms, call, stop, *items); !selected.ok()) return selected.error();
  const Result<SnapshotUsers> users = find_snapshot_users(client, *version, request.ns, call, stop);
  if (!users.ok()) return users.error();
  std::sort(items->begin(), items->end(), [](const SnapshotItem& left, const SnapshotItem& right) {
    return std::tie(left.ns, left.vm, left.vm_uid, right.created, right.name) <
           std::tie(right.ns, right.vm, right.vm_uid, left.created, left.name);
  });
  ForgetPlan plan;
  plan.report.now = *now;
  if (std::optional<std::string> warning = clock_warning(clock.wall_now(), *now)) plan.warnings.push_back(std::move(*warning));
  plan.warnings.insert(plan.warnings.end(), users->unreadable.begin(), users->unreadable.end());
  std::vector<RetentionCandidate> candidates;
  candidates.reserve(items->size());
  for (const SnapshotItem& item : *items) candidates.push_back(candidate_of(item, *vms, *users));
  decide(*items, candidates, request.rules, *version, plan);
  return plan;
}

ForgetReport carry_out(kube::Client& client, base::Clock& clock, Observer& observer, const ForgetPlan& plan, bool wait,
                       const base::Deadline& deadline, const std::stop_token& stop) {
  ForgetReport report = plan.report;
  std::size_t next = 0;
  for (ForgetItem& forget : report.items) {
    if (forget.fate == Fate::keep) continue;
    const DeletePlan& gone = plan.plans[next++];
    const bool passed = deadline.passed(clock);
    if (passed || stop.stop_requested()) {
      forget.item.outcome = Outcome::failed;
      forget.item.error =
          Error(passed ? ErrorCode::timeout : ErrorCode::cancelled,
                std::string(passed ? "the deadline passed" : "interrupted") + ": " + gone.item.deletes.front() + " was not deleted");
      continue;
    }
    forget.item = delete_snapshot(client, clock, observer, gone, wait, deadline, stop);
  }
  return report;
}

}  // namespace vmbackup::backup
