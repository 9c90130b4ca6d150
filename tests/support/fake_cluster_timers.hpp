// Work of a FakeCluster that is due later, and queues of object names on top of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "kube/client.hpp"

namespace vmbackup::test {

// Not thread-safe: the world's mutex covers it.
class Timers {
 public:
  using Id = std::pair<base::TimePoint, std::uint64_t>;
  // `alarm` is told the time of everything that is added.
  Timers(const base::Clock& clock, std::function<void(base::TimePoint)> alarm);

  Id at(base::TimePoint when, std::function<void()> action);
  Id in(base::Duration delay, std::function<void()> action);
  void cancel(const Id& id);
  std::optional<base::TimePoint> next() const;
  // The earliest action that is due, taken out; empty when none is. Equal times: first in, first out.
  std::function<void()> take_due();

 private:
  const base::Clock& clock_;
  std::function<void(base::TimePoint)> alarm_;
  std::map<Id, std::function<void()>> actions_;
  std::uint64_t last_ = 0;
};

// A controller's queue: each name is worked on once at a time, at the earliest time it was asked for.
class WorkQueue {
 public:
  WorkQueue(Timers& timers, std::function<void(const kube::Name&)> work) : timers_(timers), work_(std::move(work)) {}
  void add(const kube::Name& name, base::Duration delay);

 private:
  Timers& timers_;
  std::function<void(const kube::Name&)> work_;
  std::map<kube::Name, Timers::Id> due_;
};

}  // namespace vmbackup::test
