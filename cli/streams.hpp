// Where output goes, and whether a person is looking.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace vmbackup::cli {

// One output stream. After the reader has gone (EPIPE) everything more is dropped quietly: the output ends, never the work. Any other
// failure is kept for the end of the run. Not thread-safe.
class Output {
 public:
  // On a file descriptor that stays open; not owned.
  explicit Output(int descriptor);
  // Into `text`, which outlives this. For tests, which may claim to be a terminal.
  explicit Output(std::string& text, bool terminal = false, int width = 80);

  void write(std::string_view text);
  bool terminal() const { return terminal_; }
  // Columns of the terminal as it is now; 80 where there is none.
  int width() const;
  // More is dropped: the reader has gone, or writing failed.
  bool closed() const { return closed_; }
  // Why output was lost, empty while none was (a reader that left does not count).
  const std::optional<base::Error>& failure() const { return failure_; }

 private:
  int descriptor_ = -1;
  std::string* text_ = nullptr;
  bool terminal_ = false;
  int width_ = 80;
  bool closed_ = false;
  std::optional<base::Error> failure_;
};

// One line typed by a person.
class Input {
 public:
  explicit Input(int descriptor);
  explicit Input(std::string text, bool terminal);
  bool terminal() const { return terminal_; }
  // Up to the next line feed, without it; none at the end of input, or when stop was requested before the line was whole. Blocks.
  std::optional<std::string> read_line(const std::stop_token& stop);

 private:
  std::optional<std::string> read_until_line_feed(int wake);

  int descriptor_ = -1;
  std::string text_;
  bool terminal_ = false;
};

struct Streams {
  Input& in;
  Output& out;
  Output& err;
};

// Puts something harmless where 0, 1 or 2 is closed, so that no file or socket opened later takes its number and receives our output;
// and makes a gone reader an error of write() instead of a signal. Before anything else is opened.
void secure_standard_descriptors();

}  // namespace vmbackup::cli
