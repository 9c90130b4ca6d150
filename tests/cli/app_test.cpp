// Whole command lines, in this process, against the in-memory cluster.
#include "cli/app.hpp"

#include <doctest/doctest.h>

#include <csignal>

#include "base/text.hpp"
#include "cli/commands/all.hpp"
#include "json/value.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

using namespace vmbackup;

namespace {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
  bool says(const std::string& text) const { return err.find(text) != std::string::npos; }
};

struct Stage {
  test::FakeClock clock;
  test::FakeCluster cluster{clock};
  std::stop_source stop;
  int signal = 0;
  std::string typed;      // what a person types
  bool terminal = false;  // stdin and stderr are one
  int connects = 0;

  void add_vm(const test::VmManifest& vm) {
    for (const json::Value& object : test::manifest_of(vm)) cluster.apply(object);
    cluster.settle();
  }

  Outcome run(std::vector<std::string> words) {
    Outcome outcome;
    words.insert(words.begin(), "kubectl-vmbackup");
    cli::Input in(typed, terminal);
    cli::Output out(outcome.out);
    cli::Output err(outcome.err, terminal);
    const auto connect = [this](const cli::CommonOptions& options, const cli::Environment&, base::Clock&,
                                const cli::RequestLog&) -> base::Result<cli::Connected> {
      ++connects;
      if (options.context == "nowhere") return base::Error(base::ErrorCode::not_found, "context \"nowhere\" does not exist");
      return cli::Connected{std::shared_ptr<kube::Client>(&cluster, [](kube::Client*) {}), options.ns.empty() ? "default" : options.ns,
                            "c"};
    };
    backup::Debts debts;
    cli::World world{.streams = {in, out, err},
                     .clock = clock,
                     .environment = {.dumb = true},
                     .stop = stop.get_token(),
                     .signal = [this] { return signal; },
                     .connect = connect,
                     .random = [] { return 0U; },
                     .debts = debts};
    outcome.code = static_cast<int>(cli::run(world, cli::all_commands(), words));
    return outcome;
  }
};

json::Value document(const Outcome& outcome) {
  const base::Result<json::Value> value = json::parse(outcome.out);
  REQUIRE_MESSAGE(value.ok(), outcome.out);
  return *value;
}

const test::VmManifest k_db{.ns = "prod", .name = "db-0", .volumes = {"root", "data"}};

}  // namespace

TEST_CASE("a snapshot from beginning to end") {
  Stage stage;
  stage.add_vm(k_db);
  const Outcome taken = stage.run({"snapshot", "db-0", "-n", "prod", "--name", "nightly"});
  CHECK_MESSAGE(taken.code == 0, taken.err);
  CHECK_MESSAGE(taken.out.find("nightly   Succeeded   true    filesystem   GuestAgent,Online   2/2") != std::string::npos, taken.out);
  CHECK(taken.says("prod/db-0: created snapshot nightly\n"));
  CHECK(taken.says("prod/db-0: phase Succeeded\n"));

  const Outcome listed = stage.run({"list", "-n", "prod", "-o", "name"});
  CHECK(listed.out == "virtualmachinesnapshot.snapshot.kubevirt.io/nightly\n");
  const Outcome shown = stage.run({"show", "vmsnapshot/nightly", "-n", "prod"});
  CHECK(shown.out.find("Indications:       GuestAgent, Online\n") != std::string::npos);

  const Outcome refused = stage.run({"delete", "nightly", "-n", "prod"});
  CHECK(refused.code == 2);
  CHECK(refused.says("add --yes"));
  const Outcome deleted = stage.run({"delete", "nightly", "-n", "prod", "--yes"});
  CHECK_MESSAGE(deleted.code == 0, deleted.err);
  CHECK(deleted.out == "vmsnapshot/nightly deleted\n");
  const Outcome empty = stage.run({"list", "-n", "prod"});
  CHECK(empty.code == 0);
  CHECK(empty.out.empty());
  CHECK(empty.err == "note: no snapshots in namespace prod\n");
}

TEST_CASE("a report as JSON, also when it fails") {
  Stage stage;
  stage.add_vm(k_db);
  const Outcome taken = stage.run({"snapshot", "vm/db-0", "-n", "prod", "-o", "json", "--quiet"});
  CHECK(taken.err.empty());
  const json::Value report = document(taken);
  CHECK(report.path({"kind"}).as_string() == "SnapshotReport");
  CHECK(report.path({"exitCode"}).as_integer() == 0);
  const json::Value& item = report.path({"items"}).items().at(0);
  CHECK(item.path({"run"}).as_string() == report.path({"run"}).as_string());
  CHECK(item.path({"name"}).as_string() == "db-0-" + report.path({"run"}).as_string());

  const Outcome missing = stage.run({"snapshot", "db-1", "-n", "prod", "-o", "json"});
  CHECK(missing.code == 1);
  const json::Value failed = document(missing).path({"items"}).items().at(0);
  CHECK(failed.path({"outcome"}).as_string() == "failed");
  CHECK(failed.path({"error", "code"}).as_string() == "not_found");
  CHECK(missing.says("error: "));
  CHECK(missing.says("db-0"));
}

