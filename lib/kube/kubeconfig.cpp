#include "kube/kubeconfig.hpp"

#include <algorithm>
#include <filesystem>

#include "base/text.hpp"
#include "json/reader.hpp"
#include "kube/kubeconfig_files.hpp"

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

// One entry and how to speak of it.
struct Chosen {
  std::string name;
  const KubeconfigEntry* entry;
  std::string what;  // "kubeconfig FILE: user "x""

  json::Reader reader() const { return {entry->body, what}; }
  Error refuse(const std::string& why, const std::string& hint = {}) const { return {ErrorCode::invalid, what + ": " + why, hint}; }
  std::string path_of(const std::string& path) const { return (std::filesystem::path(entry->file).parent_path() / path).string(); }
};

Chosen choose(const KubeconfigEntries& entries, const std::string& name, const std::string& kind) {
  const KubeconfigEntry& entry = entries.at(name);
  return {name, &entry, "kubeconfig " + printable(entry.file) + ": " + kind + " " + in_quotes(name)};
}

Result<Chosen> choose_named_by(const Chosen& context, const KubeconfigEntries& entries, const std::string& name, const std::string& kind) {
  if (entries.count(name) != 0) return choose(entries, name, kind);
  return Error(ErrorCode::not_found, context.what + " names the " + kind + " " + in_quotes(name) + ", which does not exist",
               hint_for(name, entries, kind));
}

