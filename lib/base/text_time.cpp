#include <array>
#include <chrono>
#include <cstdio>

#include "base/text.hpp"

namespace vmbackup::base {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;

// Takes the parts of a time off the front of a text; the first mismatch makes ok() false for good.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }

  int number(std::size_t digits) {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) value = value * 10 + digit();
    return value;
  }
  int digit() {
    const char c = peek();
    return c >= '0' && c <= '9' ? (rest_.remove_prefix(1), c - '0') : fail();
  }
  // One character out of `allowed`.
  char one_of(std::string_view allowed) {
    const char c = peek();
    if (rest_.empty() || allowed.find(c) == std::string_view::npos) return static_cast<char>(fail());
    rest_.remove_prefix(1);
    return c;
  }

 private:
  int fail() {
    ok_ = false;
    return 0;
  }
  std::string_view rest_;
  bool ok_ = true;
};

Duration scan_fraction(Scanner& scan) {
  Duration::rep nanoseconds = 0;
  Duration::rep unit = 100 * 1000 * 1000;
  do {
    nanoseconds += unit * scan.digit();
    unit /= 10;  // digits below a nanosecond count as nothing
  } while (scan.ok() && scan.peek() >= '0' && scan.peek() <= '9');
  return Duration(nanoseconds);
}

constexpr std::array<std::string_view, 12> k_months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace

std::string format_time(WallTime time) {
  const std::chrono::time_point<std::chrono::system_clock, milliseconds> shown = std::chrono::floor<milliseconds>(time);
  const sys_days day = std::chrono::floor<days>(shown);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<milliseconds> clock(shown - day);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return text.data();
}

Result<WallTime> parse_time(std::string_view text) {
  const Error refusal(ErrorCode::invalid,
                      "invalid time \"" + printable(text, 64) + "\": expected RFC 3339, for example 2026-01-02T03:04:05Z");
  Scanner scan(text);
  const int year = scan.number(4);
  scan.one_of("-");
  const int month = scan.number(2);
  scan.one_of("-");
  const int day = scan.number(2);
  scan.one_of("Tt");
  const int hour = scan.number(2);
  scan.one_of(":");
  const int minute = scan.number(2);
  scan.one_of(":");
  const int second = scan.number(2);
  Duration fraction{};
  if (scan.peek() == '.') {
    scan.one_of(".");
    fraction = scan_fraction(scan);
  }
  const char zone = scan.one_of("Zz+-");
  minutes offset{};
  if (scan.ok() && (zone == '+' || zone == '-')) {
    const int zone_hour = scan.number(2);
    scan.one_of(":");
    const int zone_minute = scan.number(2);
    if (zone_hour > 23 || zone_minute > 59) return refusal;
    offset = hours(zone_hour) + minutes(zone_minute);
    if (zone == '-') offset = -offset;
  }
  const std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  // Second 60 is a leap second: the instant after it.
  if (!scan.ok() || !scan.at_end() || !date.ok() || hour > 23 || minute > 59 || second > 60) return refusal;
  // What 64 bits of nanoseconds hold, less a margin for the offset.
  if (year < 1678 || year > 2261) return refusal;
  return WallTime(sys_days(date) + hours(hour) + minutes(minute) + seconds(second) - offset + fraction);
}

Result<WallTime> parse_http_time(std::string_view text) {
  const Error refusal(ErrorCode::invalid,
                      "invalid time \"" + printable(text, 64) + "\": expected an HTTP date, for example Fri, 02 Jan 2026 03:04:05 GMT");
  // The weekday says nothing that the date does not.
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") return refusal;
  std::size_t month = 0;
  while (month < k_months.size() && text.substr(8, 3) != k_months[month]) ++month;
  if (month == k_months.size() || text[7] != ' ' || text[11] != ' ' || text[16] != ' ') return refusal;
  std::array<char, 32> iso{};
  std::snprintf(iso.data(), iso.size(), "%.4s-%02u-%.2sT%.8sZ", text.data() + 12, static_cast<unsigned>(month + 1), text.data() + 5,
                text.data() + 17);
  const Result<WallTime> time = parse_time(iso.data());
  if (!time) return refusal;
  return time;
}

}  // namespace vmbackup::base
