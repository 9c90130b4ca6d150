// vmbackup-pod-exec: kube::Client::exec and the freeze probe for contract scripts, on a sandbox and on the real control plane. Test-only.
//
//   vmbackup-pod-exec [FLAGS] run NS VM CONTAINER COMMAND...   in the VM's virt-launcher pod; exit code and outputs are the command's
//   vmbackup-pod-exec [FLAGS] run-in NS POD CONTAINER COMMAND...
//   vmbackup-pod-exec [FLAGS] probe NS VM                      prints "frozen" or "thawed"
//   vmbackup-pod-exec [FLAGS] recipe NS VM FILE                a recipe around a freeze and a thaw, and prints what happens; FILE "cluster"
//   is
//                                                              the one that the VM's annotation names; --notes: what its plan notes
//   --input N: N bytes of input; --timeout D, --cancel D: the deadline, a stop after that time; --most N: bytes of output; --count: prints
//   how long the outputs are in place of them. An error of the client is exit code 70 and "CODE: MESSAGE" on stderr.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include <unistd.h>

#include "backup/recipe_run.hpp"
#include "base/text.hpp"
#include "kube/credentials.hpp"
#include "kube/curl_transport.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/rest_client.hpp"
#include "kubevirt/freeze_probe.hpp"
#include "kubevirt/guest_control.hpp"
#include "kubevirt/resources.hpp"

