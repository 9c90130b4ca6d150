// Small things about text: quoting what is untrusted, near names, times, joining.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace vmbackup::base {

// Makes text from elsewhere safe for a terminal: control characters (C0, C1, DEL), bidi and zero-width characters and invalid
// UTF-8 become visible escapes (\x1b, \u202e). A line feed becomes "\n" in letters. `most` bytes at the most, then "...". Never fails.
std::string printable(std::string_view text, std::size_t most = 4096);

// The candidate nearest to `word` within edit distance two (and less than the length of the word), or none. First of equals wins.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

// RFC 3339 in UTC with milliseconds: "2026-01-02T03:04:05.678Z".
std::string format_time(WallTime time);
// Reads RFC 3339 with any fraction and any offset. invalid: anything else.
Result<WallTime> parse_time(std::string_view text);
// Reads the one form of an HTTP Date header that is written today: "Fri, 02 Jan 2026 03:04:05 GMT". invalid: anything else.
Result<WallTime> parse_http_time(std::string_view text);

std::string join(const std::vector<std::string>& parts, std::string_view separator);
// Always one part more than there are separators: "" gives one empty part.
std::vector<std::string> split(std::string_view text, char separator);
// Without blanks, tabs and line ends at both ends.
std::string_view trim(std::string_view text);

// Width in terminal columns of printable UTF-8 text (wide East Asian characters count two).
std::size_t display_width(std::string_view text);

// Standard base64 with padding; line breaks and blanks in the input are ignored. invalid: anything else.
Result<std::string> base64_decode(std::string_view text);
std::string base64_encode(std::string_view bytes);

// A stable 32-bit hash as 8 hex digits (FNV-1a). For names, not for security.
std::string short_hash(std::string_view text);

}  // namespace vmbackup::base
