#include "backup/freeze_clauses.hpp"

#include <algorithm>
#include <cstdio>

#include "backup/consistency.hpp"

namespace vmbackup::backup {

namespace {

using kubevirt::InstanceSeen;
using kubevirt::StateSeen;

// One judgement on its way. A member that is needed and absent lands in `missing`; the clause about it is then passed over.
class Clauses {
 public:
  Clauses(const Evidence& evidence, const std::vector<std::string>& accept_raw)
      : evidence_(evidence), accept_raw_(accept_raw), hold_(*evidence.hold), t1_(*last_cut(evidence)) {}

  FreezeFindings judge() {
    found_.missing = watch_missing(evidence_);
    instance();
    agent();
    indications();
    pause();
    window();
    answers();
    raw_disks();
    if (hold_ == Hold::controller) {
      lock();
    } else {
      own_freeze();
    }
    if (hold_ != Hold::freeze_pause) early_thaw();
    return std::move(found_);
  }

 private:
  void fail(std::string why) { found_.failed.push_back(std::move(why)); }
  bool need(bool there, const char* what) {
    if (!there) found_.missing.push_back(std::string("not recorded: ") + what);
    return there;
  }

  void instance();
  void agent();
  void indications();
  void pause();
  void window();
  void answers();
  void raw_disks();
  void lock();
  void own_freeze();
  void early_thaw();
  bool status_holds(bool& said_frozen);
  bool probes_hold(std::optional<Offset>& last_frozen);

