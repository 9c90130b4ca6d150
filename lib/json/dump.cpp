#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/utf8.hpp"
#include "json/scan.hpp"
#include "json/value.hpp"

namespace vmbackup::json {
namespace {

void append_hex(std::string& out, char prefix, char32_t code, int digits) {
  out += '\\';
  out += prefix;
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += "0123456789abcdef"[(code >> shift) & 0xFU];
}

void append_escape(std::string& out, char32_t code, bool wide) {
  switch (code) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (code <= 0xFFFF) {
    append_hex(out, 'u', code, 4);
  } else if (wide) {
    append_hex(out, 'U', code, 8);
  } else {
    append_hex(out, 'u', 0xD800 + ((code - 0x10000) >> 10), 4);
    append_hex(out, 'u', 0xDC00 + ((code - 0x10000) & 0x3FFU), 4);
  }
}

// Compact where `indent` is negative, else the depth of the value itself.
void append(std::string& out, const Value& value, int indent);

void append_line_start(std::string& out, int indent) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<std::size_t>(indent) * 2, ' ');
}

void append_array(std::string& out, const Array& items, int indent) {
  if (items.empty()) {
    out += "[]";
    return;
  }
  const int inner = indent < 0 ? indent : indent + 1;
  char separator = '[';
  for (const Value& item : items) {
    out += separator;
    separator = ',';
    append_line_start(out, inner);
    append(out, item, inner);
  }
  append_line_start(out, indent);
  out += ']';
}

void append_object(std::string& out, const Object& members, int indent) {
  if (members.empty()) {
    out += "{}";
    return;
  }
  const int inner = indent < 0 ? indent : indent + 1;
  char separator = '{';
  for (const Member& member : members) {
    out += separator;
    separator = ',';
    append_line_start(out, inner);
    append_quoted(out, member.first, false);
    out += indent < 0 ? ":" : ": ";
    append(out, member.second, inner);
  }
  append_line_start(out, indent);
  out += '}';
}

void append(std::string& out, const Value& value, int indent) {
  if (value.is_string()) {
    append_quoted(out, value.as_string(), false);
  } else if (value.is_integer()) {
    out += std::to_string(value.as_integer());
  } else if (value.is_number()) {
    out += real_text(value.as_number());
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_array()) {
    append_array(out, value.items(), indent);
  } else if (value.is_object()) {
    append_object(out, value.members(), indent);
  } else {
    out += "null";
  }
}

}  // namespace

void append_quoted(std::string& out, std::string_view text, bool wide) {
  out += '"';
  while (!text.empty()) {
    const base::Utf8Char c = base::next_utf8(text);
    if (!c.valid) {
      out += "\uFFFD";
    } else if (c.code == '"' || c.code == '\\' || base::is_hidden(c.code)) {
      append_escape(out, c.code, wide);
    } else {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(c.length);
  }
  out += '"';
}

std::string real_text(double value) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 64> buffer{};
  const std::to_chars_result end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), end.ptr);
  // With a point it reads back as a real, in YAML 1.1 too.
  if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

std::string dump(const Value& value) {
  std::string out;
  append(out, value, -1);
  return out;
}

std::string dump_pretty(const Value& value) {
  std::string out;
  append(out, value, 0);
  return out;
}

}  // namespace vmbackup::json
