// What an unquoted YAML scalar means. For use inside this folder.
#pragma once

#include <string_view>

#include "json/value.hpp"

namespace vmbackup::json {

// The value that Kubernetes' own reader gives to a plain scalar (sigs.k8s.io/yaml, goyaml.v2/resolve.go): null, boolean, integer, real, or
// a string where it is none of them. A time is a string. An infinite or NaN real is a real; JSON has none.
Value plain_scalar(std::string_view text);

}  // namespace vmbackup::json
