// Label and field selectors as the API server reads them. [kubernetes 1.34, apimachinery/pkg/labels/selector.go]
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "json/value.hpp"
#include "support/fake_cluster_kinds.hpp"

namespace vmbackup::test {

class Selector {
 public:
  // invalid: neither can be parsed, or the kind has no such field; the message is the server's.
  static base::Result<Selector> parse(const Kind& kind, const std::string& labels, const std::string& fields);
  bool matches(const json::Value& object) const;
  bool everything() const { return labels_.empty() && fields_.empty(); }

 private:
  struct Requirement {
    std::string key;
    enum class Op { exists, absent, in, not_in } op;
    std::vector<std::string> values;
  };
  std::vector<Requirement> labels_;
  std::vector<Requirement> fields_;
};

}  // namespace vmbackup::test
