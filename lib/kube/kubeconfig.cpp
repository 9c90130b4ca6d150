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

Result<std::string> server_of(const Chosen& cluster, std::string server, bool has_tls_settings) {
  if (server.empty()) return cluster.refuse("it has no server");
  // client-go: an address without a scheme is https if there are TLS settings (rest/url_utils.go).
  if (server.find("://") == std::string::npos) server = (has_tls_settings ? "https://" : "http://") + server;
  const std::size_t host = server.find("://") + 3;
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

std::optional<Error> check_proxy(const Chosen& cluster, const std::string& proxy) {
  if (proxy.empty()) return std::nullopt;
  const std::string scheme = proxy.substr(0, proxy.find("://"));
  const bool known = scheme == "http" || scheme == "https" || scheme == "socks5";
  // The address may hold a password: it is not shown.
  if (!known || scheme.size() + 3 >= proxy.size() || !is_clean(proxy)) {
    return cluster.refuse("proxy-url: expected http://, https:// or socks5:// and a host");
  }
  return std::nullopt;
}

// What the flags say of the TLS settings sets aside what the file says of them. [client_config.go: getCluster]
Result<std::string> resolve_ca(const Chosen& cluster, const json::Reader& reader, const KubeconfigSource& source, bool& insecure) {
  const bool flag_insecure = source.insecure_skip_tls_verify.value_or(false);
  if (flag_insecure && source.certificate_authority.empty()) {
    insecure = true;
    return std::string();
  }
  if (!source.certificate_authority.empty()) insecure = flag_insecure;
  return inline_or_file(cluster, reader, "certificate-authority", source.certificate_authority);
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
  connection.proxy_url = reader.string("proxy-url");
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
  if (std::optional<Error> error = check_proxy(cluster, connection.proxy_url)) return error;
  Result<std::string> address = server_of(cluster, server, connection.insecure_skip_tls_verify || !connection.ca_pem.empty());
  if (!address) return address.error();
  connection.server = *std::move(address);
  if (connection.proxy_url.empty()) connection.proxy_url = proxy_of_environment(connection.server, source.variables);
  return std::nullopt;
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
  if (!ns.empty()) connection.ns = ns;
  if (!source.ns.empty()) connection.ns = source.ns;

  Chosen cluster{{}, &k_no_entry, "the connection by flags"};
  if (!cluster_name.empty()) {
    Result<Chosen> chosen = choose_named_by(source.cluster.empty() ? context.what + " names" : std::string("--cluster names"),
                                            config.clusters, cluster_name, "cluster");
    if (!chosen) return chosen.error();
    cluster = *std::move(chosen);
  } else if (source.server.empty()) {
    return context.refuse("it names no cluster");
  }
  if (std::optional<Error> error = resolve_cluster(cluster, source, connection)) return error;
  Chosen user{{}, &k_no_entry, "the user by flags"};
  if (!user_name.empty()) {
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

std::string Chosen::path_of(const std::string& path) const { return (std::filesystem::path(entry->file).parent_path() / path).string(); }

bool is_clean(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

Result<std::string> inline_or_file(const Chosen& chosen, const json::Reader& reader, const std::string& key, const std::string& flag) {
  const std::string data = flag.empty() ? reader.string(key + "-data") : std::string();
  const std::string path = flag.empty() ? reader.string(key) : flag;
  if (const std::optional<Error> error = reader.error()) return *error;
  const std::string what = flag.empty() ? chosen.what + ": " + key : "--" + key;
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

Result<Connection> load_connection(const KubeconfigSource& source) {
  Connection connection;
  connection.request_timeout = source.request_timeout;
  const Result<MergedKubeconfig> config = read_kubeconfigs(source);
  const bool none = !config && config.error().code() == ErrorCode::not_found && source.explicit_path.empty();
  if (!config && !none) return config.error();
  // kubectl's order: files and flags, then the cluster around us. [merged_client_builder.go]
  const bool nothing_named = source.context.empty() && source.cluster.empty() && source.user.empty();
  if (none && nothing_named && in_cluster(source)) return in_cluster_connection(source);
  if (none && (source.server.empty() || !nothing_named)) return config.error();
  const MergedKubeconfig merged = config ? *config : MergedKubeconfig();
  Chosen context{{}, &k_no_entry, none ? "the connection by flags" : files_of(merged)};
  if (!merged.current_context.empty() || !source.context.empty() || (source.server.empty() && source.cluster.empty())) {
    const Result<std::string> name = choose_context(source, merged);
    if (!name) return name.error();
    context = choose(merged.contexts, *name, "context");
    connection.context = *name;
  }
  if (const std::optional<Error> error = resolve_cluster_and_user(source, merged, context, connection)) return *error;
  return connection;
}

Result<KubeconfigNames> kubeconfig_names(const KubeconfigSource& source) {
  const Result<MergedKubeconfig> config = read_kubeconfigs(source);
  if (!config) return config.error();
  return KubeconfigNames{names_of(config->contexts), names_of(config->clusters), names_of(config->users)};
}

}  // namespace vmbackup::kube
