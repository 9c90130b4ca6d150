#include "cli/evidence_text.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/text.hpp"

namespace vmbackup::cli {
namespace {

using kubevirt::Evidence;
using kubevirt::EvidenceDisk;
using kubevirt::Hold;
using kubevirt::Offset;
using kubevirt::StateSeen;
using Sentences = std::vector<std::string>;

std::string milliseconds(Offset length) { return std::to_string(length.count()) + " ms"; }

// "t0", "12 ms after t0".
std::string point(Offset at) {
  if (at == Offset::zero()) return "t0";
  return milliseconds(Offset(std::llabs(at.count()))) + (at < Offset::zero() ? " before t0" : " after t0");
}

std::string when(Offset at) { return (at == Offset::zero() ? "at " : "") + point(at); }

std::string when(const std::optional<Offset>& at, const char* otherwise) { return at ? when(*at) : otherwise; }

std::string quoted(const std::string& error) { return error.empty() ? "" : " (last error: " + error + ")"; }

const char* first_act(Hold hold) {
  switch (hold) {
    case Hold::freeze:
    case Hold::freeze_pause:
      return "our freeze was sent";
    case Hold::pause:
      return "our pause was sent";
    case Hold::none:
    case Hold::controller:
      break;
  }
  return "the create of the snapshot was sent";
}

void say_begin(const Evidence& evidence, Sentences& out) {
  if (!evidence.hold) return;
  const std::string clock =
      evidence.t0_wall ? ", " + base::format_time(*evidence.t0_wall) + " by the clock of the machine that took it" : "";
  out.push_back(std::string("t0 is when ") + first_act(*evidence.hold) + clock);
  const char* who = "nobody froze or paused the guest";
  if (*evidence.hold == Hold::controller) who = "the freeze and the thaw were left to KubeVirt's controller";
  if (*evidence.hold == Hold::freeze) who = "we froze the guest";
  if (*evidence.hold == Hold::pause) who = "we paused the guest";
  if (*evidence.hold == Hold::freeze_pause) who = "we froze the guest, then paused it";
  out.emplace_back(who);
}

void say_instance(const Evidence& evidence, Sentences& out) {
  if (!evidence.instance) return;
  const kubevirt::InstanceSeen& seen = *evidence.instance;
  std::string text = seen.ran ? "the VM ran on node " + seen.node + " in pod " + seen.pod : std::string("the VM did not run");
  if (!seen.ran && seen.stopped) text += ", it had stopped: " + std::string(kubevirt::to_string(*seen.stopped));
  text += "; watched from " + point(seen.from) + " until " + point(seen.until) + (seen.gap ? ", with a gap" : ", without a break");
  if (seen.migrating) text += "; a migration was under way";
  out.push_back(text);
  if (seen.ran) out.push_back("guest system: " + (evidence.guest_os.empty() ? "not known, counts as Windows" : evidence.guest_os));
}

void say_states(const std::optional<std::vector<StateSeen>>& states, const char* what, const char* on, const char* off, Sentences& out) {
  if (!states || states->empty()) return;
  std::string text = std::string(what) + " " + (states->front().on ? on : off) + " from " + point(states->front().at);
  for (std::size_t i = 1; i < states->size(); ++i)
    text += std::string(", ") + ((*states)[i].on ? on : off) + " from " + point((*states)[i].at);
  out.push_back(text);
}

void say_probes(const Evidence& evidence, Sentences& out) {
  if (!evidence.probes || evidence.probes->empty()) return;
  const auto frozen = std::count_if(evidence.probes->begin(), evidence.probes->end(), [](const StateSeen& probe) { return probe.on; });
  out.push_back("the agent itself was asked " + std::to_string(evidence.probes->size()) + " times and said frozen " +
                std::to_string(frozen) + " times, the last time asked " + when(evidence.probes->back().at));
}

void say_freeze(const Evidence& evidence, Sentences& out) {
  if (evidence.freeze) {
    const char* by = evidence.freeze->by == kubevirt::Confirmed::answer ? ", by the answer to it" : ", by fsFreezeStatus alone";
    const std::string how = evidence.freeze->confirmed ? "was confirmed " + when(*evidence.freeze->confirmed) + by : "was never confirmed";
    out.push_back("the freeze " + how + quoted(evidence.freeze->error));
  }
  if (evidence.safety_timeout) {
    out.push_back(*evidence.safety_timeout == Offset::zero()
                      ? std::string("no safety timer would have thawed the guest")
                      : "the guest would have thawed itself after " + milliseconds(*evidence.safety_timeout));
  }
  if (evidence.vss_error && *evidence.vss_error) out.emplace_back("an answer said that VSS had given up the freeze");
  if (evidence.pause && (evidence.pause->seen || evidence.pause->from)) {
    out.push_back("the VM was seen paused from " + when(evidence.pause->from, "a time not seen") + " until " +
                  when(evidence.pause->until, "a time not seen"));
  }
}

void say_lock(const Evidence& evidence, Sentences& out) {
  if (evidence.create_sent) out.push_back("the snapshot was created " + when(*evidence.create_sent));
  if (!evidence.lock) return;
  const kubevirt::LockSeen& lock = *evidence.lock;
  if (evidence.hold != Hold::controller) {
    if (lock.other) out.emplace_back("another snapshot of the VM was under way before it");
    return;
  }
  out.push_back("it had the VM's lock " + when(lock.became_ours, "at a time not seen") +
                (lock.other ? ", another snapshot was before it" : ", no other snapshot was before it") + "; fsFreezeStatus then was " +
                (lock.status_empty ? "empty" : "not empty") +
                (lock.thaw_before ? "; somebody had thawed the guest less than 10 s before" : ""));
}

std::string disk_notes(const EvidenceDisk& disk) {
  std::string notes;
  if (disk.file_system && !*disk.file_system) notes += disk.accepted_raw ? "; no file system on it, accepted" : "; no file system on it";
  if (disk.shared.value_or(false)) notes += "; its claim is mounted by another running VM";
  return notes;
}

void say_group(const Evidence& evidence, Sentences& out) {
  if (!evidence.group) return;
  out.push_back("taken in a group of " + std::to_string(evidence.group->vms) + " VMs, all of which stood still " +
                when(evidence.group->held) + ", before any snapshot was created");
}

void say_disks(const Evidence& evidence, Sentences& out) {
  std::optional<Offset> last;
  for (const EvidenceDisk& disk : evidence.disks.value_or(std::vector<EvidenceDisk>{})) {
    if (!disk.included) {
      out.push_back("disk " + disk.name + " was left out" + (disk.reason.empty() ? "" : ": " + disk.reason));
      continue;
    }
    out.push_back("disk " + disk.name + ": its cut was seen " + when(disk.cut_seen, "at no time") +
                  (disk.creation_time ? ", the storage says " + base::format_time(*disk.creation_time) : "") + disk_notes(disk));
    if (disk.cut_seen && (!last || *disk.cut_seen > *last)) last = disk.cut_seen;
  }
  if (last) out.push_back("the window from t0 to the last cut seen is " + milliseconds(*last));
}

void say_thaw(const Evidence& evidence, Sentences& out) {
  if (!evidence.thaw) return;
  const kubevirt::ThawSeen& thaw = *evidence.thaw;
  if (thaw.sent) {
    out.push_back("our thaw was sent " + when(*thaw.sent) +
                  (thaw.confirmed ? " and confirmed " + when(*thaw.confirmed) : " and never confirmed") + quoted(thaw.error));
  } else {
    out.push_back(std::string(thaw.by_controller ? "the thaw was left to KubeVirt's controller" : "no thaw was sent") +
                  (thaw.confirmed ? ", seen " + when(*thaw.confirmed) : "") + quoted(thaw.error));
  }
}

void say_recipe(const Evidence& evidence, Sentences& out) {
  for (const kubevirt::StepSeen& step : evidence.recipe.value_or(std::vector<kubevirt::StepSeen>{})) {
    out.push_back("recipe step " + step.name + ": ready " + when(step.ready, "at no time") + ", last found in force " +
                  when(step.held, "at no time"));
  }
}

}  // namespace

std::string level_text(const backup::Judged& judged) {
  const std::string level = to_string(judged.verdict.level);
  switch (judged.source) {
    case backup::EvidenceSource::recorded:
      return level + " (recorded, unsigned)";
    case backup::EvidenceSource::inferred:
      return level + " (inferred)";
    case backup::EvidenceSource::unreadable:
      break;
  }
  return level + " (recorded evidence unreadable)";
}

std::string level_cell(const backup::Judged& judged) {
  const bool inferred = judged.source == backup::EvidenceSource::inferred && judged.verdict.level != backup::Level::unknown;
  return std::string(to_string(judged.verdict.level)) + (inferred ? " (inferred)" : "");
}

std::vector<std::string> evidence_sentences(const Evidence& evidence) {
  Sentences out;
  if (evidence.inferred) return out;
  say_begin(evidence, out);
  say_instance(evidence, out);
  say_states(evidence.agent, "the guest agent was", "connected", "away", out);
  say_recipe(evidence, out);
  say_freeze(evidence, out);
  say_group(evidence, out);
  say_lock(evidence, out);
  say_states(evidence.frozen, "fsFreezeStatus said", "frozen", "nothing", out);
  say_probes(evidence, out);
  say_disks(evidence, out);
  say_thaw(evidence, out);
  return out;
}

}  // namespace vmbackup::cli