// Text that goes into a header, a URL or a host name. Where it may be secret, the error does not show it.
bool is_clean(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// `key`-data in base64, or else the file that `key` names. Empty where there is neither.
Result<std::string> inline_or_file(const Chosen& chosen, const json::Reader& reader, const std::string& key) {
  const std::string data = reader.string(key + "-data");
  const std::string path = reader.string(key);
  if (const std::optional<Error> error = reader.error()) return *error;
  std::string content;
  if (!data.empty()) {
    Result<std::string> decoded = base::base64_decode(data);
    if (!decoded) return decoded.error().wrap(chosen.what + ": " + key + "-data");
    content = *std::move(decoded);
  } else if (!path.empty()) {
    Result<std::string> read = read_file(chosen.path_of(path));
    if (!read) return Error(ErrorCode::invalid, read.error().message()).wrap(chosen.what + ": " + key);
    content = *std::move(read);
  } else {
    return content;
  }
  if (content.find("-----BEGIN ") == std::string::npos) {
    return chosen.refuse(key + (data.empty() ? "" : "-data") + ": it holds no PEM block (-----BEGIN ...)");
  }
  return content;
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

std::optional<Error> resolve_cluster(const Chosen& cluster, Connection& connection) {
  const json::Reader reader = cluster.reader();
  const std::string server = reader.string("server");
  connection.tls_server_name = reader.string("tls-server-name");
  connection.proxy_url = reader.string("proxy-url");
  connection.insecure_skip_tls_verify = reader.optional_bool("insecure-skip-tls-verify").value_or(false);
  connection.disable_compression = reader.optional_bool("disable-compression").value_or(false);
  Result<std::string> ca = inline_or_file(cluster, reader, "certificate-authority");
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
  return std::nullopt;
}

// Ways to sign in that need more than what stands in the file. Passing over one of them would act as somebody else.
std::optional<Error> refuse_other_ways(const Chosen& user, const json::Reader& reader) {
  std::string way;
  const json::Reader exec = reader.member("exec");
  const json::Reader provider = reader.member("auth-provider");
  if (exec.present()) {
    const std::string command = exec.string("command");
    way = "signs in with an exec plugin" + (command.empty() ? "" : " (" + printable(command, 256) + ")");
  } else if (provider.present()) {
    const std::string name = provider.string("name");
    way = "signs in with an auth-provider" + (name.empty() ? "" : " (" + printable(name, 256) + ")");
  } else if (!reader.string("username").empty() || !reader.string("password").empty()) {
    way = "signs in with username and password, which Kubernetes has not accepted since 1.19";
  } else if (!reader.string("as").empty() || !reader.string("as-uid").empty() || !reader.strings("as-groups").empty() ||
             reader.member("as-user-extra").present()) {
    way = "impersonates another user (as, as-uid, as-groups)";
  }
  if (const std::optional<Error> error = reader.error()) return error;
  if (way.empty()) return std::nullopt;
  return user.refuse("it " + way + "; only token, tokenFile and client certificates are supported",
                     "use a context whose user has a token, for example: kubectl config set-credentials NAME "
                     "--token=\"$(kubectl create token SERVICEACCOUNT)\"");
}

Result<std::string> token_of(const Chosen& user, const json::Reader& reader) {
  std::string token = reader.string("token");
  const std::string path = reader.string("tokenFile");
  if (const std::optional<Error> error = reader.error()) return *error;
  // client-go: the file counts, and the token stands in where the file cannot be read (tools/clientcmd/api/types.go).
  if (!path.empty()) {
    const Result<std::string> read = read_file(user.path_of(path));
    const std::string content(read ? base::trim(*read) : std::string_view());
    if (!content.empty()) {
      token = content;
    } else if (token.empty()) {
      return read ? user.refuse("tokenFile: " + printable(user.path_of(path)) + " is empty")
                  : user.refuse("tokenFile: " + read.error().message());
    }
  }
  if (!is_clean(token)) return user.refuse("the token holds blanks or characters that no HTTP header can carry");
  return token;
}

std::optional<Error> resolve_user(const Chosen& user, Connection& connection) {
  const json::Reader reader = user.reader();
  if (std::optional<Error> error = refuse_other_ways(user, reader)) return error;
  Result<std::string> token = token_of(user, reader);
  if (!token) return token.error();
  Result<std::string> certificate = inline_or_file(user, reader, "client-certificate");
  if (!certificate) return certificate.error();
  Result<std::string> key = inline_or_file(user, reader, "client-key");
  if (!key) return key.error();
  if (certificate->empty() != key->empty()) {
    return user.refuse(key->empty() ? "client-certificate without client-key" : "client-key without client-certificate");
  }
  // client-go sends no credentials in the clear (tools/clientcmd/client_config.go).
  if (connection.server.rfind("https://", 0) != 0) return std::nullopt;
  connection.token = Secret(*std::move(token));
  connection.certificate_pem = *std::move(certificate);
  connection.key_pem = Secret(*std::move(key));
  return std::nullopt;
}

}  // namespace

Result<Connection> load_connection(const KubeconfigSource& source) {
  const Result<MergedKubeconfig> config = read_kubeconfigs(source);
  if (!config) return config.error();
  const Result<std::string> name = choose_context(source, *config);
  if (!name) return name.error();
  const Chosen context = choose(config->contexts, *name, "context");
  const json::Reader reader = context.reader();
  const std::string cluster_name = reader.string("cluster");
  const std::string user_name = reader.string("user");
  const std::string ns = reader.string("namespace");
  if (const std::optional<Error> error = reader.error()) return *error;

  Connection connection;
  connection.context = *name;
  if (!ns.empty()) connection.ns = ns;
  if (!source.ns.empty()) connection.ns = source.ns;
  if (cluster_name.empty()) return context.refuse("it names no cluster");
  const Result<Chosen> cluster = choose_named_by(context, config->clusters, cluster_name, "cluster");
  if (!cluster) return cluster.error();
  if (const std::optional<Error> error = resolve_cluster(*cluster, connection)) return *error;
  if (user_name.empty()) return connection;  // anonymous
  const Result<Chosen> user = choose_named_by(context, config->users, user_name, "user");
  if (!user) return user.error();
  if (const std::optional<Error> error = resolve_user(*user, connection)) return *error;
  return connection;
}

Result<std::vector<std::string>> context_names(const KubeconfigSource& source) {
  const Result<MergedKubeconfig> config = read_kubeconfigs(source);
  if (!config) return config.error();
  return names_of(config->contexts);
}

}  // namespace vmbackup::kube