namespace {

using namespace vmbackup;

constexpr int k_failed = 70;

struct Flags {
  kube::ExecCommand command;
  base::Duration timeout = std::chrono::seconds(60);
  base::Duration cancel{};
  bool count = false;
  bool notes = false;
  std::vector<std::string> words;
};

base::Duration duration_of(const std::string& text) {
  const base::Result<base::Duration> value = base::parse_duration(text);
  if (value) return *value;
  std::fprintf(stderr, "usage: %s\n", value.error().message().c_str());
  std::exit(2);
}

Flags flags_of(int argc, char** argv) {
  Flags flags;
  int at = 1;
  for (; at + 1 < argc && std::string(argv[at]).substr(0, 2) == "--"; ++at) {
    const std::string flag = argv[at];
    if (flag == "--count") {
      flags.count = true;
      continue;
    }
    if (flag == "--notes") {
      flags.notes = true;
      continue;
    }
    const std::string value = argv[++at];
    if (flag == "--input") flags.command.input = std::string(std::stoul(value), 'i');
    if (flag == "--timeout") flags.timeout = duration_of(value);
    if (flag == "--cancel") flags.cancel = duration_of(value);
    if (flag == "--most") flags.command.most_bytes = std::stoul(value);
  }
  flags.words.assign(argv + at, argv + argc);
  return flags;
}

int fail(const base::Error& error) {
  std::fprintf(stderr, "%s: %s\n", base::to_string(error.code()), error.message().c_str());
  return k_failed;
}

base::Result<std::unique_ptr<kube::Client>> connect(base::Clock& clock) {
  kube::KubeconfigSource source;
  if (const char* path = std::getenv("KUBECONFIG")) source.kubeconfig_env = path;
  const base::Result<kube::Connection> connection = kube::load_connection(source);
  if (!connection) return connection.error();
  const kube::MakeTransport make = [&clock](const kube::Connection& to) { return kube::make_curl_transport(to, {}, clock); };
  base::Result<std::unique_ptr<kube::Transport>> transport = kube::make_signed_transport(*connection, {}, make, clock);
  if (!transport) return transport.error();
  return kube::make_rest_client(std::move(transport).value(), clock);
}

// The pod of a VM, with its instance.
base::Result<kube::Name> pod_of(kube::Client& client, const kube::Name& vm, const kube::Call& call, const std::stop_token& stop,
                                kubevirt::VirtualMachineInstance& vmi) {
  const base::Result<json::Value> object = client.get(kubevirt::virtual_machine_instances(), vm, call, stop);
  if (!object) return object.error();
  base::Result<kubevirt::VirtualMachineInstance> decoded = kubevirt::decode_virtual_machine_instance(*object);
  if (!decoded) return decoded.error();
  vmi = *decoded;
  return kubevirt::find_launcher_pod(client, vmi, call, stop);
}

int print(const kube::ExecEnd& end, bool count) {
  if (count) {
    std::printf("%zu %zu\n", end.out.size(), end.err.size());
  } else {
    std::fwrite(end.out.data(), 1, end.out.size(), stdout);
    std::fwrite(end.err.data(), 1, end.err.size(), stderr);
  }
  return end.exit_code;
}

// Prints the steps as they go, and what they say.
class Teller final : public backup::Observer {
 public:
  void on(const backup::Event& event) override {
    static const std::map<backup::Event::Kind, const char*> k_words = {
        {backup::Event::Kind::quiescing, "quiescing"}, {backup::Event::Kind::quiesced, "ready"},
        {backup::Event::Kind::releasing, "releasing"}, {backup::Event::Kind::released, "released"},
        {backup::Event::Kind::step_error, "failed"},   {backup::Event::Kind::step_said, "said"}};
    const std::string text = event.text.empty() ? "" : ": " + base::printable(base::trim(event.text), 300);
    std::printf("%s %s%s\n", k_words.at(event.kind), event.object.c_str(), text.c_str());
  }
};

base::Result<backup::Recipe> recipe_for(kube::Client& client, const kube::Name& name, const std::string& file, const kube::Call& call,
                                        const std::stop_token& stop) {
  if (file != "cluster") return backup::load_recipe(file);
  const base::Result<json::Value> object = client.get(kubevirt::virtual_machines(), name, call, stop);
  if (!object) return object.error();
  const base::Result<kubevirt::VirtualMachine> vm = kubevirt::decode_virtual_machine(*object);
  if (!vm) return vm.error();
  const base::Result<std::optional<backup::Recipe>> recipe = kubevirt::recipe_of(client, *vm, call, stop);
  if (!recipe) return recipe.error();
  if (!*recipe) return base::Error(base::ErrorCode::not_found, "the VM names no recipe");
  return **recipe;
}

base::Result<void> around_freeze(backup::RecipeRun& recipe, kube::Client& client, const kube::Name& vm, const kube::Call& call,
                                 const std::stop_token& stop) {
  base::Result<void> done = recipe.quiesce(call.deadline, stop);
  if (!done) return done;
  done = kubevirt::freeze(client, vm, std::chrono::seconds(60), call, {});
  if (!done) return done;
  std::puts("frozen");
  const base::Result<void> elsewhere = recipe.still_held(false, call.deadline, stop);
  done = kubevirt::unfreeze(client, vm, call, {});
  if (!done) return done;
  std::puts("thawed");
  return elsewhere ? recipe.still_held(true, call.deadline, stop) : elsewhere;
}

int run_recipe(const Flags& flags, kube::Client& client, base::Clock& clock, const kube::Call& call, const std::stop_token& stop) {
  const kube::Name name{flags.words[1], flags.words[2]};
  const base::Result<backup::Recipe> recipe = recipe_for(client, name, flags.words[3], call, stop);
  if (!recipe) return fail(recipe.error());
  backup::RecipeTarget target{name, {}};
  const base::Result<kube::Name> pod = pod_of(client, name, call, stop, target.instance);
  if (!pod) return fail(pod.error());
  backup::RecipeOptions options{.run = "20260102-030405-test", .tell_outputs = true};
  for (char** line = environ; *line != nullptr; ++line) options.environment.emplace_back(*line);
  Teller teller;
  backup::Debts debts;
  backup::RecipeRun run(client, clock, teller, debts, *recipe, target, options);
  const base::Result<void> prepared = run.prepare(call.deadline, stop);
  if (!prepared) return fail(prepared.error());
  for (const std::string& note : run.notes()) {
    if (flags.notes) std::printf("note: %s\n", note.c_str());
  }
  const base::Result<void> done = around_freeze(run, client, name, call, stop);
  const base::Result<void> released = run.release();
  for (const backup::StepFact& fact : run.facts()) {
    std::printf("%s: %s, %s\n", fact.name.c_str(), fact.ready ? "ready" : "not ready", fact.held ? "held" : "not held");
  }
  if (!done) return fail(done.error());
  return released ? 0 : fail(released.error());
}

int run(const Flags& flags, kube::Client& client, const kube::Call& call, const std::stop_token& stop) {
  const std::string& verb = flags.words[0];
  const kube::Name name{flags.words[1], flags.words[2]};
  kubevirt::VirtualMachineInstance vmi;
  const base::Result<kube::Name> pod = verb == "run-in" ? base::Result<kube::Name>(name) : pod_of(client, name, call, stop, vmi);
  if (!pod) return fail(pod.error());
  if (verb == "probe") {
    const base::Result<kubevirt::FreezeState> state = kubevirt::probe_freeze_state(client, vmi, *pod, call, stop);
    if (!state) return fail(state.error());
    std::puts(*state == kubevirt::FreezeState::frozen ? "frozen" : "thawed");
    return 0;
  }
  kube::ExecCommand command = flags.command;
  command.container = flags.words[3];
  command.argv.assign(flags.words.begin() + 4, flags.words.end());
  const base::Result<kube::ExecEnd> end = client.exec(*pod, command, call, stop);
  return end ? print(*end, flags.count) : fail(end.error());
}

}  // namespace

int main(int argc, char** argv) {
  const Flags flags = flags_of(argc, argv);
  const std::string verb = flags.words.empty() ? "" : flags.words[0];
  if (flags.words.size() < (verb == "probe" ? 3U : verb == "recipe" ? 4U : 5U)) {
    std::fputs("usage: vmbackup-pod-exec [FLAGS] run|run-in NS NAME CONTAINER COMMAND... | probe NS VM | recipe NS VM FILE\n", stderr);
    return 2;
  }
  base::SystemClock clock;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const base::Result<std::unique_ptr<kube::Client>> client = connect(clock);
  if (!client) return fail(client.error());
  std::stop_source stop;
  std::jthread canceller;
  if (flags.cancel > base::Duration::zero()) {
    canceller = std::jthread([&](const std::stop_token& done) {
      if (clock.sleep_until(clock.now() + flags.cancel, done)) stop.request_stop();
    });
  }
  const kube::Call call{.deadline = base::Deadline::after(clock, flags.timeout)};
  if (flags.words[0] == "recipe") return run_recipe(flags, **client, clock, call, stop.get_token());
  return run(flags, **client, call, stop.get_token());
}
