// Many objects, of the size that they have on a real cluster.
#include <stdexcept>

#include "base/duration.hpp"
#include "kubevirt/resources.hpp"
#include "kubevirt/vm_snapshot.hpp"
#include "options.hpp"
#include "support/fake_cluster.hpp"

namespace vmbackup::sandbox {

namespace {

using json::Value;

constexpr const char* k_ns = "fleet";
constexpr const char* k_class = "scale";
// The history of changes holds each object several times over.
constexpr int k_compact_after = 200;
constexpr base::Duration k_soon = std::chrono::milliseconds(50);

std::string numbered(const char* prefix, int number) {
  std::string digits = std::to_string(number);
  return prefix + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

// A set of fields as managedFields has it: "f:name" for members, k:{"name":"root"} for items that have a name.
// [apimachinery/pkg/apis/meta/v1/types.go: FieldsV1]
Value fields_of(const Value& value) {
  Value fields = Value::object();
  for (const json::Member& member : value.members()) fields.set("f:" + member.first, fields_of(member.second));
  for (const Value& item : value.items()) {
    const std::string& name = item.path({"name"}).as_string();
    if (name.empty()) return Value::object();
    Value below = fields_of(item);
    below.set(".", Value::object());
    fields.set("k:{\"name\":\"" + name + "\"}", std::move(below));
  }
  return fields;
}

Value managed(const char* manager, const char* operation, const char* subresource, const Value& object,
              std::initializer_list<const char*> parts) {
  Value fields = Value::object();
  for (const char* part : parts) fields.set(std::string("f:") + part, fields_of(object.path({part})));
  Value entry = Value::object({{"apiVersion", object.path({"apiVersion"})},
                               {"fieldsType", "FieldsV1"},
                               {"fieldsV1", std::move(fields)},
                               {"manager", manager},
                               {"operation", operation},
                               {"time", "2026-01-02T03:04:05Z"}});
  if (*subresource != '\0') entry.set("subresource", subresource);
  return entry;
}

void add_managed_fields(test::FakeCluster& cluster, const kube::Resource& resource, const kube::Name& name) {
  cluster.change(resource, name, [](Value& object) {
    Value entries = Value::array();
    entries.push_back(managed("kubectl-client-side-apply", "Update", "", object, {"spec"}));
    entries.push_back(managed("virt-controller", "Update", "status", object, {"status"}));
    object["metadata"].set("managedFields", std::move(entries));
  });
}

// What a VM of a catalogue has besides its disks.
void dress(Value& vm, int number) {
  const std::string name = vm.path({"metadata", "name"}).as_string();  // a copy: members move when others are added
  Value& labels = vm["metadata"]["labels"];
  labels.set("app.kubernetes.io/name", "fleet");
  labels.set("app.kubernetes.io/part-of", "team-" + std::to_string(number % 40));
  labels.set("vm.kubevirt.io/template", "rhel9-server-small");
  labels.set("vm.kubevirt.io/template.namespace", "openshift");
  labels.set("vm.kubevirt.io/template.revision", "1");
  Value& notes = vm["metadata"]["annotations"];
  notes.set("kubevirt.io/latest-observed-api-version", "v1");
  notes.set("kubevirt.io/storage-observed-api-version", "v1");
  notes.set("description", "Application server " + std::to_string(number) + " of the fleet; see the runbook before it is restarted");
  Value& pattern = vm["spec"]["template"];
  pattern["metadata"]["labels"].set("kubevirt.io/domain", name);
  pattern["metadata"]["labels"].set("kubevirt.io/size", "small");
  pattern["metadata"]["annotations"].set("vm.kubevirt.io/os", "rhel9");
  pattern["metadata"]["annotations"].set("vm.kubevirt.io/workload", "server");
  Value& spec = pattern["spec"];
  Value& domain = spec["domain"];
  domain["cpu"] = Value::object({{"cores", 2}, {"sockets", 1}, {"threads", 1}, {"model", "host-model"}});
  domain["memory"].set("guest", "4Gi");
  domain["machine"].set("type", "pc-q35-rhel9.4.0");
  domain["firmware"].set("uuid", "5d307ca9-b3ef-428c-8861-06e72d69f223");
  domain["features"] = Value::object({{"acpi", Value::object()}, {"smm", Value::object({{"enabled", true}})}});
  Value& devices = domain["devices"];
  devices["interfaces"] = Value::array(
      {Value::object({{"name", "default"}, {"macAddress", "02:00:00:00:00:01"}, {"masquerade", Value::object()}, {"model", "virtio"}})});
  devices["rng"] = Value::object();
  devices["networkInterfaceMultiqueue"] = true;
  spec["networks"] = Value::array({Value::object({{"name", "default"}, {"pod", Value::object()}})});
  spec["evictionStrategy"] = "LiveMigrate";
  spec["terminationGracePeriodSeconds"] = 180;
  spec["nodeSelector"].set("node-role.kubernetes.io/worker", "");
  spec["tolerations"] =
      Value::array({Value::object({{"key", "dedicated"}, {"operator", "Equal"}, {"value", "virtualization"}, {"effect", "NoSchedule"}})});
  spec["volumes"].push_back(Value::object(
      {{"name", "cloudinitdisk"},
       {"cloudInitNoCloud", Value::object({{"userData",
                                            "#cloud-config\nuser: cloud-user\nssh_authorized_keys:\n- ssh-ed25519 "
                                            "AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample fleet@example.com\n"
                                            "packages: [qemu-guest-agent, chrony]\nruncmd:\n- systemctl enable --now qemu-guest-agent\n"
                                            "- systemctl enable --now chronyd\n- hostnamectl set-hostname " +
                                                name + "\n"}})}}));
  spec["domain"]["devices"]["disks"].push_back(Value::object({{"name", "cloudinitdisk"}, {"disk", Value::object({{"bus", "virtio"}})}}));
}

// Lets the controllers do what they have to do now, so that the server is not busy with it later.
void catch_up(test::FakeCluster& cluster, base::Clock& clock) {
  cluster.compact();
  for (std::optional<base::TimePoint> due = cluster.next_due(); due && *due < clock.now() + k_soon; due = cluster.next_due()) {
    clock.sleep_until(*due, {});
    cluster.run_due();
  }
  cluster.compact();
}

void add_class(test::FakeCluster& cluster, const ServeOptions& options) {
  std::string text =
      std::string("apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: ") + k_class + "}\nprovisioner: csi.vmbackup.test\n";
  if (options.scale_snapshots) text += "parameters: {readyDelay: \"" + base::format_duration(*options.scale_snapshots) + "\"}\n";
  cluster.apply_manifest(text);
}

}  // namespace

void load_scale(test::FakeCluster& cluster, const ServeOptions& options, base::Clock& clock) {
  add_class(cluster, options);
  std::vector<Value> vms;
  // All claims first: a change of one makes the VM controller look at every VM of the namespace.
  for (int number = 0; number < options.scale; ++number) {
    std::vector<Value> objects =
        test::manifest_of({.ns = k_ns, .name = numbered("vm-", number), .storage_class = k_class, .running = false});
    dress(objects.back(), number);
    vms.push_back(std::move(objects.back()));
    objects.pop_back();
    for (const Value& claim : objects) cluster.apply(claim);
    if (number % k_compact_after == 0) cluster.compact();
  }
  catch_up(cluster, clock);
  for (const Value& vm : vms) cluster.apply(vm);
  catch_up(cluster, clock);
  for (int number = 0; number < options.scale; ++number) {
    add_managed_fields(cluster, kubevirt::virtual_machines(), {k_ns, numbered("vm-", number)});
    if (number % k_compact_after == 0) cluster.compact();
  }
  catch_up(cluster, clock);
  for (int number = 0; options.scale_snapshots && number < options.scale; ++number) {
    const kube::Name name{k_ns, numbered("s-", number)};
    const kubevirt::NewVmSnapshot made{.ns = name.ns,
                                       .name = name.name,
                                       .vm = numbered("vm-", number),
                                       .failure_deadline = "1h",
                                       .deletion_policy = {},
                                       .labels = {},
                                       .annotations = {}};
    cluster.apply(kubevirt::encode(made, "v1beta1"));
    add_managed_fields(cluster, kubevirt::vm_snapshots("v1beta1"), name);
  }
  catch_up(cluster, clock);
}

}  // namespace vmbackup::sandbox
