// One character of UTF-8 at a time, strictly.
#pragma once

#include <cstdint>
#include <string_view>

namespace vmbackup::base {

struct Utf8Char {
  char32_t code = 0;
  std::size_t length = 0;  // bytes taken; 0 at the end of the text
  bool valid = false;      // false: one byte that starts no valid sequence (overlong, surrogate, cut off, beyond U+10FFFF)
};

// The character at the start of `text`. Never fails; an invalid byte is given alone, as its value.
Utf8Char next_utf8(std::string_view text);

// Characters that change what a reader sees without being seen: C0 and C1 controls, DEL, bidi marks and overrides, zero-width and
// invisible ones, line and paragraph separators, tags.
bool is_hidden(char32_t code);

}  // namespace vmbackup::base
