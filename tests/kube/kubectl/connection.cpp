// Prints the connection that flags, environment and kubeconfigs come to, as JSON with all its secrets: for the comparison with kubectl,
// whose kubeconfigs are made up. Exit code 1 with the error on standard error where there is none. Sends nothing.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/context.hpp"
#include "cli/parse.hpp"
#include "json/value.hpp"
#include "kube/kubeconfig.hpp"

namespace {

using vmbackup::base::Error;
using vmbackup::base::Result;
using vmbackup::json::Value;
using vmbackup::kube::Connection;
namespace cli = vmbackup::cli;

Value list(const std::vector<std::string>& texts) {
  Value values = Value::array();
  for (const std::string& text : texts) values.push_back(text);
  return values;
}

Value value_of(const Connection& connection) {
  Value extra = Value::object();
  for (const auto& [key, values] : connection.as.extra) extra.set(key, list(values));
  return Value::object({
      {"context", connection.context},
      {"namespace", connection.ns},
      {"server", connection.server},
      {"ca", connection.ca_pem},
      {"certificate", connection.certificate_pem},
      {"key", connection.key_pem.reveal()},
      {"token", connection.token.reveal()},
      {"tokenFile", connection.token_file},
      {"tlsServerName", connection.tls_server_name},
      {"proxy", connection.proxy_from_environment ? "" : connection.proxy_url},
      {"insecure", connection.insecure_skip_tls_verify},
      {"disableCompression", connection.disable_compression},
      {"as", connection.as.user},
      {"asUid", connection.as.uid},
      {"asGroups", list(connection.as.groups)},
      {"asExtra", extra},
      {"exec", connection.exec ? connection.exec->command : ""},
      {"requestTimeoutSeconds", std::chrono::duration<double>(connection.request_timeout).count()},
  });
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<Connection> resolve(const std::vector<std::string>& words) {
  cli::CommonOptions options;
  cli::Flags flags;
  cli::bind_common(flags, options);
  const Result<cli::Given> given = cli::parse(words, flags);
  if (!given) return given.error();
  if (const Result<void> applied = flags.apply(*given); !applied) return applied.error();
  cli::Environment environment{.home = variable("HOME"), .kubeconfig = variable("KUBECONFIG")};
  for (char** line = environ; *line != nullptr; ++line) environment.variables.emplace_back(*line);
  return vmbackup::kube::load_connection(cli::source_of(options, environment));
}

}  // namespace

int main(int argc, char** argv) {
  const Result<Connection> connection = resolve({argv + 1, argv + argc});
  if (!connection) {
    std::fprintf(stderr, "error: %s\n", connection.error().message().c_str());
    return 1;
  }
  std::printf("%s\n", vmbackup::json::dump(value_of(*connection)).c_str());
}
