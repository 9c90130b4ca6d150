#include "support/fake_cluster_exec.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "kube/websocket_handshake.hpp"
#include "support/fake_cluster_guest.hpp"
#include "support/fake_cluster_websocket.hpp"

namespace vmbackup::test {

namespace {

using json::Value;

const Kind& pod_kind() { return kind("Pod"); }
const Kind& vmi_kind() { return kind("VirtualMachineInstance"); }

constexpr char k_out = 1;
constexpr char k_err = 2;
constexpr char k_status = 3;
constexpr std::size_t k_piece = 32 * 1024;  // what the real one copies at a time

Value success() { return Value::object({{"metadata", Value::object()}, {"status", "Success"}}); }

Value exit_status(int code) {
  const std::string text = std::to_string(code);
  return Value::object(
      {{"metadata", Value::object()},
       {"status", "Failure"},
       {"message", "command terminated with non-zero exit code: command terminated with exit code " + text},
       {"reason", "NonZeroExitCode"},
       {"details", Value::object({{"causes", Value::array({Value::object({{"reason", "ExitCode"}, {"message", text}})})}})}});
}

// All values of a query parameter, in order; Request::query keeps only one.
std::vector<std::string> all_values(const Request& request, const std::string& key) {
  std::vector<std::string> values;
  const std::size_t mark = request.target.find('?');
  if (mark == std::string::npos) return values;
  for (const std::string& pair : base::split(std::string_view(request.target).substr(mark + 1), '&')) {
    if (pair.rfind(key + "=", 0) != 0) continue;
    values.push_back(request_of("GET", "/?" + pair).query.at(key));
  }
  return values;
}

bool asks(const Request& request, const std::string& key) {
  const auto found = request.query.find(key);
  return found != request.query.end() && (found->second == "true" || found->second == "1");
}

// kube-apiserver's own checks, before the kubelet is asked. Nothing: it may begin; the container's name is filled in.
std::optional<Answer> refuse(const Value* pod, const std::string& name, std::string& container) {
  if (pod == nullptr) return not_found(pod_kind(), name);
  const json::Array& containers = pod->path({"spec", "containers"}).items();
  if (container.empty() && containers.size() == 1) container = containers.front().path({"name"}).as_string();
  if (container.empty()) return bad_request("a container name must be specified for pod " + name);
  const bool known = std::any_of(containers.begin(), containers.end(),
                                 [&container](const Value& each) { return each.path({"name"}).as_string() == container; });
  if (!known) return bad_request("container " + container + " is not valid for pod " + name);
  if (pod->path({"spec", "nodeName"}).as_string().empty()) return bad_request("pod " + name + " does not have a host assigned");
  return std::nullopt;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

void start_exec(World& world, const Request& request, const Route& route, const Exchange& exchange, const std::optional<Fault>& fault) {
  ExecSession::Order order;
  order.pod = {route.ns, route.name};
  const auto container = request.query.find("container");
  if (container != request.query.end()) order.container = container->second;
  const Value* pod = world.store.find(pod_kind(), route.ns, route.name);
  if (std::optional<Answer> answer = refuse(pod, route.name, order.container)) return exchange.answer(*answer);
  order.argv = all_values(request, "command");
  if (order.argv.empty()) return exchange.answer(bad_request("you must specify at least one command"));
  if (request.websocket_key.empty() || !exchange.upgraded) return exchange.answer(bad_request("Upgrade request required"));
  const bool only_v4 = fault && fault->action == Fault::Action::only_v4;
  order.v5 = !only_v4 && contains(request.protocols, "v5.channel.k8s.io");
  // The WebSocket library's own refusal has no body. [golang.org/x/net/websocket/hybi.go: AcceptHandshake]
  if (!order.v5 && !contains(request.protocols, "v4.channel.k8s.io")) return exchange.answer(plain_text(403, ""));
  order.input = asks(request, "stdin");
  order.fault = fault;
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"upgrade", "websocket"},
      {"connection", "Upgrade"},
      {"sec-websocket-accept", kube::websocket_accept(request.websocket_key)},
      {"sec-websocket-protocol", order.v5 ? "v5.channel.k8s.io" : "v4.channel.k8s.io"}};
  const auto session = std::make_shared<ExecSession>(world, std::move(order));
  exchange.upgraded(headers, session);
  session->start();
}

void ExecSession::start() {
  // The greeting: an empty message on the first channel that is written.
  send(server_frame(2, std::string(1, k_out)));
  const bool late = order_.fault && order_.fault->action == Fault::Action::delay;
  if (late) {
    world_.timers.in(order_.fault->delay, [self = shared_from_this()] { self->run(); });
  } else {
    run();
  }
}

void ExecSession::take(std::string_view bytes) {
  received_.append(bytes);
  while (const std::optional<ServerFrame> frame = take_client_frame(received_)) {
    if (over_) return;
    // A client that does not mask is cut off.
    if (!frame->masked) return finish(Value());
    if (frame->opcode == 9) send(server_frame(10, frame->payload));
    if (frame->opcode == 8) {
      send(server_frame(8, frame->payload));
      over_ = true;
      return end(false);
    }
    if (frame->opcode != 2 || frame->payload.empty() || !order_.input) continue;
    if (order_.argv.front() == "xargs") {
      if (frame->payload[0] == 0) input_ += frame->payload.substr(1);
      if (frame->payload == std::string("\xff\x00", 2) && order_.v5) run_xargs();
      continue;
    }
    if (order_.argv.front() != "cat") continue;
    if (frame->payload[0] == 0) say(k_out, std::string_view(frame->payload).substr(1));
    if (frame->payload == std::string("\xff\x00", 2) && order_.v5) exit_with(0);
  }
}

void ExecSession::gone() {
  over_ = true;
  send = nullptr;
  end = nullptr;
}

void ExecSession::say(char channel, std::string_view text) {
  for (; !text.empty(); text.remove_prefix(std::min(k_piece, text.size()))) {
    out_ += server_frame(2, std::string(1, channel) + std::string(text.substr(0, k_piece)));
  }
}

void ExecSession::exit_with(int code) {
  // xargs has a code of its own for a command that failed.
  if (by_xargs_ && code > 0 && code < 126) code = 123;
  finish(code == 0 ? success() : exit_status(code));
}

// The kubelet's Status in the words of the API server's, which leaves out what kind of object it is.
void ExecSession::not_started(const std::string& why) {
  Value status = internal_error("Internal error occurred: error executing command in container: " + why).body;
  status.erase("kind");
  status.erase("apiVersion");
  finish(status);
}

// Null: cut off.
void ExecSession::finish(const Value& status) {
  if (std::exchange(over_, true)) return;
  if (!status.is_null()) out_ += server_frame(2, std::string(1, k_status) + json::dump(status));
  const bool lost = order_.fault && order_.fault->action == Fault::Action::lose_answer;
  const bool half = order_.fault && order_.fault->action == Fault::Action::half_body;
  if (lost || half || status.is_null()) {
    if (half) send(std::string_view(out_).substr(0, out_.size() / 2));
    return end(true);
  }
  send(out_);
  send(server_frame(8, std::string("\x03\xe8", 2)));
  end(false);
}

void ExecSession::go_on_for_ever() {
  if (over_) return;
  send(server_frame(2, std::string(1, k_out) + std::string(k_piece, 'y')));
  world_.timers.in(world_.options.speed.react, [self = shared_from_this()] { self->go_on_for_ever(); });
}

void ExecSession::run() {
  if (order_.fault && order_.fault->action == Fault::Action::endless) return go_on_for_ever();
  const std::string& first = order_.argv.front();
  const std::string program = first.substr(first.rfind('/') + 1);
  const Value* pod = world_.store.find(pod_kind(), order_.pod.ns, order_.pod.name);
  const Value& labels = pod == nullptr ? Value() : pod->path({"metadata", "labels"});
  const kube::Name vmi{order_.pod.ns, labels.path({"vm.kubevirt.io/name"}).as_string()};
  const Value* instance = world_.store.find(vmi_kind(), vmi.ns, vmi.name);
  const bool launcher = instance != nullptr && uid_of(*instance) == labels.path({"kubevirt.io/created-by"}).as_string();
  if (launcher && order_.container == "compute" && (program == "virsh" || program == "virt-freezer")) return run_compute(program, vmi);
  if (program == "xargs") return order_.input ? void() : exit_with(0);
  world_.happened("pod-exec", order_.pod.ns, labels.path({"vm.kubevirt.io/name"}).as_string(), base::join(order_.argv, " "));
  if (program == "true") return exit_with(0);
  if (program == "false") return exit_with(1);
  if (program == "echo") {
    say(k_out, base::join({order_.argv.begin() + 1, order_.argv.end()}, " ") + "\n");
    return exit_with(0);
  }
  if (program == "cat") return order_.input ? void() : exit_with(0);
  if (play()) return;
  not_started("exec failed: unable to start container process: exec: \"" + first + "\": executable file not found in $PATH");
}

// xargs -0 COMMAND...: its input, cut at each zero byte, is the rest of the command.
void ExecSession::run_xargs() {
  by_xargs_ = true;
  std::vector<std::string> words = base::split(input_, '\0');
  if (!words.empty() && words.back().empty()) words.pop_back();
  order_.argv.erase(order_.argv.begin(),
                    order_.argv.begin() + std::min<std::ptrdiff_t>(2, static_cast<std::ptrdiff_t>(order_.argv.size())));
  order_.argv.insert(order_.argv.end(), words.begin(), words.end());
  if (order_.argv.empty()) return exit_with(0);
  run();
}

// A lock that lasts as long as its session, in this pod. [tests/cluster/node/programs.go]
bool ExecSession::play() {
  const std::string program = order_.argv.front().substr(order_.argv.front().rfind('/') + 1);
  const std::string word = order_.argv.size() > 1 ? order_.argv[1] : "";
  std::shared_ptr<ExecSession>& holder = world_.pod_locks[{order_.pod, word}];
  if (program == "sleep") {
    const base::Result<base::Duration> length = base::parse_duration(word);
    world_.timers.in(length ? *length : base::Duration::zero(), [self = shared_from_this()] { self->exit_with(0); });
  } else if (program == "lock") {
    holder = shared_from_this();
  } else if (program == "locked") {
    exit_with(holder ? 0 : 1);
  } else if (program == "unlock") {
    if (const std::shared_ptr<ExecSession> held = std::exchange(holder, nullptr)) held->terminate();
    exit_with(0);
  } else {
    return false;
  }
  return true;
}

void ExecSession::run_compute(const std::string& program, const kube::Name& vmi) {
  world_.happened("exec", vmi.ns, vmi.name, base::join(order_.argv, " "));
  if (program == "virsh") return run_virsh(vmi);
  run_freezer(vmi);
}

void ExecSession::run_virsh(const kube::Name& vmi) {
  std::vector<std::string> words;
  for (std::size_t i = 1; i < order_.argv.size(); ++i) {
    const std::string& word = order_.argv[i];
    if (word == "-c" || word == "--connect" || word == "--timeout") {
      ++i;
    } else if (word.substr(0, 1) != "-") {
      words.push_back(word);
    }
  }
  const auto failed = [this](const std::string& why) {
    say(k_err, "error: " + why + "\n");
    exit_with(1);
  };
  const std::string domain = vmi.ns + "_" + vmi.name;
  const std::string state = world_.guests->running(vmi) ? world_.guests->paused(vmi) ? "paused" : "running" : "shut off";
  if (words.empty()) return failed("no command given");
  if (words[0] == "list") {
    say(k_out, contains(order_.argv, "--name") ? domain + "\n\n"
                                               : " Id   Name   State\n----------------------\n 1    " + domain + "   " + state + "\n\n");
    return exit_with(0);
  }
  if (words[0] != "domstate" && words[0] != "qemu-agent-command") return failed("unknown command: '" + words[0] + "'");
  if (words.size() < 2 || (words[1] != domain && words[1] != "1")) {
    return failed("failed to get domain '" + (words.size() < 2 ? "" : words[1]) + "'");
  }
  if (words[0] == "domstate") {
    say(k_out, state + "\n\n");
    return exit_with(0);
  }
  if (words.size() < 3) return failed("command 'qemu-agent-command' requires <cmd> option");
  const std::string command = base::join({words.begin() + 2, words.end()}, " ");
  world_.guests->agent_command(vmi, command, [self = shared_from_this(), failed](const base::Result<Value>& answer) {
    if (!answer) return failed(answer.error().message());
    self->say(k_out, json::dump(Value::object({{"return", *answer}})) + "\n\n");
    self->exit_with(0);
  });
}

// [kubevirt 1.9.0, cmd/virt-freezer/virt-freezer.go]
void ExecSession::run_freezer(const kube::Name& vmi) {
  const auto say_line = [this](const std::string& level, const std::string& text, const std::string& reason = {}) {
    Value line = Value::object({{"component", "freezer"}, {"level", level}, {"msg", text}, {"timestamp", world_.store.now_text()}});
    if (!reason.empty()) line.set("reason", reason);
    say(k_err, json::dump(line) + "\n");
  };
  const bool freeze = contains(order_.argv, "--freeze");
  if (!freeze && !contains(order_.argv, "--unfreeze")) {
    say_line("error", "Failed to parse flags", "either --freeze or --unfreeze must be set");
    return exit_with(1);
  }
  if (world_.guests->running(vmi) && !world_.guests->connected(vmi)) {
    say_line("info", "No guest agent, exiting");
    return exit_with(0);
  }
  if (!world_.guests->running(vmi) || world_.guests->paused(vmi)) {
    say_line("info", "VM domain not running, no need to freeze/unfreeze");
    return exit_with(0);
  }
  base::Duration limit = std::chrono::minutes(5);
  const auto flag = std::find(order_.argv.begin(), order_.argv.end(), "--unfreezeTimeoutSeconds");
  if (flag != order_.argv.end() && flag + 1 != order_.argv.end()) limit = std::chrono::seconds(std::atoi((flag + 1)->c_str()));
  const auto reply = [self = shared_from_this(), say_line, freeze](const Answer& answer) {
    if (answer.ok()) {
      say_line("info", "Operation completed successfully");
      return self->exit_with(0);
    }
    const std::string& message = answer.body.path({"message"}).as_string();
    const std::size_t begin = message.find("server error.");
    say_line("error", freeze ? "Freezing VMI failed" : "Unfreezing VMI failed",
             begin == std::string::npos ? message : message.substr(begin));
    self->exit_with(1);
  };
  if (freeze) return world_.guests->freeze(vmi, limit, reply);
  world_.guests->unfreeze(vmi, reply);
}

}  // namespace vmbackup::test
