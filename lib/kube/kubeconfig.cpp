#include "kube/kubeconfig.hpp"

#include <algorithm>
#include <filesystem>

#include "base/text.hpp"
#include "kube/in_cluster.hpp"
#include "kube/kubeconfig_entry.hpp"
#include "kube/proxy_choice.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::printable;
using base::Result;

std::string in_quotes(const std::string& name) { return "\"" + printable(name, 256) + "\""; }

std::vector<std::string> names_of(const KubeconfigEntries& entries) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries) names.push_back(name);
  return names;
}

// "did you mean", or what there is.
std::string hint_for(const std::string& name, const KubeconfigEntries& entries, const std::string& what) {
  const std::vector<std::string> names = names_of(entries);
  if (const std::optional<std::string> near = base::nearest(name, names)) return "did you mean " + in_quotes(*near) + "?";
  if (names.empty()) return "the kubeconfig holds no " + what + " at all";
  return what + "s in it: " + printable(base::join(names, ", "), 512);
}

std::string files_of(const MergedKubeconfig& config) { return "kubeconfig " + printable(base::join(config.files, ", ")); }

Result<std::string> choose_context(const KubeconfigSource& source, const MergedKubeconfig& config) {
  const std::string name = source.context.empty() ? config.current_context : source.context;
  if (name.empty()) {
    const std::string names = printable(base::join(names_of(config.contexts), ", "), 512);
    return Error(ErrorCode::not_found, files_of(config) + ": no current-context is set",
                 names.empty() ? "it holds no context at all" : "choose one with --context or `kubectl config use-context`: " + names);
  }
  if (config.contexts.count(name) != 0) return name;
  const std::string what = source.context.empty() ? "the current-context " : "the context ";
  return Error(ErrorCode::not_found, files_of(config) + ": " + what + in_quotes(name) + " does not exist",
               hint_for(name, config.contexts, "context"));
}

Chosen choose(const KubeconfigEntries& entries, const std::string& name, const std::string& kind) {
  const KubeconfigEntry& entry = entries.at(name);
  return {name, &entry, "kubeconfig " + printable(entry.file) + ": " + kind + " " + in_quotes(name)};
}

Result<Chosen> choose_named_by(const std::string& by, const KubeconfigEntries& entries, const std::string& name, const std::string& kind) {
  if (entries.count(name) != 0) return choose(entries, name, kind);
  return Error(ErrorCode::not_found, by + " the " + kind + " " + in_quotes(name) + ", which does not exist", hint_for(name, entries, kind));
}

