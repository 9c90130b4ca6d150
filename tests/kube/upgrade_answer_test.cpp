#include "kube/upgrade_answer.hpp"

#include <doctest/doctest.h>

namespace vmbackup::kube {
namespace {

// The answer, given `step` bytes at a time; empty where it has not come whole.
std::optional<UpgradeAnswer> read(const std::string& text, std::size_t step = std::string::npos) {
  UpgradeAnswer answer;
  for (std::size_t at = 0; at < text.size(); at += std::min(step, text.size())) {
    const auto whole = answer.take(std::string_view(text).substr(at, step));
    REQUIRE(whole);
    if (*whole) return answer;
  }
  return std::nullopt;
}

TEST_CASE("a changed protocol: the head is read, the rest is left") {
  const auto answer = read("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX:  y \r\n\r\nrest");
  REQUIRE(answer);
  CHECK(answer->response().status == 101);
  CHECK(answer->response().header("upgrade") == "websocket");
  CHECK(answer->response().header("x") == "y");
  CHECK(answer->rest() == "rest");
}

TEST_CASE("the body of a refusal is read by its length, by chunks, or to the end") {
  for (const std::size_t step : {std::string::npos, std::size_t{1}}) {
    auto answer = read("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nwhy?", step);
    REQUIRE(answer);
    CHECK(answer->response().status == 403);
    CHECK(answer->response().body == "why?");
    answer = read(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
        step);
    REQUIRE(answer);
    CHECK(answer->response().status == 400);
    CHECK(answer->response().body == "abc0123456789");
  }
  UpgradeAnswer open;
  CHECK_FALSE(*open.take("HTTP/1.1 403 Forbidden\r\n\r\n"));
  CHECK_FALSE(*open.take("to the end"));
  CHECK(open.end());
  CHECK(open.response().body == "to the end");
}

TEST_CASE("an answer that breaks off is none") {
  for (const char* text : {"", "HTTP/1.1 101 Switching", "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nwh",
                           "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"}) {
    UpgradeAnswer answer;
    CHECK_FALSE(*answer.take(text));
    CHECK_FALSE(answer.end());
  }
}

TEST_CASE("what is not HTTP, or never ends, is refused") {
  for (const char* text :
       {"SSH-2.0-x\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno header\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    CAPTURE(text);
    UpgradeAnswer answer;
    const auto taken = answer.take(text);
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code() == base::ErrorCode::invalid);
  }
  UpgradeAnswer head;
  CHECK_FALSE(head.take("HTTP/1.1 200 OK\r\nX: " + std::string((1 << 20) + 1, 'x')));
  // Of a long body the beginning is enough.
  UpgradeAnswer body;
  CHECK(*body.take("HTTP/1.1 403 No\r\n\r\n" + std::string((1 << 20) + 5, 'x')));
  CHECK(body.response().body.size() == 1 << 20);
  UpgradeAnswer chunks;
  CHECK(*chunks.take("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n" + std::string((1 << 20) + 5, 'x')));
}

}  // namespace
}  // namespace vmbackup::kube
