#include "support/fake_cluster.hpp"

namespace vmbackup::test {

std::vector<json::Value> manifest_of(const VmManifest& vm) {
  std::vector<json::Value> result;
  json::Value volumes = json::Value::array();
  json::Value disks = json::Value::array();
  for (std::size_t i = 0; i < vm.volumes.size(); ++i) {
    const std::string claim = vm.name + "-d" + std::to_string(i + 1);
    json::Value pvc = json::Value::object({{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}});
    pvc["metadata"].set("name", claim);
    pvc["metadata"].set("namespace", vm.ns);
    json::Value& spec = pvc["spec"];
    spec.set("accessModes", json::Value::array({"ReadWriteOnce"}));
    spec.set("storageClassName", vm.storage_class);
    spec["resources"]["requests"].set("storage", "1Gi");
    result.push_back(std::move(pvc));
    volumes.push_back(
        json::Value::object({{"name", vm.volumes[i]}, {"persistentVolumeClaim", json::Value::object({{"claimName", claim}})}}));
    disks.push_back(json::Value::object({{"name", vm.volumes[i]}, {"disk", json::Value::object({{"bus", "virtio"}})}}));
  }
  json::Value object = json::Value::object({{"apiVersion", "kubevirt.io/v1"}, {"kind", "VirtualMachine"}});
  object["metadata"].set("name", vm.name);
  object["metadata"].set("namespace", vm.ns);
  object["spec"].set("runStrategy", vm.running ? "Always" : "Halted");
  json::Value& pattern = object["spec"]["template"];
  for (const auto& [key, value] : vm.knobs) pattern["metadata"]["annotations"].set("guest.vmbackup.test/" + key, value);
  pattern["spec"]["domain"]["devices"].set("disks", disks);
  pattern["spec"]["domain"]["resources"]["requests"].set("memory", "64Mi");
  pattern["spec"].set("volumes", volumes);
  result.push_back(std::move(object));
  return result;
}

}  // namespace vmbackup::test
