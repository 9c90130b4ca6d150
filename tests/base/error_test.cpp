#include "base/error.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

using vmbackup::base::Error;
using vmbackup::base::ErrorCode;

TEST_CASE("each code has its own word, as written in JSON") {
  struct Row {
    ErrorCode code;
    std::string word;
  };
  const Row rows[] = {{ErrorCode::usage, "usage"},
                      {ErrorCode::invalid, "invalid"},
                      {ErrorCode::not_found, "not_found"},
                      {ErrorCode::already_exists, "already_exists"},
                      {ErrorCode::unauthenticated, "unauthenticated"},
                      {ErrorCode::forbidden, "forbidden"},
                      {ErrorCode::conflict, "conflict"},
                      {ErrorCode::precondition, "precondition"},
                      {ErrorCode::unavailable, "unavailable"},
                      {ErrorCode::timeout, "timeout"},
                      {ErrorCode::cancelled, "cancelled"},
                      {ErrorCode::internal, "internal"}};
  for (const Row& row : rows) CHECK(to_string(row.code) == row.word);
  CHECK(to_string(static_cast<ErrorCode>(99)) == std::string("internal"));
}

TEST_CASE("a new error has no reason and no causes") {
  const Error error(ErrorCode::not_found, "get vm/a");
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == "get vm/a");
  CHECK(error.hint().empty());
  CHECK(error.reason().empty());
  CHECK(error.causes().empty());
}

TEST_CASE("wrap puts a clause in front and keeps all else") {
  const Error error = Error(ErrorCode::forbidden, "no", "ask").with_reason("Forbidden").with_causes({"spec.a: bad", "spec.b: bad"});
  const Error outer = error.wrap("create x").wrap("snapshot a");
  CHECK(outer.message() == "snapshot a: create x: no");
  CHECK(outer.code() == ErrorCode::forbidden);
  CHECK(outer.hint() == "ask");
  CHECK(outer.reason() == "Forbidden");
  CHECK(outer.causes() == std::vector<std::string>{"spec.a: bad", "spec.b: bad"});
  CHECK(error.message() == "no");
}

TEST_CASE("with_hint, with_reason and with_causes replace one part of a copy") {
  const Error error(ErrorCode::invalid, "m", "h");
  CHECK(error.with_hint("other").hint() == "other");
  CHECK(error.with_hint("other").message() == "m");
  CHECK(error.with_reason("R").hint() == "h");
  CHECK(error.with_causes({"c"}).causes().size() == 1);
  CHECK(error.hint() == "h");
  CHECK(error.reason().empty());
}
