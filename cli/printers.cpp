#include "cli/printers.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "backup/run_id.hpp"
#include "base/text.hpp"
#include "cli/evidence_text.hpp"
#include "cli/names.hpp"
#include "cli/recipe_view.hpp"
#include "cli/table.hpp"

namespace vmbackup::cli {
namespace {

using backup::DiskReport;
using backup::SnapshotItem;

std::string yes_no(bool value) { return value ? "true" : "false"; }

std::string words(const std::vector<std::string>& list) { return base::join(list, ","); }

std::string time_text(const std::optional<base::WallTime>& time) { return time ? base::format_time(*time) : std::string(); }

std::string disk_remark(const DiskReport& disk) {
  if (disk.reason.empty() || disk.error.empty()) return disk.reason.empty() ? disk.error : disk.reason;
  return disk.reason + "; " + disk.error;
}

std::string disks_text(const std::vector<DiskReport>& disks, bool wide) {
  const bool remarks = std::any_of(disks.begin(), disks.end(), [](const DiskReport& disk) { return !disk_remark(disk).empty(); });
  std::vector<std::string> columns = {"DISK", "CLAIM", "INCLUDED", "CUT", "READY"};
  if (wide) columns.insert(columns.end(), {"CLASS", "SOURCE", "VOLUMESNAPSHOT"});
  if (remarks) columns.emplace_back("REASON");
  Table table(columns);
  for (const DiskReport& disk : disks) {
    std::vector<std::string> cells = {disk.name, disk.claim, yes_no(disk.included), time_text(disk.cut_time),
                                      disk.ready ? yes_no(*disk.ready) : ""};
    if (wide) cells.insert(cells.end(), {disk.snapshot_class, disk.source, disk.volume_snapshot});
    if (remarks) cells.push_back(disk_remark(disk));
    table.add(cells);
  }
  return table.text();
}

bool exists(const SnapshotItem& item) { return !item.uid.empty(); }

std::string detail(const char* label, const std::string& value) {
  std::string line = label;
  line.resize(std::max<std::size_t>(line.size() + 1, 19), ' ');
  return line + (value.empty() ? "<none>" : base::printable(value)) + '\n';
}

std::string details(const char* label, const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values) out += detail(out.empty() ? label : "", value);
  return out;
}

// Without ours.
std::string labels_text(const SnapshotItem& item) {
  std::vector<std::string> labels;
  for (const auto& [key, value] : item.labels) {
    if (!backup::is_own_label(key)) labels.push_back(key + "=" + value);
  }
  return base::join(labels, ", ");
}

std::string vm_state(const backup::SnapshotPlan& plan) {
  if (!plan.running) return "not running";
  std::string state = plan.paused ? "paused" : "running";
  if (!plan.agent_connected) return state + ", guest agent not known";
  return state + (*plan.agent_connected ? ", guest agent connected" : ", no guest agent");
}

std::string hold_text(const backup::SnapshotPlan& plan) {
  switch (plan.hold) {
    case kubevirt::Hold::controller:
      return "controller: KubeVirt freezes and thaws the guest";
    case kubevirt::Hold::freeze:
    case kubevirt::Hold::freeze_pause:
      return std::string(kubevirt::to_string(plan.hold)) + ": for at most " + base::format_duration(plan.max_freeze) + ", safety timer " +
             base::format_duration(plan.safety_timeout) + (plan.probe ? ", its agent asked live" : "");
    case kubevirt::Hold::pause:
      return "pause: for at most " + base::format_duration(plan.max_freeze);
    case kubevirt::Hold::none:
      break;
  }
  return plan.running ? "none: the guest runs on" : "none needed";
}

std::string tri_state(const std::optional<bool>& value) { return value ? yes_no(*value) : "unknown"; }

std::string plan_text(const backup::SnapshotPlan& plan, bool server) {
  const SnapshotItem item = backup::item_of(plan);
  std::string out = "Would create VirtualMachineSnapshot " + base::printable(item.ns + "/" + item.name) +
                    (server ? "; the server would accept it" : "") + "; nothing was changed\n\n";
  out += detail("VM:", item.vm + " (" + vm_state(plan) + ")");
  out += detail("Hold:", hold_text(plan));
  out += detail("Best level:", to_string(plan.best));
  out += details("Because:", plan.best_because);
  out += detail("Disks:", disk_count(item));
  out += detail("Failure deadline:", item.failure_deadline);
  out += detail("Deletion policy:", item.deletion_policy);
  if (const std::string labels = labels_text(item); !labels.empty()) out += detail("Labels:", labels);
  out += '\n';
  Table table({"DISK", "CLAIM", "SOURCE", "INCLUDED", "CLASS", "FILESYSTEM", "REASON"});
  for (const DiskReport& disk : item.disks) {
    const std::string reached = disk.included && plan.hold != kubevirt::Hold::none ? tri_state(disk.file_system) : std::string();
    table.add({disk.name, disk.claim, disk.source, yes_no(disk.included), disk.snapshot_class, reached, disk.reason});
  }
  return out + table.text();
}

std::string group_text(const backup::GroupReport& group) {
  const std::string vms = std::to_string(group.vms) + (group.vms == 1 ? " VM" : " VMs");
  if (!group.together) return "\nGroup of " + vms + ": not shown to be of one instant\n";
  return "\nGroup of " + vms + ": all stood still from " + base::format_time(*group.held) + " on, each until its last cut\n";
}

std::string component_text(const backup::ComponentVersion& component) {
  if (!component.version.empty()) return component.version;
  return component.installed == false ? "not installed" : "unknown";
}

}  // namespace

