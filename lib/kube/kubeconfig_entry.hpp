// One entry of a kubeconfig and how to speak of it. Private to kubeconfig*.cpp.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "json/reader.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/kubeconfig_files.hpp"

namespace vmbackup::kube {

// Lives no longer than the merged kubeconfig it looks into.
struct Chosen {
  std::string name;
  const KubeconfigEntry* entry = nullptr;
  std::string what;  // "kubeconfig FILE: user "x""

  json::Reader reader() const { return {entry->body, what}; }
  base::Error refuse(const std::string& why, const std::string& hint = {}) const {
    return {base::ErrorCode::invalid, what + ": " + why, hint};
  }
  // Relative paths count from the folder of the file; with no file (flags alone) from the working directory.
  std::string path_of(const std::string& path) const;
};

// Text that goes into a header, a URL or a host name: printable ASCII without blanks.
bool is_clean(std::string_view text);

// `key`-data in base64, or else the file that `key` names; `flag`, a path that counts from the working directory, wins over both.
// Empty where there is none. invalid: unreadable, or no PEM.
base::Result<std::string> inline_or_file(const Chosen& chosen, const json::Reader& reader, const std::string& key, const std::string& flag);

// Who we are, by the user's entry and the flags. `connection.server` is known already.
std::optional<base::Error> resolve_user(const Chosen& user, const KubeconfigSource& source, Connection& connection);

// The token in a file, without blanks around it. invalid: unreadable, empty, or nothing that a header can carry.
base::Result<Secret> read_token(const std::string& path);

// Which authorities count where the connection brings none.
void use_bundle_of_environment(const KubeconfigSource& source, Connection& connection);

// Value of NAME in "NAME=value" lines; empty where there is none.
std::string variable_of(const std::vector<std::string>& variables, std::string_view name);

}  // namespace vmbackup::kube
