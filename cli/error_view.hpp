// One failure as text for a person, or as a JSON object.
#pragma once

#include <string>

#include "base/error.hpp"
#include "json/value.hpp"

namespace vmbackup::cli {

struct Colors {
  bool on = false;
  std::string error(const std::string& text) const;    // red
  std::string warning(const std::string& text) const;  // yellow
  std::string hint(const std::string& text) const;     // cyan
};

// "error: message (Reason)", causes as bullets, "hint: ..."; with a line feed after each. Untrusted text is made printable.
std::string error_text(const base::Error& error, const Colors& colors);

// {"code","message","hint","reason","causes"}; the text as it is.
json::Value error_value(const base::Error& error);

}  // namespace vmbackup::cli
