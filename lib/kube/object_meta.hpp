// What every Kubernetes object says of itself, straight from its JSON: for code that does not decode the kind.
// [kubernetes 1.35, apimachinery/pkg/apis/meta/v1/types.go: ObjectMeta]
#pragma once

#include <string>
#include <string_view>

#include "json/value.hpp"
#include "kube/client.hpp"

namespace vmbackup::kube {

// A text of metadata ("namespace", "name", "uid", "resourceVersion"); empty where there is none. It lives as long as `object`.
inline const std::string& meta(const json::Value& object, std::string_view key) { return object.path({"metadata", key}).as_string(); }

inline Name name_of(const json::Value& object) { return {meta(object, "namespace"), meta(object, "name")}; }

}  // namespace vmbackup::kube
