#include <algorithm>

#include "base/utf8.hpp"
#include "json/scan.hpp"
#include "json/yaml.hpp"
#include "json/yaml_scalar.hpp"

namespace vmbackup::json {
namespace {

constexpr std::size_t k_longest_key = 1000;  // as written, escapes and quotes included: readers look only so far (1024) for the colon

bool has_hidden(std::string_view text, bool but_line_feed) {
  while (!text.empty()) {
    const base::Utf8Char c = base::next_utf8(text);
    if (!c.valid || (base::is_hidden(c.code) && !(but_line_feed && c.code == '\n'))) return true;
    text.remove_prefix(c.length);
  }
  return false;
}

// Safe without quotes for every reader of YAML 1.1 or 1.2, in block and in key position.
bool is_plain(std::string_view text) {
  constexpr std::string_view k_first = "-?:,[]{}#&*!|>'\"%@`=<~.+ ";
  if (text.empty() || k_first.find(text.front()) != std::string_view::npos || text.back() == ' ' || text.back() == ':') return false;
  // Numbers, times, sexagesimals: what starts with a digit and has no other letter than those of a number or time.
  if (text.front() >= '0' && text.front() <= '9' && text.find_first_not_of("0123456789.:_-+ eEtTzZ") == std::string_view::npos)
    return false;
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos) return false;
  return plain_scalar(text).is_string() && !has_hidden(text, false);
}

// Several lines that a literal block gives back unchanged.
bool is_literal(std::string_view text) {
  return text.find('\n') != std::string_view::npos && text.front() != ' ' && text.front() != '\n' && !has_hidden(text, true);
}

void append_indent(std::string& out, int indent) { out.append(static_cast<std::size_t>(indent) * 2, ' '); }

void append_literal(std::string& out, std::string_view text, int indent) {
  const std::size_t last = text.find_last_not_of('\n');
  const std::size_t ends = text.size() - last - 1;
  out += ends == 0 ? "|-" : ends == 1 ? "|" : "|+";
  if (ends > 0) text.remove_suffix(1);
  for (;;) {
    const std::size_t end = text.find('\n');
    out += '\n';
    if (end != 0 && !text.empty()) append_indent(out, indent);
    out += text.substr(0, end);
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

void append_scalar(std::string& out, const Value& value, int indent) {
  if (!value.is_string()) {
    out += dump(value);  // also {} and []
  } else if (is_plain(value.as_string())) {
    out += value.as_string();
  } else if (indent > 0 && is_literal(value.as_string())) {
    append_literal(out, value.as_string(), indent);
  } else {
    append_quoted(out, value.as_string(), true);
  }
}

bool is_block(const Value& value) { return !value.items().empty() || !value.members().empty(); }

// The lines of a value that is not empty, the first one without indentation and none with a line feed at its end.
void append_block(std::string& out, const Value& value, int indent);

void append_member(std::string& out, const Member& member, int indent) {
  const std::size_t begin = out.size();
  append_scalar(out, Value(member.first), 0);
  if (out.size() - begin > k_longest_key) {
    out.resize(begin);
    out += "? ";
    append_quoted(out, member.first, true);
    out += "\n";
    append_indent(out, indent);
    out += ": ";
    append_block(out, member.second, indent + 1);
    return;
  }
  out += ':';
  if (!is_block(member.second)) {
    out += ' ';
    append_scalar(out, member.second, indent + 1);
    return;
  }
  // Sequences stand below their key without more indentation, as kubectl writes them.
  const int inner = member.second.is_array() ? indent : indent + 1;
  out += '\n';
  append_indent(out, inner);
  append_block(out, member.second, inner);
}

void append_block(std::string& out, const Value& value, int indent) {
  if (!is_block(value)) return append_scalar(out, value, indent);
  bool first = true;
  const auto next_line = [&] {
    if (!first) {
      out += '\n';
      append_indent(out, indent);
    }
    first = false;
  };
  for (const Value& item : value.items()) {
    next_line();
    out += "- ";
    append_block(out, item, indent + 1);
  }
  for (const Member& member : value.members()) {
    next_line();
    append_member(out, member, indent);
  }
}

}  // namespace

std::string dump_yaml(const Value& value) {
  std::string out;
  append_block(out, value, 0);
  out += '\n';
  return out;
}

}  // namespace vmbackup::json
