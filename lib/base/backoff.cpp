#include "base/backoff.hpp"

#include <algorithm>
#include <random>

namespace vmbackup::base {

Backoff::Backoff(Duration first, Duration most, unsigned seed)
    : first_(std::max<Duration>(first, std::chrono::milliseconds(1))),
      most_(std::max(most, first_)),
      current_(first_),
      state_(seed != 0 ? seed : (std::random_device{}() | 1U)) {}

Duration Backoff::next() {
  // xorshift32: enough to keep callers apart, and a state of one word. It never reaches zero from a seed that is not zero.
  state_ ^= state_ << 13;
  state_ ^= state_ >> 17;
  state_ ^= state_ << 5;
  // Only ever shorter, so that `most` is a bound; by less than a half, so that each pause is longer than the last.
  const Duration quarter = current_ / 4;
  const Duration less = quarter / 1024 * static_cast<Duration::rep>(state_ % 1025);
  const Duration pause = current_ - less;
  current_ = current_ > most_ / 2 ? most_ : current_ * 2;
  return pause;
}

void Backoff::reset() { current_ = first_; }

}  // namespace vmbackup::base
