#include "kube/selector.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

bool alphanumeric(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// Letters, digits, '-', '_' and '.', with a letter or digit at both ends, 63 at the most.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && alphanumeric(text.front()) && alphanumeric(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_value(std::string_view text) { return text.empty() || is_name(text); }

bool is_prefix(std::string_view text) {
  return !text.empty() && text.size() <= 253 && alphanumeric(text.front()) && alphanumeric(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
}

// Of lowercase labels, each with a letter or digit at both ends.
bool is_domain(std::string_view text) {
  if (text.size() > 253) return false;
  const std::vector<std::string> labels = base::split(text, '.');
  return std::all_of(labels.begin(), labels.end(), [](const std::string& label) {
    const bool lower = std::none_of(label.begin(), label.end(), [](char c) { return c == '_' || (c >= 'A' && c <= 'Z'); });
    return lower && is_prefix(label);
  });
}

bool is_key(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_name(text);
  return is_prefix(text.substr(0, slash)) && is_name(text.substr(slash + 1));
}

// At the commas outside brackets.
std::vector<std::string_view> requirements(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  bool inside = false;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && !inside)) {
      parts.push_back(base::trim(text.substr(begin, i - begin)));
      begin = i + 1;
    } else if (text[i] == '(' || text[i] == ')') {
      inside = text[i] == '(';
    }
  }
  return parts;
}

// "key in (a,b)" and "key notin (a,b)".
bool is_set(std::string_view text) {
  if (text.empty() || text.back() != ')') return false;
  const std::size_t open = text.find('(');
  if (open == std::string_view::npos) return false;
  const std::string_view head = base::trim(text.substr(0, open));
  const std::size_t blank = head.find_first_of(" \t");
  if (blank == std::string_view::npos || !is_key(head.substr(0, blank))) return false;
  const std::string_view word = base::trim(head.substr(blank));
  if (word != "in" && word != "notin") return false;
  const std::vector<std::string> values = base::split(text.substr(open + 1, text.size() - open - 2), ',');
  return std::all_of(values.begin(), values.end(), [](const std::string& value) { return is_value(base::trim(value)); });
}

bool is_requirement(std::string_view text) {
  if (is_set(text)) return true;
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos) {
    const bool absent = !text.empty() && text.front() == '!';
    return is_key(base::trim(absent ? text.substr(1) : text));
  }
  const bool negated = sign > 0 && text[sign - 1] == '!';
  const bool twice = !negated && sign + 1 < text.size() && text[sign + 1] == '=';
  const std::string_view key = base::trim(text.substr(0, negated ? sign - 1 : sign));
  return is_key(key) && is_value(base::trim(text.substr(sign + (twice ? 2 : 1))));
}

}  // namespace

Result<void> check_label_selector(const std::string& text) {
  if (base::trim(text).empty()) return Error(ErrorCode::usage, "an empty selector would mean everything", "say --all if that is meant");
  for (const std::string_view part : requirements(text)) {
    if (!is_requirement(part)) {
      return Error(ErrorCode::usage, "\"" + base::printable(part, 128) + "\" is no requirement of a label selector",
                   "write key=value, key!=value, key, !key, \"key in (a,b)\" or \"key notin (a,b)\", separated by commas");
    }
  }
  return {};
}

Result<void> check_label(const std::string& key, const std::string& value) {
  const std::size_t slash = key.find('/');
  if (slash != std::string::npos && !is_domain(std::string_view(key).substr(0, slash))) {
    return Error(ErrorCode::usage, "the part of the key before \"/\" is no domain name",
                 "write lowercase letters, digits, '-' and '.': example.com/NAME");
  }
  if (!is_name(slash == std::string::npos ? std::string_view(key) : std::string_view(key).substr(slash + 1))) {
    return Error(ErrorCode::usage, "the key is no name of a label",
                 "write 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends");
  }
  if (is_value(value)) return {};
  return Error(ErrorCode::usage, "the value is none that a label may have",
               "write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, or nothing");
}

}  // namespace vmbackup::kube
