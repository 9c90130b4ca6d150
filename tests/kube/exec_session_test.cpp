#include "kube/exec_session.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "support/fake_clock.hpp"
#include "support/fake_cluster_websocket.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;
using base::Result;
using std::chrono::seconds;
using test::server_frame;

std::string on(int channel, const std::string& text) { return server_frame(2, std::string(1, static_cast<char>(channel)) + text); }

const std::string k_success = on(3, R"({"status":"Success"})");

struct Fixture {
  test::FakeClock clock;
  Duplex bytes;
  ExecCommand command{.container = "", .argv = {"x"}, .input = {}, .most_bytes = 1000};
  std::stop_source stop;
  std::vector<std::string> sent;  // frames of ours: "2:payload"
  std::string unread;
  bool answers_pings = false;

  Fixture() {
    bytes.on_change([this] {
      unread += bytes.take_outgoing();
      while (const auto frame = test::take_client_frame(unread)) {
        CHECK(frame->masked);
        sent.push_back(std::to_string(frame->opcode) + ":" + frame->payload);
        if (frame->opcode == 9 && answers_pings) bytes.feed(server_frame(10, frame->payload));
      }
    });
  }
  Result<ExecEnd> run(base::Duration within = seconds(30)) {
    return run_exec_session(bytes, command, "run x", clock, base::Deadline::after(clock, within), stop.get_token());
  }
  std::size_t count(const std::string& frame) const { return static_cast<std::size_t>(std::count(sent.begin(), sent.end(), frame)); }
};

const std::string k_closing = std::string("8:\x03\xe8", 4);

TEST_CASE_FIXTURE(Fixture, "what the command said comes back, and the connection is closed") {
  bytes.feed(on(1, "") + on(1, "out") + on(2, "err") + k_success);
  const auto end = run();
  REQUIRE(end);
  CHECK(end->out == "out");
  CHECK(end->err == "err");
  CHECK(sent == std::vector<std::string>{k_closing});
}

TEST_CASE_FIXTURE(Fixture, "input is sent and ended; none is not") {
  command.input = "abc";
  bytes.feed(k_success);
  CHECK(run());
  CHECK(sent == std::vector<std::string>{std::string("2:\0abc", 6), std::string("2:\xff\0", 4), k_closing});
}

TEST_CASE_FIXTURE(Fixture, "a ping is answered with its own payload") {
  bytes.feed(server_frame(9, "are you there") + k_success);
  CHECK(run());
  CHECK(sent.front() == "10:are you there");
}

TEST_CASE_FIXTURE(Fixture, "a quiet command is waited for while the server answers pings") {
  answers_pings = true;
  const auto end = run(seconds(600));
  REQUIRE_FALSE(end);
  CHECK(end.error().code() == ErrorCode::timeout);
  CHECK(count("9:") >= 118);
  CHECK(sent.back() == k_closing);
}

TEST_CASE_FIXTURE(Fixture, "a server that answers no ping is given up after a minute") {
  const base::TimePoint begun = clock.now();
  const auto end = run(seconds(600));
  REQUIRE_FALSE(end);
  CHECK(end.error().code() == ErrorCode::unavailable);
  CHECK(clock.now() - begun >= seconds(61));
  CHECK(clock.now() - begun <= seconds(66));
}

TEST_CASE_FIXTURE(Fixture, "cancelled: the channel is closed") {
  stop.request_stop();
  const auto end = run();
  REQUIRE_FALSE(end);
  CHECK(end.error().code() == ErrorCode::cancelled);
  CHECK(sent == std::vector<std::string>{k_closing});
}

TEST_CASE_FIXTURE(Fixture, "a connection that ends before the command is lost, however it ends") {
  SUBCASE("closed by the protocol") { bytes.feed(on(1, "half") + server_frame(8, "\x03\xe8")); }
  SUBCASE("closed without a word") {
    bytes.feed(on(1, "half"));
    bytes.end(std::nullopt);
  }
  SUBCASE("broken off") { bytes.end(base::Error(ErrorCode::unavailable, "reset by peer")); }
  const auto end = run();
  REQUIRE_FALSE(end);
  CHECK(end.error().code() == ErrorCode::unavailable);
  CHECK(end.error().message().find("run x: ") == 0);
}

TEST_CASE_FIXTURE(Fixture, "too much output, and garbage, end it as invalid") {
  SUBCASE("in many messages") {
    for (int i = 0; i < 11; ++i) bytes.feed(on(1, std::string(100, 'y')));
  }
  SUBCASE("in one") { bytes.feed(on(1, std::string(100'000, 'y'))); }
  SUBCASE("garbage") { bytes.feed("<html>"); }
  const auto end = run();
  REQUIRE_FALSE(end);
  CHECK(end.error().code() == ErrorCode::invalid);
  CHECK(sent.back() == k_closing);
}

TEST_CASE_FIXTURE(Fixture, "a word that came with the end is still heard") {
  bytes.feed(on(1, "out") + k_success);
  bytes.end(base::Error(ErrorCode::unavailable, "reset by peer"));
  CHECK(run()->out == "out");
}

}  // namespace
}  // namespace vmbackup::kube
