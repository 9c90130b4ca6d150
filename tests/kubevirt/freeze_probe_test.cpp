#include "kubevirt/freeze_probe.hpp"

#include <doctest/doctest.h>

#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using base::ErrorCode;
using kubevirt::FreezeState;
using std::chrono::seconds;

const kube::Resource k_pods{"", "v1", "pods", "Pod", true};

struct Fixture {
  test::FakeClock clock;
  test::FakeCluster cluster{clock};
  kubevirt::VirtualMachineInstance vmi;

  explicit Fixture(const std::string& knob = {}, const std::string& value = {}) {
    std::vector<std::pair<std::string, std::string>> knobs;
    if (!knob.empty()) knobs.emplace_back(knob, value);
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0", .knobs = std::move(knobs)})) cluster.apply(object);
    cluster.settle();
    vmi = *kubevirt::decode_virtual_machine_instance(*cluster.find(kubevirt::virtual_machine_instances(), {"prod", "db-0"}));
  }
  kube::Call call(base::Duration within = seconds(30)) { return {.deadline = base::Deadline::after(clock, within)}; }
  base::Result<kube::Name> pod() { return kubevirt::find_launcher_pod(cluster, vmi, call(), {}); }
  base::Result<FreezeState> probe(base::Duration within = seconds(30)) {
    return kubevirt::probe_freeze_state(cluster, vmi, pod().value(), call(within), {});
  }
  void put(const std::string& subresource, const json::Value& body = {}) {
    REQUIRE(cluster.put_subresource({"subresources.kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", true},
                                    {"prod", "db-0"}, subresource, body, call(), {}));
  }
};

TEST_CASE("the agent's own word, before KubeVirt's status knows") {
  Fixture f;
  CHECK(*f.probe() == FreezeState::thawed);
  f.put("freeze", json::Value::object({{"unfreezeTimeout", "60s"}}));
  CHECK(*f.probe() == FreezeState::frozen);
  CHECK(f.cluster.find(kubevirt::virtual_machine_instances(), {"prod", "db-0"})->path({"status", "fsFreezeStatus"}).is_null());
  f.put("unfreeze");
  CHECK(*f.probe() == FreezeState::thawed);
}

TEST_CASE("not known, and why") {
  Fixture none("agent", "none");
  CHECK(none.probe().error().code() == ErrorCode::unavailable);
  CHECK(none.probe().error().message() ==
        "ask the guest agent of VirtualMachineInstance prod/db-0: Guest agent is not responding: QEMU guest agent is not connected");
  Fixture hung("agent", "hung");
  CHECK(hung.probe().error().code() == ErrorCode::unavailable);
  CHECK(hung.probe(seconds(2)).error().code() == ErrorCode::timeout);
  Fixture paused;
  paused.put("pause");
  CHECK(paused.probe().error().message().find("domain is not running") != std::string::npos);
  Fixture blocked("freeze-blocked", "absent");
  CHECK(blocked.probe().error().message().find("has not been found") != std::string::npos);
  Fixture f;
  const auto bob = f.cluster.as_user("bob");
  CHECK(kubevirt::probe_freeze_state(*bob, f.vmi, *f.pod(), f.call(), {}).error().code() == ErrorCode::forbidden);
  CHECK(kubevirt::find_launcher_pod(*bob, f.vmi, f.call(), {}).error().code() == ErrorCode::forbidden);
  CHECK(kubevirt::probe_freeze_state(f.cluster, f.vmi, {"prod", "gone"}, f.call(), {}).error().code() == ErrorCode::not_found);
}

TEST_CASE("the pod that runs the guest: on its node, running, the newest") {
  Fixture f;
  const kube::Name now = *f.pod();
  const json::Value source = *f.cluster.find(k_pods, now);
  const auto add = [&](const std::string& name, const std::string& node, const std::string& phase) {
    f.clock.sleep_until(f.clock.now() + seconds(10), {});
    json::Value pod = source;
    pod["metadata"].set("name", name);
    for (const char* key : {"uid", "resourceVersion", "creationTimestamp"}) pod["metadata"].erase(key);
    pod["spec"].set("nodeName", node);
    f.cluster.apply(pod);
    f.cluster.change(k_pods, {"prod", name}, [&](json::Value& object) { object["status"].set("phase", phase); });
  };
  add("a-target", "node02", "Running");
  add("an-ended", "node01", "Succeeded");
  add("z-pending", "node01", "Pending");
  CHECK(f.pod()->name == now.name);
  add("a-newer", "node01", "Running");
  CHECK(f.pod()->name == "a-newer");
  f.vmi.uid = "another";
  CHECK(f.pod().error().code() == ErrorCode::not_found);
  CHECK(f.pod().error().message() == "no virt-launcher pod of VirtualMachineInstance prod/db-0 is running");
}

}  // namespace
