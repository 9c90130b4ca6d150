// What a FakeCluster holds from the start, the same as the test cluster of tests/cluster.
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

json::Value string_map(const Pairs& pairs) {
  json::Value result = json::Value::object();
  for (const auto& [key, value] : pairs) result.set(key, value);
  return result;
}

json::Value named(const std::string& name, const std::string& ns = {}) {
  json::Value object = json::Value::object();
  object["metadata"].set("name", name);
  if (!ns.empty()) object["metadata"].set("namespace", ns);
  return object;
}

void storage_class(World& world, const std::string& name, const Pairs& parameters = {},
                   const std::string& provisioner = "csi.vmbackup.test") {
  json::Value object = named(name);
  if (name == "rig") object["metadata"].set("annotations", string_map({{"storageclass.kubernetes.io/is-default-class", "true"}}));
  object.set("provisioner", provisioner);
  if (!parameters.empty()) object.set("parameters", string_map(parameters));
  object.set("reclaimPolicy", name == "rig-retain" ? "Retain" : "Delete");
  object.set("allowVolumeExpansion", true);
  object.set("volumeBindingMode", name == "rig-wffc" ? "WaitForFirstConsumer" : "Immediate");
  world.store.create(kind("StorageClass"), object);
}

void snapshot_class(World& world, const std::string& name, const std::string& policy) {
  json::Value object = named(name);
  if (name == "rig-snap") object["metadata"].set("annotations", string_map({{"snapshot.storage.kubernetes.io/is-default-class", "true"}}));
  object.set("driver", "csi.vmbackup.test");
  object.set("deletionPolicy", policy);
  world.store.create(kind("VolumeSnapshotClass"), object);
}

json::Value strings(const std::vector<std::string>& words) {
  json::Value list = json::Value::array();
  for (const std::string& word : words) list.push_back(word);
  return list;
}

json::Value rule(const std::vector<std::string>& groups, const std::vector<std::string>& resources, const std::vector<std::string>& verbs) {
  return json::Value::object({{"apiGroups", strings(groups)}, {"resources", strings(resources)}, {"verbs", strings(verbs)}});
}

void role(World& world, const std::string& name, const json::Array& rules) {
  json::Value object = named(name);
  object.set("rules", rules);
  world.store.create(kind("ClusterRole"), object);
}

// Kubernetes' admin, edit, view with what KubeVirt adds to them. [kubevirt 1.9.0, pkg/virt-operator/resource/generate/rbac/cluster.go]
void roles(World& world) {
  const std::vector<std::string> look = {"get", "list", "watch"};
  const std::vector<std::string> all = {"get", "list", "watch", "create", "update", "patch", "delete"};
  const std::vector<std::string> kubevirt = {"virtualmachines", "virtualmachineinstances"};
  const std::vector<std::string> snapshots = {"virtualmachinesnapshots", "virtualmachinesnapshotcontents", "virtualmachinerestores"};
  const std::vector<std::string> core = {"pods", "persistentvolumeclaims", "configmaps", "events", "serviceaccounts"};
  const std::vector<std::string> infos = {"virtualmachineinstances/guestosinfo", "virtualmachineinstances/filesystemlist",
                                          "virtualmachineinstances/userlist"};
  const std::vector<std::string> acts = {"virtualmachineinstances/freeze", "virtualmachineinstances/unfreeze",
                                         "virtualmachineinstances/pause",  "virtualmachineinstances/unpause",
                                         "virtualmachines/start",          "virtualmachines/stop",
                                         "virtualmachines/restart"};
  role(world, "cluster-admin", {rule({"*"}, {"*"}, {"*"})});
  role(world, "view",
       {rule({""}, core, look), rule({"kubevirt.io"}, kubevirt, look), rule({"snapshot.kubevirt.io"}, snapshots, look),
        rule({"export.kubevirt.io"}, {"virtualmachineexports"}, look), rule({"clone.kubevirt.io"}, {"virtualmachineclones"}, look),
        rule({"subresources.kubevirt.io"}, infos, {"get"})});
  for (const char* name : {"edit", "admin"}) {
    role(world, name,
         {rule({""}, core, all), rule({""}, {"secrets"}, all), rule({"kubevirt.io"}, kubevirt, all),
          rule({"snapshot.kubevirt.io"}, snapshots, all), rule({"export.kubevirt.io"}, {"virtualmachineexports"}, all),
          rule({"clone.kubevirt.io"}, {"virtualmachineclones"}, all), rule({"coordination.k8s.io"}, {"leases"}, all),
          rule({"subresources.kubevirt.io"}, infos, {"get"}), rule({"subresources.kubevirt.io"}, acts, {"update"})});
  }
}

void kubevirt_object(World& world) {
  json::Value gates = json::Value::array();
  if (world.options.snapshot_gate) gates.push_back("Snapshot");
  json::Value object = named("kubevirt", "kubevirt");
  object["spec"]["configuration"]["developerConfiguration"].set("featureGates", gates);
  object["status"].set("phase", "Deployed");
  object["status"].set("observedKubeVirtVersion", "v" + world.options.kubevirt);
  world.store.create(kind("KubeVirt"), object);
}

}  // namespace

void install_base(World& world) {
  for (const char* ns : {"default", "kube-system", "kubevirt"}) {
    json::Value object = named(ns);
    object["metadata"].set("labels", string_map({{"kubernetes.io/metadata.name", ns}}));
    object.set("status", json::Value::object({{"phase", "Active"}}));
    world.store.create(kind("Namespace"), object);
  }
  json::Value node = named("node01");
  node["metadata"].set("labels", string_map({{"kubevirt.io/schedulable", "true"}}));
  world.store.create(kind("Node"), node);
  storage_class(world, "rig");
  storage_class(world, "rig-wffc");
  storage_class(world, "rig-retain");
  storage_class(world, "rig-broken", {{"failProvision", "always"}});
  storage_class(world, "rig-slow", {{"snapshotDelay@*-d2", "6s"}});
  storage_class(world, "rig-failsnap", {{"failSnapshots", "rig: snapshot refused by the array"}});
  storage_class(world, "rig-failonce", {{"failSnapshots", "first:1:rig: snapshot refused by the array"}});
  storage_class(world, "rig-notready", {{"readyDelay", "never"}});
  storage_class(world, "plain", {}, "plain.vmbackup.test");
  snapshot_class(world, "rig-snap", "Delete");
  snapshot_class(world, "rig-snap-retain", "Retain");
  roles(world);
  if (world.options.kubevirt_api) kubevirt_object(world);
}

}  // namespace vmbackup::test