std::string disk_count(const SnapshotItem& item) {
  const auto included = std::count_if(item.disks.begin(), item.disks.end(), [](const DiskReport& disk) { return disk.included; });
  const auto wanted =
      std::count_if(item.disks.begin(), item.disks.end(), [](const DiskReport& disk) { return disk.included || disk.counts; });
  return std::to_string(included) + '/' + std::to_string(wanted);
}

std::string snapshot_report_text(const backup::SnapshotReport& report, bool wide) {
  std::vector<const SnapshotItem*> items;
  for (const SnapshotItem& item : report.items) {
    if (exists(item)) items.push_back(&item);
  }
  if (items.empty()) return {};
  std::vector<std::string> columns = {"NAME", "PHASE", "READY", "LEVEL", "INDICATIONS", "DISKS", "TIME"};
  if (wide) columns.insert(columns.end(), {"NAMESPACE", "VM", "WINDOW", "POLICY", "CONTENT"});
  Table table(columns);
  for (const SnapshotItem* item : items) {
    std::vector<std::string> cells = {item->name,
                                      item->phase,
                                      yes_no(item->ready_to_use),
                                      item->judged ? level_cell(*item->judged) : "",
                                      words(item->indications),
                                      disk_count(*item),
                                      item->seconds ? short_seconds(*item->seconds) : ""};
    const bool window = item->freeze && item->freeze->window_seconds;
    if (wide) {
      cells.insert(cells.end(),
                   {item->ns, item->vm, window ? short_seconds(*item->freeze->window_seconds) : "", item->deletion_policy, item->content});
    }
    table.add(cells);
  }
  std::string out = table.text();
  for (const SnapshotItem* item : items) {
    // Of many only those are worth the room that lack a disk.
    const bool told = items.size() == 1 || wide || !item->complete;
    if (item->disks.empty() || !told) continue;
    out += items.size() > 1 ? "\nDisks of " + base::printable(item->name) + ":\n" : "\n";
    out += disks_text(item->disks, wide);
    if (const std::string steps = steps_text(item->steps); !steps.empty()) out += '\n' + steps;
  }
  if (report.group) out += group_text(*report.group);
  return out;
}

