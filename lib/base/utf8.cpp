#include "base/utf8.hpp"

#include <algorithm>
#include <array>

namespace vmbackup::base {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

constexpr std::array<Range, 15> k_hidden{{{0x00, 0x1F},
                                          {0x7F, 0x9F},
                                          {0xAD, 0xAD},
                                          {0x034F, 0x034F},
                                          {0x061C, 0x061C},
                                          {0x115F, 0x1160},
                                          {0x17B4, 0x17B5},
                                          {0x180B, 0x180F},
                                          {0x200B, 0x200F},
                                          {0x2028, 0x202E},
                                          {0x2060, 0x206F},
                                          {0x3164, 0x3164},
                                          {0xFEFF, 0xFEFF},
                                          {0xFFF9, 0xFFFB},
                                          {0xE0000, 0xE0FFF}}};

}  // namespace

Utf8Char next_utf8(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [text](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  const Utf8Char bad{lead, 1, false};
  if (lead < 0x80) return {lead, 1, true};
  std::size_t length = 0;
  char32_t code = 0;
  char32_t least = 0;  // below it the sequence is longer than needed
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2, code = lead & 0x1FU, least = 0x80;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3, code = lead & 0x0FU, least = 0x800;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4, code = lead & 0x07U, least = 0x10000;
  } else {
    return bad;
  }
  if (text.size() < length) return bad;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return bad;
    code = (code << 6) | (byte(i) & 0x3FU);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < least || surrogate || code > 0x10FFFF) return bad;
  return {code, length, true};
}

bool is_hidden(char32_t code) {
  return std::any_of(k_hidden.begin(), k_hidden.end(), [code](const Range& range) { return code >= range.first && code <= range.last; });
}

}  // namespace vmbackup::base
