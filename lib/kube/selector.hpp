// Labels and label selectors as the API server reads them.
#pragma once

#include <string>

#include "base/result.hpp"

namespace vmbackup::kube {

// Good where the API server would take the text: "app=db,tier!=test,zone in (a,b),!legacy". usage: the first requirement that is none, and
// why. The empty text is refused: it would select everything. [kubernetes 1.34, apimachinery/pkg/labels/selector.go]
base::Result<void> check_label_selector(const std::string& text);

// Good where the API server would take the label: key "app" or "example.com/app", the value empty or of the same characters as a name.
// usage: why not. [kubernetes 1.34, apimachinery/pkg/util/validation/validation.go: IsQualifiedName, IsValidLabelValue]
base::Result<void> check_label(const std::string& key, const std::string& value);

}  // namespace vmbackup::kube
