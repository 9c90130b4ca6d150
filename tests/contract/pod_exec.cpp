// vmbackup-pod-exec: kube::Client::exec and the freeze probe for contract scripts, on a sandbox and on the real control plane. Test-only.
//
//   vmbackup-pod-exec [FLAGS] run NS VM CONTAINER COMMAND...   in the VM's virt-launcher pod; exit code and outputs are the command's
//   vmbackup-pod-exec [FLAGS] run-in NS POD CONTAINER COMMAND...
//   vmbackup-pod-exec [FLAGS] probe NS VM                      prints "frozen" or "thawed"
//   --input N: N bytes of input; --timeout D, --cancel D: the deadline, a stop after that time; --most N: bytes of output; --count: prints
//   how long the outputs are in place of them. An error of the client is exit code 70 and "CODE: MESSAGE" on stderr.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "kube/credentials.hpp"
#include "kube/curl_transport.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/rest_client.hpp"
#include "kubevirt/freeze_probe.hpp"
#include "kubevirt/resources.hpp"

namespace {

using namespace vmbackup;

constexpr int k_failed = 70;

struct Flags {
  kube::ExecCommand command;
  base::Duration timeout = std::chrono::seconds(60);
  base::Duration cancel{};
  bool count = false;
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
  const bool probe = !flags.words.empty() && flags.words[0] == "probe";
  if (flags.words.size() < (probe ? 3U : 5U)) {
    std::fputs("usage: vmbackup-pod-exec [FLAGS] run|run-in NS NAME CONTAINER COMMAND... | probe NS VM\n", stderr);
    return 2;
  }
  base::SystemClock clock;
  const base::Result<std::unique_ptr<kube::Client>> client = connect(clock);
  if (!client) return fail(client.error());
  std::stop_source stop;
  std::jthread canceller;
  if (flags.cancel > base::Duration::zero()) {
    canceller = std::jthread([&](const std::stop_token& done) {
      if (clock.sleep_until(clock.now() + flags.cancel, done)) stop.request_stop();
    });
  }
  return run(flags, **client, {.deadline = base::Deadline::after(clock, flags.timeout)}, stop.get_token());
}
