#include <algorithm>
#include <filesystem>

#include "base/text.hpp"
#include "kube/kubeconfig_entry.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::printable;
using base::Result;

// Ways to sign in that are not supported. Passing over one of them would act as somebody else.
std::optional<Error> refuse_other_ways(const Chosen& user, const json::Reader& reader) {
  std::string way;
  const json::Reader provider = reader.member("auth-provider");
  if (provider.present()) {
    const std::string name = provider.string("name");
    way = "signs in with an auth-provider" + (name.empty() ? "" : " (" + printable(name, 256) + ")") + ", which Kubernetes has replaced";
  } else if (!reader.string("username").empty() || !reader.string("password").empty()) {
    way = "signs in with username and password, which Kubernetes has not accepted since 1.19";
  }
  if (const std::optional<Error> error = reader.error()) return error;
  if (way.empty()) return std::nullopt;
  return user.refuse("it " + way + "; only token, tokenFile, client certificates and exec plugins are supported",
                     provider.present() ? "use the exec plugin of that provider, or a context whose user has a token"
                                        : "use a context whose user has a token, for example: kubectl config set-credentials NAME "
                                          "--token=\"$(kubectl create token SERVICEACCOUNT)\"");
}

std::optional<Error> resolve_token(const Chosen& user, const json::Reader& reader, const KubeconfigSource& source, Connection& connection) {
  Secret token = Secret(reader.string("token"));
  std::string path = reader.string("tokenFile");
  if (std::optional<Error> error = reader.error()) return error;
  if (!source.token.empty()) token = source.token;
  // client-go: the file counts, and the token, also that of the flag, stands in where the file cannot be read
  // (tools/clientcmd/api/types.go).
  if (!path.empty()) {
    path = user.path_of(path);
    Result<Secret> read = read_token(path);
    if (read) {
      token = *std::move(read);
    } else if (token.empty()) {
      return user.refuse("tokenFile: " + read.error().message());
    }
  }
  if (!is_clean(token.reveal())) return user.refuse("the token holds blanks or characters that no HTTP header can carry");
  connection.token = std::move(token);
  connection.token_file = path;
  return std::nullopt;
}

std::optional<Error> resolve_impersonation(const Chosen& user, const json::Reader& reader, const KubeconfigSource& source,
                                           Impersonation& as) {
  as.user = reader.string("as");
  as.uid = reader.string("as-uid");
  as.groups = reader.strings("as-groups");
  const json::Reader extra = reader.member("as-user-extra");
  for (const json::Member& member : extra.raw().members()) as.extra.emplace_back(member.first, extra.strings(member.first));
  if (extra.present() && !extra.raw().is_object()) return user.refuse("as-user-extra: expected object");
  if (std::optional<Error> error = reader.error()) return error;
  if (!source.as.user.empty()) as.user = source.as.user;
  if (!source.as.uid.empty()) as.uid = source.as.uid;
  if (!source.as.groups.empty()) as.groups = source.as.groups;
  const auto bad = [](const std::string& text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; });
  };
  bool any_bad = bad(as.user) || bad(as.uid) || std::any_of(as.groups.begin(), as.groups.end(), bad);
  for (const auto& [key, values] : as.extra) any_bad = any_bad || std::any_of(values.begin(), values.end(), bad);
  if (any_bad) return user.refuse("the names to act as hold characters that no HTTP header can carry");
  if (as.user.empty() && (!as.uid.empty() || !as.groups.empty() || !as.extra.empty())) {
    return user.refuse("groups, uid or extras to act as, but no user", "name one with --as");
  }
  return std::nullopt;
}

std::optional<Error> read_interactive(const Chosen& user, const std::string& text, ExecPlugin& plugin) {
  if (text == "Never") {
    plugin.interactive = ExecPlugin::Interactive::never;
  } else if (text == "Always") {
    plugin.interactive = ExecPlugin::Interactive::always;
  } else if (text.empty() && plugin.api_version == "client.authentication.k8s.io/v1") {
    return user.refuse("exec: interactiveMode is missing", "set it to Never, IfAvailable or Always");
  } else if (!text.empty() && text != "IfAvailable") {
    return user.refuse("exec: interactiveMode " + printable(text, 64) + " is none of Never, IfAvailable, Always");
  }
  return std::nullopt;
}

