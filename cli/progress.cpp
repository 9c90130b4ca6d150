#include "cli/progress.hpp"

#include <algorithm>
#include <chrono>

#include "base/text.hpp"
#include "cli/printers.hpp"

namespace vmbackup::cli {
namespace {

using backup::Event;

constexpr base::Duration k_redraw = std::chrono::seconds(1);
constexpr base::Duration k_reminder = std::chrono::seconds(30);

const char* word_of(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::created:
      return "created";
    case Event::Kind::phase:
      return "phase";
    case Event::Kind::waiting:
      return "waiting";
    case Event::Kind::indication:
      return "indication";
    case Event::Kind::disk_begun:
      return "diskBegun";
    case Event::Kind::cut:
      return "cut";
    case Event::Kind::disk_ready:
      return "diskReady";
    case Event::Kind::disk_error:
      return "diskError";
    case Event::Kind::ready:
      return "ready";
    case Event::Kind::deleting:
      return "deleting";
    case Event::Kind::gone:
      return "gone";
    case Event::Kind::watch_gap:
      return "watchGap";
    case Event::Kind::unreadable:
      return "unreadable";
    case Event::Kind::lock_wait:
      return "lockWait";
    case Event::Kind::locked:
      return "locked";
    case Event::Kind::freezing:
      return "freezing";
    case Event::Kind::frozen:
      return "frozen";
    case Event::Kind::held:
      return "held";
    case Event::Kind::thawing:
      return "thawing";
    case Event::Kind::thaw_again:
      return "thawAgain";
    case Event::Kind::thawed:
      return "thawed";
    case Event::Kind::owed:
      return "owed";
    case Event::Kind::pausing:
      return "pausing";
    case Event::Kind::paused:
      return "paused";
    case Event::Kind::unpausing:
      return "unpausing";
    case Event::Kind::unpause_again:
      return "unpauseAgain";
    case Event::Kind::unpaused:
      return "unpaused";
    case Event::Kind::pause_owed:
      return "pauseOwed";
    case Event::Kind::quiescing:
      return "quiescing";
    case Event::Kind::quiesced:
      return "quiesced";
    case Event::Kind::releasing:
      return "releasing";
    case Event::Kind::released:
      return "released";
    case Event::Kind::step_error:
      return "stepError";
    case Event::Kind::step_said:
      return "stepSaid";
    case Event::Kind::ended:
      return "ended";
    case Event::Kind::warning:
      return "warning";
  }
  return "warning";
}

std::string subject_of(const Event& event) { return base::printable(event.ns + '/' + (event.vm.empty() ? event.object : event.vm), 256); }

}  // namespace

std::string event_text(const Event& event) {
  const std::string object = base::printable(event.object, 512);
  const std::string disk = "disk " + base::printable(event.disk, 256);
  std::string text = base::printable(event.text, 1024);
  switch (event.kind) {
    case Event::Kind::created:
      return "created snapshot " + object;
    case Event::Kind::phase:
      return "phase " + text;
    case Event::Kind::waiting:
      return "KubeVirt says: " + text;
    case Event::Kind::indication:
      return "indication " + text;
    case Event::Kind::disk_begun:
      return disk + ": VolumeSnapshot " + text;
    case Event::Kind::cut:
      return disk + ": cut, by the storage's clock at " + base::format_time(event.time);
    case Event::Kind::disk_ready:
      return disk + ": ready to use";
    case Event::Kind::disk_error:
      return disk + ": the storage says: " + text;
    case Event::Kind::ready:
      return "snapshot " + object + " is ready to use";
    case Event::Kind::deleting:
      return "deleting snapshot " + object;
    case Event::Kind::gone:
      return object + " is gone";
    case Event::Kind::watch_gap:
      return "the watch was interrupted; everything was read anew";
    case Event::Kind::unreadable:
      return object + " cannot be read, the report will lack what they say: " + text;
    case Event::Kind::lock_wait:
      return "waiting for its lock: " + text;
    case Event::Kind::locked:
      return "its lock was that of " + text + "; it is ours now";
    case Event::Kind::freezing:
      return "freezing the guest";
    case Event::Kind::frozen:
      return "the guest is frozen";
    case Event::Kind::held:
      return "all guests are frozen";
    case Event::Kind::thawing:
      return "thawing the guest";
    case Event::Kind::thaw_again:
      return "thawing it again: " + text;
    case Event::Kind::thawed:
      return "the guest is let go, confirmed by " + text;
    case Event::Kind::owed:
      return "given up, the guest may still be frozen: " + text;
    case Event::Kind::pausing:
      return "pausing the VM";
    case Event::Kind::paused:
      return "the VM is paused";
    case Event::Kind::unpausing:
      return "letting the VM run again";
    case Event::Kind::unpause_again:
      return "letting it run, again: " + text;
    case Event::Kind::unpaused:
      return "the VM runs again, confirmed by " + text;
    case Event::Kind::pause_owed:
      return "given up, the VM may still be paused: " + text;
    case Event::Kind::quiescing:
      return "recipe step " + object + ": quiescing, " + text;
    case Event::Kind::quiesced:
      return "recipe step " + object + ": ready";
    case Event::Kind::releasing:
      return "recipe step " + object + ": releasing";
    case Event::Kind::released:
      return "recipe step " + object + ": released";
    case Event::Kind::step_error:
      return text;
    case Event::Kind::step_said:
      return "recipe step " + object + " said: " + text;
    case Event::Kind::ended:
    case Event::Kind::warning:
      return text;
  }
  return text;
}

