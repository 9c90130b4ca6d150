#include "kube/exec_channel.hpp"

#include <doctest/doctest.h>

namespace vmbackup::kube {
namespace {

using base::ErrorCode;

std::string on(int channel, const std::string& text) { return std::string(1, static_cast<char>(channel)) + text; }

const std::string k_success = R"({"metadata":{},"status":"Success"})";

TEST_CASE("outputs are gathered until the status says how it ended") {
  ExecChannel channel(100, "x");
  CHECK_FALSE(*channel.take(on(1, "")));
  CHECK_FALSE(*channel.take(on(1, "ou")));
  CHECK_FALSE(*channel.take(on(2, "err")));
  CHECK_FALSE(*channel.take(on(1, "t")));
  CHECK_FALSE(*channel.take(on(3, "")));
  CHECK_FALSE(*channel.take(on(255, "\x01")));
  CHECK(*channel.take(on(3, k_success)));
  const auto end = channel.result();
  REQUIRE(end);
  CHECK(end->exit_code == 0);
  CHECK(end->out == "out");
  CHECK(end->err == "err");
}

TEST_CASE("the exit code is among the causes") {
  ExecChannel channel(100, "x");
  CHECK(*channel.take(on(3, R"({"status":"Failure","reason":"NonZeroExitCode","message":"m","details":{"causes":[)"
                            R"({"reason":"Other","message":"7"},{"reason":"ExitCode","message":"3"}]}})")));
  CHECK(channel.result()->exit_code == 3);
}

TEST_CASE("any other failure is an error in the server's words") {
  for (const char* causes : {"null", R"({"causes":[{"reason":"ExitCode","message":"x"}]})", R"({"causes":[{"message":"3"}]})"}) {
    ExecChannel channel(100, "run it");
    CHECK(*channel.take(
        on(3, R"({"metadata":{},"status":"Failure","reason":"InternalError","message":"no such program","code":500,"details":)" +
                  std::string(causes) + "}")));
    const auto end = channel.result();
    REQUIRE_FALSE(end);
    CHECK(end.error().code() == ErrorCode::unavailable);
    CHECK(end.error().message() == "run it: no such program");
    CHECK(end.error().reason() == "InternalError");
  }
}

TEST_CASE("what is no message of a server is refused") {
  for (const std::string& bad : {std::string(), on(0, "x"), on(4, "x"), on(9, "x"), on(3, "not json"), on(3, "[]")}) {
    ExecChannel channel(100, "x");
    const auto taken = channel.take(bad);
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code() == ErrorCode::invalid);
  }
}

TEST_CASE("both outputs together may not be longer than allowed") {
  ExecChannel channel(10, "x");
  CHECK(channel.take(on(1, "12345")));
  CHECK(channel.take(on(2, "12345")));
  CHECK(channel.take(on(1, "")));
  CHECK(channel.take(on(2, "6")).error().code() == ErrorCode::invalid);
}

TEST_CASE("input goes in pieces, and ends") {
  CHECK(exec_input_messages("") == std::vector<std::string>{std::string("\xff\0", 2)});
  const auto messages = exec_input_messages(std::string(70'000, 'i'));
  REQUIRE(messages.size() == 4);
  std::string all;
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(messages[i][0] == '\0');
    all += messages[i].substr(1);
  }
  CHECK(all == std::string(70'000, 'i'));
  CHECK(messages[3] == std::string("\xff\0", 2));
}

}  // namespace
}  // namespace vmbackup::kube
