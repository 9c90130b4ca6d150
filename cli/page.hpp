// A page of text under headings, for man or for a terminal.
#pragma once

#include <string>
#include <vector>

#include "cli/exit_code.hpp"

namespace vmbackup::cli {

// What goes into a page, in order. Texts hold no line breaks but where it says so.
class Page {
 public:
  virtual ~Page() = default;
  // "When a freeze is proven": as it stands in a sentence.
  virtual void heading(const std::string& title) = 0;
  // Paragraphs end at line breaks.
  virtual void paragraphs(const std::string& content) = 0;
  virtual void command_line(const std::string& content) = 0;
  virtual void item(const std::string& tag, const std::string& content) = 0;
  // Text whose lines and blanks stay as they are.
  virtual void verbatim(const std::string& comment, const std::string& content) = 0;
  // "kubectl-vmbackup-levels(7)", ...
  virtual void see_also(const std::vector<std::string>& pages) = 0;
};

// Those of `codes`, or all where it is empty.
void add_exit_codes(Page& page, const std::vector<ExitCode>& codes);

// For man, in roff.
class ManPage final : public Page {
 public:
  // "kubectl-vmbackup-levels", 7, "The levels of consistency ...".
  ManPage(const std::string& name, int section, const std::string& summary);
  void heading(const std::string& title) override;
  void paragraphs(const std::string& content) override;
  void command_line(const std::string& content) override;
  void item(const std::string& tag, const std::string& content) override;
  void verbatim(const std::string& comment, const std::string& content) override;
  void see_also(const std::vector<std::string>& pages) override;
  std::string text() const { return text_; }

 private:
  std::string text_;
  bool after_item_ = false;     // a paragraph that follows would be taken for more of the item
  bool after_command_ = false;  // a line that follows would be put behind it
};

// For a terminal, as the help of a command looks.
class HelpPage final : public Page {
 public:
  HelpPage(const std::string& summary, std::string program, std::size_t width);
  void heading(const std::string& title) override;
  void paragraphs(const std::string& content) override;
  void command_line(const std::string& content) override;
  void item(const std::string& tag, const std::string& content) override;
  void verbatim(const std::string& comment, const std::string& content) override;
  void see_also(const std::vector<std::string>& pages) override;
  std::string text() const { return text_; }

 private:
  const std::string program_;
  const std::size_t width_;
  std::string text_;
  bool after_heading_ = false;
};

// A text written for man, with "PROGRAM help levels" in place of "kubectl-vmbackup-levels(7)".
std::string with_help_for_pages(const std::string& text, const std::string& program);

}  // namespace vmbackup::cli
