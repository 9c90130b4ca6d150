#include "cli/table.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace vmbackup::cli {
namespace {

constexpr std::size_t k_gap = 3;

void append_line(std::string& out, const std::string& line, std::size_t indent) {
  if (!line.empty()) out += std::string(indent, ' ') + line;
  out += '\n';
}

}  // namespace

Table::Table(std::vector<std::string> columns) { rows_.push_back(std::move(columns)); }

void Table::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = cell.empty() ? "<none>" : base::printable(cell);
  cells.resize(rows_.front().size(), "<none>");
  rows_.push_back(std::move(cells));
}

std::string Table::text(std::size_t indent) const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const std::vector<std::string>& row : rows_) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], base::display_width(row[column]));
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows_) {
    out.append(indent, ' ');
    for (std::size_t column = 0; column < row.size(); ++column) {
      out += row[column];
      if (column + 1 < row.size()) out.append(widths[column] - base::display_width(row[column]) + k_gap, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string wrapped(const std::string& text, std::size_t width, std::size_t indent) {
  std::string out;
  const std::size_t room = width > indent + 20 ? width - indent : 20;
  for (const std::string& paragraph : base::split(text, '\n')) {
    if (paragraph.empty() || paragraph.front() == ' ') {
      append_line(out, paragraph, indent);
      continue;
    }
    std::string line;
    for (const std::string& word : base::split(paragraph, ' ')) {
      if (!line.empty() && base::display_width(line) + 1 + base::display_width(word) > room) {
        append_line(out, line, indent);
        line.clear();
      }
      line += line.empty() ? word : ' ' + word;
    }
    append_line(out, line, indent);
  }
  return out;
}

}  // namespace vmbackup::cli
