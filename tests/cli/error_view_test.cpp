#include "cli/error_view.hpp"

#include <doctest/doctest.h>

using namespace vmbackup;
using base::Error;
using base::ErrorCode;

TEST_CASE("message, reason, causes and hint, each on its line") {
  const Error error =
      Error(ErrorCode::invalid, "creating x: it is invalid", "look at y").with_reason("Invalid").with_causes({"spec.a: no"});
  CHECK(cli::error_text(error, {}) == "error: creating x: it is invalid (Invalid)\n  - spec.a: no\nhint: look at y\n");
  CHECK(cli::error_text(Error(ErrorCode::internal, "bare"), {}) == "error: bare\n");
}

TEST_CASE("a reason that the message has already is not said twice") {
  CHECK(cli::error_text(Error(ErrorCode::forbidden, "x is Forbidden").with_reason("Forbidden"), {}) == "error: x is Forbidden\n");
}

TEST_CASE("nothing from elsewhere reaches the terminal raw") {
  const Error error = Error(ErrorCode::invalid, "a\x1b[31m\nerror: b", "c\x07").with_causes({"\xe2\x80\xae"}).with_reason("R\r");
  CHECK(cli::error_text(error, {}) == "error: a\\x1b[31m\\nerror: b (R\\x0d)\n  - \\u202e\nhint: c\\x07\n");
}

TEST_CASE("colors only where they are wanted") {
  const Error error(ErrorCode::internal, "x", "y");
  CHECK(cli::error_text(error, {true}) == "\x1b[1;31merror:\x1b[0m x\n\x1b[36mhint:\x1b[0m y\n");
  CHECK(cli::error_text(error, {false}).find('\x1b') == std::string::npos);
}
