#include "kube/quantity.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace vmbackup::kube {
namespace {

// What is behind the number, as a factor.
std::optional<long double> factor_of(std::string_view suffix) {
  static constexpr std::array<std::pair<std::string_view, int>, 7> k_binary = {
      {{"", 0}, {"Ki", 10}, {"Mi", 20}, {"Gi", 30}, {"Ti", 40}, {"Pi", 50}, {"Ei", 60}}};
  static constexpr std::array<std::pair<std::string_view, int>, 9> k_decimal = {
      {{"n", -9}, {"u", -6}, {"m", -3}, {"k", 3}, {"M", 6}, {"G", 9}, {"T", 12}, {"P", 15}, {"E", 18}}};
  for (const auto& [word, power] : k_binary) {
    if (suffix == word) return std::ldexp(1.0L, power);
  }
  for (const auto& [word, power] : k_decimal) {
    if (suffix == word) return std::pow(10.0L, power);
  }
  if (suffix.front() != 'e' && suffix.front() != 'E') return std::nullopt;
  std::string_view digits = suffix.substr(1);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int power = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), power);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || power < -40 || power > 40) return std::nullopt;
  return std::pow(10.0L, power);
}

}  // namespace

std::optional<std::uint64_t> parse_quantity(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, end);
  long double value = 0;
  long double place = 0;  // of the next digit behind the point
  int digits = 0;
  for (const char c : number) {
    if (c == '.') {
      if (place != 0) return std::nullopt;
      place = 1;
      continue;
    }
    if (++digits > 30) return std::nullopt;
    if (place == 0) {
      value = value * 10 + (c - '0');
    } else {
      place /= 10;
      value += place * (c - '0');
    }
  }
  const std::optional<long double> factor = digits > 0 ? factor_of(text.substr(end)) : std::nullopt;
  if (!factor) return std::nullopt;
  // "0.1" is no sum of powers of two: what is left over by that is no unit more.
  const long double exact = value * *factor;
  const long double nearest = std::round(exact);
  const long double units = std::abs(exact - nearest) < 1e-9L * std::max(1.0L, exact) * 1e-6L ? nearest : std::ceil(exact);
  if (units >= std::ldexp(1.0L, 63)) return std::nullopt;
  return static_cast<std::uint64_t>(units);
}

}  // namespace vmbackup::kube
