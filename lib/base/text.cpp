#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/utf8.hpp"

namespace vmbackup::base {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

template <std::size_t N>
bool is_in(const std::array<Range, N>& ranges, char32_t code) {
  return std::any_of(ranges.begin(), ranges.end(), [code](const Range& range) { return code >= range.first && code <= range.last; });
}

// Marks that sit on the character before them.
constexpr std::array<Range, 16> k_combining{{{0x0300, 0x036F},
                                             {0x0483, 0x0489},
                                             {0x0591, 0x05BD},
                                             {0x0610, 0x061A},
                                             {0x064B, 0x065F},
                                             {0x0900, 0x0902},
                                             {0x093C, 0x093C},
                                             {0x0941, 0x0948},
                                             {0x0E31, 0x0E31},
                                             {0x0E34, 0x0E3A},
                                             {0x0E47, 0x0E4E},
                                             {0x1AB0, 0x1AFF},
                                             {0x1DC0, 0x1DFF},
                                             {0x20D0, 0x20FF},
                                             {0xFE00, 0xFE0F},
                                             {0xFE20, 0xFE2F}}};

// The blocks of Unicode's East_Asian_Width W and F, and the emoji that terminals show in two columns.
constexpr std::array<Range, 14> k_wide{{{0x1100, 0x115F},
                                        {0x2E80, 0x303E},
                                        {0x3041, 0x33FF},
                                        {0x3400, 0x4DBF},
                                        {0x4E00, 0x9FFF},
                                        {0xA000, 0xA4CF},
                                        {0xA960, 0xA97C},
                                        {0xAC00, 0xD7A3},
                                        {0xF900, 0xFAFF},
                                        {0xFE30, 0xFE6F},
                                        {0xFF01, 0xFF60},
                                        {0xFFE0, 0xFFE6},
                                        {0x1F300, 0x1FAFF},
                                        {0x20000, 0x3FFFD}}};

std::string escape(char prefix, char32_t code, int digits) {
  std::string out = {'\\', prefix};
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += "0123456789abcdef"[(code >> shift) & 0xFU];
  return out;
}

std::string visible(const Utf8Char& c, std::string_view bytes) {
  if (c.valid && c.code == '\n') return "\\n";
  if (!c.valid || c.code < 0x80) return !c.valid || is_hidden(c.code) ? escape('x', c.code, 2) : std::string(bytes);
  if (!is_hidden(c.code)) return std::string(bytes);
  return c.code > 0xFFFF ? escape('U', c.code, 8) : escape('u', c.code, 4);
}

// Levenshtein's distance in bytes.
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t replaced = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = next_utf8(text);
    const std::string shown = visible(c, text.substr(0, c.length));
    if (out.size() + shown.size() > most) return out + "...";
    out += shown;
    text.remove_prefix(c.length);
  }
  return out;
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  std::size_t limit = std::min<std::size_t>(3, word.size());  // distances below it count
  for (const std::string& candidate : candidates) {
    const std::size_t gap = candidate.size() > word.size() ? candidate.size() - word.size() : word.size() - candidate.size();
    if (gap >= limit) continue;
    const std::size_t found = distance(word, candidate);
    if (found >= limit) continue;
    limit = found;
    best = candidate;
    if (limit == 0) break;
  }
  return best;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view k_blank = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(k_blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(k_blank) - first + 1);
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Utf8Char c = next_utf8(text);
    text.remove_prefix(c.length);
    if (c.valid && is_in(k_combining, c.code)) continue;
    width += c.valid && is_in(k_wide, c.code) ? 2 : 1;
  }
  return width;
}

std::string short_hash(std::string_view text) {
  std::uint32_t hash = 2166136261U;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 16777619U;
  }
  std::string out;
  for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789abcdef"[(hash >> shift) & 0xFU];
  return out;
}

}  // namespace vmbackup::base
