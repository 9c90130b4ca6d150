#include "support/fake_cluster_timers.hpp"

namespace vmbackup::test {

Timers::Timers(const base::Clock& clock, std::function<void(base::TimePoint)> alarm) : clock_(clock), alarm_(std::move(alarm)) {}

Timers::Id Timers::at(base::TimePoint when, std::function<void()> action) {
  const Id id{when, ++last_};
  const bool earliest = actions_.empty() || id < actions_.begin()->first;
  actions_.emplace(id, std::move(action));
  if (earliest && alarm_) alarm_(when);
  return id;
}

Timers::Id Timers::in(base::Duration delay, std::function<void()> action) { return at(clock_.now() + delay, std::move(action)); }

void Timers::cancel(const Id& id) { actions_.erase(id); }

std::optional<base::TimePoint> Timers::next() const {
  if (actions_.empty()) return std::nullopt;
  return actions_.begin()->first.first;
}

std::function<void()> Timers::take_due() {
  const auto first = actions_.begin();
  if (first == actions_.end() || first->first.first > clock_.now()) return {};
  std::function<void()> action = std::move(first->second);
  actions_.erase(first);
  return action;
}

void WorkQueue::add(const kube::Name& name, base::Duration delay) {
  const auto found = due_.find(name);
  const Timers::Id id = timers_.in(delay, [this, name] {
    due_.erase(name);
    work_(name);
  });
  if (found == due_.end()) {
    due_.emplace(name, id);
  } else if (found->second <= id) {
    timers_.cancel(id);
  } else {
    timers_.cancel(found->second);
    found->second = id;
  }
}

}  // namespace vmbackup::test
