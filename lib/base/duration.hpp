// Lengths of time as people and Go programs write them.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace vmbackup::base {

using Duration = std::chrono::nanoseconds;

// Reads the syntax of Go's time.ParseDuration ("1h30m", "1.5s", "+5m", "-3ms", "0"; units ns us µs ms s m h).
// invalid: anything else, with what would be right; also a value that does not fit 64 bits of nanoseconds.
Result<Duration> parse_duration(std::string_view text);

// The shortest exact Go form: "1h30m0s" -> "1h30m", "90s" -> "1m30s", "1.5s", "250ms", "0s".
std::string format_duration(Duration duration);

// Seconds as a number, for JSON.
double to_seconds(Duration duration);

}  // namespace vmbackup::base
