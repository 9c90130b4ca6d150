#include "cli/console.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_clear_line = "\r\x1b[K";

}  // namespace

Console::Console(Output& err, const base::Clock& clock, Look look) : err_(err), clock_(clock), look_(look), colors_{look.color} {}

void Console::write(const std::string& text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  // One write per message, so that the lines of several processes do not mix.
  err_.write(live_.empty() ? text : k_clear_line + text + live_);
}

void Console::line(const std::string& text) { block(text + '\n'); }

void Console::block(const std::string& text) {
  if (look_.style != ProgressStyle::json) write(text);
}

void Console::note(const std::string& text) {
  if (look_.quiet) return;
  record("note", json::Value::object({{"message", text}}));
  line("note: " + base::printable(text));
}

void Console::warning(const std::string& text) {
  record("warning", json::Value::object({{"message", text}}));
  line(colors_.warning("warning:") + ' ' + base::printable(text));
}

void Console::request(const std::string& text) {
  record("request", json::Value::object({{"message", text}}));
  line(base::printable(text));
}

void Console::error(const base::Error& error, int exit_code) {
  record("error", json::Value::object({{"exitCode", exit_code}, {"error", error_value(error)}}));
  block(error_text(error, colors_));
}

void Console::result(const json::Value& report, int exit_code) {
  record("result", json::Value::object({{"exitCode", exit_code}, {"report", report}}));
}

void Console::record(const std::string& type, const json::Value& object) {
  if (look_.style != ProgressStyle::json) return;
  json::Value whole = json::Value::object({{"type", type}, {"time", base::format_time(clock_.wall_now())}});
  for (const json::Member& member : object.members()) whole.set(member.first, member.second);
  write(json::dump(whole) + '\n');
}

void Console::live(const std::string& text, const std::string& tail) {
  if (look_.style != ProgressStyle::live) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  // The last column stays free: some terminals wrap when it is written. So do two more, for the ^C that a terminal echoes: on the next
  // row it would keep this one from being cleared.
  const std::size_t columns = static_cast<std::size_t>(std::max(err_.width() - 3, 1));
  const std::size_t behind = base::display_width(tail);
  // With next to no room the tail alone would say nothing.
  const bool room = columns > behind + 3;
  std::string next = text.empty() ? "" : cut_to_width(text, room ? columns - behind : columns) + (room ? tail : "");
  if (next == live_) return;
  err_.write(k_clear_line + next);
  live_ = std::move(next);
}

std::string cut_to_width(const std::string& text, std::size_t columns) {
  if (base::display_width(text) <= columns) return text;
  std::string out;
  std::size_t at = 0;
  const std::size_t room = columns > 3 ? columns - 3 : columns;
  while (at < text.size()) {
    std::size_t end = at + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
    if (base::display_width(out + text.substr(at, end - at)) > room) break;
    out += text.substr(at, end - at);
    at = end;
  }
  return columns > 3 ? out + "..." : out;
}

}  // namespace vmbackup::cli
