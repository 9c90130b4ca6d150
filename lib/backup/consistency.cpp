#include "backup/consistency.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "backup/freeze_clauses.hpp"

namespace vmbackup::backup {

namespace {

using kubevirt::InstanceSeen;

constexpr std::array<std::pair<Level, const char*>, 6> k_levels{{{Level::offline, "offline"},
                                                                 {Level::application, "application"},
                                                                 {Level::filesystem, "filesystem"},
                                                                 {Level::crash, "crash"},
                                                                 {Level::per_disk, "per-disk"},
                                                                 {Level::unknown, "unknown"}}};

std::vector<EvidenceDisk> included_disks(const Evidence& evidence) {
  std::vector<EvidenceDisk> disks;
  for (const EvidenceDisk& disk : evidence.disks.value_or(std::vector<EvidenceDisk>{})) {
    if (disk.included) disks.push_back(disk);
  }
  return disks;
}

bool is_complete(const Evidence& evidence) {
  const std::vector<EvidenceDisk> disks = evidence.disks.value_or(std::vector<EvidenceDisk>{});
  const auto left_out = [](const EvidenceDisk& disk) { return disk.counts && !disk.included; };
  return !included_disks(evidence).empty() && std::none_of(disks.begin(), disks.end(), left_out);
}

// Facts without which nothing can be said, whoever held the guest.
void need_basics(const Evidence& evidence, std::vector<std::string>& missing) {
  const auto need = [&missing](bool there, const char* what) {
    if (!there) missing.push_back(std::string("not recorded: ") + what);
  };
  need(!evidence.snapshot_uid.empty() && !evidence.content_uid.empty() && !evidence.vm_uid.empty(),
       "which snapshot, content and VM it is of");
  need(evidence.hold.has_value(), "who held the guest");
  need(evidence.create_sent.has_value(), "when the snapshot was created");
  need(evidence.instance.has_value(), "whether the VM ran");
  need(evidence.pause.has_value(), "whether the VM was paused");
  need(evidence.indications.has_value(), "KubeVirt's indications");
  need(evidence.disks.has_value(), "the disks");
}

void need_cuts(const Evidence& evidence, std::vector<std::string>& missing) {
  const std::vector<EvidenceDisk> disks = included_disks(evidence);
  if (disks.empty()) missing.emplace_back("no disk is in the snapshot");
  for (const EvidenceDisk& disk : disks) {
    if (!disk.creation_time) missing.push_back("when disk " + disk.name + " was cut is not known");
    if (!evidence.inferred && !disk.cut_seen) missing.push_back("the cut of disk " + disk.name + " was not seen");
  }
}

// Facts that exclude each other. Only members are looked at without which the level would be unknown anyway: leaving one out heals nothing.
std::vector<std::string> contradictions(const Evidence& evidence) {
  std::vector<std::string> found;
  const InstanceSeen& instance = *evidence.instance;
  if (instance.until < instance.from) found.emplace_back("the VM was watched backwards in time");
  const PauseSpan pause = pause_span(evidence);
  if (pause.from && pause.until && *pause.until < *pause.from) found.emplace_back("the pause ended before it began");
  if (!evidence.pause->seen && pause.from) found.emplace_back("the VM was seen paused and not paused");
  for (const char* word : {"Online", "GuestAgent", "NoGuestAgent", "Paused", "QuiesceTimeout", "QuiesceFailed"}) {
    if (!instance.ran && has_indication(evidence, word)) {
      found.push_back("the VM was seen not to run, but KubeVirt's indication is " + std::string(word));
    }
  }
  if (instance.ran && !has_indication(evidence, "Online")) {
    found.emplace_back("the VM was seen running, but the indication Online is missing: it stopped, or KubeVirt saw another one");
  }
  const bool held = *evidence.hold != Hold::none && *evidence.hold != Hold::controller;
  if (!instance.ran && held)
    found.push_back("the VM was seen not to run, and yet was held by " + std::string(kubevirt::to_string(*evidence.hold)));
  const bool frozen_by_us = *evidence.hold == Hold::freeze || *evidence.hold == Hold::freeze_pause;
  if (frozen_by_us && evidence.freeze && evidence.freeze->confirmed && evidence.freeze->confirmed->count() < 0) {
    found.emplace_back("the freeze was confirmed before it was sent");
  }
  const bool frozen = frozen_by_us || *evidence.hold == Hold::controller;
  if (frozen && evidence.thaw && evidence.thaw->sent && evidence.thaw->confirmed && *evidence.thaw->confirmed < *evidence.thaw->sent) {
    found.emplace_back("the thaw was confirmed before it was sent");
  }
  std::set<std::string> names;
  for (const EvidenceDisk& disk : included_disks(evidence)) {
    if (disk.cut_seen && *disk.cut_seen < *evidence.create_sent) {
      found.push_back("disk " + disk.name + " was cut before the snapshot was created");
    }
    if (!names.insert(disk.name).second) found.push_back("disk " + disk.name + " is recorded twice");
  }
  return found;
}

const char* word_of(Stop stop) {
  switch (stop) {
    case Stop::clean:
      return "the VM did not run; it had shut down cleanly";
    case Stop::killed:
      return "the VM did not run; it had been killed, so its file systems may need recovery";
    case Stop::unknown:
      break;
  }
  return "the VM did not run; how it had stopped is not known";
}

void judge_offline(const Evidence& evidence, Verdict& verdict) {
  const InstanceSeen& instance = *evidence.instance;
  const Offset t1 = *last_cut(evidence);
  if (instance.gap || instance.from > *evidence.create_sent || instance.until < t1) {
    verdict.reasons.emplace_back("the VM was not seen to stand still without a break from before the first cut until the last");
  }
  for (const std::string& word : unknown_indications(evidence)) {
    verdict.reasons.push_back("the indication " + word + " is not known to this version");
  }
  if (!verdict.reasons.empty()) return;
  verdict.level = Level::offline;
  verdict.reasons.emplace_back(word_of(instance.stopped.value_or(Stop::unknown)));
}

// What is left without a proven freeze: one disk, or a pause through all cuts, is one instant.
void judge_without_freeze(const Evidence& evidence, Verdict& verdict) {
  const bool one = included_disks(evidence).size() == 1;
  verdict.level = one || paused_throughout(evidence) ? Level::crash : Level::per_disk;
  if (!one && verdict.level == Level::per_disk) verdict.reasons.emplace_back("several disks, each cut at an instant of its own");
}

bool recipe_held(const Evidence& evidence, Verdict& verdict) {
  if (!evidence.recipe || evidence.recipe->empty()) return false;
  const Offset t1 = *last_cut(evidence);
  bool held = true;
  for (const kubevirt::StepSeen& step : *evidence.recipe) {
    const bool ready = step.ready && *step.ready <= Offset::zero();
    if (!ready) verdict.reasons.push_back("recipe step " + step.name + " was not ready before the freeze");
    if (ready && (!step.held || *step.held < t1)) {
      verdict.reasons.push_back("recipe step " + step.name + " was not found in force after the last cut");
    }
    held = held && ready && step.held && *step.held >= t1;
  }
  return held;
}

void judge_frozen(const Evidence& evidence, const JudgeOptions& options, Verdict& verdict) {
  FreezeFindings findings = judge_freeze(evidence, options.accept_raw);
  verdict.assumptions.insert(verdict.assumptions.end(), findings.assumptions.begin(), findings.assumptions.end());
  if (!findings.missing.empty()) {
    verdict.reasons = std::move(findings.missing);
    verdict.reasons.insert(verdict.reasons.end(), findings.failed.begin(), findings.failed.end());
    return;
  }
  if (!findings.failed.empty()) {
    verdict.reasons = std::move(findings.failed);
    judge_without_freeze(evidence, verdict);
    return;
  }
  verdict.level = recipe_held(evidence, verdict) ? Level::application : Level::filesystem;
  if (counts_as_windows(evidence) && !evidence.guest_os.empty()) {
    verdict.reasons.emplace_back("VSS writers were notified; that alone does not show that applications were quiesced");
  }
}

void judge_running(const Evidence& evidence, const JudgeOptions& options, Verdict& verdict) {
  if (*evidence.hold == Hold::none) {
    judge_without_freeze(evidence, verdict);
    verdict.reasons.emplace_back("nobody froze or paused the guest");
  } else if (*evidence.hold == Hold::pause) {
    std::vector<std::string> missing = watch_missing(evidence);
    verdict.reasons = missing;
    if (missing.empty()) judge_without_freeze(evidence, verdict);
    verdict.reasons.emplace_back("the guest was paused, not frozen: what it held in memory is not on the disks");
  } else {
    judge_frozen(evidence, options, verdict);
  }
}

// Another VM goes on writing, whatever this one does.
void cap_shared(const Evidence& evidence, Verdict& verdict) {
  for (const EvidenceDisk& disk : included_disks(evidence)) {
    if (disk.shared && !*disk.shared) continue;
    if (!disk.shared && evidence.inferred) {
      if (!stronger(verdict.level, Level::per_disk)) continue;
      verdict.assumptions.push_back("no other running VM had mounted claim " + disk.claim);
      continue;
    }
    const char* words = disk.shared ? " is also mounted by another running VM" : " may also be mounted by another running VM: not recorded";
    if (stronger(verdict.level, Level::per_disk)) verdict.level = Level::per_disk;
    verdict.reasons.push_back("the claim " + disk.claim + " of disk " + disk.name + words);
  }
}

void judge_inferred(const Evidence& evidence, Verdict& verdict) {
  if (included_disks(evidence).size() == 1) {
    verdict.level = Level::crash;
    verdict.reasons.emplace_back("nothing was recorded when it was taken: one disk is one instant, and no more can be shown");
    return;
  }
  if (has_indication(evidence, "Online")) {
    verdict.level = Level::per_disk;
    verdict.reasons.emplace_back(
        "nothing was recorded when it was taken: KubeVirt's indications do not show that a freeze held until the last cut");
    return;
  }
  verdict.reasons.emplace_back(
      "nothing was recorded when it was taken: that KubeVirt says nothing of a running VM does not show that none "
      "ran at the first cut");
}

void say_what_is_missing(const Evidence& evidence, Verdict& verdict) {
  std::vector<std::string>& missing = verdict.missing_for_stronger;
  if (verdict.level == Level::offline) return;
  const bool stopped = evidence.instance && !evidence.instance->ran;
  if (verdict.level == Level::unknown && evidence.inferred) {
    missing.emplace_back("evidence that is recorded while the snapshot is taken");
    return;
  }
  if (stopped) {
    missing.emplace_back("offline: a watch without a break that shows the VM stopped from before the first cut until the last");
    return;
  }
  if (stronger(Level::crash, verdict.level)) missing.emplace_back("crash: one disk alone, or the VM paused through every cut");
  if (stronger(Level::filesystem, verdict.level)) {
    missing.emplace_back("filesystem: a freeze of the guest that is shown to hold until the last cut");
  }
  if (stronger(Level::application, verdict.level)) {
    missing.emplace_back("application: beside the freeze, quiesce steps of a recipe that are in force until the last cut");
  }
}

}  // namespace

const char* to_string(Level level) { return k_levels[static_cast<std::size_t>(level)].second; }

const char* to_string(EvidenceSource source) {
  switch (source) {
    case EvidenceSource::recorded:
      return "recorded";
    case EvidenceSource::inferred:
      return "inferred";
    case EvidenceSource::unreadable:
      break;
  }
  return "unreadable";
}

std::optional<Level> parse_level(std::string_view text) {
  for (const auto& [level, word] : k_levels) {
    if (text == word) return level;
  }
  return std::nullopt;
}

const std::vector<Level>& all_levels() {
  static const std::vector<Level> levels = {Level::offline, Level::application, Level::filesystem,
                                            Level::crash,   Level::per_disk,    Level::unknown};
  return levels;
}

bool stronger(Level left, Level right) { return static_cast<int>(left) < static_cast<int>(right); }

Verdict consistency_of(const Evidence& evidence, const JudgeOptions& options) {
  Verdict verdict;
  verdict.complete = is_complete(evidence);
  verdict.assumptions = evidence.assumptions;
  std::vector<std::string> missing;
  if (!evidence.inferred) need_basics(evidence, missing);
  need_cuts(evidence, missing);
  if (missing.empty() && !evidence.inferred) missing = contradictions(evidence);
  if (!missing.empty()) {
    verdict.reasons = std::move(missing);
  } else {
    if (evidence.inferred) {
      judge_inferred(evidence, verdict);
    } else if (evidence.instance->ran) {
      judge_running(evidence, options, verdict);
    } else {
      judge_offline(evidence, verdict);
    }
    if (verdict.level != Level::unknown) cap_shared(evidence, verdict);
  }
  say_what_is_missing(evidence, verdict);
  return verdict;
}

Verdict verdict_of(const SnapshotEvidence& found, const JudgeOptions& options) {
  Verdict verdict = consistency_of(found.evidence, options);
  if (found.against.empty()) return verdict;
  verdict.level = Level::unknown;
  verdict.complete = verdict.complete && found.source != EvidenceSource::recorded;
  verdict.reasons = found.against;
  verdict.assumptions.clear();
  verdict.missing_for_stronger.clear();
  return verdict;
}

void add_level(const SnapshotParts& parts, bool ignore_recorded, SnapshotItem& item) {
  SnapshotEvidence found = evidence_of(parts, ignore_recorded);
  Verdict verdict = verdict_of(found);
  if (found.source == EvidenceSource::recorded && found.against.empty()) {
    item.complete = item.complete && verdict.complete;
    for (const EvidenceDisk& disk : found.evidence.disks.value_or(std::vector<EvidenceDisk>{})) {
      const auto same = [&disk](const DiskReport& report) { return report.name == disk.name; };
      if (disk.included || !disk.counts || std::any_of(item.disks.begin(), item.disks.end(), same)) continue;
      item.reasons.push_back("disk " + disk.name + " is not in the snapshot: " + disk.reason);
    }
  }
  item.judged = std::make_shared<const Judged>(Judged{std::move(verdict), found.source, std::move(found.evidence)});
}

bool stood_still(const Judged& judged) {
  const Level level = judged.verdict.level;
  if (stronger(level, Level::crash)) return true;
  return level == Level::crash && !judged.evidence.inferred && paused_throughout(judged.evidence);
}

bool stopped_cleanly(const Evidence& evidence) {
  return evidence.instance && !evidence.instance->ran && evidence.instance->stopped == Stop::clean;
}

bool meets(Level level, Level required, bool clean_stop) {
  if (level == Level::offline && required == Level::application) return clean_stop;
  return !stronger(required, level);
}

bool meets(Level level, Level required, const Evidence& evidence) { return meets(level, required, stopped_cleanly(evidence)); }

}  // namespace vmbackup::backup
