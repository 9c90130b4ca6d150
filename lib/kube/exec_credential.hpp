// Credentials from a plugin: one run of it, and what it answered. [client-go/plugin/pkg/client/auth/exec/exec.go]
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/kubeconfig.hpp"

namespace vmbackup::kube {

struct ExecCredential {
  Secret token;
  std::string certificate_pem;
  Secret key_pem;
  std::optional<base::WallTime> expires;
};

// Where a plugin runs.
struct ExecSurroundings {
  std::vector<std::string> environment;  // "NAME=value", all of it; PATH is looked up here
  bool terminal = false;                 // standard input is a terminal
  base::Duration limit = std::chrono::minutes(1);
  base::Duration interactive_limit = std::chrono::minutes(5);  // where a person may have to answer
};

// What the plugin is told in KUBERNETES_EXEC_INFO: JSON.
std::string exec_info(const ExecPlugin& plugin, const Connection& connection, bool interactive);

// Reads the answer. invalid: not of the plugin's API version, or neither a token nor certificate and key. No message holds any of it.
base::Result<ExecCredential> parse_exec_credential(std::string_view text, const ExecPlugin& plugin);

// Runs connection.exec, which must be there. unauthenticated: it could not be started, failed, hung or answered nonsense; the hint is its
// own install hint where there is one. cancelled: stopped.
base::Result<ExecCredential> run_exec_plugin(const Connection& connection, const ExecSurroundings& surroundings,
                                             const std::stop_token& stop);

}  // namespace vmbackup::kube
