// What the decoders of several kinds share. Not for other layers.
#pragma once

#include <string>

#include "json/reader.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::kubevirt {

// "VirtualMachine prod/db-0", for error messages; works on any object, also a malformed one.
inline std::string what_of(const json::Value& object, const char* kind) {
  const json::Value& metadata = object.path({"metadata"});
  return std::string(kind) + " " + metadata.path({"namespace"}).as_string() + "/" + metadata.path({"name"}).as_string();
}

// One entry of spec.template.spec.volumes; errors land in the reader's root.
Volume decode_volume(const json::Reader& reader);

}  // namespace vmbackup::kubevirt