  const Evidence& evidence_;
  const std::vector<std::string>& accept_raw_;
  const Hold hold_;
  const Offset t1_;
  FreezeFindings found_;
};

bool same_instance(const InstanceSeen& seen) { return seen.uid == seen.end_uid && seen.node == seen.end_node && seen.pod == seen.end_pod; }

void Clauses::instance() {
  const InstanceSeen& seen = *evidence_.instance;
  if (seen.migrating) fail("a migration was under way");
  if (seen.uid != seen.end_uid)
    fail("the VM was started anew before the last cut");
  else if (!same_instance(seen))
    fail("the VM moved to another node or pod before the last cut");
}

void Clauses::agent() {
  if (!need(evidence_.agent && !evidence_.agent->empty(), "whether the guest agent was connected")) return;
  bool at_begin = false;
  for (const StateSeen& state : *evidence_.agent) {
    if (state.at <= Offset::zero()) at_begin = state.on;
    if (state.at > Offset::zero() && state.at <= t1_ && !state.on) {
      fail("the guest agent left " + seconds_text(state.at) + " after the begin, before the last cut");
    }
  }
  if (!at_begin) fail("the guest agent was not seen connected at the begin");
}

void Clauses::indications() {
  for (const char* word : {"NoGuestAgent", "QuiesceTimeout", "QuiesceFailed"}) {
    if (has_indication(evidence_, word)) fail("KubeVirt's indication is " + std::string(word));
  }
  if (hold_ != Hold::freeze_pause && has_indication(evidence_, "Paused")) fail("KubeVirt's indication is Paused");
  if (hold_ == Hold::controller && !has_indication(evidence_, "GuestAgent")) {
    fail("KubeVirt's controller saw no guest agent: the indication GuestAgent is missing");
  }
  for (const std::string& word : unknown_indications(evidence_)) fail("the indication " + word + " is not known to this version");
}

void Clauses::pause() {
  if (hold_ != Hold::freeze_pause) {
    if (evidence_.pause->seen) fail("the VM was paused by someone else");
    return;
  }
  if (!paused_throughout(evidence_)) fail("the pause was not seen to stand from the create until the last cut");
  const std::optional<Offset> from = evidence_.pause->from;
  const bool frozen_first = evidence_.freeze && evidence_.freeze->confirmed && from && *evidence_.freeze->confirmed <= *from;
  if (evidence_.freeze && !frozen_first) fail("the freeze was not confirmed before the pause");
}

void Clauses::window() {
  if (need(evidence_.safety_timeout.has_value(), "the safety timeout of the freeze")) {
    const Offset timeout = *evidence_.safety_timeout;
    if (timeout != Offset::zero() && t1_ >= timeout) {
      fail("the last cut came " + seconds_text(t1_) + " after the begin, the guest's safety timer ends a freeze after " +
           seconds_text(timeout));
    }
  }
  if (counts_as_windows(evidence_) && t1_ > k_windows_window) {
    const std::string who = evidence_.guest_os.empty() ? "a guest whose system is not known counts as Windows, which" : "Windows";
    fail("the last cut came " + seconds_text(t1_) + " after the begin; " + who + " ends a freeze after " + seconds_text(k_windows_window));
  }
}

void Clauses::answers() {
  if (need(evidence_.vss_error.has_value(), "what the answers to freeze and unfreeze said") && *evidence_.vss_error) {
    fail("an answer of the guest says that VSS had given up the freeze");
  }
  if (!need(evidence_.thaw.has_value(), "when the guest was thawed")) return;
  if (evidence_.thaw->sent && *evidence_.thaw->sent < t1_) fail("we thawed the guest before the last cut was seen");
}

void Clauses::raw_disks() {
  for (const EvidenceDisk& disk : *evidence_.disks) {
    const bool accepted = disk.accepted_raw || std::find(accept_raw_.begin(), accept_raw_.end(), disk.name) != accept_raw_.end();
    if (!disk.included || accepted || disk.file_system.value_or(false)) continue;
    fail("a freeze does not reach disk " + disk.name +
         (disk.file_system ? ": the agent lists no file system on it" : ": whether the agent lists a file system on it is not known"));
  }
}

// The controller freezes only if, at the moment it has the lock, fsFreezeStatus (up to 5 s old) does not say "frozen".
void Clauses::lock() {
  if (!need(evidence_.lock.has_value(), "how the snapshot came by the VM's lock")) return;
  const kubevirt::LockSeen& lock = *evidence_.lock;
  if (lock.other) fail("another snapshot of this VM was under way at the begin");
  if (!lock.became_ours || *lock.became_ours > k_at_once) fail("the snapshot did not have the VM's lock at once");
  if (!lock.status_empty)
    fail("fsFreezeStatus was not seen empty when KubeVirt decided whether to freeze: a stale one makes it skip the freeze");
  if (lock.thaw_before) fail("somebody thawed the guest less than 10 s before: KubeVirt may have skipped its freeze");
  if (lock.watched < k_unseen_window) {
    found_.assumptions.push_back("nobody thawed the guest in the 10 s before; the last " + seconds_text(lock.watched) +
                                 " of them were watched");
  }
}

void Clauses::own_freeze() {
  if (!need(evidence_.freeze.has_value(), "the freeze")) return;
  bool before = false;
  for (const StateSeen& state : evidence_.frozen.value_or(std::vector<StateSeen>{})) {
    if (state.at <= Offset::zero()) before = state.on;
  }
  // KubeVirt thaws at the last cut of each snapshot, whoever froze: that of the other one came before ours.
  if (need(evidence_.lock.has_value(), "whether another snapshot of the VM was under way") && evidence_.lock->other) {
    fail("another snapshot of this VM was under way after our freeze: KubeVirt thaws the guest at its end");
  }
  if (before) fail("the guest was frozen already when we froze it, by a freeze that is not ours and may have ended first");
  const std::optional<Offset> confirmed = evidence_.freeze->confirmed;
  if (!confirmed) {
    fail("the freeze was not confirmed");
  } else if (*confirmed > *evidence_.create_sent) {
    fail("the snapshot was created before the freeze was confirmed");
  }
}

// False: it went back from frozen. `said_frozen`: it says frozen at the last cut.
bool Clauses::status_holds(bool& said_frozen) {
  bool on = false;
  for (const StateSeen& state : *evidence_.frozen) {
    if (state.at > t1_) break;
    if (on && !state.on && state.at > Offset::zero()) return false;
    on = state.on;
  }
  said_frozen = on;
  return true;
}

bool Clauses::probes_hold(std::optional<Offset>& last_frozen) {
  // Before that the controller need not have frozen yet.
  const bool own = hold_ == Hold::freeze && evidence_.freeze && evidence_.freeze->confirmed;
  const Offset from = own ? *evidence_.freeze->confirmed : Offset::zero();
  bool on = own;
  for (const StateSeen& probe : *evidence_.probes) {
    if (probe.at < from || probe.at > t1_) continue;
    if (!probe.on && on) return false;
    on = probe.on;
    if (probe.on) last_frozen = probe.at;
  }
  return true;
}

void Clauses::early_thaw() {
  const bool status = need(evidence_.frozen && !evidence_.frozen->empty(), "what fsFreezeStatus said");
  const bool probes = need(evidence_.probes.has_value(), "whether the agent was asked itself");
  if (!status || !probes) return;
  bool said_frozen = false;
  std::optional<Offset> probed;
  if (!status_holds(said_frozen)) fail("fsFreezeStatus went back before the last cut: somebody thawed the guest");
  if (!probes_hold(probed)) fail("the agent itself said that the guest was thawed before the last cut");
  if (t1_ > k_unseen_window && !said_frozen && !probed) {
    fail("in a window of " + seconds_text(t1_) + " nothing ever said that the guest was frozen");
  }
  const Offset unseen = probed ? t1_ - *probed : said_frozen ? std::min(t1_, k_status_poll) : t1_;
  if (unseen > Offset::zero())
    found_.assumptions.push_back("nobody else thawed the guest in the last " + seconds_text(unseen) + " before the last cut");
}

}  // namespace

FreezeFindings judge_freeze(const Evidence& evidence, const std::vector<std::string>& accept_raw) {
  return Clauses(evidence, accept_raw).judge();
}

std::vector<std::string> watch_missing(const Evidence& evidence) {
  std::vector<std::string> missing;
  const InstanceSeen& seen = *evidence.instance;
  if (seen.gap) missing.emplace_back("the watch of the VM broke: something may have been missed");
  if (seen.from > Offset::zero() || seen.until < *last_cut(evidence)) {
    missing.emplace_back("the VM was not watched from the begin until the last cut");
  }
  const bool named = !seen.uid.empty() && !seen.node.empty() && !seen.pod.empty() && !seen.end_uid.empty() && !seen.end_node.empty() &&
                     !seen.end_pod.empty();
  if (!named) missing.emplace_back("not recorded: which instance ran on which node in which pod");
  return missing;
}

PauseSpan pause_span(const Evidence& evidence) {
  if (!evidence.pause) return {};
  return {evidence.pause->from, evidence.pause->until};
}

bool paused_throughout(const Evidence& evidence) {
  const PauseSpan pause = pause_span(evidence);
  if (!watch_missing(evidence).empty() || evidence.instance->migrating || !same_instance(*evidence.instance)) return false;
  return pause.from && pause.until && *pause.from <= *evidence.create_sent && *pause.until >= *last_cut(evidence);
}

bool has_indication(const Evidence& evidence, const std::string& word) {
  if (!evidence.indications) return false;
  return std::find(evidence.indications->begin(), evidence.indications->end(), word) != evidence.indications->end();
}

std::vector<std::string> unknown_indications(const Evidence& evidence) {
  // [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go; QuiesceFailed is what 1.4 to 1.7 said for QuiesceTimeout]
  const std::vector<std::string> known = {"Online",        "GuestAgent", "NoGuestAgent",   "QuiesceTimeout",
                                          "QuiesceFailed", "Paused",     "PartialSnapshot"};
  std::vector<std::string> unknown;
  for (const std::string& word : evidence.indications.value_or(std::vector<std::string>{})) {
    if (std::find(known.begin(), known.end(), word) == known.end()) unknown.push_back(word);
  }
  return unknown;
}

std::string seconds_text(Offset offset) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(offset.count()) / 1000.0);
  return text;
}

}  // namespace vmbackup::backup