std::string plans_text(const backup::SnapshotSet& set, const backup::SnapshotReport& report, bool server) {
  std::string out;
  const bool any = std::any_of(report.items.begin(), report.items.end(), [](const SnapshotItem& item) { return !item.error; });
  if (set.group && any) out = "A group of " + std::to_string(set.plans.size()) + " VMs: held together, or none is taken\n";
  for (std::size_t i = 0; i < set.plans.size(); ++i) {
    if (report.items[i].error) continue;
    if (!out.empty()) out += '\n';
    out += plan_text(set.plans[i], server);
  }
  return out;
}

std::string snapshot_details_text(const SnapshotItem& item, bool wide) {
  std::string out;
  out += detail("Name:", item.name);
  out += detail("Namespace:", item.ns);
  out += detail("VM:", item.vm);
  out += detail("Phase:", item.phase);
  out += detail("Ready:", yes_no(item.ready_to_use));
  out += detail("Indications:", base::join(item.indications, ", "));
  if (item.judged) {
    out += detail("Level:", level_text(*item.judged));
    out += details("Because:", item.judged->verdict.reasons);
    out += details("Assumed:", item.judged->verdict.assumptions);
    out += details("Stronger needs:", item.judged->verdict.missing_for_stronger);
  }
  out += detail("Complete:", yes_no(item.complete));
  out += details("Remarks:", item.reasons);
  if (!item.obstacle.empty()) out += detail("Obstacle:", item.obstacle);
  out += detail("Created:", time_text(item.created));
  out += detail("Cut:", time_text(item.creation_time));
  out += detail("Failure deadline:", item.failure_deadline);
  out += detail("Deletion policy:", item.deletion_policy);
  out += detail("Run:", item.run);
  if (const std::string labels = labels_text(item); !labels.empty()) out += detail("Labels:", labels);
  out += detail("Content:", item.content);
  out += detail("UID:", item.uid);
  if (!item.disks.empty()) out += "\n" + disks_text(item.disks, wide);
  const std::vector<std::string> sentences = item.judged ? evidence_sentences(item.judged->evidence) : std::vector<std::string>{};
  if (!sentences.empty()) out += "\nEvidence (recorded, unsigned):\n";
  for (const std::string& sentence : sentences) out += "  " + base::printable(sentence) + '\n';
  return out;
}

std::string delete_report_text(const backup::DeleteReport& report) {
  std::string out;
  for (const backup::DeleteItem& item : report.items) {
    if (item.error) continue;
    const char* what = item.outcome == backup::Outcome::skipped ? " not found, skipped" : " deleted";
    out += "vmsnapshot/" + base::printable(item.name) + what + '\n';
    for (const std::string& kept : item.stays) out += "  stays: " + base::printable(kept) + '\n';
  }
  return out;
}

std::string delete_plan_text(const std::vector<backup::DeleteItem>& items) {
  std::string out;
  for (const backup::DeleteItem& item : items) {
    for (const std::string& goes : item.deletes) out += "  deletes " + base::printable(goes) + '\n';
    for (const std::string& kept : item.stays) out += "  keeps   " + base::printable(kept) + '\n';
    for (const std::string& user : item.users) out += "  in use? " + base::printable(user) + '\n';
  }
  return out;
}

std::string forget_report_text(const backup::ForgetReport& report, bool namespaces) {
  if (report.items.empty()) return {};
  std::vector<std::string> columns;
  if (namespaces) columns.emplace_back("NAMESPACE");
  columns.insert(columns.end(), {"VM", "NAME", "CREATED", "LEVEL", "DECISION", "REASON"});
  Table table(columns);
  std::size_t going = 0;
  std::size_t done = 0;
  for (const backup::ForgetItem& forget : report.items) {
    std::string decision = backup::to_string(forget.fate);
    if (forget.item.outcome == backup::Outcome::done) decision = "forgotten";
    if (forget.item.outcome == backup::Outcome::failed) decision = "failed";
    going += forget.fate == backup::Fate::forget ? 1 : 0;
    done += forget.item.outcome == backup::Outcome::done ? 1 : 0;
    std::vector<std::string> cells;
    if (namespaces) cells.push_back(forget.item.ns);
    cells.insert(cells.end(), {forget.item.vm, forget.item.name, time_text(forget.created), forget.judged ? level_cell(*forget.judged) : "",
                               decision, base::join(forget.reasons, "; ")});
    table.add(cells);
  }
  const std::string all = std::to_string(report.items.size());
  const char* words = report.dry_run ? " would go; nothing was changed" : done > 0 ? " forgotten" : " to forget";
  return table.text() + std::to_string(done > 0 ? done : going) + " of " + all + words + '\n';
}

