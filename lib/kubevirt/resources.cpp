#include "kubevirt/resources.hpp"

namespace vmbackup::kubevirt {

kube::Resource virtual_machines() { return {"kubevirt.io", "v1", "virtualmachines", "VirtualMachine", true}; }

kube::Resource virtual_machine_instances() { return {"kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", true}; }

kube::Resource namespaces() { return {"", "v1", "namespaces", "Namespace", false}; }
kube::Resource pods() { return {"", "v1", "pods", "Pod", true}; }
kube::Resource persistent_volume_claims() { return {"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true}; }
kube::Resource storage_classes() { return {"storage.k8s.io", "v1", "storageclasses", "StorageClass", false}; }

kube::Resource guest_subresources() {
  return {"subresources.kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", true};
}

kube::Resource vm_snapshots(const std::string& version) {
  return {k_snapshot_group, version, "virtualmachinesnapshots", "VirtualMachineSnapshot", true};
}

kube::Resource vm_snapshot_contents(const std::string& version) {
  return {k_snapshot_group, version, "virtualmachinesnapshotcontents", "VirtualMachineSnapshotContent", true};
}

kube::Resource kubevirts() { return {k_core_group, "v1", "kubevirts", "KubeVirt", true}; }

kube::Resource cdis() { return {k_cdi_group, "v1beta1", "cdis", "CDI", false}; }

kube::Resource data_volumes() { return {k_cdi_group, "v1beta1", "datavolumes", "DataVolume", true}; }

kube::Resource storage_profiles() { return {k_cdi_group, "v1beta1", "storageprofiles", "StorageProfile", false}; }

kube::Resource vm_restores(const std::string& version) {
  return {k_snapshot_group, version, "virtualmachinerestores", "VirtualMachineRestore", true};
}

kube::Resource vm_exports(const std::string& version) {
  return {k_export_group, version, "virtualmachineexports", "VirtualMachineExport", true};
}

kube::Resource vm_clones(const std::string& version) {
  return {k_clone_group, version, "virtualmachineclones", "VirtualMachineClone", true};
}

kube::Resource volume_snapshots() { return {k_volume_snapshot_group, "v1", "volumesnapshots", "VolumeSnapshot", true}; }

kube::Resource volume_snapshot_classes() { return {k_volume_snapshot_group, "v1", "volumesnapshotclasses", "VolumeSnapshotClass", false}; }

std::string describe(const kube::Resource& resource, const kube::Name& name) {
  return name.ns.empty() ? resource.kind + " " + name.name : resource.kind + " " + name.ns + "/" + name.name;
}

}  // namespace vmbackup::kubevirt
