#include "cli/error_view.hpp"

#include "base/text.hpp"

namespace vmbackup::cli {
namespace {

std::string painted(bool on, const char* code, const std::string& text) { return on ? std::string(code) + text + "\x1b[0m" : text; }

}  // namespace

std::string Colors::error(const std::string& text) const { return painted(on, "\x1b[1;31m", text); }
std::string Colors::warning(const std::string& text) const { return painted(on, "\x1b[33m", text); }
std::string Colors::hint(const std::string& text) const { return painted(on, "\x1b[36m", text); }

std::string error_text(const base::Error& error, const Colors& colors) {
  std::string out = colors.error("error:") + ' ' + base::printable(error.message());
  const std::string reason = base::printable(error.reason(), 128);
  if (!reason.empty() && error.message().find(reason) == std::string::npos) out += " (" + reason + ')';
  out += '\n';
  for (const std::string& cause : error.causes()) out += "  - " + base::printable(cause) + '\n';
  if (!error.hint().empty()) out += colors.hint("hint:") + ' ' + base::printable(error.hint()) + '\n';
  return out;
}

json::Value error_value(const base::Error& error) {
  json::Array causes;
  for (const std::string& cause : error.causes()) causes.emplace_back(cause);
  return json::Value::object({{"code", base::to_string(error.code())},
                              {"message", error.message()},
                              {"hint", error.hint()},
                              {"reason", error.reason()},
                              {"causes", std::move(causes)}});
}

}  // namespace vmbackup::cli
