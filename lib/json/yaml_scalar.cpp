#include "json/yaml_scalar.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

namespace vmbackup::json {
namespace {

template <std::size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

constexpr std::array<std::string_view, 5> k_null{"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 11> k_true{"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"};
constexpr std::array<std::string_view, 11> k_false{"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"};
constexpr std::array<std::string_view, 3> k_nan{".nan", ".NaN", ".NAN"};
constexpr std::array<std::string_view, 6> k_infinite{".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"};
constexpr std::array<std::string_view, 3> k_minus_infinite{"-.inf", "-.Inf", "-.INF"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Digits of one base, all of them. Beyond 64 bits: a real; decimal ones are left to real(), which rounds only once.
std::optional<Value> whole_number(std::string_view digits, int base, bool negative) {
  std::uint64_t magnitude = 0;
  const char* const end = digits.data() + digits.size();
  const std::from_chars_result result = std::from_chars(digits.data(), end, magnitude, base);
  if (result.ptr != end || result.ec == std::errc::invalid_argument) return std::nullopt;
  constexpr auto k_most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (result.ec == std::errc() && magnitude <= k_most + (negative ? 1 : 0)) {
    return Value(static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude));
  }
  if (base == 10) return std::nullopt;
  double real = 0;
  for (const char c : digits) {
    const int digit = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
    real = real * base + digit;
  }
  return Value(negative ? -real : real);
}

std::optional<Value> integer(std::string_view text) {
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  if (text.size() > 2 && text[0] == '0') {
    const char letter = static_cast<char>(text[1] | 0x20);
    const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (base != 0) return whole_number(text.substr(2), base, negative);
  }
  // A leading zero means octal.
  if (text.size() > 1 && text[0] == '0') return whole_number(text.substr(1), 8, negative);
  return whole_number(text, 10, negative);
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
std::optional<Value> real(std::string_view text) {
  std::string_view rest = text;
  const auto take_digits = [&rest] {
    std::size_t count = 0;
    while (count < rest.size() && is_digit(rest[count])) ++count;
    rest.remove_prefix(count);
    return count;
  };
  const auto take = [&rest](std::string_view any) {
    const bool found = !rest.empty() && any.find(rest.front()) != std::string_view::npos;
    if (found) rest.remove_prefix(1);
    return found;
  };
  take("-+");
  const std::size_t whole = take_digits();
  const std::size_t fraction = take(".") ? take_digits() : 0;
  if (whole + fraction == 0) return std::nullopt;
  if (take("eE")) {
    take("-+");
    if (take_digits() == 0) return std::nullopt;
  }
  if (!rest.empty()) return std::nullopt;
  if (text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const std::from_chars_result result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) return std::nullopt;  // out of range: the text stays
  return Value(value);
}

}  // namespace

Value plain_scalar(std::string_view text) {
  if (is_one_of(text, k_null)) return {};
  if (is_one_of(text, k_true)) return true;
  if (is_one_of(text, k_false)) return false;
  if (is_one_of(text, k_nan)) return std::numeric_limits<double>::quiet_NaN();
  if (is_one_of(text, k_infinite)) return std::numeric_limits<double>::infinity();
  if (is_one_of(text, k_minus_infinite)) return -std::numeric_limits<double>::infinity();
  const char first = text.front();
  if (first == '.') return real(text).value_or(Value(text));
  if (!is_digit(first) && first != '-' && first != '+') return text;
  std::string plain(text);
  std::erase(plain, '_');
  if (std::optional<Value> found = integer(plain)) return *std::move(found);
  return real(plain).value_or(Value(text));
}

}  // namespace vmbackup::json
