// What a command gets to work with: streams, clock, stop token, and the cluster once it asks for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "backup/debts.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "cli/command.hpp"
#include "cli/console.hpp"
#include "cli/flags.hpp"
#include "cli/streams.hpp"

namespace vmbackup::kube {
class Client;
struct KubeconfigSource;
}  // namespace vmbackup::kube

namespace vmbackup::cli {

// The parts of the environment that matter, read once in main.
struct Environment {
  std::string home;
  std::string kubeconfig;                // KUBECONFIG
  bool no_color = false;                 // NO_COLOR is set and not empty
  bool dumb = false;                     // TERM is unset, empty or "dumb"
  std::vector<std::string> variables{};  // all of it, "NAME=value": for proxies, pods and credential plugins
  bool input_terminal = false;           // a plugin may ask a person
  std::string host{};                    // what this machine calls itself; only for people
};

// A cluster to talk to. Owns what it stands on.
struct Connected {
  std::shared_ptr<kube::Client> client;
  std::string ns;       // the namespace that counts where no other is given
  std::string context;  // empty with none
};

using RequestLog = std::function<void(const std::string&)>;
// Finds the cluster by flags and environment, and sends nothing. usage: whatever is wrong with kubeconfig, flags or certificates. Other
// errors as kube::make_curl_transport.
using Connect = std::function<base::Result<Connected>(const CommonOptions&, const Environment&, base::Clock&, RequestLog)>;
// What flags and environment say of the connection.
kube::KubeconfigSource source_of(const CommonOptions& options, const Environment& environment);
base::Result<Connected> connect_by_kubeconfig(const CommonOptions& options, const Environment& environment, base::Clock& clock,
                                              RequestLog log);

// Names of contexts, clusters or users in the kubeconfig; empty where it cannot be read.
std::vector<std::string> kubeconfig_names(const CommonOptions& options, const Environment& environment, Names kind);

// The libraries that connect us, with their versions at run time.
std::vector<std::pair<std::string, std::string>> connection_libraries();

// Everything outside the program, so that tests can play it.
struct World {
  Streams streams;
  base::Clock& clock;
  Environment environment;
  std::stop_token stop;
  std::function<int()> signal;  // the first signal that came, 0 for none
  Connect connect;
  std::function<unsigned()> random;  // for names
  backup::Debts& debts;              // guests that we must let go
  // Tells where a signal that was refused, because a guest is held, is to be said; called with nothing at the end. May be empty.
  std::function<void(std::function<void(const std::string&)>)> hear{};
  std::function<void(int)> leave{};  // ends the process at once, with that code; not in tests
  bool ticking = false;              // time passes while nothing happens: progress may show it. Not in tests whose clock jumps
};

class Context {
 public:
  Context(World& world, Console& console, const CommonOptions& options, const std::vector<Command>& commands, std::string program);

  // Connects at the first call; the same result ever after.
  const base::Result<Connected>& cluster();

  // The same by other options, each time anew and without a log.
  base::Result<Connected> connect(const CommonOptions& options) const;
  std::vector<std::string> kubeconfig_names(const CommonOptions& options, Names kind) const;

  // Ends the process with threads that still run, where that is possible.
  bool can_leave() const { return static_cast<bool>(world_.leave); }
  void leave(ExitCode code) const { world_.leave(static_cast<int>(code)); }

  Console& console() { return console_; }
  Output& out() { return world_.streams.out; }
  Input& in() { return world_.streams.in; }
  // A person sees what we ask and can answer.
  bool can_ask() const;
  base::Clock& clock() { return world_.clock; }
  bool ticking() const { return world_.ticking; }
  unsigned random() const { return world_.random(); }
  backup::Debts& debts() { return world_.debts; }
  const Environment& environment() const { return world_.environment; }
  const std::stop_token& stop() const { return world_.stop; }
  int signal() const { return world_.signal ? world_.signal() : 0; }
  const CommonOptions& options() const { return options_; }
  const std::vector<Command>& commands() const { return commands_; }
  // How the user calls us: "kubectl vmbackup" or "kubectl-vmbackup".
  const std::string& program() const { return program_; }

  // Prints the error and gives its exit code.
  ExitCode fail(const base::Error& error);

 private:
  World& world_;
  Console& console_;
  const CommonOptions& options_;
  const std::vector<Command>& commands_;
  std::string program_;
  std::optional<base::Result<Connected>> cluster_;
};

}  // namespace vmbackup::cli
