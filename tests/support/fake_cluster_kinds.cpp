#include "support/fake_cluster_kinds.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace vmbackup::test {

std::string Kind::resource() const { return group.empty() ? plural : plural + "." + group; }

std::string Kind::api_version(std::string_view version) const {
  return group.empty() ? std::string(version) : group + "/" + std::string(version);
}

namespace {

std::vector<Kind> make_kinds() {
  std::vector<Kind> kinds;
  const auto built_in = [&](std::string group, std::string plural, std::string name, std::vector<std::string> shorts,
                            bool namespaced = true) {
    std::string singular = name;
    std::transform(singular.begin(), singular.end(), singular.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    kinds.push_back(
        {std::move(group), {"v1"}, std::move(plural), std::move(singular), std::move(name), std::move(shorts), namespaced, false, false});
  };
  built_in("", "namespaces", "Namespace", {"ns"}, false);
  built_in("", "nodes", "Node", {"no"}, false);
  built_in("", "persistentvolumes", "PersistentVolume", {"pv"}, false);
  built_in("", "persistentvolumeclaims", "PersistentVolumeClaim", {"pvc"});
  built_in("", "pods", "Pod", {"po"});
  kinds.back().status_subresource = true;
  built_in("", "events", "Event", {"ev"});
  built_in("", "configmaps", "ConfigMap", {"cm"});
  built_in("", "secrets", "Secret", {});
  built_in("", "serviceaccounts", "ServiceAccount", {"sa"});
  built_in("apps", "controllerrevisions", "ControllerRevision", {});
  built_in("storage.k8s.io", "storageclasses", "StorageClass", {"sc"}, false);
  built_in("coordination.k8s.io", "leases", "Lease", {});
  built_in("rbac.authorization.k8s.io", "roles", "Role", {});
  built_in("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", {});
  built_in("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", {}, false);
  built_in("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", {}, false);

  kinds.push_back({"snapshot.storage.k8s.io", {"v1"}, "volumesnapshots", "volumesnapshot", "VolumeSnapshot", {"vs"}, true, true});
  kinds.push_back({"snapshot.storage.k8s.io",
                   {"v1"},
                   "volumesnapshotcontents",
                   "volumesnapshotcontent",
                   "VolumeSnapshotContent",
                   {"vsc", "vscs"},
                   false,
                   true});
  kinds.push_back({"snapshot.storage.k8s.io",
                   {"v1"},
                   "volumesnapshotclasses",
                   "volumesnapshotclass",
                   "VolumeSnapshotClass",
                   {"vsclass", "vsclasses"},
                   false,
                   false});
  kinds.push_back({"kubevirt.io", {"v1", "v1alpha3"}, "virtualmachines", "virtualmachine", "VirtualMachine", {"vm", "vms"}, true, true});
  kinds.push_back({"kubevirt.io",
                   {"v1", "v1alpha3"},
                   "virtualmachineinstances",
                   "virtualmachineinstance",
                   "VirtualMachineInstance",
                   {"vmi", "vmis"},
                   true,
                   false});
  kinds.push_back({"kubevirt.io", {"v1", "v1alpha3"}, "kubevirts", "kubevirt", "KubeVirt", {"kv", "kvs"}, true, true});
  const std::vector<std::string> snapshot_versions = {"v1beta1", "v1alpha1"};
  kinds.push_back({"snapshot.kubevirt.io",
                   snapshot_versions,
                   "virtualmachinesnapshots",
                   "virtualmachinesnapshot",
                   "VirtualMachineSnapshot",
                   {"vmsnapshot", "vmsnapshots"},
                   true,
                   true});
  kinds.push_back({"snapshot.kubevirt.io",
                   snapshot_versions,
                   "virtualmachinesnapshotcontents",
                   "virtualmachinesnapshotcontent",
                   "VirtualMachineSnapshotContent",
                   {"vmsnapshotcontent", "vmsnapshotcontents"},
                   true,
                   true});
  kinds.push_back({"snapshot.kubevirt.io",
                   snapshot_versions,
                   "virtualmachinerestores",
                   "virtualmachinerestore",
                   "VirtualMachineRestore",
                   {"vmrestore", "vmrestores"},
                   true,
                   true});
  // Without controllers: their status is what a test writes.
  kinds.push_back({"export.kubevirt.io",
                   {"v1", "v1beta1"},
                   "virtualmachineexports",
                   "virtualmachineexport",
                   "VirtualMachineExport",
                   {"vmexport", "vmexports"},
                   true,
                   true});
  kinds.push_back({"clone.kubevirt.io",
                   {"v1beta1", "v1alpha1"},
                   "virtualmachineclones",
                   "virtualmachineclone",
                   "VirtualMachineClone",
                   {"vmclone", "vmclones"},
                   true,
                   true});
  kinds.push_back({"cdi.kubevirt.io", {"v1beta1"}, "datavolumes", "datavolume", "DataVolume", {"dv", "dvs"}, true, false});
  kinds.push_back({"cdi.kubevirt.io", {"v1beta1"}, "storageprofiles", "storageprofile", "StorageProfile", {}, false, true});
  return kinds;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

}  // namespace

const std::vector<Kind>& all_kinds() {
  static const std::vector<Kind> kinds = make_kinds();
  return kinds;
}

const Kind* find_kind(std::string_view group, std::string_view plural) {
  for (const Kind& kind : all_kinds()) {
    if (kind.group == group && kind.plural == plural) return &kind;
  }
  return nullptr;
}

const Kind* find_kind_of(const json::Value& object) {
  const std::string& api_version = object.path({"apiVersion"}).as_string();
  const std::string& name = object.path({"kind"}).as_string();
  for (const Kind& kind : all_kinds()) {
    if (kind.kind != name) continue;
    for (const std::string& version : kind.versions) {
      if (kind.api_version(version) == api_version) return &kind;
    }
  }
  return nullptr;
}

const Kind* find_kind_by_word(std::string_view word) {
  std::string plain = lower(word.substr(0, word.find('.')));
  const std::string group = word.find('.') == std::string_view::npos ? "" : lower(word.substr(word.find('.') + 1));
  for (const Kind& kind : all_kinds()) {
    if (!group.empty() && kind.group != group) continue;
    const bool by_short = std::find(kind.short_names.begin(), kind.short_names.end(), plain) != kind.short_names.end();
    if (by_short || plain == kind.plural || plain == kind.singular) return &kind;
  }
  return nullptr;
}

const Kind& kind(std::string_view kind_name) {
  for (const Kind& kind : all_kinds()) {
    if (kind.kind == kind_name) return kind;
  }
  std::abort();
}

}  // namespace vmbackup::test
