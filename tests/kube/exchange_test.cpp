#include "kube/exchange.hpp"

#include <doctest/doctest.h>

namespace vmbackup::kube {
namespace {

using base::ErrorCode;

HttpRequest request(std::size_t most_bytes = 1000) { return {"GET", "/", {}, {}, most_bytes}; }

void head(Exchange& exchange, std::initializer_list<const char*> lines) {
  for (const char* line : lines) CHECK(exchange.take_head_line(line));
}

TEST_CASE("head and body become an answer; header names are lower case") {
  Exchange exchange(request());
  head(exchange, {"HTTP/2 200\r\n", "Content-Type:  application/json \r\n", "X-Empty:\r\n"});
  CHECK_FALSE(exchange.answered());
  head(exchange, {"\r\n"});
  CHECK(exchange.answered());
  CHECK(exchange.http_major() == 2);
  CHECK(exchange.take_body("{\"a\":"));
  CHECK(exchange.take_body("1}"));
  CHECK_FALSE(exchange.take().has_value());
  exchange.finish(std::nullopt);
  CHECK(exchange.wakeup().consume());
  const auto answer = exchange.take();
  REQUIRE(answer.has_value());
  REQUIRE(*answer);
  CHECK((*answer)->status == 200);
  CHECK((*answer)->header("content-type") == "application/json");
  CHECK((*answer)->header("x-empty").empty());
  CHECK((*answer)->header("nothing").empty());
  CHECK((*answer)->body == "{\"a\":1}");
  CHECK_FALSE(exchange.take().has_value());
}

TEST_CASE("an interim head is no answer and leaves nothing behind") {
  Exchange exchange(request());
  head(exchange, {"HTTP/1.1 100 Continue\r\n", "X-A: 1\r\n", "\r\n"});
  CHECK_FALSE(exchange.answered());
  head(exchange, {"HTTP/1.1 404 Not Found\r\n", "X-B: 2\r\n", "\r\n"});
  CHECK(exchange.answered());
  exchange.finish(std::nullopt);
  const auto answer = exchange.take();
  CHECK((*answer)->status == 404);
  CHECK((*answer)->headers.size() == 1);
}

TEST_CASE("a body may be as long as the request allows, and no longer") {
  Exchange exchange(request(10));
  head(exchange, {"HTTP/2 200", ""});
  CHECK(exchange.take_body("12345"));
  CHECK(exchange.take_body("67890"));
  CHECK_FALSE(exchange.too_long());
  CHECK_FALSE(exchange.take_body("x"));
  CHECK(exchange.too_long());
}

TEST_CASE("an endless head is cut off") {
  Exchange exchange(request());
  head(exchange, {"HTTP/2 200"});
  const std::string line = "X: " + std::string(100'000, 'x');
  int taken = 0;
  while (taken < 1000 && exchange.take_head_line(line)) ++taken;
  CHECK(taken < 12);
  CHECK(exchange.too_long());
}

TEST_CASE("a failure is the answer") {
  Exchange exchange(request());
  exchange.finish(base::Error(ErrorCode::unavailable, "gone"));
  CHECK(exchange.take()->error().message() == "gone");
}

struct Told {
  std::string data;
  int ends = 0;
  std::string end;
  StreamSink sink() {
    return {[this](std::string_view bytes) { data += bytes; },
            [this](base::Result<HttpResponse> result) {
              ++ends;
              end = result ? std::to_string(result->status) + " " + result->body : result.error().message();
            }};
  }
};

TEST_CASE("a good stream goes to the sink as it comes, without limit") {
  Told told;
  Exchange exchange(request(3), told.sink());
  head(exchange, {"HTTP/2 200", ""});
  CHECK(exchange.take_body("12345"));
  CHECK(told.data == "12345");
  exchange.finish(std::nullopt);
  CHECK(told.end == "200 ");
  CHECK(told.ends == 1);
}

TEST_CASE("a refused stream tells its body at the end") {
  Told told;
  Exchange exchange(request(), told.sink());
  head(exchange, {"HTTP/2 403", ""});
  CHECK(exchange.take_body("no"));
  CHECK(told.data.empty());
  exchange.finish(std::nullopt);
  CHECK(told.end == "403 no");
}

TEST_CASE("a stream that was given up tells nothing more") {
  Told told;
  Exchange exchange(request(), told.sink());
  head(exchange, {"HTTP/2 200", ""});
  CHECK(exchange.take_body("1"));
  exchange.give_up();
  CHECK(exchange.take_body("2"));
  exchange.finish(base::Error(ErrorCode::cancelled, "given up"));
  CHECK(told.data == "1");
  CHECK(told.ends == 0);
}

TEST_CASE("a sink may give up its own stream") {
  int calls = 0;
  Exchange* self = nullptr;
  Exchange exchange(request(), {[&](std::string_view) {
                                  ++calls;
                                  self->give_up();
                                },
                                {}});
  self = &exchange;
  head(exchange, {"HTTP/2 200", ""});
  CHECK(exchange.take_body("1"));
  CHECK(exchange.take_body("2"));
  CHECK(calls == 1);
}

}  // namespace
}  // namespace vmbackup::kube
