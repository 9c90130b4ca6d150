#include "cli/signals.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace vmbackup::cli {
namespace {

// What the signal does to a program that does not know it.
void act_by_default(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  ::kill(::getpid(), signal);
  // It is blocked in every thread but, from here on, this one.
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  pthread_sigmask(SIG_BLOCK, &only, nullptr);
}

}  // namespace

Signals::Signals(std::stop_source stop, std::function<bool()> holding) : stop_(std::move(stop)), holding_(std::move(holding)) {
  sigemptyset(&watched_);
  for (const int signal : std::array<int, 5>{SIGTSTP, SIGQUIT, SIGINT, SIGTERM, SIGHUP}) {
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
    take(signal);
  }
}

void Signals::take(int signal) {
  const bool holding = holding_ && holding_();
  if (signal == SIGTSTP && holding) return say("not stopped: a guest is held, and would stand still for as long as this program");
  if (signal == SIGQUIT && holding) signal = SIGTERM;
  if (signal == SIGTSTP || signal == SIGQUIT) return act_by_default(signal);
  if (received_.load() == 0) {
    received_ = signal;
    stop_.request_stop();
  } else if (holding) {
    say("still letting go of a guest that is held; ending now would leave it frozen");
  } else {
    ::_exit(128 + signal);
  }
}

void Signals::say(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (say_) say_(text);
}

void Signals::hear(std::function<void(const std::string&)> say) {
  const std::lock_guard lock(mutex_);
  say_ = std::move(say);
}

}  // namespace vmbackup::cli
