// Kubeconfig files, found, read and merged, before anything is resolved. For use by kubeconfig.cpp only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "json/value.hpp"
#include "kube/kubeconfig.hpp"

namespace vmbackup::kube {

// One named entry of "contexts", "clusters" or "users", and the file it comes from.
struct KubeconfigEntry {
  std::string file;
  json::Value body;  // what stands under "context", "cluster" or "user"; null where nothing does
};
using KubeconfigEntries = std::map<std::string, KubeconfigEntry>;

// What all files say together. `nothing` is why there is no configuration at all: no file (not_found), or only empty ones (invalid).
struct MergedKubeconfig {
  std::vector<std::string> files;  // those that were read, in order
  std::string current_context;
  KubeconfigEntries contexts;
  KubeconfigEntries clusters;
  KubeconfigEntries users;
  std::optional<base::Error> nothing;
};

// --kubeconfig alone, or else every file of KUBECONFIG that exists (none of them: no file), or else ~/.kube/config. Of entries with one
// name, and of current-context, that of the first file counts (client-go tools/clientcmd/loader.go).
// not_found: --kubeconfig is missing. invalid: a file that is no kubeconfig.
base::Result<MergedKubeconfig> read_kubeconfigs(const KubeconfigSource& source);

// The whole content. not_found: there is none; invalid: directory, unreadable, longer than 16 MiB. Messages name the path, never content.
// `what` stands before the path in them: "kubeconfig ".
base::Result<std::string> read_file(const std::string& path, const std::string& what = {});

}  // namespace vmbackup::kube
