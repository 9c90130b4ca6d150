// Growing pauses between tries.
#pragma once

#include "base/duration.hpp"

namespace vmbackup::base {

// Pauses that double from `first` to `most`, each shortened by up to a quarter so that many callers do not march in step.
// `first` is at least 1 ms. Seed 0 gives another sequence each time, any other the same one. Not thread-safe; cheap to make.
class Backoff {
 public:
  Backoff(Duration first, Duration most, unsigned seed = 0);
  // The next pause. Grows with each call until reset().
  Duration next();
  void reset();

 private:
  Duration first_;
  Duration most_;
  Duration current_;
  unsigned state_;
};

}  // namespace vmbackup::base
