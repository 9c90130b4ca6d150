#include "kube/in_cluster.hpp"

#include <filesystem>

#include "base/text.hpp"
#include "kube/kubeconfig_entry.hpp"
#include "kube/proxy_choice.hpp"

namespace vmbackup::kube {

using base::Error;
using base::ErrorCode;
using base::Result;

bool in_cluster(const KubeconfigSource& source) {
  std::error_code ignored;
  return !variable_of(source.variables, "KUBERNETES_SERVICE_HOST").empty() &&
         !variable_of(source.variables, "KUBERNETES_SERVICE_PORT").empty() &&
         std::filesystem::is_regular_file(source.service_account + "/token", ignored);
}

std::string in_cluster_namespace(const KubeconfigSource& source) {
  // [client_config.go: inClusterClientConfig.Namespace]
  std::string name = variable_of(source.variables, "POD_NAMESPACE");
  if (!name.empty()) return name;
  if (const Result<std::string> file = read_file(source.service_account + "/namespace")) name = base::trim(*file);
  return name.empty() ? "default" : name;
}

Result<Connection> in_cluster_connection(const KubeconfigSource& source) {
  const std::string what = "the service account of this pod";
  Connection connection;
  connection.request_timeout = source.request_timeout;
  connection.disable_compression = source.disable_compression.value_or(false);
  const std::string host = variable_of(source.variables, "KUBERNETES_SERVICE_HOST");
  const std::string port = variable_of(source.variables, "KUBERNETES_SERVICE_PORT");
  connection.server = "https://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
  if (!is_clean(connection.server) || connection.server.find('@') != std::string::npos) {
    return Error(ErrorCode::invalid, what + ": the server's address holds what no address can");
  }
  const std::string ca_path = source.certificate_authority.empty() ? source.service_account + "/ca.crt" : source.certificate_authority;
  Result<std::string> ca = read_file(ca_path);
  // client-go goes on with the system's bundle where the pod has no authority of its own.
  if (ca) connection.ca_pem = *std::move(ca);
  if (!ca && (!source.certificate_authority.empty() || ca.error().code() != ErrorCode::not_found)) {
    return Error(ErrorCode::invalid, ca.error().message()).wrap(what);
  }
  if (!source.token.empty()) {
    connection.token = source.token;
  } else {
    connection.token_file = source.service_account + "/token";
    Result<Secret> token = read_token(connection.token_file);
    if (!token) return token.error().wrap(what);
    connection.token = *std::move(token);
  }
  if (!is_clean(connection.token.reveal())) return Error(ErrorCode::invalid, what + ": the token holds what no HTTP header can carry");
  connection.as = source.as;
  if (connection.as.user.empty() && (!connection.as.uid.empty() || !connection.as.groups.empty())) {
    return Error(ErrorCode::usage, "groups or uid to act as, but no user", "name one with --as");
  }
  connection.ns = source.ns.empty() ? in_cluster_namespace(source) : source.ns;
  use_bundle_of_environment(source, connection);
  if (std::optional<Error> error = use_proxy_of_environment(source, connection)) return *error;
  return connection;
}

}  // namespace vmbackup::kube
