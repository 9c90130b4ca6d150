// The table that `list` prints, whole or as it changes.
#pragma once

#include <string>
#include <vector>

#include "backup/report.hpp"
#include "base/clock.hpp"
#include "cli/table.hpp"

namespace vmbackup::cli {

struct ListLook {
  bool wide = false;
  bool sizes = false;       // a column for them; always with `wide`
  bool namespaces = false;  // a column for them
  bool ages = false;        // "5m" rather than a time: at a terminal
  base::WallTime now{};
};
std::string snapshot_list_text(const std::vector<backup::SnapshotItem>& items, const ListLook& look);

// One row per snapshot and one more per change, with a first column that says which: listed, added, changed, gone.
class RunningList {
 public:
  explicit RunningList(ListLook look);
  // Empty without items; then the header stands above the first row().
  std::string begin(const std::vector<backup::SnapshotItem>& items);
  std::string row(const char* event, const backup::SnapshotItem& item, base::WallTime now);
  // What tells two rows of a snapshot apart; its age does not.
  std::string distinct(const backup::SnapshotItem& item) const;

 private:
  ListLook look_;
  GrowingTable table_;
  bool begun_ = false;
};

}  // namespace vmbackup::cli
