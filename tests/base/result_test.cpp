#include "base/result.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

using vmbackup::base::Error;
using vmbackup::base::ErrorCode;
using vmbackup::base::Result;

namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error(ErrorCode::invalid, "odd");
  return number / 2;
}

Result<void> check(bool good) {
  if (!good) return Error(ErrorCode::conflict, "bad");
  return {};
}

}  // namespace

TEST_CASE("a result is a value or an error") {
  CHECK(half(4).ok());
  CHECK(*half(4) == 2);
  CHECK_FALSE(half(3));
  CHECK(half(3).error().message() == "odd");
}

TEST_CASE("a result of nothing") {
  CHECK(check(true).ok());
  CHECK_FALSE(check(false));
  CHECK(check(false).error().code() == ErrorCode::conflict);
}

TEST_CASE("a value can be moved out, also one that cannot be copied") {
  Result<std::unique_ptr<std::string>> result(std::make_unique<std::string>("x"));
  CHECK(result.value()->size() == 1);
  const std::unique_ptr<std::string> taken = std::move(result).value();
  CHECK(*taken == "x");
}