TEST_CASE("a dry run changes nothing") {
  Stage stage;
  stage.add_vm(k_db);
  stage.cluster.forget_requests();
  for (const char* flag : {"--dry-run", "--dry-run=server"}) {
    const Outcome planned = stage.run({"snapshot", "db-0", "-n", "prod", "--name", "nightly", flag});
    CHECK_MESSAGE(planned.code == 0, planned.err);
    CHECK(planned.out.find("Would create VirtualMachineSnapshot prod/nightly") == 0);
    CHECK(planned.out.find("running, guest agent connected") != std::string::npos);
  }
  for (const test::RequestRecord& request : stage.cluster.requests()) {
    const bool question = request.target.find("selfsubjectaccessreviews") != std::string::npos;
    CHECK((request.method == "GET" || question || request.target.find("dryRun=All") != std::string::npos));
  }
  CHECK(stage.run({"list", "-A", "-o", "name"}).out.empty());
}

TEST_CASE("wrong usage sends nothing and prints nothing on stdout") {
  const std::vector<std::vector<std::string>> lines = {
      {},
      {"snapsot"},
      {"snapshot"},
      {"snapshot", "a", "--all"},
      {"snapshot", "a", "--hold", "freeze", "--wait", "none"},
      {"snapshot", "a", "--require", "perfect"},
      {"snapshot", "a", "--delete-weaker"},
      {"snapshot", "a", "--run", "yesterday"},
      {"snapshot", "vmsnapshot/a"},
      {"snapshot", "A_b"},
      {"snapshot", "a", "--failure-deadline", "300"},
      {"snapshot", "a", "-o", "xml"},
      {"snapshot", "a", "--nmae", "x"},
      {"list", "-A", "-n", "x"},
      {"wait", "x", "--for", "ever"},
      {"delete", "x"},
      {"delete", "x", "--yes", "--dry-run=server"},
      {"help", "snapsot"},
  };
  for (const std::vector<std::string>& words : lines) {
    Stage stage;
    const Outcome outcome = stage.run(words);
    CAPTURE(base::join(words, " "));
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.rfind("error: ", 0) == 0);
    CHECK(stage.connects == 0);
  }
}

TEST_CASE("a usage error shows how the command is used, and what was meant") {
  Stage stage;
  CHECK(stage.run({"snapsot", "x"}).err ==
        "error: unknown command \"snapsot\"\nhint: did you mean \"snapshot\"?\nusage: kubectl-vmbackup COMMAND [flags]\n"
        "see \"kubectl-vmbackup help\" for the commands\n");
  CHECK(stage.run({"show"}).err ==
        "error: the argument SNAPSHOT is missing\nusage: kubectl-vmbackup show SNAPSHOT [flags]\nsee \"kubectl-vmbackup help show\"\n");
  const Outcome json = stage.run({"show", "--progress", "json"});
  CHECK(json::parse(base::split(json.err, '\n')[0])->path({"error", "code"}).as_string() == "usage");
}

TEST_CASE("commands that need no cluster ask for none") {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"--version"},
                                                                                     {"--help"},
                                                                                     {"help", "wait"},
                                                                                     {"snapshot", "-h"},
                                                                                     {"version", "--client", "-o", "json"},
                                                                                     {"completion", "bash"},
                                                                                     {"__complete", "sn"}}) {
    Stage stage;
    const Outcome outcome = stage.run(words);
    CHECK(outcome.code == 0);
    CHECK_FALSE(outcome.out.empty());
    CHECK(outcome.err.empty());
    CHECK(stage.connects == 0);
  }
}

TEST_CASE("names of the cluster are completed, and whatever goes wrong is silence") {
  Stage stage;
  stage.add_vm(k_db);
  CHECK(stage.run({"__complete", "snapshot", "-n", "prod", ""}).out == "db-0\n:4\n");
  CHECK(stage.run({"__complete", "list", "-n", "pr"}).out == "prod\n:4\n");
  const Outcome nowhere = stage.run({"__complete", "snapshot", "--context", "nowhere", ""});
  CHECK(nowhere.code == 0);
  CHECK(nowhere.out == ":4\n");
  CHECK(nowhere.err.empty());
}

TEST_CASE("what is behind -- is an argument, whatever it looks like") {
  Stage stage;
  const Outcome outcome = stage.run({"show", "--", "--yes"});
  CHECK(outcome.code == 2);
  CHECK(outcome.says("invalid value \"--yes\" for SNAPSHOT"));
}

TEST_CASE("the deadline and a signal name what is left") {
  Stage stage;
  test::VmManifest slow = k_db;
  slow.storage_class = "rig-notready";
  stage.add_vm(slow);
  const Outcome late = stage.run({"snapshot", "db-0", "-n", "prod", "--name", "s", "--timeout", "20s", "-o", "json"});
  CHECK(late.code == 6);
  CHECK(document(late).path({"exitCode"}).as_integer() == 6);
  CHECK(late.says("left in the cluster: VirtualMachineSnapshot prod/s"));

  stage.signal = SIGTERM;
  stage.clock.after(std::chrono::seconds(5), [&] { stage.stop.request_stop(); });
  const Outcome stopped = stage.run({"wait", "vmsnapshot/s", "-n", "prod"});
  CHECK(stopped.code == 143);
}

