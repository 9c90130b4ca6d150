#include "backup/pass_over.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "backup/inventory.hpp"

namespace vmbackup::backup {

namespace {

using base::Result;
using kubevirt::VirtualMachine;

// Moves the VMs for which `why` has a reason to those that are passed over.
void move_out(Selected& selected, const std::function<std::string(const VirtualMachine&)>& why) {
  std::vector<VirtualMachine> left;
  for (VirtualMachine& vm : selected.vms) {
    std::string reason = why(vm);
    if (reason.empty()) {
      left.push_back(std::move(vm));
    } else {
      selected.passed_over.push_back({{vm.ns, vm.name}, std::move(reason)});
    }
  }
  selected.vms = std::move(left);
  std::sort(selected.passed_over.begin(), selected.passed_over.end(),
            [](const PassedOver& a, const PassedOver& b) { return a.name < b.name; });
}

// The newest snapshot of each VM that is good, by the VM's UID.
Result<std::map<std::string, SnapshotItem>> newest_good(kube::Client& client, const std::vector<VirtualMachine>& vms,
                                                        const kube::Call& call, const std::stop_token& stop) {
  std::set<std::string> spaces;
  for (const VirtualMachine& vm : vms) spaces.insert(vm.ns);
  std::map<std::string, SnapshotItem> newest;
  for (const std::string& ns : spaces) {
    const Result<std::vector<SnapshotItem>> items = list_snapshots(client, {.ns = ns, .vm = {}}, call.deadline, stop);
    if (!items.ok()) return items.error();
    // The oldest first.
    for (const SnapshotItem& item : *items) {
      if (item.phase == "Succeeded" && item.ready_to_use && item.created && !item.deleting) newest[item.vm_uid] = item;
    }
  }
  return newest;
}

}  // namespace

Result<void> pass_over(kube::Client& client, const SnapshotRequest& request, Selected& selected, const kube::Call& call,
                       const std::stop_token& stop) {
  if (request.shard) {
    const std::string reason = "not in part " + std::to_string(request.shard->number) + " of " + std::to_string(request.shard->of);
    move_out(selected, [&](const VirtualMachine& vm) { return is_in({vm.ns, vm.name}, *request.shard) ? std::string() : reason; });
  }
  if (!request.skip_if_newer || selected.vms.empty()) return {};
  const Result<base::WallTime> now = client.server_time(call, stop);
  if (!now.ok()) return now.error();
  const Result<std::map<std::string, SnapshotItem>> newest = newest_good(client, selected.vms, call, stop);
  if (!newest.ok()) return newest.error();
  move_out(selected, [&](const VirtualMachine& vm) {
    const auto found = newest->find(vm.uid);
    if (found == newest->end() || *now - *found->second.created > *request.skip_if_newer) return std::string();
    return "its snapshot " + found->second.name + " is not older than " + base::format_duration(*request.skip_if_newer);
  });
  return {};
}

// FNV-1a: the same on every machine, for ever.
bool is_in(const kube::Name& vm, const Shard& shard) {
  std::uint32_t hash = 2166136261U;
  for (const char c : vm.ns + "/" + vm.name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash % shard.of == shard.number - 1;
}

}  // namespace vmbackup::backup