json::Value event_value(const Event& event) {
  return json::Value::object({{"event", word_of(event.kind)},
                              {"namespace", event.ns},
                              {"vm", event.vm},
                              {"object", event.object},
                              {"disk", event.disk},
                              {"text", event.text},
                              {"eventTime", base::format_time(event.time)}});
}

Waiting::Disk& Waiting::disk(const std::string& name) {
  for (Disk& known : disks_) {
    if (known.name == name) return known;
  }
  disks_.push_back({name});
  return disks_.back();
}

void Waiting::on(const Event& event, base::TimePoint now) {
  subject_ = subject_of(event);
  switch (event.kind) {
    case Event::Kind::created:
      created_ = true;
      break;
    case Event::Kind::phase:
      created_ = true;
      obstacle_.clear();
      if (event.text == "Succeeded") succeeded_ = true;
      break;
    case Event::Kind::waiting:
      obstacle_ = base::printable(event.text, 256);
      break;
    case Event::Kind::disk_begun:
      obstacle_.clear();
      disk(event.disk);
      break;
    case Event::Kind::cut:
      disk(event.disk).cut = true;
      disk_error_.clear();
      break;
    case Event::Kind::disk_ready:
      disk(event.disk).cut = true;
      disk(event.disk).ready = true;
      break;
    case Event::Kind::disk_error:
      disk_error_ = base::printable(event.disk + ": " + event.text, 256);
      break;
    case Event::Kind::deleting:
      deleting_ = true;
      break;
    case Event::Kind::held:
      held_ = true;
      break;
    case Event::Kind::quiescing:
      guests_[subject_] = "quiescing (" + base::printable(event.object, 64) + ")";
      break;
    case Event::Kind::quiesced:
      guests_.erase(subject_);
      break;
    case Event::Kind::releasing:
      guests_[subject_] = "releasing (" + base::printable(event.object, 64) + ")";
      break;
    case Event::Kind::released:
      guests_.erase(subject_);
      break;
    case Event::Kind::lock_wait:
      guests_[subject_] = "waiting for its lock (" + base::printable(event.text, 256) + ")";
      break;
    case Event::Kind::freezing:
      guests_[subject_] = "freezing";
      break;
    case Event::Kind::frozen:
      guests_[subject_] = "frozen";
      break;
    case Event::Kind::thawing:
      held_ = false;
      guests_[subject_] = "thawing";
      break;
    case Event::Kind::thaw_again:
      guests_[subject_] = "thawing again (" + base::printable(event.text, 256) + ")";
      break;
    case Event::Kind::pausing:
      guests_[subject_] = "pausing";
      break;
    case Event::Kind::paused:
      guests_[subject_] = "paused";
      break;
    case Event::Kind::unpausing:
      guests_[subject_] = "unpausing";
      break;
    case Event::Kind::unpause_again:
      guests_[subject_] = "unpausing again (" + base::printable(event.text, 256) + ")";
      break;
    case Event::Kind::thawed:
    case Event::Kind::owed:
    case Event::Kind::unpaused:
    case Event::Kind::pause_owed:
      guests_.erase(subject_);
      break;
    default:
      break;
  }
  const std::string next = state();
  if (next != shown_) {
    shown_ = next;
    since_ = now;
  }
}

