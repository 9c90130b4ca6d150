// Commands in a guest, by its agent: guest-exec and guest-exec-status. Nothing passes through a shell.
// [qemu, qga/qapi-schema.json and qga/commands.c]
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "json/value.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::kubevirt {

// Which guest, and where its agent is asked (find_launcher_pod; look again after not_found).
struct GuestPlace {
  VirtualMachineInstance vmi;
  kube::Name pod;
};

struct GuestCommand {
  std::vector<std::string> argv;  // argv[0]: a path, or a name that the agent looks up in PATH; no secrets, for it is part of a URL
  // All of it, "NAME=value", PATH included, which argv[0] is then looked up in. Empty: what the agent itself was started with.
  std::vector<std::string> environment;
  std::optional<std::string> input;  // its standard input, which ends after that; none: an empty one
  bool secret = false;               // environment or input hold a secret; see AgentCommand
  // Both outputs are kept for status. The agent then calls a process ended only when nobody holds them open any more; without it, when the
  // process itself has ended.
  bool capture = true;
};

// What the agent says of a process that it started.
struct GuestProcess {
  bool ended = false;
  int exit_code = 0;  // 128 + signal where one ended it; -1: Windows' word for a crash
  std::string out;    // as it came: untrusted bytes
  std::string err;
};

// Starts the command; the agent's number of it, by which it is asked for. Errors as ask_agent, wrapped with the command's name; unavailable
// also where the agent could not start it (its words: no such file). After precondition nothing was started; after another one it is open.
base::Result<std::int64_t> start_in_guest(kube::Client& client, const GuestPlace& place, const GuestCommand& command,
                                          const kube::Call& call, const std::stop_token& stop);

// The agent's answer to guest-exec-status, which is untrusted. invalid: no such answer, or outputs that are not base64.
base::Result<GuestProcess> decode_guest_process(const json::Value& answer);

// Asks once. An agent tells the end of a process once and then forgets it: not_found, also when it was restarted meanwhile. Errors as
// ask_agent; invalid: an answer that none can be, or outputs of more than 4 MiB, which libvirt does not carry.
base::Result<GuestProcess> look_in_guest(kube::Client& client, const GuestPlace& place, std::int64_t pid, const kube::Call& call,
                                         const std::stop_token& stop);

// Starts the command and asks for it with growing pauses (0.1 to 1 s) until it has ended. A question without an answer is asked again.
// timeout, cancelled: it is over for us, and the process may go on: an agent ends none. Else errors as of both above.
base::Result<GuestProcess> run_in_guest(kube::Client& client, base::Clock& clock, const GuestPlace& place, const GuestCommand& command,
                                        const base::Deadline& deadline, const std::stop_token& stop);

// Whether the agent allows both commands; none: it does. guestosinfo says so from what virt-launcher knows, which may be older than the
// last thaw (a frozen agent allows neither), so where it says no, the agent itself is asked. precondition: it does not; the message names
// the commands and the hint where that is set. Else errors as guest_info and ask_agent.
base::Result<void> check_guest_exec(kube::Client& client, const GuestPlace& place, const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::kubevirt
