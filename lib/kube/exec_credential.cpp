#include "kube/exec_credential.hpp"

#include <unistd.h>

#include "base/child.hpp"
#include "base/text.hpp"
#include "json/reader.hpp"
#include "kube/kubeconfig_entry.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// As Go looks it up: absolute folders only, for a program in the working directory is not meant.
std::string find_in_path(const std::string& name, const std::vector<std::string>& environment) {
  for (const std::string& folder : base::split(variable_of(environment, "PATH"), ':')) {
    const std::string path = folder + "/" + name;
    if (!folder.empty() && folder.front() == '/' && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

void set_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  std::erase_if(environment, [&](const std::string& line) { return line.rfind(name + "=", 0) == 0; });
  environment.push_back(name + "=" + value);
}

Error failed(const ExecPlugin& plugin, const std::string& why) {
  // Words of the kubeconfig's author, for a terminal.
  return {ErrorCode::unauthenticated,
          plugin.what + ": the exec plugin " + base::printable(plugin.command, 256) + " gave no credentials: " + why,
          base::printable(plugin.install_hint, 1000)};
}

}  // namespace

std::string exec_info(const ExecPlugin& plugin, const Connection& connection, bool interactive) {
  json::Value spec = json::Value::object({{"interactive", interactive}});
  if (plugin.provide_cluster_info) {
    json::Value cluster = json::Value::object({{"server", connection.server}});
    if (!connection.tls_server_name.empty()) cluster.set("tls-server-name", connection.tls_server_name);
    if (connection.insecure_skip_tls_verify) cluster.set("insecure-skip-tls-verify", true);
    if (!connection.ca_pem.empty()) cluster.set("certificate-authority-data", base::base64_encode(connection.ca_pem));
    if (!connection.proxy_url.empty() && !connection.proxy_from_environment) cluster.set("proxy-url", connection.proxy_url);
    if (connection.disable_compression) cluster.set("disable-compression", true);
    cluster.set("config", plugin.cluster_config);  // kubectl gives null, too
    spec.set("cluster", cluster);
  }
  return json::dump(json::Value::object({{"kind", "ExecCredential"}, {"apiVersion", plugin.api_version}, {"spec", spec}}));
}

Result<ExecCredential> parse_exec_credential(std::string_view text, const ExecPlugin& plugin) {
  const auto invalid = [](const std::string& why) { return Error(ErrorCode::invalid, why); };
  const Result<json::Value> document = json::parse(text);
  // The parser's own words could quote a secret.
  if (!document || !document->is_object()) return invalid("its answer is no JSON object");
  const json::Value& status = document->path({"status"});
  if (document->path({"kind"}).as_string() != "ExecCredential") return invalid("its answer is no ExecCredential");
  if (document->path({"apiVersion"}).as_string() != plugin.api_version) {
    return invalid("it was asked for " + plugin.api_version + " and answered with another apiVersion");
  }
  if (!status.is_object()) return invalid("its answer has no status");
  ExecCredential credential;
  credential.token = Secret(status.path({"token"}).as_string());
  credential.certificate_pem = status.path({"clientCertificateData"}).as_string();
  credential.key_pem = Secret(status.path({"clientKeyData"}).as_string());
  if (credential.certificate_pem.empty() != credential.key_pem.empty()) return invalid("it answered with only one of certificate and key");
  if (credential.token.empty() && credential.key_pem.empty()) return invalid("it answered with neither a token nor certificate and key");
  if (!is_clean(credential.token.reveal())) return invalid("its token holds what no HTTP header can carry");
  const std::string& expires = status.path({"expirationTimestamp"}).as_string();
  if (!expires.empty()) {
    const Result<base::WallTime> time = base::parse_time(expires);
    if (!time) return invalid("its expirationTimestamp is no time");
    credential.expires = *time;
  }
  return credential;
}

Result<ExecCredential> run_exec_plugin(const Connection& connection, const ExecSurroundings& surroundings, const std::stop_token& stop) {
  const ExecPlugin& plugin = *connection.exec;
  const bool interactive = surroundings.terminal && plugin.interactive != ExecPlugin::Interactive::never;
  if (plugin.interactive == ExecPlugin::Interactive::always && !interactive) {
    return failed(plugin, "it needs a terminal (interactiveMode: Always), and standard input is none");
  }
  base::ChildOptions options;
  options.path = plugin.command.find('/') != std::string::npos ? plugin.command : find_in_path(plugin.command, surroundings.environment);
  if (options.path.empty()) return failed(plugin, "there is no such program in PATH");
  options.argv = {plugin.command};
  options.argv.insert(options.argv.end(), plugin.args.begin(), plugin.args.end());
  options.environment = surroundings.environment;
  for (const auto& [name, value] : plugin.env) set_variable(options.environment, name, value);
  set_variable(options.environment, "KUBERNETES_EXEC_INFO", exec_info(plugin, connection, interactive));
  options.inherit_input = interactive;
  options.limit = interactive ? surroundings.interactive_limit : surroundings.limit;
  const Result<base::ChildEnd> end = base::run_child(options, stop);
  if (!end)
    return end.error().code() == ErrorCode::cancelled ? end.error().wrap(plugin.what + ": the exec plugin")
                                                      : failed(plugin, end.error().message());
  if (end->exit_code != 0) return failed(plugin, "it ended with exit code " + std::to_string(end->exit_code));
  Result<ExecCredential> credential = parse_exec_credential(end->output, plugin);
  if (!credential) return failed(plugin, credential.error().message());
  return credential;
}

}  // namespace vmbackup::kube
