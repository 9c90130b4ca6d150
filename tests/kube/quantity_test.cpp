#include "kube/quantity.hpp"

#include <doctest/doctest.h>

namespace {

using vmbackup::kube::parse_quantity;

TEST_CASE("quantities, rounded up to whole units") {
  CHECK(parse_quantity("0") == 0);
  CHECK(parse_quantity("1073741824") == 1073741824);
  CHECK(parse_quantity("+7") == 7);
  CHECK(parse_quantity("10Gi") == 10737418240);
  CHECK(parse_quantity("1.5Ti") == 1649267441664);
  CHECK(parse_quantity("500M") == 500000000);
  CHECK(parse_quantity("1k") == 1000);
  CHECK(parse_quantity("1E") == 1000000000000000000);
  CHECK(parse_quantity("7Ei") == 8070450532247928832);
  CHECK(parse_quantity("9007199254740993") == 9007199254740993);
  CHECK(parse_quantity("1e3") == 1000);
  CHECK(parse_quantity("12E+2") == 1200);
  CHECK(parse_quantity("100m") == 1);
  CHECK(parse_quantity("1500m") == 2);
  CHECK(parse_quantity("2000m") == 2);
  CHECK(parse_quantity("0.1Ki") == 103);
  CHECK(parse_quantity("0.3k") == 300);
  CHECK(parse_quantity(".5Ki") == 512);
}

TEST_CASE("what is no quantity, or too large") {
  for (const char* text : {"", "Gi", "-1", "1 Gi", "1gi", "1Xi", "1.2.3", ".", "1e", "1e999999999999", "1e3Gi", "ten", "8Ei", "1e20",
                           "99999999999999999999999999999999", "0x10"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_quantity(text).has_value());
  }
}

}  // namespace
