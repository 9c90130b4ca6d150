// INT, TERM and HUP as a stop request; QUIT and TSTP while a guest is held.
#pragma once

#include <csignal>

#include <atomic>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace vmbackup::cli {

// Made before any other thread, so that all threads inherit the mask. A signal that was ignored when the program started (nohup, a job
// in the background) stays ignored. The first of INT, TERM and HUP requests the stop; each further one ends the process with 128 and its
// number. While `holding` says that a guest is held, a further one changes nothing, QUIT acts like TERM, and TSTP is refused: all that is
// told through hear(). At other times QUIT and TSTP do what they always do. Children inherit the mask: reset it there.
class Signals {
 public:
  // `holding` is called on a thread of this object.
  Signals(std::stop_source stop, std::function<bool()> holding);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // The first signal that requested the stop, 0 for none.
  int received() const { return received_.load(); }
  // Where to say that a signal was refused; nothing: nowhere. Called on a thread of this object, never after it was replaced. Thread-safe.
  void hear(std::function<void(const std::string&)> say);

 private:
  void wait_for_signals();
  void take(int signal);
  void say(const std::string& text);
  std::stop_source stop_;
  std::function<bool()> holding_;
  std::mutex mutex_;  // guards say_
  std::function<void(const std::string&)> say_;
  sigset_t watched_{};
  int any_watched_ = 0;
  std::atomic<int> received_{0};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace vmbackup::cli
