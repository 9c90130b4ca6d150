#include "check.hpp"

#include <cstdio>
#include <cstdlib>

namespace vmbackup::fuzz {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "this does not hold: %s\n", what);
  std::abort();
}

}  // namespace vmbackup::fuzz
