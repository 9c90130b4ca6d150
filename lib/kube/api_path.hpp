// Where a resource lives on the server: paths and queries, escaped. Layout: kubernetes docs, "API concepts", resource URIs.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::kube {

// All but letters, digits and "-._~" as %XX.
std::string escape(std::string_view text);

// Collects a query; parameters without a value are left out.
class Query {
 public:
  Query& add(std::string_view key, std::string_view value);
  // Also where the value is empty.
  Query& add_always(std::string_view key, std::string_view value);
  // "?a=b&c=d", or "" when nothing was added.
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// "/api/v1/namespaces/prod/pods". An empty namespace means all of them. usage: a namespace that can be none.
base::Result<std::string> collection_path(const Resource& resource, const std::string& ns);

// "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines/db-0/SUBRESOURCE"; no subresource when empty.
// usage: a name or namespace that is empty where there must be one, or that cannot be part of a path.
base::Result<std::string> object_path(const Resource& resource, const Name& name, const std::string& subresource = {});

// How people name it: "VirtualMachine prod/db-0", "Node a".
std::string object_label(const Resource& resource, const Name& name);
// "virtualmachines in namespace prod", "virtualmachines in all namespaces", "nodes".
std::string collection_label(const Resource& resource, const std::string& ns);

}  // namespace vmbackup::kube