std::optional<Error> resolve_exec(const Chosen& user, const json::Reader& exec, ExecPlugin& plugin) {
  plugin.what = user.what;
  plugin.command = exec.string("command");
  plugin.args = exec.strings("args");
  plugin.api_version = exec.string("apiVersion");
  plugin.install_hint = exec.string("installHint");
  plugin.provide_cluster_info = exec.optional_bool("provideClusterInfo").value_or(false);
  const std::string interactive = exec.string("interactiveMode");
  exec.for_each("env", [&](const json::Reader& item) { plugin.env.emplace_back(item.required_string("name"), item.string("value")); });
  if (std::optional<Error> error = exec.error()) return error;
  if (plugin.command.empty()) return user.refuse("exec: command is missing");
  if (plugin.api_version != "client.authentication.k8s.io/v1" && plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    return user.refuse(
        "exec: apiVersion " + (plugin.api_version.empty() ? "is missing" : printable(plugin.api_version, 128) + " is not known"),
        "the plugin has to speak client.authentication.k8s.io/v1 or v1beta1");
  }
  const auto has_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  bool bad = has_nul(plugin.command) || std::any_of(plugin.args.begin(), plugin.args.end(), has_nul);
  for (const auto& [name, value] : plugin.env) bad = bad || name.empty() || has_nul(name + value) || name.find('=') != std::string::npos;
  if (bad) return user.refuse("exec: command, args or env hold what no process can be given");
  // A bare name is looked up in PATH; a path counts from the file. [client-go/tools/clientcmd/api/types.go]
  if (plugin.command.find('/') != std::string::npos) plugin.command = user.path_of(plugin.command);
  return read_interactive(user, interactive, plugin);
}

}  // namespace

Result<Secret> read_token(const std::string& path) {
  const Result<std::string> read = read_file(path);
  if (!read) return Error(ErrorCode::invalid, read.error().message());
  const std::string token(base::trim(*read));
  if (token.empty()) return Error(ErrorCode::invalid, printable(path) + " is empty");
  if (!is_clean(token)) return Error(ErrorCode::invalid, printable(path) + ": the token holds what no HTTP header can carry");
  return Secret(token);
}

std::optional<Error> resolve_user(const Chosen& user, const KubeconfigSource& source, Connection& connection) {
  const json::Reader reader = user.reader();
  if (std::optional<Error> error = refuse_other_ways(user, reader)) return error;
  if (std::optional<Error> error = resolve_token(user, reader, source, connection)) return error;
  if (std::optional<Error> error = resolve_impersonation(user, reader, source, connection.as)) return error;
  Result<std::string> certificate = inline_or_file(user, reader, "client-certificate", source.client_certificate);
  if (!certificate) return certificate.error();
  std::string key;
  // kubectl does not look at a key without a certificate.
  if (!certificate->empty()) {
    Result<std::string> read = inline_or_file(user, reader, "client-key", source.client_key);
    if (!read) return read.error();
    key = *std::move(read);
    if (key.empty()) return user.refuse("client-certificate without client-key");
  }
  const json::Reader exec = reader.member("exec");
  if (exec.present()) {
    ExecPlugin plugin;
    plugin.cluster_config = connection.exec ? connection.exec->cluster_config : json::Value();
    if (std::optional<Error> error = resolve_exec(user, exec, plugin)) return error;
    // client-go: whatever else signs us in makes the plugin needless. [plugin/pkg/client/auth/exec/exec.go: UpdateTransportConfig]
    const bool other = !connection.token.empty() || !certificate->empty();
    connection.exec.reset();
    if (!other) connection.exec = std::move(plugin);
  }
  // client-go sends no credentials in the clear (tools/clientcmd/client_config.go).
  if (connection.server.rfind("https://", 0) != 0) {
    connection.token = Secret();
    connection.token_file.clear();
    connection.exec.reset();
    return std::nullopt;
  }
  connection.certificate_pem = *std::move(certificate);
  connection.key_pem = Secret(std::move(key));
  return std::nullopt;
}

}  // namespace vmbackup::kube
