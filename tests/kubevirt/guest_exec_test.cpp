#include "kubevirt/guest_exec.hpp"

#include <doctest/doctest.h>

#include "kubevirt/agent_command.hpp"
#include "kubevirt/freeze_probe.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using base::ErrorCode;
using base::Result;
using kubevirt::GuestCommand;
using kubevirt::GuestProcess;
using std::chrono::seconds;

struct Fixture {
  test::FakeClock clock;
  test::FakeCluster cluster{clock};
  kubevirt::GuestPlace place;
  std::stop_source stop;

  explicit Fixture(const std::string& knob = {}, const std::string& value = {}) {
    std::vector<std::pair<std::string, std::string>> knobs;
    if (!knob.empty()) knobs.emplace_back(knob, value);
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0", .knobs = std::move(knobs)})) cluster.apply(object);
    cluster.settle();
    place.vmi = *kubevirt::decode_virtual_machine_instance(*cluster.find(kubevirt::virtual_machine_instances(), {"prod", "db-0"}));
    place.pod = *kubevirt::find_launcher_pod(cluster, place.vmi, call(), {});
    cluster.forget_requests();
  }
  kube::Call call(base::Duration within = seconds(30)) { return {.deadline = base::Deadline::after(clock, within)}; }
  Result<GuestProcess> run(const GuestCommand& command, base::Duration within = seconds(30)) {
    return kubevirt::run_in_guest(cluster, clock, place, command, base::Deadline::after(clock, within), stop.get_token());
  }
  Result<void> check() { return kubevirt::check_guest_exec(cluster, place, call(), {}); }
  void freeze() {
    REQUIRE(cluster.put_subresource(kubevirt::guest_subresources(), {"prod", "db-0"}, "freeze",
                                    json::Value::object({{"unfreezeTimeout", "60s"}}), call(), {}));
  }
  void unfreeze() { REQUIRE(cluster.put_subresource(kubevirt::guest_subresources(), {"prod", "db-0"}, "unfreeze", {}, call(), {})); }
};

TEST_CASE("exit codes, output, input and environment of a command in the guest") {
  Fixture f;
  CHECK(f.run({.argv = {"/bin/true"}})->exit_code == 0);
  CHECK(f.run({.argv = {"false"}})->exit_code == 1);
  const Result<GuestProcess> echo = f.run({.argv = {"echo", "a b", "$(c) 'd'"}});
  REQUIRE(echo.ok());
  CHECK(echo->ended);
  CHECK(echo->out == "a b $(c) 'd'\n");
  CHECK(echo->err.empty());
  CHECK(f.run({.argv = {"echo", "x"}, .capture = false})->out.empty());
  CHECK(f.run({.argv = {"printenv", "A"}, .environment = {"A=b c", "B=d"}})->out == "b c\n");
  CHECK(f.run({.argv = {"printenv", "C"}, .environment = {"A=b"}})->exit_code == 1);
  CHECK(f.run({.argv = {"cat"}, .input = std::string("in\0put", 6)})->out == std::string("in\0put", 6));
  CHECK(f.run({.argv = {}}).error().code() == ErrorCode::usage);
}

TEST_CASE("a secret is in no URL, and comes through all the same") {
  Fixture f;
  const Result<GuestProcess> end = f.run({.argv = {"printenv", "PASSWORD"}, .environment = {"PASSWORD=it's \"secret\""}, .secret = true});
  REQUIRE(end.ok());
  CHECK(end->out == "it's \"secret\"\n");
  const Result<GuestProcess> failed = f.run({.argv = {"/missing"}, .environment = {"PASSWORD=secret"}, .secret = true});
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().message().find("No such file or directory") != std::string::npos);
  CHECK(failed.error().message().find("secret") == std::string::npos);
  REQUIRE(f.cluster.requests().size() >= 3);
  for (const test::RequestRecord& request : f.cluster.requests()) CHECK(request.target.find("secret") == std::string::npos);
  GuestCommand huge{.argv = {"cat"}, .input = std::string(200'000, 'x'), .secret = true};
  CHECK(f.run(huge).error().code() == ErrorCode::usage);
}

TEST_CASE("it is waited for until it ends, or the time is up, or somebody stops") {
  Fixture f;
  const base::TimePoint begin = f.clock.now();
  CHECK(f.run({.argv = {"sleep", "7s"}})->exit_code == 0);
  CHECK(f.clock.now() - begin >= seconds(7));
  CHECK(f.clock.now() - begin < seconds(9));
  const Result<GuestProcess> late = f.run({.argv = {"sleep", "60s"}}, seconds(5));
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code() == ErrorCode::timeout);
  CHECK(late.error().message() == "run sleep in the guest: process 1002 may still run there: it did not end in time");
  f.cluster.at(f.clock.now() + seconds(3), [&f] { f.stop.request_stop(); });
  CHECK(f.run({.argv = {"sleep", "60s"}}).error().code() == ErrorCode::cancelled);
}

TEST_CASE("a process goes on in the background, and a signal that ends it gives its code") {
  Fixture f;
  const Result<std::int64_t> pid = kubevirt::start_in_guest(f.cluster, f.place, {.argv = {"lock", "tables"}}, f.call(), {});
  REQUIRE(pid.ok());
  const auto look = [&] { return kubevirt::look_in_guest(f.cluster, f.place, *pid, f.call(), {}); };
  CHECK_FALSE(look()->ended);
  CHECK(f.run({.argv = {"locked", "tables"}})->exit_code == 0);
  CHECK(f.run({.argv = {"kill", std::to_string(*pid)}})->exit_code == 0);
  CHECK(f.run({.argv = {"locked", "tables"}})->exit_code == 1);
  CHECK(look()->ended == true);
  // Its end is told once.
  CHECK(look().error().code() == ErrorCode::not_found);
}

