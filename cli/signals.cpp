#include "cli/signals.hpp"

#include <pthread.h>

#include <array>
#include <utility>

namespace vmbackup::cli {

Signals::Signals(std::stop_source stop, std::function<void(int)> on_second) : stop_(std::move(stop)), on_second_(std::move(on_second)) {
  sigemptyset(&watched_);
  for (const int signal : std::array<int, 3>{SIGINT, SIGTERM, SIGHUP}) {
    // A blocked signal reaches sigwait even when it is ignored, so the ignored ones are left alone.
    struct sigaction current {};
    if (sigaction(signal, nullptr, &current) == 0 && current.sa_handler == SIG_IGN) continue;
    sigaddset(&watched_, signal);
    any_watched_ = signal;
  }
  if (any_watched_ == 0) return;
  pthread_sigmask(SIG_BLOCK, &watched_, nullptr);
  thread_ = std::thread([this] { wait_for_signals(); });
}

Signals::~Signals() {
  if (!thread_.joinable()) return;
  ending_ = true;
  pthread_kill(thread_.native_handle(), any_watched_);
  thread_.join();
}

void Signals::wait_for_signals() {
  for (;;) {
    int signal = 0;
    if (sigwait(&watched_, &signal) != 0) continue;
    if (ending_) return;
    if (received_.load() == 0) {
      received_ = signal;
      stop_.request_stop();
    } else if (on_second_) {
      on_second_(signal);
    }
  }
}

}  // namespace vmbackup::cli
