#include "backup/plan_level.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace vmbackup::backup {

void judge_best(SnapshotPlan& plan) {
  if (plan.refusal) return;
  const auto included = std::count_if(plan.disks.begin(), plan.disks.end(), [](const DiskReport& disk) { return disk.included; });
  const Level unfrozen = included == 1 ? Level::crash : Level::per_disk;
  const auto cap = [&plan](Level level, std::string why) {
    if (stronger(plan.best, level)) plan.best = level;
    plan.best_because.push_back(std::move(why));
  };
  plan.best = plan.running ? Level::filesystem : Level::offline;
  if (plan.hold == kubevirt::Hold::pause) cap(Level::crash, "a pause flushes nothing");
  if (plan.hold == kubevirt::Hold::controller && !plan.forced.empty()) {
    cap(unfrozen, "KubeVirt has to wait for a mend, and its freeze is only shown where it begins at once");
  }
  if (plan.running && plan.hold == kubevirt::Hold::none)
    cap(unfrozen, plan.paused ? "a paused guest is not frozen" : "no guest agent is connected");
  for (const DiskReport& disk : plan.disks) {
    if (!disk.included) continue;
    const bool frozen = plan.hold == kubevirt::Hold::controller || freezes(plan.hold);
    if (frozen && !disk.accepted_raw && !disk.file_system.value_or(false)) {
      const char* unknown = "whether the agent lists a file system on it is not known";
      cap(pauses(plan.hold) ? Level::crash : unfrozen,
          "a freeze does not reach disk " + disk.name + ": " + (disk.reach.empty() ? unknown : disk.reach));
    }
    if (plan.running && disk.shared.value_or(false)) {
      cap(Level::per_disk, "the claim " + disk.claim + " of disk " + disk.name + " is also mounted by another running VM");
    }
  }
}

}  // namespace vmbackup::backup