TEST_CASE("an incomplete snapshot is exit code 3 unless that is allowed") {
  Stage stage;
  stage.add_vm(k_db);
  test::VmManifest vm{.ns = "prod", .name = "web", .volumes = {"root", "scratch"}};
  stage.add_vm(vm);
  stage.cluster.change({"kubevirt.io", "v1", "virtualmachines", "VirtualMachine", true}, {"prod", "web"}, [](json::Value& object) {
    json::Array volumes = object.path({"spec", "template", "spec", "volumes"}).items();
    volumes.push_back(json::Value::object({{"name", "local"}, {"hostDisk", json::Value::object({{"path", "/x"}, {"type", "Disk"}})}}));
    object["spec"]["template"]["spec"].set("volumes", volumes);
  });
  const Outcome weak = stage.run({"snapshot", "web", "-n", "prod", "--name", "w1"});
  CHECK_MESSAGE(weak.code == 3, weak.err);
  CHECK(weak.says("--allow-partial"));
  CHECK(stage.run({"snapshot", "web", "-n", "prod", "--name", "w2", "--allow-partial"}).code == 0);
  CHECK(stage.run({"wait", "w1", "-n", "prod"}).code == 3);
  CHECK(stage.run({"wait", "w1", "-n", "prod", "--allow-partial"}).code == 0);
  CHECK(stage.run({"snapshot", "web", "-n", "prod", "--name", "w3", "--wait", "none"}).code == 3);
  CHECK(stage.run({"snapshot", "db-0", "-n", "prod", "--name", "d1", "--wait", "none"}).code == 0);
}

TEST_CASE("delete asks at a terminal") {
  Stage stage;
  stage.add_vm(k_db);
  REQUIRE(stage.run({"snapshot", "db-0", "-n", "prod", "--name", "s"}).code == 0);
  stage.terminal = true;
  for (const char* answer : {"", "n\n", "yess\n"}) {
    stage.typed = answer;
    const Outcome kept = stage.run({"delete", "s", "-n", "prod"});
    CHECK(kept.code == 2);
    CHECK(kept.says("  deletes VirtualMachineSnapshot prod/s\n"));
    CHECK(kept.says("Delete this snapshot? [y/N] "));
    CHECK(kept.says("not confirmed"));
  }
  stage.typed = "y\n";
  CHECK(stage.run({"delete", "s", "-n", "prod"}).code == 0);
}

TEST_CASE("several deletions have codes of their own") {
  Stage stage;
  stage.add_vm(k_db);
  REQUIRE(stage.run({"snapshot", "db-0", "-n", "prod", "--name", "s"}).code == 0);
  CHECK(stage.run({"delete", "nope", "-n", "prod", "--yes"}).code == 1);
  CHECK(stage.run({"delete", "nope", "-n", "prod", "--yes", "--ignore-not-found"}).code == 0);
  CHECK(stage.run({"delete", "s", "nope", "-n", "prod", "--dry-run"}).code == 4);
  const Outcome mixed = stage.run({"delete", "s", "nope", "-n", "prod", "--yes"});
  CHECK(mixed.code == 4);
  CHECK(mixed.out == "vmsnapshot/s deleted\n");
}

TEST_CASE("no connection is told once, in the report too") {
  Stage stage;
  const Outcome outcome = stage.run({"snapshot", "db-0", "--context", "nowhere", "-o", "json"});
  CHECK(outcome.code == 1);
  CHECK(document(outcome).path({"items"}).items().at(0).path({"error", "message"}).as_string() == "context \"nowhere\" does not exist");
  CHECK(stage.run({"list", "--context", "nowhere"}).err == "error: context \"nowhere\" does not exist\n");
}

TEST_CASE("a command's flags may stand before it") {
  Stage stage;
  stage.add_vm(k_db);
  const Outcome listed = stage.run({"-o", "json", "list", "-n", "prod"});
  CHECK_MESSAGE(listed.code == 0, listed.err);
  CHECK(document(listed).path({"kind"}).as_string() == "SnapshotList");
  CHECK(stage.run({"--name", "s", "-n", "prod", "snapshot", "db-0", "--wait", "none", "-o", "name"}).out ==
        "virtualmachinesnapshot.snapshot.kubevirt.io/s\n");
  CHECK(stage.run({"-o", "jsno", "list"}).says("invalid value \"jsno\" for --output"));
  CHECK(stage.run({"-o", "json", "lsit"}).says("unknown command"));
}

TEST_CASE("how we are called") {
  CHECK(cli::program_name({"kubectl-vmbackup"}) == "kubectl-vmbackup");
  CHECK(cli::program_name({"/usr/local/bin/kubectl-vmbackup"}) == "kubectl vmbackup");
  CHECK(cli::program_name({}) == "kubectl vmbackup");
}
