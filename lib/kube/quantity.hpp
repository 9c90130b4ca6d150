// Quantities as Kubernetes writes them: "10Gi", "500M", "1.5Ti", "1e9".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vmbackup::kube {

// A whole number of units (bytes, for storage), rounded up as the server does. None: no quantity, a negative one, or one of 2^63 and more.
// [kubernetes 1.34, apimachinery/pkg/api/resource/quantity.go]
std::optional<std::uint64_t> parse_quantity(std::string_view text);

}  // namespace vmbackup::kube
