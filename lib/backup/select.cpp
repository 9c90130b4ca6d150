#include "backup/select.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>

#include "backup/lookup.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::VirtualMachine;
using kubevirt::VirtualMachineInstance;

// Up to here single reads cost less than a list that may be long.
constexpr std::size_t k_few = 4;

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

Result<std::vector<VirtualMachine>> list_vms(kube::Client& client, const Selection& selection, const kube::Call& call,
                                             const std::stop_token& stop) {
  const std::string ns = selection.all_namespaces ? "" : selection.ns;
  const kube::ListOptions options{.label_selector = selection.label_selector, .field_selector = {}};
  const Result<kube::ObjectList> list = client.list(kubevirt::virtual_machines(), ns, options, call, stop);
  if (!list.ok()) return list.error();
  if (list->items.empty() && !selection.ignore_not_found) {
    if (Result<void> there = check_namespace(client, ns, call, stop); !there.ok()) return there.error();
  }
  std::vector<VirtualMachine> vms;
  for (const json::Value& item : list->items) {
    Result<VirtualMachine> vm = kubevirt::decode_virtual_machine(item);
    if (!vm.ok()) return vm.error();
    vms.push_back(std::move(*vm));
  }
  return vms;
}

// Nothing: there is none of that name, and that is no error.
Result<std::optional<VirtualMachine>> read_vm(kube::Client& client, const Selection& selection, const std::string& name,
                                              const kube::Call& call, const std::stop_token& stop) {
  const kube::Name full{selection.ns, name};
  const Result<json::Value> object = client.get(kubevirt::virtual_machines(), full, call, stop);
  if (object.ok()) {
    Result<VirtualMachine> vm = kubevirt::decode_virtual_machine(*object);
    if (!vm.ok()) return vm.error();
    return std::optional<VirtualMachine>(std::move(*vm));
  }
  if (object.error().code() != ErrorCode::not_found) return object.error();
  if (selection.ignore_not_found) return std::optional<VirtualMachine>();
  return not_found_with_suggestion(client, kubevirt::virtual_machines(), full, object.error(), call, stop);
}

Result<std::vector<VirtualMachine>> named_vms(kube::Client& client, const Selection& selection, const kube::Call& call,
                                              const std::stop_token& stop) {
  std::vector<VirtualMachine> found;
  std::vector<std::string> missing = selection.names;
  if (selection.names.size() > k_few) {
    Result<std::vector<VirtualMachine>> all = list_vms(client, selection, call, stop);
    if (!all.ok()) return all.error();
    for (VirtualMachine& vm : *all) {
      if (std::erase(missing, vm.name) > 0) found.push_back(std::move(vm));
    }
    if (selection.ignore_not_found) missing.clear();
  }
  // Those that a list did not show are asked for by name: for the server's own words.
  for (const std::string& name : missing) {
    Result<std::optional<VirtualMachine>> vm = read_vm(client, selection, name, call, stop);
    if (!vm.ok()) return vm.error();
    if (*vm) found.push_back(std::move(**vm));
  }
  return found;
}

Result<std::vector<VirtualMachine>> exactly_these(kube::Client& client, const std::vector<kube::Name>& names, const kube::Call& call,
                                                  const std::stop_token& stop) {
  std::map<std::string, Selection> spaces;
  for (const kube::Name& name : names) {
    Selection& selection = spaces[name.ns];
    selection.ns = name.ns;
    selection.names.push_back(name.name);
    selection.ignore_not_found = true;
  }
  std::vector<VirtualMachine> found;
  for (const auto& [ns, selection] : spaces) {
    Result<std::vector<VirtualMachine>> vms = named_vms(client, selection, call, stop);
    if (!vms.ok()) return vms.error();
    found.insert(found.end(), std::make_move_iterator(vms->begin()), std::make_move_iterator(vms->end()));
  }
  return found;
}

Result<std::vector<VirtualMachine>> find_vms(kube::Client& client, const Selection& selection, const kube::Call& call,
                                             const std::stop_token& stop) {
  if (!selection.exactly.empty()) return exactly_these(client, selection.exactly, call, stop);
  return selection.names.empty() ? list_vms(client, selection, call, stop) : named_vms(client, selection, call, stop);
}

}  // namespace

Result<Selected> select_vms(kube::Client& client, const Selection& selection, const kube::Call& call, const std::stop_token& stop) {
  Result<std::vector<VirtualMachine>> found = find_vms(client, selection, call, stop);
  if (!found.ok()) return found.error();
  if (found->empty() && !selection.label_selector.empty() && !selection.ignore_not_found) {
    return Error(
        ErrorCode::not_found,
        "no VirtualMachine " + (selection.all_namespaces ? std::string("in any namespace") : "in namespace " + selection.ns) +
            " has the labels " + selection.label_selector,
        "see their labels: kubectl get virtualmachines " + (selection.all_namespaces ? "-A" : "-n " + selection.ns) + " --show-labels");
  }
  std::sort(found->begin(), found->end(),
            [](const VirtualMachine& a, const VirtualMachine& b) { return std::tie(a.ns, a.name) < std::tie(b.ns, b.name); });
  Selected selected;
  for (VirtualMachine& vm : *found) {
    if (contains(selection.exclude, vm.name)) {
      selected.passed_over.push_back({{vm.ns, vm.name}, "excluded"});
    } else {
      selected.vms.push_back(std::move(vm));
    }
  }
  return selected;
}

Result<std::vector<std::optional<VirtualMachineInstance>>> instances_of(kube::Client& client, const std::vector<VirtualMachine>& vms,
                                                                        const kube::Call& call, const std::stop_token& stop) {
  std::map<kube::Name, json::Value> objects;
  std::map<std::string, std::size_t> namespaces;
  for (const VirtualMachine& vm : vms) ++namespaces[vm.ns];
  for (const VirtualMachine& vm : vms) {
    const auto space = namespaces.find(vm.ns);
    if (space == namespaces.end()) continue;
    if (space->second <= k_few) {
      const Result<json::Value> object = client.get(kubevirt::virtual_machine_instances(), {vm.ns, vm.name}, call, stop);
      if (object.ok()) objects.emplace(kube::Name{vm.ns, vm.name}, *object);
      if (!object.ok() && object.error().code() != ErrorCode::not_found) return object.error();
      continue;
    }
    const Result<kube::ObjectList> list = client.list(kubevirt::virtual_machine_instances(), vm.ns, {}, call, stop);
    if (!list.ok()) return list.error();
    for (const json::Value& item : list->items) objects.emplace(kube::Name{vm.ns, item.path({"metadata", "name"}).as_string()}, item);
    namespaces.erase(space);
  }
  std::vector<std::optional<VirtualMachineInstance>> instances;
  for (const VirtualMachine& vm : vms) {
    const auto object = objects.find({vm.ns, vm.name});
    instances.emplace_back();
    if (object == objects.end()) continue;
    Result<VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(object->second);
    if (!vmi.ok()) return vmi.error();
    if (!vmi->final()) instances.back() = std::move(*vmi);
  }
  return instances;
}

}  // namespace vmbackup::backup
