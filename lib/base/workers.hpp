// Threads that wait for work.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vmbackup::base {

// Does what is posted, in the order posted, on `count` threads. With none, post() does it itself before it returns. Thread-safe.
class Workers {
 public:
  explicit Workers(std::size_t count);
  // Does what is left, and ends the threads.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // `work` must not throw.
  void post(std::function<void()> work);

 private:
  void run();
  const bool alone_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> posted_;
  bool over_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace vmbackup::base
