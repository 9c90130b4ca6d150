// How KubeVirt's and the CSI snapshotter's kinds are spelled: the one place for groups, versions and plurals.
#pragma once

#include <string>

#include "kube/client.hpp"

namespace vmbackup::kubevirt {

// kubevirt.io/v1 is served since before 1.0. [kubevirt 1.9.0, api/core/v1/register.go]
kube::Resource virtual_machines();
kube::Resource virtual_machine_instances();
// virt-api's aggregated API: freeze, unfreeze, guestosinfo, ... of virtualmachineinstances. [kubevirt 1.9.0, pkg/virt-api/api.go]
kube::Resource guest_subresources();

// Kubernetes' own.
kube::Resource namespaces();
kube::Resource pods();
kube::Resource persistent_volume_claims();
kube::Resource storage_classes();

// snapshot.kubevirt.io: v1beta1 since 1.3, v1alpha1 before; the same schema. [kubevirt 1.9.0, api/snapshot/v1beta1/register.go]
inline constexpr const char* k_snapshot_group = "snapshot.kubevirt.io";
kube::Resource vm_snapshots(const std::string& version);
kube::Resource vm_snapshot_contents(const std::string& version);
kube::Resource vm_restores(const std::string& version);

// export.kubevirt.io: v1 since 1.9, v1beta1 since 1.3, v1alpha1 before; clone.kubevirt.io: v1beta1 since 1.5, v1alpha1 before.
// [kubevirt 1.9.0, pkg/virt-operator/resource/generate/components/crds.go]
inline constexpr const char* k_export_group = "export.kubevirt.io";
inline constexpr const char* k_clone_group = "clone.kubevirt.io";
kube::Resource vm_exports(const std::string& version);
kube::Resource vm_clones(const std::string& version);

// The object that the operator of KubeVirt, or of CDI, keeps. CDI's has no namespace.
// [kubevirt 1.9.0, api/core/v1/types.go; containerized-data-importer-api, pkg/apis/core/v1beta1/types.go]
inline constexpr const char* k_core_group = "kubevirt.io";
inline constexpr const char* k_cdi_group = "cdi.kubevirt.io";
kube::Resource kubevirts();
kube::Resource cdis();
kube::Resource data_volumes();
kube::Resource storage_profiles();  // one per StorageClass, of its name

// freeze, unfreeze, guestosinfo, ...: answered by virt-api.
inline constexpr const char* k_subresources_group = "subresources.kubevirt.io";

// snapshot.storage.k8s.io/v1; older versions are not served any more. [external-snapshotter 8.6.0, client/apis/volumesnapshot/v1]
inline constexpr const char* k_volume_snapshot_group = "snapshot.storage.k8s.io";
kube::Resource volume_snapshots();
kube::Resource volume_snapshot_classes();

// "VirtualMachineSnapshot prod/db-0", as errors and events name an object.
std::string describe(const kube::Resource& resource, const kube::Name& name);

}  // namespace vmbackup::kubevirt
