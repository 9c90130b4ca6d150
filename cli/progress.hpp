// Events as something to read while waiting: a live line, plain lines, or JSON lines. The only place that has words for events.
#pragma once

#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "backup/events.hpp"
#include "base/clock.hpp"
#include "cli/console.hpp"
#include "json/value.hpp"

namespace vmbackup::cli {

// One event in words, printable, without time and subject: "disk data: cut at ...". Empty where there is nothing to say.
std::string event_text(const backup::Event& event);
json::Value event_value(const backup::Event& event);

// What is being waited for, from the events so far of one snapshot.
class Waiting {
 public:
  void on(const backup::Event& event, base::TimePoint now);
  // "prod/db-0: waiting for the cut of data, logs" and " (12s)"; both empty before the first event. The time is since this wait began.
  std::string what() const;
  std::string age(base::TimePoint now) const;
  // The two together.
  std::string line(base::TimePoint now) const { return what() + age(now); }
  base::TimePoint since() const { return since_; }

 private:
  struct Disk {
    std::string name;
    bool cut = false;
    bool ready = false;
  };
  Disk& disk(const std::string& name);
  std::string state() const;
  std::string guests_state() const;

  std::string subject_;
  std::string obstacle_;
  std::string disk_error_;
  std::vector<Disk> disks_;
  std::map<std::string, std::string> guests_;  // that are being frozen, held or thawed, and which of it
  bool held_ = false;
  bool created_ = false;
  bool deleting_ = false;
  bool succeeded_ = false;
  std::string shown_;  // the state that `since_` belongs to
  base::TimePoint since_{};
};

// The observer of a run. `ticking` starts a thread that keeps the live line's time running, or, in plain style, says every half minute
// what is still waited for; tests leave it out. Everything is cleared when it is destroyed. on() is called from one thread.
class Progress final : public backup::Observer {
 public:
  Progress(Console& console, base::Clock& clock, bool ticking);
  ~Progress() override;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void on(const backup::Event& event) override;

 private:
  void tick(const std::stop_token& stop);
  std::pair<std::string, std::string> waiting_line();
  void show_live();
  void remind();
  void note_waiting(const backup::Event& event);
  void plain_line(const backup::Event& event, const std::string& text);
  Console& console_;
  base::Clock& clock_;
  std::mutex mutex_;                        // guards waiting_
  std::map<std::string, Waiting> waiting_;  // by namespace/name of the snapshot
  std::jthread ticker_;
};

}  // namespace vmbackup::cli
