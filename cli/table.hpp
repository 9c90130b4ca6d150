// Columns of text, as kubectl lays them out.
#pragma once

#include <string>
#include <vector>

namespace vmbackup::cli {

// Every cell is made printable; an empty one reads <none>. Never cuts: what is too wide for the terminal wraps there.
class Table {
 public:
  explicit Table(std::vector<std::string> columns);
  // As many cells as there are columns.
  void add(std::vector<std::string> cells);
  // Header and rows, each line ended by a line feed, `indent` blanks in front.
  std::string text(std::size_t indent = 0) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// A table that grows while it is read: each column is as wide as what was printed in it so far, or is in the first rows.
class GrowingTable {
 public:
  // `expected`: cells as they will come, so that the columns need not grow for them.
  GrowingTable(std::vector<std::string> columns, std::vector<std::string> expected);
  // Header and first rows.
  std::string begin(const std::vector<std::vector<std::string>>& rows);
  std::string row(const std::vector<std::string>& cells);

 private:
  std::vector<std::string> columns_;
  std::vector<std::size_t> widths_;
};

// Text broken at blanks into lines of at most `width` columns, each with `indent` blanks in front; a longer word stays whole.
// Paragraphs (separated by an empty line) and lines that begin with a blank stay as they are. Ends with a line feed.
std::string wrapped(const std::string& text, std::size_t width, std::size_t indent = 0);

// "  left    text", the text wrapped in its own column; on lines of its own where `left` is too wide.
std::string two_columns(const std::string& left, const std::string& text, std::size_t column, std::size_t width);

}  // namespace vmbackup::cli
