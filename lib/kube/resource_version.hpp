// Comparing the versions of one object, where a read may have overtaken a watch.
#pragma once

#include <string_view>

namespace vmbackup::kube {

// Whether `version` is of an earlier state of an object than `than`. False where that cannot be said. Versions are decimal numbers that
// grow, of one kind in one cluster: so since the beginning, and promised since 1.35. [kubernetes 1.35, KEP-5504]
bool is_older(std::string_view version, std::string_view than);

}  // namespace vmbackup::kube