Result<std::string> server_of(const Chosen& cluster, std::string server) {
  if (server.empty()) return cluster.refuse("it has no server");
  // kubectl: an address without a scheme is one of clear text, and may have no path. TLS settings change nothing, since they are looked at
  // only after that. [client-go/tools/clientcmd/client_config.go: ClientConfig, rest/url_utils.go]
  if (server.find("://") == std::string::npos) {
    if (const std::size_t slash = server.find('/'); slash != std::string::npos && slash + 1 < server.size()) {
      return cluster.refuse("server: " + in_quotes(server) + " has a path, but no scheme", "write https:// before it");
    }
    server.insert(0, "http://");
  }
  const std::size_t host = server.find("://") + 3;
  std::transform(server.begin(), server.begin() + static_cast<std::ptrdiff_t>(host), server.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  const std::string scheme = server.substr(0, host);
  const std::string rest = server.substr(host);
  const bool bad_rest = rest.empty() || rest.front() == '/' || rest.front() == ':' || rest.find_first_of("?#@\\") != std::string::npos;
  if ((scheme != "https://" && scheme != "http://") || bad_rest || !is_clean(rest)) {
    // What stands before an @ may be a password.
    const std::string found = rest.find('@') == std::string::npos ? in_quotes(server) : "an address with an @";
    return cluster.refuse("server: expected https://HOST[:PORT][/PATH], found " + found);
  }
  while (server.back() == '/') server.pop_back();
  return server;
}

// The file's proxy, or else the environment's.
std::optional<Error> resolve_proxy(const Chosen& cluster, const std::string& proxy, const KubeconfigSource& source,
                                   Connection& connection) {
  if (proxy.empty()) return use_proxy_of_environment(source, connection);
  Result<std::string> checked = checked_proxy(proxy, false);
  if (!checked) return checked.error().wrap(cluster.what + ": proxy-url");
  connection.proxy_url = *std::move(checked);
  return std::nullopt;
}

// What the flags say of the TLS settings sets aside what the file says of them. [client_config.go: getCluster]
Result<std::string> resolve_ca(const Chosen& cluster, const json::Reader& reader, const KubeconfigSource& source, bool& insecure) {
  const bool flag_insecure = source.insecure_skip_tls_verify.value_or(false);
  if (flag_insecure && source.certificate_authority.empty()) {
    insecure = true;
    return std::string();
  }
  if (source.certificate_authority.empty()) return inline_or_file(cluster, reader, "certificate-authority", {});
  insecure = flag_insecure;
  const json::Value nothing;
  return inline_or_file(cluster, {nothing, cluster.what}, "certificate-authority", source.certificate_authority);
}

// The settings of the cluster for plugins. [client-go/tools/clientcmd/client_config.go: execConfig]
json::Value exec_config(const json::Reader& reader) {
  json::Value config;
  reader.for_each("extensions", [&](const json::Reader& item) {
    if (item.string("name") == "client.authentication.k8s.io/exec") config = item.member("extension").raw();
  });
  return config;
}

std::optional<Error> resolve_cluster(const Chosen& cluster, const KubeconfigSource& source, Connection& connection) {
  const json::Reader reader = cluster.reader();
  const std::string server = source.server.empty() ? reader.string("server") : source.server;
  connection.tls_server_name = reader.string("tls-server-name");
  // Another server is hardly known by the old one's name.
  if (!source.server.empty() || !source.tls_server_name.empty()) connection.tls_server_name = source.tls_server_name;
  const std::string proxy = reader.string("proxy-url");
  connection.insecure_skip_tls_verify = reader.optional_bool("insecure-skip-tls-verify").value_or(false);
  connection.disable_compression =
      reader.optional_bool("disable-compression").value_or(false) || source.disable_compression.value_or(false);
  const json::Value config = exec_config(reader);
  if (!config.is_null()) connection.exec.emplace().cluster_config = config;
  Result<std::string> ca = resolve_ca(cluster, reader, source, connection.insecure_skip_tls_verify);
  if (!ca) return ca.error();
  connection.ca_pem = *std::move(ca);
  if (connection.insecure_skip_tls_verify && !connection.ca_pem.empty()) {
    return cluster.refuse("certificate-authority and insecure-skip-tls-verify exclude each other", "remove one of them");
  }
  if (!is_clean(connection.tls_server_name))
    return cluster.refuse("tls-server-name: " + in_quotes(connection.tls_server_name) + " is no name");
  Result<std::string> address = server_of(cluster, server);
  if (!address) return address.error();
  connection.server = *std::move(address);
  return resolve_proxy(cluster, proxy, source, connection);
}

// kubectl: in a pod, a context without namespace means the pod's. [merged_client_builder.go: Namespace]
std::string namespace_of(const KubeconfigSource& source, const std::string& of_context) {
  if (!source.ns.empty()) return source.ns;
  if (!of_context.empty()) return of_context;
  return in_cluster(source) ? in_cluster_namespace(source) : "default";
}

// The flags name the server (and the user is anonymous or in the flags, too): no file is needed.
const KubeconfigEntry k_no_entry{};

std::optional<Error> resolve_cluster_and_user(const KubeconfigSource& source, const MergedKubeconfig& config, const Chosen& context,
                                              Connection& connection) {
  const json::Reader reader = context.reader();
  const std::string cluster_name = source.cluster.empty() ? reader.string("cluster") : source.cluster;
  const std::string user_name = source.user.empty() ? reader.string("user") : source.user;
  const std::string ns = reader.string("namespace");
  if (const std::optional<Error> error = reader.error()) return error;
  connection.ns = namespace_of(source, ns);

  // A name that leads nowhere is passed over only where flags stand in for what it should lead to. One given by a flag has to be there.
  const bool cluster_by_flags = !source.server.empty() && source.cluster.empty() && config.clusters.count(cluster_name) == 0;
  Chosen cluster{{}, &k_no_entry, "the connection by flags"};
  if (!cluster_name.empty() && !cluster_by_flags) {
    Result<Chosen> chosen = choose_named_by(source.cluster.empty() ? context.what + " names" : std::string("--cluster names"),
                                            config.clusters, cluster_name, "cluster");
    if (!chosen) return chosen.error();
    cluster = *std::move(chosen);
  } else if (source.server.empty()) {
    return context.refuse("it names no cluster");
  }
  if (std::optional<Error> error = resolve_cluster(cluster, source, connection)) return error;
  const bool user_by_flags =
      (!source.token.empty() || !source.client_certificate.empty()) && source.user.empty() && config.users.count(user_name) == 0;
  Chosen user{{}, &k_no_entry, "the user by flags"};
  if (!user_name.empty() && !user_by_flags) {
    Result<Chosen> chosen =
        choose_named_by(source.user.empty() ? context.what + " names" : std::string("--user names"), config.users, user_name, "user");
    if (!chosen) return chosen.error();
    user = *std::move(chosen);
  }
  if (std::optional<Error> error = resolve_user(user, source, connection)) return error;
  if (connection.exec && connection.exec->command.empty()) connection.exec.reset();
  return std::nullopt;
}

}  // namespace