std::string forget_names_text(const backup::ForgetReport& report) {
  std::string out;
  for (const backup::ForgetItem& forget : report.items) {
    const bool goes = forget.fate == backup::Fate::forget && !forget.item.error;
    if (goes) out += base::printable(typed_snapshot_name(forget.item.name)) + '\n';
  }
  return out;
}

std::string version_text(const VersionFacts& facts) {
  if (!facts.cluster) return "kubectl-vmbackup " + facts.version + '\n';
  Table components({"COMPONENT", "VERSION"});
  components.add({"kubectl-vmbackup", facts.version});
  components.add({"Kubernetes", component_text(facts.cluster->server)});
  components.add({"KubeVirt", component_text(facts.cluster->kubevirt)});
  components.add({"CDI", component_text(facts.cluster->cdi)});
  if (facts.cluster->apis.empty()) return components.text();
  Table apis({"API", "USED", "SERVED"});
  for (const backup::ApiUse& api : facts.cluster->apis) apis.add({api.group, api.used, words(api.served)});
  return components.text() + '\n' + apis.text();
}

std::string snapshot_names_text(const std::vector<SnapshotItem>& items) {
  std::string out;
  for (const SnapshotItem& item : items) {
    if (exists(item) || item.outcome == backup::Outcome::planned) out += base::printable(typed_snapshot_name(item.name)) + '\n';
  }
  return out;
}

std::string short_age(base::Duration age) {
  const std::int64_t seconds = std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(age).count());
  const std::int64_t minutes = seconds / 60;
  const std::int64_t hours = minutes / 60;
  const std::int64_t days = hours / 24;
  const auto pair = [](std::int64_t large, const char* large_unit, std::int64_t small, const char* small_unit) {
    return std::to_string(large) + large_unit + (small > 0 ? std::to_string(small) + small_unit : "");
  };
  if (seconds < 120) return std::to_string(seconds) + 's';
  if (minutes < 10) return pair(minutes, "m", seconds % 60, "s");
  if (hours < 3) return std::to_string(minutes) + 'm';
  if (hours < 8) return pair(hours, "h", minutes % 60, "m");
  if (hours < 48) return std::to_string(hours) + 'h';
  if (days < 8) return pair(days, "d", hours % 24, "h");
  if (days < 730) return std::to_string(days) + 'd';
  return pair(days / 365, "y", days % 365, "d");
}

std::string short_size(std::uint64_t bytes) {
  constexpr std::array<const char*, 7> k_units = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  double size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1023.95 && unit + 1 < k_units.size()) {
    size /= 1024;
    ++unit;
  }
  char text[32];
  const double rounded = std::round(size * 10) / 10;
  std::snprintf(text, sizeof text, rounded == std::floor(rounded) ? "%.0f%s" : "%.1f%s", rounded, k_units[unit]);
  return text;
}

std::string short_seconds(double seconds) {
  char text[64];
  if (seconds < 59.95) {
    std::snprintf(text, sizeof text, "%.1fs", seconds);
  } else {
    const long long whole = std::llround(seconds);
    if (whole < 3600) {
      std::snprintf(text, sizeof text, "%lldm%02llds", whole / 60, whole % 60);
    } else {
      std::snprintf(text, sizeof text, "%lldh%02lldm", whole / 3600, whole / 60 % 60);
    }
  }
  return text;
}

}  // namespace vmbackup::cli
