// How strictly a JSON document is read. For use inside this folder.
#pragma once

#include <string_view>

#include "json/value.hpp"

namespace vmbackup::json {

struct ScanOptions {
  std::size_t most_bytes = 0;
  std::size_t most_depth = 512;
  bool unique_names = false;  // a repeated member is invalid, instead of the last one winning
  LeftOut left_out = {};
};

// parse() with options.
base::Result<Value> scan(std::string_view text, const ScanOptions& options);

// Number as JSON has it: the shortest that reads back the same, always with a point; null where JSON has none (infinite, NaN).
std::string real_text(double value);

// Puts `text` in double quotes; control, bidi and invisible characters become \u escapes, invalid UTF-8 becomes U+FFFD.
// `wide`: \U0001F600 (YAML) instead of two surrogates (JSON) where an escape is needed beyond U+FFFF.
void append_quoted(std::string& out, std::string_view text, bool wide);

}  // namespace vmbackup::json
