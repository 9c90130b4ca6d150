// All that goes to stderr, so that lines and the live line never cut into each other.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "cli/error_view.hpp"
#include "cli/streams.hpp"
#include "json/value.hpp"

namespace vmbackup::cli {

enum class ProgressStyle { live, plain, json, none };

// In the style `json` every line is one JSON object: {"type", "time", ...}, where type is event, request, note, warning, error or result.
// Thread-safe.
class Console {
 public:
  struct Look {
    ProgressStyle style = ProgressStyle::plain;
    bool quiet = false;  // drops notes
    bool color = false;
  };
  Console(Output& err, const base::Clock& clock, Look look);

  ProgressStyle style() const { return look_.style; }
  bool quiet() const { return look_.quiet; }
  const Colors& colors() const { return colors_; }

  // A whole line, printable already, dropped in the style `json`.
  void line(const std::string& text);
  // "note: ..."; what a person may want to know.
  void note(const std::string& text);
  // "warning: ..."; what an operator must see. The text may be untrusted.
  void warning(const std::string& text);
  // One request, for -v.
  void request(const std::string& text);
  // A failure. In the style `json` the last object of the run, with the exit code.
  void error(const base::Error& error, int exit_code);
  // The result of a run, in the style `json` only.
  void result(const json::Value& report, int exit_code);
  // A JSON object of type `type`, in the style `json` only.
  void record(const std::string& type, const json::Value& object);
  // Text with its own line ends, dropped in the style `json`.
  void block(const std::string& text);

  // Replaces the live line; empty removes it. Only in the style `live`. The text, not the tail, is cut to the width of the terminal.
  void live(const std::string& text, const std::string& tail = {});

 private:
  void write(const std::string& text);
  Output& err_;
  const base::Clock& clock_;
  Look look_;
  Colors colors_;
  std::mutex mutex_;
  std::string live_;
};

// The first `columns` columns of printable text, with "..." where it was longer.
std::string cut_to_width(const std::string& text, std::size_t columns);

}  // namespace vmbackup::cli
