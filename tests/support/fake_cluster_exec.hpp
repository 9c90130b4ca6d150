// pods/exec as kube-apiserver and kubelet serve it together: the WebSocket's server side, and the few commands that tests/cluster/node
// plays in a launcher pod. [kubernetes 1.34, apiserver/pkg/util/proxy, pkg/registry/core/pod; tests/cluster/node/exec.go]
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/fake_cluster_fault.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

// One command in a pod. All under the world's mutex.
class ExecSession : public std::enable_shared_from_this<ExecSession> {
 public:
  struct Order {
    kube::Name pod;
    std::string container;
    std::vector<std::string> argv;
    bool input = false;
    bool v5 = true;
    std::optional<Fault> fault;
  };
  ExecSession(World& world, Order order) : world_(world), order_(std::move(order)) {}

  // Where bytes go, and how the server closes the connection (broken: without a word); set before start().
  std::function<void(std::string_view)> send;
  std::function<void(bool broken)> end;
  void start();
  // Bytes of the client.
  void take(std::string_view bytes);
  // The client is not there any more. Nothing is sent after that; the command goes on.
  void gone();
  // Ends the process by a signal, as somebody in the pod does.
  void terminate() { exit_with(143); }

 private:
  void say(char channel, std::string_view text);
  void run();
  void run_compute(const std::string& program, const kube::Name& vmi);
  void run_xargs();
  bool play();
  void run_virsh(const kube::Name& vmi);
  void run_freezer(const kube::Name& vmi);
  void exit_with(int code);
  void not_started(const std::string& why);
  void finish(const json::Value& status);
  void go_on_for_ever();

  World& world_;
  Order order_;
  std::string received_;
  std::string input_;  // of xargs, until it ends
  bool by_xargs_ = false;
  std::string out_;  // frames that wait for the end of the command
  bool over_ = false;
};

// Refuses, or upgrades and starts. The rights have been looked at.
void start_exec(World& world, const Request& request, const Route& route, const Exchange& exchange, const std::optional<Fault>& fault);

}  // namespace vmbackup::test
