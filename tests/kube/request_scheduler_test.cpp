#include "kube/request_scheduler.hpp"

#include <doctest/doctest.h>

namespace vmbackup::kube {
namespace {

std::shared_ptr<Exchange> request() { return std::make_shared<Exchange>(HttpRequest{}); }
std::shared_ptr<Exchange> stream() { return std::make_shared<Exchange>(HttpRequest{}, StreamSink{}); }

struct Fixture {
  RequestScheduler scheduler{3};
  std::vector<std::shared_ptr<Exchange>> running;

  void add(const std::shared_ptr<Exchange>& exchange) { scheduler.add(exchange); }
  // Starts all that may start; says how many.
  int start() {
    int count = 0;
    while (auto exchange = scheduler.next()) {
      running.push_back(exchange);
      ++count;
    }
    return count;
  }
  void end_first() {
    scheduler.ended(*running.front());
    running.erase(running.begin());
  }
};

TEST_CASE_FIXTURE(Fixture, "until the first answer one request and one stream are on their way") {
  for (int i = 0; i < 4; ++i) add(request());
  for (int i = 0; i < 4; ++i) add(stream());
  CHECK(start() == 2);
  CHECK_FALSE(running[0]->is_stream());
  CHECK(running[1]->is_stream());
  scheduler.answered();
  CHECK(start() == 5);  // two more requests up to the limit, three streams without one
  CHECK(start() == 0);
  end_first();
  CHECK(start() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a first request that fails makes room for the next, still alone") {
  for (int i = 0; i < 3; ++i) add(request());
  CHECK(start() == 1);
  scheduler.lost();
  end_first();
  CHECK(start() == 1);
}

TEST_CASE_FIXTURE(Fixture, "after a loss, requests that hang on the old connection do not block the probe") {
  scheduler.answered();
  add(request());
  add(request());
  CHECK(start() == 2);
  scheduler.lost();
  CHECK(scheduler.cold());
  add(request());
  add(request());
  CHECK(start() == 1);
  scheduler.answered();
  end_first();
  CHECK(start() == 1);
}

TEST_CASE_FIXTURE(Fixture, "requests start in the order they came") {
  scheduler.answered();
  const auto first = request();
  const auto second = request();
  add(first);
  add(second);
  CHECK(scheduler.next() == first);
  CHECK(scheduler.next() == second);
}

TEST_CASE_FIXTURE(Fixture, "one that waits can be taken back, one that runs cannot") {
  scheduler.answered();
  for (int i = 0; i < 3; ++i) add(request());
  CHECK(start() == 3);
  const auto waiting = request();
  add(waiting);
  CHECK_FALSE(scheduler.drop(*running[0]));
  CHECK(scheduler.drop(*waiting));
  CHECK_FALSE(scheduler.drop(*waiting));
  end_first();
  CHECK(start() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a lower limit counts from now on") {
  scheduler.answered();
  for (int i = 0; i < 5; ++i) add(request());
  CHECK(start() == 3);
  scheduler.set_most(1);
  end_first();
  end_first();
  CHECK(start() == 0);
  end_first();
  CHECK(start() == 1);
}

TEST_CASE_FIXTURE(Fixture, "drain gives what never started") {
  add(request());
  add(request());
  add(request());
  CHECK(start() == 1);
  CHECK(scheduler.drain().size() == 2);
  CHECK(scheduler.next() == nullptr);
}

}  // namespace
}  // namespace vmbackup::kube