// "db-0 and 3 more frozen": the first guest that is furthest behind speaks for all.
std::string Waiting::guests_state() const {
  if (held_) return std::to_string(guests_.size()) + (guests_.size() == 1 ? " guest is" : " guests are") + " frozen, the command runs";
  const auto behind =
      std::find_if(guests_.begin(), guests_.end(), [](const auto& guest) { return guest.second != "frozen" && guest.second != "paused"; });
  const auto& [subject, state] = behind == guests_.end() ? *guests_.begin() : *behind;
  if (guests_.size() == 1) return state;
  return state + " " + subject + ", one of " + std::to_string(guests_.size());
}

std::string Waiting::state() const {
  if (!guests_.empty()) return guests_state();
  if (deleting_) return "waiting for the deletion";
  if (!created_) return "creating the snapshot";
  std::vector<std::string> uncut;
  std::vector<std::string> unready;
  for (const Disk& each : disks_) {
    if (!each.cut) uncut.push_back(base::printable(each.name, 64));
    if (!each.ready) unready.push_back(base::printable(each.name, 64));
  }
  if (!disk_error_.empty()) return "the storage says of disk " + disk_error_;
  if (!uncut.empty()) return "waiting for the cut of " + base::join(uncut, ", ");
  if (!obstacle_.empty() && !succeeded_) return "waiting, KubeVirt says: " + obstacle_;
  if (!disks_.empty() && !unready.empty()) return "cut; waiting for " + base::join(unready, ", ") + " to be ready to use";
  return disks_.empty() ? "waiting for KubeVirt to begin" : "cut; waiting for KubeVirt to finish";
}

// What is said of one guest alone is not what was told last, which may have been of another.
std::string Waiting::what() const {
  if (shown_.empty()) return "";
  return (guests_.size() == 1 && !held_ ? guests_.begin()->first : subject_) + ": " + shown_;
}

std::string Waiting::age(base::TimePoint now) const { return shown_.empty() ? "" : " (" + short_age(now - since_) + ')'; }

Progress::Progress(Console& console, base::Clock& clock, bool ticking) : console_(console), clock_(clock) {
  const bool shows_time = console.style() == ProgressStyle::live || console.style() == ProgressStyle::plain;
  if (ticking && shows_time && !console.quiet()) ticker_ = std::jthread([this](const std::stop_token& stop) { tick(stop); });
}

Progress::~Progress() {
  if (ticker_.joinable()) {
    ticker_.request_stop();
    ticker_.join();
  }
  console_.live("");
}

// Of several, the one that has not moved for longest. What it waits for, and since when.
std::pair<std::string, std::string> Progress::waiting_line() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto late = std::min_element(waiting_.begin(), waiting_.end(),
                                     [](const auto& left, const auto& right) { return left.second.since() < right.second.since(); });
  if (late == waiting_.end()) return {};
  const std::string more = waiting_.size() == 1 ? "" : ", and " + std::to_string(waiting_.size() - 1) + " more";
  return {late->second.what(), late->second.age(clock_.now()) + more};
}

void Progress::show_live() {
  const auto [what, since] = waiting_line();
  console_.live(what, since);
}

void Progress::remind() {
  const auto [what, since] = waiting_line();
  if (!what.empty()) console_.line(base::format_time(clock_.wall_now()) + ' ' + what + since);
}

void Progress::note_waiting(const Event& event) {
  // Of these, `object` is no snapshot that is waited for.
  if (event.kind == Event::Kind::gone || event.kind == Event::Kind::unreadable || event.kind == Event::Kind::warning) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string name = event.ns + '/' + event.object;
  if (event.kind == Event::Kind::ended) {
    waiting_.erase(name);
  } else {
    waiting_[name].on(event, clock_.now());
  }
}

void Progress::plain_line(const Event& event, const std::string& text) {
  if (!text.empty()) console_.line(base::format_time(clock_.wall_now()) + ' ' + subject_of(event) + ": " + text);
}

void Progress::on(const Event& event) {
  note_waiting(event);
  if (event.kind == Event::Kind::warning || event.kind == Event::Kind::unreadable) {
    console_.warning(event_text(event));
    return;
  }
  switch (console_.style()) {
    case ProgressStyle::json:
      console_.record("event", event_value(event));
      break;
    case ProgressStyle::plain:
      if (!console_.quiet()) plain_line(event, event_text(event));
      break;
    case ProgressStyle::live:
      if (!console_.quiet()) show_live();
      break;
    case ProgressStyle::none:
      break;
  }
}

void Progress::tick(const std::stop_token& stop) {
  const bool live = console_.style() == ProgressStyle::live;
  while (clock_.sleep_until(clock_.now() + (live ? k_redraw : k_reminder), stop)) {
    if (live) {
      show_live();
    } else {
      remind();
    }
  }
}

}  // namespace vmbackup::cli
