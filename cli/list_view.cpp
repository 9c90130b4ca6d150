#include "cli/list_view.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "cli/evidence_text.hpp"
#include "cli/printers.hpp"

namespace vmbackup::cli {
namespace {

std::string time_text(const std::optional<base::WallTime>& time) { return time ? base::format_time(*time) : std::string(); }

std::vector<std::string> columns_of(const ListLook& look) {
  std::vector<std::string> columns;
  if (look.namespaces) columns.emplace_back("NAMESPACE");
  columns.insert(columns.end(), {"NAME", "VM", "PHASE", "READY", "LEVEL", "INDICATIONS", "DISKS"});
  if (look.wide || look.sizes) columns.emplace_back("SIZE");
  columns.emplace_back(look.ages ? "AGE" : "CREATED");
  if (look.wide) columns.insert(columns.end(), {"CUT", "POLICY", "RUN", "CONTENT"});
  return columns;
}

std::vector<std::string> cells_of(const backup::SnapshotItem& item, const ListLook& look) {
  std::vector<std::string> cells;
  if (look.namespaces) cells.push_back(item.ns);
  cells.insert(cells.end(), {item.name, item.vm, item.phase, item.ready_to_use ? "true" : "false",
                             item.judged ? level_cell(*item.judged) : "", base::join(item.indications, ","), disk_count(item)});
  if (look.wide || look.sizes) cells.push_back(item.restore_size ? short_size(*item.restore_size) : "");
  cells.push_back(look.ages && item.created ? short_age(look.now - *item.created) : time_text(item.created));
  if (look.wide) cells.insert(cells.end(), {time_text(item.creation_time), item.deletion_policy, item.run, item.content});
  return cells;
}

std::vector<std::string> with_event(const char* event, std::vector<std::string> cells) {
  cells.insert(cells.begin(), event);
  return cells;
}

// A snapshot begins with next to nothing in its row.
std::vector<std::string> usual_cells(const ListLook& look) {
  backup::SnapshotItem item;
  item.phase = "InProgress";
  item.indications = {"GuestAgent", "Online"};
  item.restore_size = std::uint64_t{999} << 30;
  backup::Judged judged;
  judged.verdict.level = backup::Level::filesystem;
  item.judged = std::make_shared<const backup::Judged>(judged);
  ListLook usual = look;
  usual.wide = false;
  usual.sizes = look.wide || look.sizes;
  usual.ages = false;
  return with_event("changed", cells_of(item, usual));
}

}  // namespace

std::string snapshot_list_text(const std::vector<backup::SnapshotItem>& items, const ListLook& look) {
  if (items.empty()) return {};
  Table table(columns_of(look));
  for (const backup::SnapshotItem& item : items) table.add(cells_of(item, look));
  return table.text();
}

RunningList::RunningList(ListLook look) : look_(look), table_(with_event("EVENT", columns_of(look)), usual_cells(look)) {}

std::string RunningList::begin(const std::vector<backup::SnapshotItem>& items) {
  if (items.empty()) return {};
  begun_ = true;
  std::vector<std::vector<std::string>> rows;
  for (const backup::SnapshotItem& item : items) rows.push_back(with_event("listed", cells_of(item, look_)));
  return table_.begin(rows);
}

std::string RunningList::row(const char* event, const backup::SnapshotItem& item, base::WallTime now) {
  look_.now = now;
  const std::vector<std::string> cells = with_event(event, cells_of(item, look_));
  return std::exchange(begun_, true) ? table_.row(cells) : table_.begin({cells});
}

std::string RunningList::distinct(const backup::SnapshotItem& item) const {
  ListLook still = look_;
  still.ages = false;
  return base::join(cells_of(item, still), "\n");
}

}  // namespace vmbackup::cli