TEST_CASE("a frozen agent starts nothing, and says so for sure") {
  Fixture f;
  const Result<std::int64_t> pid = kubevirt::start_in_guest(f.cluster, f.place, {.argv = {"lock", "x"}}, f.call(), {});
  f.freeze();
  const Result<GuestProcess> refused = f.run({.argv = {"true"}});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code() == ErrorCode::precondition);
  CHECK(refused.error().message() ==
        "run true in the guest: ask the guest agent of VirtualMachineInstance prod/db-0: internal error: unable to execute QEMU agent "
        "command 'guest-exec': Command guest-exec has been disabled: the agent is in frozen state");
  CHECK(kubevirt::look_in_guest(f.cluster, f.place, *pid, f.call(), {}).error().code() == ErrorCode::precondition);
  f.unfreeze();
  CHECK_FALSE(kubevirt::look_in_guest(f.cluster, f.place, *pid, f.call(), {})->ended);
}

TEST_CASE("a question that finds no answer is asked again, a start is not") {
  Fixture f;
  f.cluster.add_fault({.action = test::Fault::Action::lose_answer, .path = "guest-exec-status", .times = 2});
  CHECK(f.run({.argv = {"sleep", "3s"}})->exit_code == 0);
  f.cluster.forget_requests();
  f.cluster.add_fault({.action = test::Fault::Action::status, .path = "/exec", .status = 503});
  CHECK(f.run({.argv = {"true"}}).error().code() == ErrorCode::unavailable);
  CHECK(f.cluster.requests().size() == 1);
}

TEST_CASE("what stands in the way") {
  Fixture none("agent", "none");
  CHECK(none.run({.argv = {"true"}}).error().code() == ErrorCode::precondition);
  Fixture hung("agent", "hung");
  CHECK(hung.run({.argv = {"true"}}).error().code() == ErrorCode::unavailable);
  Fixture f;
  const auto bob = f.cluster.as_user("bob");
  CHECK(kubevirt::start_in_guest(*bob, f.place, {.argv = {"true"}}, f.call(), {}).error().code() == ErrorCode::forbidden);
  f.place.pod.name = "gone";
  CHECK(f.run({.argv = {"true"}}).error().code() == ErrorCode::not_found);
}

TEST_CASE("whether the agent allows it at all") {
  Fixture f;
  CHECK(f.check().ok());
  // guestosinfo is enough.
  CHECK(f.cluster.requests().size() == 1);
  Fixture blocked("guest-exec", "blocked");
  const Result<void> refused = blocked.check();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code() == ErrorCode::precondition);
  CHECK(refused.error().message() == "the guest agent of VirtualMachineInstance prod/db-0 does not allow guest-exec and guest-exec-status");
  CHECK(refused.error().hint().find("qemu-ga") != std::string::npos);
  CHECK(blocked.run({.argv = {"true"}}).error().code() == ErrorCode::precondition);
  Fixture none("agent", "none");
  CHECK(none.check().error().code() == ErrorCode::unavailable);
}

TEST_CASE("what an agent answers is not trusted") {
  const auto read = [](const std::string& answer) { return kubevirt::decode_guest_process(json::parse(answer).value()); };
  CHECK_FALSE(read(R"({"exited":false})")->ended);
  CHECK(read(R"({"exited":true,"exitcode":3,"err-data":"YQo="})")->err == "a\n");
  CHECK(read(R"({"exited":true,"exitcode":3})")->exit_code == 3);
  CHECK(read(R"({"exited":true,"signal":9})")->exit_code == 137);
  // Windows: the status of a crash, and codes that no int holds. None of them is 0.
  CHECK(read(R"({"exited":true,"signal":3221225477})")->exit_code == -1);
  CHECK(read(R"({"exited":true,"exitcode":4294967296})")->exit_code == -1);
  CHECK(read(R"({"exited":true,"exitcode":-5})")->exit_code == -1);
  for (const char* none : {"{}", "[]", "null", "7", R"({"exited":1})", R"({"exited":"true","exitcode":0})", R"({"exited":true})",
                           R"({"exited":true,"exitcode":"0"})", R"({"exited":true,"exitcode":0.5})",
                           R"({"exited":true,"exitcode":0,"out-data":"%%%"})", R"({"exited":true,"exitcode":0,"err-data":7})"}) {
    CAPTURE(std::string(none));
    const Result<GuestProcess> process = read(none);
    REQUIRE_FALSE(process.ok());
    CHECK(process.error().code() == ErrorCode::invalid);
  }
}

TEST_CASE("the plain answer of the agent") {
  Fixture f;
  const auto ask = [&f](const std::string& name) {
    return kubevirt::ask_agent(f.cluster, f.place.vmi, f.place.pod, {.name = name}, f.call(), {});
  };
  CHECK(ask("guest-ping")->is_object());
  CHECK(ask("guest-nonsense").error().code() == ErrorCode::unavailable);
  Fixture wrong;
  wrong.place.vmi.name = "db-1";
  CHECK(kubevirt::ask_agent(wrong.cluster, wrong.place.vmi, wrong.place.pod, {.name = "guest-ping"}, wrong.call(), {}).error().message() ==
        "ask the guest agent of VirtualMachineInstance prod/db-1: failed to get domain 'prod_db-1'");
}

}  // namespace
