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

std::vector<std::string> shown(std::vector<std::string> cells, std::size_t columns) {
  for (std::string& cell : cells) cell = cell.empty() ? "<none>" : base::printable(cell);
  cells.resize(columns, "<none>");
  return cells;
}

void widen(std::vector<std::size_t>& widths, const std::vector<std::string>& row) {
  for (std::size_t column = 0; column < row.size(); ++column) {
    widths[column] = std::max(widths[column], base::display_width(row[column]));
  }
}

void append_row(std::string& out, const std::vector<std::string>& row, const std::vector<std::size_t>& widths, std::size_t indent) {
  out.append(indent, ' ');
  for (std::size_t column = 0; column < row.size(); ++column) {
    out += row[column];
    if (column + 1 < row.size()) out.append(widths[column] - base::display_width(row[column]) + k_gap, ' ');
  }
  out += '\n';
}

}  // namespace

Table::Table(std::vector<std::string> columns) { rows_.push_back(std::move(columns)); }

void Table::add(std::vector<std::string> cells) { rows_.push_back(shown(std::move(cells), rows_.front().size())); }

std::string Table::text(std::size_t indent) const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const std::vector<std::string>& row : rows_) widen(widths, row);
  std::string out;
  for (const std::vector<std::string>& row : rows_) append_row(out, row, widths, indent);
  return out;
}

GrowingTable::GrowingTable(std::vector<std::string> columns, std::vector<std::string> expected)
    : columns_(std::move(columns)), widths_(columns_.size(), 0) {
  expected.resize(columns_.size());
  widen(widths_, expected);
}

std::string GrowingTable::begin(const std::vector<std::vector<std::string>>& rows) {
  widen(widths_, columns_);
  for (const std::vector<std::string>& cells : rows) widen(widths_, shown(cells, columns_.size()));
  std::string out;
  append_row(out, columns_, widths_, 0);
  for (const std::vector<std::string>& cells : rows) append_row(out, shown(cells, columns_.size()), widths_, 0);
  return out;
}

std::string GrowingTable::row(const std::vector<std::string>& cells) {
  const std::vector<std::string> row = shown(cells, columns_.size());
  widen(widths_, row);
  std::string out;
  append_row(out, row, widths_, 0);
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

std::string two_columns(const std::string& left, const std::string& text, std::size_t column, std::size_t width) {
  const std::string right = wrapped(text, width, column);
  const std::string start = "  " + left;
  if (start.size() + 2 > column) return start + '\n' + right;
  return start + right.substr(start.size());
}

}  // namespace vmbackup::cli
