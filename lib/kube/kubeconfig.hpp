// Where the cluster is and who we are there: kubeconfig files, flags and a pod's service account, resolved to one connection.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/duration.hpp"
#include "base/result.hpp"
#include "json/value.hpp"

namespace vmbackup::kube {

// A secret that no log, error or dump may hold: printing one is a compile error, reveal() is easy to find.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  bool empty() const { return value_.empty(); }
  const std::string& reveal() const { return value_; }
  friend bool operator==(const Secret& left, const Secret& right) { return left.value_ == right.value_; }

 private:
  std::string value_;
};

// Whom to act as. Sent as Impersonate-* headers. [client-go/transport/round_trippers.go]
struct Impersonation {
  std::string user;  // empty: nobody
  std::string uid;
  std::vector<std::string> groups;
  std::vector<std::pair<std::string, std::vector<std::string>>> extra;
};

// A program that gives credentials. [client-go/tools/clientcmd/api/types.go: ExecConfig]
struct ExecPlugin {
  enum class Interactive { never, if_available, always };
  std::string what;     // "kubeconfig FILE: user "x"": begins every error
  std::string command;  // a path, or a bare name to be looked up in PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;
  std::string api_version;  // "client.authentication.k8s.io/v1" or "/v1beta1"
  std::string install_hint;
  Interactive interactive = Interactive::if_available;
  bool provide_cluster_info = false;
  json::Value cluster_config;  // the cluster's extension client.authentication.k8s.io/exec
};

// Everything a transport needs. File contents are already read; key material lives in memory only.
struct Connection {
  std::string server;           // "https://127.0.0.1:6443", no trailing slash, may carry a path
  std::string context;          // name of the context used, empty with none
  std::string ns = "default";   // the context's namespace
  std::string ca_pem;           // empty: the system's bundle
  std::string bundle_file;      // SSL_CERT_FILE: stands in for the system's bundle
  std::string bundle_folder;    // SSL_CERT_DIR, beside it; hashed names, as OpenSSL has them
  std::string certificate_pem;  // client certificate, may be empty
  Secret key_pem;
  Secret token;
  std::string token_file;  // where `token` comes from and is read again; empty: from no file
  std::string tls_server_name;
  std::string proxy_url;                // empty: none; what the environment says is in it already
  bool proxy_from_environment = false;  // proxy_url comes from there, not from the file
  bool insecure_skip_tls_verify = false;
  bool disable_compression = false;
  Impersonation as;
  std::optional<ExecPlugin> exec;    // only where nothing else signs us in
  base::Duration request_timeout{};  // of a single request; zero: no limit
};

// What the caller knows of its surroundings; kube reads no environment by itself.
struct KubeconfigSource {
  std::string explicit_path;   // --kubeconfig
  std::string kubeconfig_env;  // value of KUBECONFIG, may name several files
  std::string home;            // value of HOME, may be empty
  std::string context;         // --context
  std::string ns;              // --namespace
  // kubectl's flags of the same names. Empty: not given. Paths count from the working directory.
  std::string cluster;
  std::string user;
  std::string server;
  Secret token;
  Impersonation as;
  std::string certificate_authority;
  std::string client_certificate;
  std::string client_key;
  std::string tls_server_name;
  std::optional<bool> insecure_skip_tls_verify;
  std::optional<bool> disable_compression;
  base::Duration request_timeout{};
  // The whole environment, "NAME=value": proxies, and the service of the cluster around a pod.
  std::vector<std::string> variables;
  std::string service_account = "/var/run/secrets/kubernetes.io/serviceaccount";
};

// Finds, reads, merges (first file wins per name, as kubectl does) and resolves. Relative paths count from their own file. Flags win over
// files; a pod's service account counts where neither names a context or server. [client-go/tools/clientcmd/client_config.go,
// merged_client_builder.go] usage: flags that contradict each other. invalid: a file that is unreadable, malformed, empty, too large;
// not_found: no configuration at all, unknown context ("did you mean"), context that names an unknown cluster or user. Every message names
// the file and the entry; none holds a secret.
base::Result<Connection> load_connection(const KubeconfigSource& source);

// The names in the merged configuration, sorted; for completion. Same errors as above for files.
struct KubeconfigNames {
  std::vector<std::string> contexts;
  std::vector<std::string> clusters;
  std::vector<std::string> users;
};
base::Result<KubeconfigNames> kubeconfig_names(const KubeconfigSource& source);

}  // namespace vmbackup::kube
