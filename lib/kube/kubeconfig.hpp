// Where the cluster is and who we are there: kubeconfig files, resolved to one connection.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

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

 private:
  std::string value_;
};

// Everything a transport needs. All file contents are already read; key material lives in memory only.
struct Connection {
  std::string server;           // "https://127.0.0.1:6443", no trailing slash, may carry a path
  std::string context;          // name of the context used, empty with none
  std::string ns = "default";   // the context's namespace
  std::string ca_pem;           // empty: the system's bundle
  std::string certificate_pem;  // client certificate, may be empty
  Secret key_pem;
  Secret token;
  std::string tls_server_name;
  std::string proxy_url;
  bool insecure_skip_tls_verify = false;
  bool disable_compression = false;
};

// What the caller knows of its surroundings; kube reads no environment by itself.
struct KubeconfigSource {
  std::string explicit_path;   // --kubeconfig
  std::string kubeconfig_env;  // value of KUBECONFIG, may name several files
  std::string home;            // value of HOME, may be empty
  std::string context;         // --context
  std::string ns;              // --namespace
};

// Finds, reads, merges (first file wins per name, as kubectl does) and resolves. Relative paths count from their own file.
// invalid: a file that is unreadable, malformed, empty, too large; not_found: no configuration at all, unknown context ("did you mean"),
// context that names an unknown cluster or user. Every message names the file and the entry; none holds a secret.
base::Result<Connection> load_connection(const KubeconfigSource& source);

// Names of all contexts of the merged configuration, sorted; for completion. Same errors as above for files.
base::Result<std::vector<std::string>> context_names(const KubeconfigSource& source);

}  // namespace vmbackup::kube
