#include "base/duration.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/text.hpp"

namespace vmbackup::base {
namespace {

__extension__ typedef unsigned __int128 Wide;  // products of a number and a unit before the range check

constexpr std::uint64_t k_second = 1000ULL * 1000 * 1000;
constexpr const char* k_example = "write a number with a unit (ns, us, ms, s, m, h), for example 90s, 5m or 1h30m";

struct Unit {
  std::string_view name;
  std::uint64_t nanoseconds;
};
// "µs" is there with both of Unicode's letters, U+00B5 and U+03BC.
constexpr std::array<Unit, 8> k_units{{{"ns", 1},
                                       {"us", 1000},
                                       {"\u00b5s", 1000},
                                       {"\u03bcs", 1000},
                                       {"ms", 1000 * 1000},
                                       {"s", k_second},
                                       {"m", 60 * k_second},
                                       {"h", 3600 * k_second}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view take_digits(std::string_view& rest) {
  std::size_t count = 0;
  while (count < rest.size() && is_digit(rest[count])) ++count;
  const std::string_view digits = rest.substr(0, count);
  rest.remove_prefix(count);
  return digits;
}

Error refuse(std::string_view text, const std::string& why, const std::string& hint = k_example) {
  return {ErrorCode::invalid, "invalid duration \"" + printable(text, 64) + "\": " + why, hint};
}

// "1.5h": number and unit, taken off `rest`. `text` is the whole, for the error.
Result<Wide> take_part(std::string_view& rest, std::string_view text) {
  const std::string_view whole = take_digits(rest);
  std::string_view fraction;
  if (!rest.empty() && rest.front() == '.') {
    rest.remove_prefix(1);
    fraction = take_digits(rest);
  }
  if (whole.empty() && fraction.empty()) return refuse(text, "expected a number");
  std::size_t length = 0;
  while (length < rest.size() && rest[length] != '.' && !is_digit(rest[length])) ++length;
  const std::string_view name = rest.substr(0, length);
  if (name.empty()) return refuse(text, "missing unit", "did you mean \"" + printable(text, 64) + "s\"? " + k_example);
  rest.remove_prefix(length);
  for (const Unit& unit : k_units) {
    if (unit.name != name) continue;
    Wide number = 0;
    for (const char digit : whole) {
      number = number * 10 + static_cast<unsigned>(digit - '0');
      if (number > std::numeric_limits<std::uint64_t>::max()) return refuse(text, "too long", "use at most 2562047h");
    }
    // Further digits are below a nanosecond.
    Wide part = 0;
    Wide scale = 1;
    for (const char digit : fraction.substr(0, 18)) {
      part = part * 10 + static_cast<unsigned>(digit - '0');
      scale *= 10;
    }
    return number * unit.nanoseconds + part * unit.nanoseconds / scale;
  }
  return refuse(text, "unknown unit \"" + printable(name, 16) + "\"");
}

void append_with_fraction(std::string& out, std::uint64_t value, std::uint64_t unit, const char* name) {
  out += std::to_string(value / unit);
  std::uint64_t rest = value % unit;
  if (rest > 0) out += '.';
  while (rest > 0) {
    unit /= 10;
    out += static_cast<char>('0' + rest / unit);
    rest %= unit;
  }
  out += name;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest.front() == '-';
  if (negative || (!rest.empty() && rest.front() == '+')) rest.remove_prefix(1);
  if (rest == "0") return Duration::zero();
  if (rest.empty()) return refuse(text, "it is empty");
  const Wide limit = Wide{std::numeric_limits<std::int64_t>::max()} + (negative ? 1 : 0);
  Wide sum = 0;
  while (!rest.empty()) {
    const Result<Wide> part = take_part(rest, text);
    if (!part) return part.error();
    sum += *part;
    if (sum > limit) return refuse(text, "too long", "use at most 2562047h");
  }
  const auto bits = static_cast<std::uint64_t>(sum);
  return Duration(static_cast<std::int64_t>(negative ? 0 - bits : bits));
}

std::string format_duration(Duration duration) {
  const bool negative = duration < Duration::zero();
  const auto bits = static_cast<std::uint64_t>(duration.count());
  std::uint64_t left = negative ? 0 - bits : bits;
  if (left == 0) return "0s";
  std::string out = negative ? "-" : "";
  if (left < 1000) {
    append_with_fraction(out, left, 1, "ns");
  } else if (left < 1000 * 1000) {
    append_with_fraction(out, left, 1000, "\u00b5s");
  } else if (left < k_second) {
    append_with_fraction(out, left, 1000 * 1000, "ms");
  } else {
    const std::uint64_t hours = left / (3600 * k_second);
    left %= 3600 * k_second;
    const std::uint64_t minutes = left / (60 * k_second);
    left %= 60 * k_second;
    if (hours > 0) out += std::to_string(hours) + "h";
    if (minutes > 0) out += std::to_string(minutes) + "m";
    if (left > 0) append_with_fraction(out, left, k_second, "s");
  }
  return out;
}

double to_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace vmbackup::base
