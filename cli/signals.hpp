// INT, TERM and HUP as a stop request.
#pragma once

#include <csignal>

#include <atomic>
#include <functional>
#include <stop_token>
#include <thread>

namespace vmbackup::cli {

// Made before any other thread, so that all threads inherit the mask. A signal that was ignored when the program started (nohup, a job
// in the background) stays ignored. The first one requests the stop; each further one is told to `on_second`, on a thread of this object,
// which is to end the process. Children inherit the mask: reset it there.
class Signals {
 public:
  Signals(std::stop_source stop, std::function<void(int)> on_second);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // The first signal that came, 0 for none.
  int received() const { return received_.load(); }

 private:
  void wait_for_signals();
  std::stop_source stop_;
  std::function<void(int)> on_second_;
  sigset_t watched_{};
  int any_watched_ = 0;
  std::atomic<int> received_{0};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace vmbackup::cli
