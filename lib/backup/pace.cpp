#include "backup/pace.hpp"

#include <algorithm>

namespace vmbackup::backup {

namespace {

// Rounds of `most` from which on it is worth finding out.
constexpr std::size_t k_rounds = 2;
// Nobody misses that.
constexpr base::Duration k_short = std::chrono::milliseconds(100);

// Against the shortest of many, which is shorter than most of one alone: so this keeps the middle one below twice that.
bool is_much_longer(base::Duration window, base::Duration alone) { return 2 * window > 5 * alone; }
bool is_hardly_longer(base::Duration window, base::Duration alone) { return 2 * window <= 3 * alone; }

}  // namespace

Pace::Pace(std::size_t most, std::size_t vms) : most_(std::max<std::size_t>(most, 1)), slots_(vms > k_rounds * most_ ? 1 : most_) {}

void Pace::take(const std::string& kind, base::TimePoint begin, base::TimePoint end) {
  const base::Duration window = end - begin;
  base::Duration& alone = shortest_.try_emplace(kind, window).first->second;
  const bool counts = begin >= changed_;
  // One alone shows what holds now: a cluster may become busier in the course of a night.
  alone = counts && slots_ == 1 ? window : std::min(alone, window);
  if (!counts) return;
  if (window <= k_short || is_hardly_longer(window, alone)) return change(slots_ + 1, end);
  if (is_much_longer(window, alone)) change(slots_ - 1, end);
}

void Pace::change(std::size_t slots, base::TimePoint now) {
  const std::size_t wanted = std::clamp<std::size_t>(slots, 1, most_);
  if (wanted != slots_) changed_ = now;
  slots_ = wanted;
}

}  // namespace vmbackup::backup
