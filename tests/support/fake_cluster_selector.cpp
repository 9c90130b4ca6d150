#include "support/fake_cluster_selector.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace vmbackup::test {

namespace {

using base::Error;
using base::ErrorCode;

// Commas inside parentheses do not separate.
std::vector<std::string> split_outside(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      parts.push_back(part);
      part.clear();
    } else {
      part += c;
    }
  }
  parts.push_back(part);
  return parts;
}

std::string trimmed(const std::string& text) { return std::string(base::trim(text)); }

bool plain_word(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/';
  });
}

std::string value_of_field(const json::Value& object, const std::string& field) {
  const json::Value* value = &object;
  for (const std::string& key : base::split(field, '.')) {
    value = value->find(key);
    if (value == nullptr) return "";
  }
  return value->as_string();
}

bool field_known(const Kind& kind, const std::string& field) {
  if (field == "metadata.name" || field == "metadata.namespace") return true;
  if (kind.kind == "Event") return field.starts_with("involvedObject.") || field == "reason" || field == "type" || field == "source";
  if (kind.kind == "Pod") return field == "spec.nodeName" || field == "status.phase" || field == "spec.serviceAccountName";
  if (kind.kind == "Namespace") return field == "status.phase";
  if (kind.kind == "Secret") return field == "type";
  return false;
}

}  // namespace

base::Result<Selector> Selector::parse(const Kind& kind, const std::string& labels, const std::string& fields) {
  Selector selector;
  for (const std::string& raw : labels.empty() ? std::vector<std::string>{} : split_outside(labels)) {
    const std::string part = trimmed(raw);
    Requirement requirement{"", Requirement::Op::exists, {}};
    const std::size_t not_equal = part.find("!=");
    const std::size_t equal = part.find('=');
    const std::size_t open = part.find('(');
    if (not_equal != std::string::npos) {
      requirement = {trimmed(part.substr(0, not_equal)), Requirement::Op::not_in, {trimmed(part.substr(not_equal + 2))}};
    } else if (equal != std::string::npos) {
      const std::size_t skip = part.compare(equal, 2, "==") == 0 ? 2 : 1;
      requirement = {trimmed(part.substr(0, equal)), Requirement::Op::in, {trimmed(part.substr(equal + skip))}};
    } else if (open != std::string::npos && part.back() == ')') {
      const std::string head = trimmed(part.substr(0, open));
      const std::size_t blank = head.find(' ');
      const std::string word = blank == std::string::npos ? "" : trimmed(head.substr(blank));
      if (word != "in" && word != "notin")
        return Error(ErrorCode::invalid, "unable to parse requirement: found '" + head + "', expected: in, notin");
      requirement = {head.substr(0, blank), word == "in" ? Requirement::Op::in : Requirement::Op::not_in, {}};
      for (const std::string& value : base::split(part.substr(open + 1, part.size() - open - 2), ','))
        requirement.values.push_back(trimmed(value));
    } else if (part.starts_with("!")) {
      requirement = {trimmed(part.substr(1)), Requirement::Op::absent, {}};
    } else {
      requirement.key = part;
    }
    if (!plain_word(requirement.key)) {
      return Error(ErrorCode::invalid,
                   "unable to parse requirement: found '" + requirement.key + "', expected: !, identifier, or 'end of string'");
    }
    selector.labels_.push_back(requirement);
  }
  for (const std::string& part : fields.empty() ? std::vector<std::string>{} : base::split(fields, ',')) {
    const std::size_t equal = part.find('=');
    if (equal == std::string::npos) {
      return Error(ErrorCode::invalid, "invalid selector: '" + fields + "'; can't understand '" + part + "'");
    }
    const bool negated = equal > 0 && part[equal - 1] == '!';
    const std::string key = trimmed(part.substr(0, negated ? equal - 1 : equal));
    const std::size_t skip = part.compare(equal, 2, "==") == 0 ? 2 : 1;
    if (!field_known(kind, key)) return Error(ErrorCode::invalid, "field label not supported: " + key);
    selector.fields_.push_back({key, negated ? Requirement::Op::not_in : Requirement::Op::in, {trimmed(part.substr(equal + skip))}});
  }
  return selector;
}

bool Selector::matches(const json::Value& object) const {
  const json::Value& labels = object.path({"metadata", "labels"});
  for (const Requirement& requirement : labels_) {
    const json::Value* label = labels.find(requirement.key);
    const bool listed =
        label != nullptr && std::find(requirement.values.begin(), requirement.values.end(), label->as_string()) != requirement.values.end();
    switch (requirement.op) {
      case Requirement::Op::exists:
        if (label == nullptr) return false;
        break;
      case Requirement::Op::absent:
        if (label != nullptr) return false;
        break;
      case Requirement::Op::in:
        if (!listed) return false;
        break;
      case Requirement::Op::not_in:
        if (listed) return false;
        break;
    }
  }
  return std::all_of(fields_.begin(), fields_.end(), [&object](const Requirement& requirement) {
    return (value_of_field(object, requirement.key) == requirement.values.front()) == (requirement.op == Requirement::Op::in);
  });
}

}  // namespace vmbackup::test
