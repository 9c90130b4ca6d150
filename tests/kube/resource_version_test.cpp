#include "kube/resource_version.hpp"

#include <doctest/doctest.h>

using vmbackup::kube::is_older;

TEST_CASE("versions are compared as numbers, and what is none is not compared") {
  CHECK(is_older("9", "10"));
  CHECK(is_older("99999999999999999999998", "99999999999999999999999"));
  CHECK_FALSE(is_older("10", "9"));
  CHECK_FALSE(is_older("10", "10"));
  CHECK_FALSE(is_older("", "10"));
  CHECK_FALSE(is_older("9", ""));
  CHECK_FALSE(is_older("9a", "10"));
  CHECK_FALSE(is_older("09", "10"));
}
