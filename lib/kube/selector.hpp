// Label selectors as the API server reads them.
#pragma once

#include <string>

#include "base/result.hpp"

namespace vmbackup::kube {

// Good where the API server would take the text: "app=db,tier!=test,zone in (a,b),!legacy". usage: the first requirement that is none, and
// why. The empty text is refused: it would select everything. [kubernetes 1.34, apimachinery/pkg/labels/selector.go]
base::Result<void> check_label_selector(const std::string& text);

}  // namespace vmbackup::kube
