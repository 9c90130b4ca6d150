// pods/exec of a FakeCluster, and with it kube::Client::exec: what is played, what is refused, what goes wrong.
#include <doctest/doctest.h>

#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace vmbackup::test {
namespace {

using base::ErrorCode;
using base::Result;
using std::chrono::seconds;

const kube::Resource k_pods{"", "v1", "pods", "Pod", true};
const kube::Resource k_vmi_sub{"subresources.kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", true};

struct Fixture {
  FakeClock clock;
  FakeCluster cluster{clock};
  kube::Name pod;
  std::stop_source stop;

  explicit Fixture(const std::string& knob = {}, const std::string& value = {}) {
    std::vector<std::pair<std::string, std::string>> knobs;
    if (!knob.empty()) knobs.emplace_back(knob, value);
    for (const json::Value& object : manifest_of({.ns = "prod", .name = "db-0", .knobs = std::move(knobs)})) cluster.apply(object);
    cluster.settle();
    pod = {"prod", cluster.list_all(k_pods).at(0).path({"metadata", "name"}).as_string()};
  }
  kube::Call call(base::Duration within = seconds(30)) { return {.deadline = base::Deadline::after(clock, within)}; }
  Result<kube::ExecEnd> run(std::vector<std::string> argv, std::optional<std::string> input = {},
                            const std::string& container = "compute") {
    return cluster.exec(pod, {.container = container, .argv = std::move(argv), .input = std::move(input)}, call(), stop.get_token());
  }
  Result<kube::ExecEnd> agent(const std::string& command) { return run({"virsh", "qemu-agent-command", "prod_db-0", command}); }
  std::string said(const std::string& command) {
    const Result<kube::ExecEnd> end = agent(command);
    return end ? std::to_string(end->exit_code) + " " + end->out + end->err : end.error().message();
  }
};

TEST_CASE("exit codes, outputs and input") {
  Fixture f;
  CHECK(f.run({"true"})->exit_code == 0);
  CHECK(f.run({"/bin/false"})->exit_code == 1);
  CHECK(f.run({"echo", "a b", "", "&c=d"})->out == "a b  &c=d\n");
  CHECK(f.run({"cat"}, "in")->out == "in");
  const std::string big(700'000, 'b');
  CHECK(f.run({"cat"}, big)->out == big);
  CHECK(f.run({"cat"}, "")->out.empty());
  CHECK(f.run({"cat"})->out.empty());
  // The pod has one container.
  CHECK(f.run({"echo"}, {}, "")->out == "\n");
  CHECK(f.cluster.requests().back().status == 101);
}

TEST_CASE("the guest's agent") {
  Fixture f;
  CHECK(f.said(R"({"execute":"guest-ping"})") == "0 {\"return\":{}}\n\n");
  CHECK(f.said(R"({"execute":"guest-fsfreeze-status"})") == "0 {\"return\":\"thawed\"}\n\n");
  const json::Value body = json::Value::object({{"unfreezeTimeout", "60s"}});
  REQUIRE(f.cluster.put_subresource(k_vmi_sub, {"prod", "db-0"}, "freeze", body, f.call(), {}));
  CHECK(f.said(R"({"execute":"guest-fsfreeze-status"})") == "0 {\"return\":\"frozen\"}\n\n");
  CHECK(f.said(R"({"execute":"guest-exec","arguments":{"path":"/x"}})") ==
        "1 error: internal error: unable to execute QEMU agent command 'guest-exec': Command guest-exec has been disabled: the agent is in "
        "frozen state\n");
  CHECK(f.run({"/usr/bin/virt-freezer", "--unfreeze", "--name", "db-0", "--namespace", "prod"})->exit_code == 0);
  CHECK_FALSE(f.cluster.guest_frozen("prod", "db-0"));
  CHECK(f.said(R"({"execute":"guest-exec","arguments":{"path":"/x","arg":["a"],"capture-output":true}})") ==
        "0 {\"return\":{\"pid\":1001}}\n\n");
  CHECK(f.said(R"({"execute":"guest-exec-status","arguments":{"pid":1001}})") ==
        "0 {\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"L3ggYQo=\"}}\n\n");
  CHECK(f.said(R"({"execute":"guest-exec-status","arguments":{"pid":1001}})") ==
        "1 error: internal error: unable to execute QEMU agent command 'guest-exec-status': PID 1001 does not exist\n");
  CHECK(f.run({"virsh", "domstate", "prod_db-1"})->err == "error: failed to get domain 'prod_db-1'\n");
  CHECK(f.run({"virsh", "domstate", "prod_db-0"})->out == "running\n\n");
}

TEST_CASE("virt-freezer says what stands in its way, and fails where the freeze does") {
  Fixture none("agent", "none");
  const auto end = none.run({"virt-freezer", "--freeze", "--name", "db-0", "--namespace", "prod"});
  CHECK(end->exit_code == 0);
  CHECK(end->err.find("No guest agent, exiting") != std::string::npos);
  Fixture failing("freeze", "fail");
  const auto failed = failing.run({"virt-freezer", "--freeze", "--name", "db-0", "--namespace", "prod"});
  CHECK(failed->exit_code == 1);
  CHECK(failed->err.find("Freezing VMI failed") != std::string::npos);
  CHECK(failed->err.find("Device or resource busy") != std::string::npos);
}

TEST_CASE("refusals before the upgrade come with the server's words") {
  Fixture f;
  const auto none = f.cluster.exec({"prod", "nope"}, {.container = "", .argv = {"true"}}, f.call(), {});
  CHECK(none.error().code() == ErrorCode::not_found);
  CHECK(none.error().message() == "run a command in Pod prod/nope: pods \"nope\" not found");
  const auto other = f.run({"true"}, {}, "sidecar");
  CHECK(other.error().code() == ErrorCode::invalid);
  CHECK(other.error().message().find("container sidecar is not valid for pod " + f.pod.name) != std::string::npos);
  const auto bob = f.cluster.as_user("bob");
  const auto forbidden = bob->exec(f.pod, {.container = "", .argv = {"true"}}, f.call(), {});
  CHECK(forbidden.error().code() == ErrorCode::forbidden);
  CHECK(forbidden.error().message().find("User \"bob\" cannot get resource \"pods/exec\"") != std::string::npos);
  CHECK(forbidden.error().hint() == "kubectl auth can-i get pods --subresource=exec -n prod");
  CHECK(f.cluster.as_user("")->exec(f.pod, {.container = "", .argv = {"true"}}, f.call(), {}).error().code() == ErrorCode::unauthenticated);
  // Nothing is sent for what makes no sense.
  f.cluster.forget_requests();
  CHECK(f.run({}).error().code() == ErrorCode::usage);
  kube::Call dry = f.call();
  dry.dry_run = true;
  CHECK(f.cluster.exec(f.pod, {.container = "", .argv = {"true"}}, dry, {}).error().code() == ErrorCode::usage);
  CHECK(f.cluster.exec({"prod", "a/b"}, {.container = "", .argv = {"true"}}, f.call(), {}).error().code() == ErrorCode::usage);
  CHECK(f.cluster.requests().empty());
}

TEST_CASE("a command that cannot be started is told through the status channel") {
  Fixture f;
  const auto end = f.run({"bash"});
  REQUIRE_FALSE(end);
  CHECK(end.error().code() == ErrorCode::unavailable);
  CHECK(end.error().reason() == "InternalError");
  CHECK(end.error().message().find("executable file not found in $PATH") != std::string::npos);
}

TEST_CASE("faults before the upgrade: sent once, never repeated") {
  Fixture f;
  f.cluster.forget_requests();
  for (const auto& [fault, code] :
       std::vector<std::pair<Fault, ErrorCode>>{{{.action = Fault::Action::status, .path = "/exec", .status = 503}, ErrorCode::unavailable},
                                                {{.action = Fault::Action::status, .path = "/exec", .status = 429}, ErrorCode::unavailable},
                                                {{.action = Fault::Action::reset, .path = "/exec"}, ErrorCode::unavailable},
                                                {{.action = Fault::Action::junk, .path = "/exec"}, ErrorCode::invalid},
                                                {{.action = Fault::Action::hang, .path = "/exec"}, ErrorCode::timeout}}) {
    f.cluster.add_fault(fault);
    const auto end = f.run({"true"});
    REQUIRE_FALSE(end);
    CHECK(end.error().code() == code);
  }
  CHECK(f.cluster.requests().size() == 5);
  CHECK(f.run({"true"}));
}

TEST_CASE("an old server: v4 is taken, but not where input must end") {
  Fixture f;
  f.cluster.add_fault({.action = Fault::Action::only_v4, .path = "/exec", .times = -1});
  CHECK(f.run({"echo", "old"})->out == "old\n");
  const auto end = f.run({"cat"}, "x");
  REQUIRE_FALSE(end);
  CHECK(end.error().code() == ErrorCode::invalid);
  CHECK(end.error().message().find("knows none of the WebSocket protocols") != std::string::npos);
}

TEST_CASE("faults after the upgrade") {
  Fixture f;
  f.cluster.add_fault({.action = Fault::Action::half_body, .path = "/exec"});
  const auto half = f.run({"echo", std::string(100'000, 'x')});
  CHECK(half.error().code() == ErrorCode::unavailable);
  f.cluster.add_fault({.action = Fault::Action::lose_answer, .path = "/exec"});
  CHECK(f.run({"true"}).error().code() == ErrorCode::unavailable);
  f.cluster.add_fault({.action = Fault::Action::endless, .path = "/exec"});
  const auto endless = f.run({"true"});
  CHECK(endless.error().code() == ErrorCode::invalid);
  CHECK(endless.error().message().find("said more than 1048576 bytes") != std::string::npos);
  f.cluster.add_fault({.action = Fault::Action::delay, .path = "/exec", .delay = std::chrono::minutes(5)});
  const base::TimePoint begun = f.clock.now();
  CHECK(f.run({"true"}).error().code() == ErrorCode::timeout);
  CHECK(f.clock.now() - begun == seconds(30));
  f.cluster.add_fault({.action = Fault::Action::delay, .path = "/exec", .delay = std::chrono::minutes(5)});
  f.cluster.at(f.clock.now() + seconds(3), [&f] { f.stop.request_stop(); });
  CHECK(f.run({"true"}).error().code() == ErrorCode::cancelled);
}

}  // namespace
}  // namespace vmbackup::test