std::string Chosen::path_of(const std::string& path) const {
  if (std::filesystem::path(path).is_absolute()) return path;
  // As client-go joins them: absolute, and "a/../b" is "b", whether there is an "a" or not.
  std::error_code ignored;
  const std::filesystem::path file = std::filesystem::absolute(entry->file, ignored);
  return (file.parent_path() / path).lexically_normal().string();
}

bool is_clean(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

Result<std::string> inline_or_file(const Chosen& chosen, const json::Reader& reader, const std::string& key, const std::string& flag) {
  const std::string data = reader.string(key + "-data");
  const std::string path = flag.empty() ? reader.string(key) : flag;
  if (const std::optional<Error> error = reader.error()) return *error;
  const std::string what = flag.empty() ? chosen.what + ": " + key : "--" + key;
  // kubectl refuses that, too: which of them is meant nobody can tell. [client-go/tools/clientcmd/validation.go]
  if (!data.empty() && !path.empty()) {
    return chosen.refuse((flag.empty() ? key : "--" + key) + " and " + key + "-data exclude each other", "remove one of them");
  }
  std::string content;
  if (!data.empty()) {
    Result<std::string> decoded = base::base64_decode(data);
    if (!decoded) return decoded.error().wrap(what + "-data");
    content = *std::move(decoded);
  } else if (!path.empty()) {
    Result<std::string> read = read_file(flag.empty() ? chosen.path_of(path) : path);
    if (!read) return Error(ErrorCode::invalid, read.error().message()).wrap(what);
    content = *std::move(read);
  } else {
    return content;
  }
  if (content.find("-----BEGIN ") == std::string::npos) {
    return Error(ErrorCode::invalid, what + (data.empty() ? "" : "-data") + ": it holds no PEM block (-----BEGIN ...)");
  }
  return content;
}

void use_bundle_of_environment(const KubeconfigSource& source, Connection& connection) {
  // As Go reads them, and so kubectl. [crypto/x509/root_unix.go]
  connection.bundle_file = variable_of(source.variables, "SSL_CERT_FILE");
  connection.bundle_folder = variable_of(source.variables, "SSL_CERT_DIR");
}

Result<Connection> load_connection(const KubeconfigSource& source) {
  const Result<MergedKubeconfig> config = read_kubeconfigs(source);
  if (!config) return config.error();
  // kubectl's order: files and flags, then the cluster around us where those say nothing. A service account's token is for that cluster
  // alone, so not where a flag names a server. [merged_client_builder.go]
  const bool by_name = !source.context.empty() || !source.cluster.empty() || !source.user.empty();
  const bool says_nothing = config->current_context.empty() && !by_name && source.server.empty();
  if (says_nothing && in_cluster(source)) return in_cluster_connection(source);
  if (config->nothing && (source.server.empty() || by_name)) return *config->nothing;
  Connection connection;
  connection.request_timeout = source.request_timeout;
  Chosen context{{}, &k_no_entry, config->nothing ? "the connection by flags" : files_of(*config)};
  if (!config->current_context.empty() || !source.context.empty() || (source.server.empty() && source.cluster.empty())) {
    const Result<std::string> name = choose_context(source, *config);
    if (!name) return name.error();
    context = choose(config->contexts, *name, "context");
    connection.context = *name;
  }
  if (const std::optional<Error> error = resolve_cluster_and_user(source, *config, context, connection)) return *error;
  use_bundle_of_environment(source, connection);
  return connection;
}

Result<KubeconfigNames> kubeconfig_names(const KubeconfigSource& source) {
  const Result<MergedKubeconfig> config = read_kubeconfigs(source);
  if (!config) return config.error();
  if (config->nothing) return *config->nothing;
  return KubeconfigNames{names_of(config->contexts), names_of(config->clusters), names_of(config->users)};
}

}  // namespace vmbackup::kube
