#include "cli/page.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "backup/run_id.hpp"
#include "base/text.hpp"
#include "cli/table.hpp"

namespace vmbackup::cli {
namespace {

// Text as roff takes it: nothing in it is a request or an escape.
std::string roff(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return text;
}

// Where help has two columns, the second one begins here.
constexpr std::size_t k_column = 15;
constexpr std::string_view k_comment = "  # ";

}  // namespace

void add_exit_codes(Page& page, const std::vector<ExitCode>& codes) {
  for (const ExitCodeText& text : exit_code_texts()) {
    if (codes.empty() || std::find(codes.begin(), codes.end(), text.code) != codes.end()) {
      page.item(std::to_string(static_cast<int>(text.code)), text.meaning);
    }
  }
}

ManPage::ManPage(const std::string& name, int section, const std::string& summary) {
  const std::string manual = section == 1 ? "User Commands" : section == 5 ? "File Formats" : "Miscellaneous";
  text_ = ".\\\" Generated, do not edit.\n.TH \"" + roff(upper(name)) + "\" " + std::to_string(section) + " \"\" \"kubectl\\-vmbackup " +
          backup::tool_version() + "\" \"" + manual + "\"\n.nh\n.ad l\n";
  heading("Name");
  text_ += roff(name + " - " + summary) + '\n';
}

void ManPage::heading(const std::string& title) {
  after_item_ = after_command_ = false;
  const bool words = title.find(' ') != std::string::npos;
  text_ += ".SH " + (words ? '"' + upper(title) + '"' : upper(title)) + '\n';
}

void ManPage::paragraphs(const std::string& content) {
  bool first = !std::exchange(after_item_, false);
  for (const std::string& paragraph : base::split(content, '\n')) {
    if (paragraph.empty()) continue;
    if (!first) text_ += ".PP\n";
    first = false;
    text_ += roff(paragraph) + '\n';
  }
}

void ManPage::command_line(const std::string& content) {
  if (std::exchange(after_command_, true)) text_ += ".br\n";
  text_ += ".B " + roff(content) + '\n';
}

void ManPage::item(const std::string& tag, const std::string& content) {
  after_item_ = true;
  text_ += ".TP\n.B " + roff(tag) + '\n' + roff(content) + '\n';
}

void ManPage::verbatim(const std::string& comment, const std::string& content) {
  text_ += ".PP\n" + roff(comment) + ":\n.PP\n.RS 4\n.nf\n";
  for (const std::string& each : base::split(content, '\n')) text_ += roff(each) + '\n';
  text_ += ".fi\n.RE\n";
}

void ManPage::see_also(const std::vector<std::string>& pages) {
  heading("See also");
  std::vector<std::string> links;
  for (const std::string& page : pages) {
    const std::size_t bracket = page.find('(');
    links.push_back(".BR " + roff(page.substr(0, bracket)) + ' ' + page.substr(bracket));
  }
  text_ += base::join(links, " ,\n") + '\n';
}

HelpPage::HelpPage(const std::string& summary, std::string program, std::size_t width)
    : program_(std::move(program)), width_(width), text_(summary + ".\n") {}

// What the page begins with stands there without a heading.
void HelpPage::heading(const std::string& title) {
  if (title == "Description") return;
  text_ += '\n' + (title == "Synopsis" ? "Usage" : title) + ":\n";
  after_heading_ = true;
}

void HelpPage::paragraphs(const std::string& content) {
  for (const std::string& paragraph : base::split(content, '\n')) {
    if (paragraph.empty()) continue;
    if (!std::exchange(after_heading_, false)) text_ += '\n';
    text_ += wrapped(with_help_for_pages(paragraph, program_), width_);
  }
}

void HelpPage::command_line(const std::string& content) {
  after_heading_ = false;
  text_ += "  " + content + '\n';
}

void HelpPage::item(const std::string& tag, const std::string& content) {
  after_heading_ = false;
  text_ += two_columns(tag, with_help_for_pages(content, program_), k_column, width_);
}

void HelpPage::verbatim(const std::string& comment, const std::string& content) {
  if (!std::exchange(after_heading_, false)) text_ += '\n';
  for (const std::string& each : base::split(wrapped(comment, width_ - k_comment.size()), '\n')) {
    if (!each.empty()) text_.append(k_comment).append(each) += '\n';
  }
  for (const std::string& each : base::split(content, '\n')) text_ += each.empty() ? "\n" : "  " + each + '\n';
}

void HelpPage::see_also(const std::vector<std::string>& pages) {
  heading("See also");
  for (const std::string& page : pages) {
    const std::string told = with_help_for_pages(page, program_);
    if (told != page) command_line(told);
  }
}

std::string with_help_for_pages(const std::string& text, const std::string& program) {
  const std::string name = "kubectl-vmbackup";
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const std::size_t topic = at + name.size();
    const std::size_t bracket = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", topic);
    if (bracket == std::string::npos || text[bracket] != '(' || text.find(')', bracket) != bracket + 2) continue;
    out += text.substr(done, at - done) + program + " help";
    if (bracket > topic + 1) out += ' ' + text.substr(topic + 1, bracket - topic - 1);
    done = bracket + 3;
  }
  return out + text.substr(done);
}

}  // namespace vmbackup::cli
