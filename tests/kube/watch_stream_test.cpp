#include "kube/watch_stream.hpp"

#include <doctest/doctest.h>

#include "kube/scripted_transport.hpp"
#include "support/fake_clock.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;
using test::FakeClock;

struct Fixture {
  FakeClock clock;
  std::shared_ptr<WatchQueue> queue = std::make_shared<WatchQueue>();
  WatchStream stream{queue, 5, "watch vms", 100};

  std::optional<WatchEvent> next() { return queue->pop(clock, base::Deadline::at(clock.now()), {}); }
  // The error of the `ended` event that must be next and last.
  std::optional<base::Error> ended() {
    const auto event = next();
    REQUIRE(event.has_value());
    REQUIRE(event->type == WatchEvent::Type::ended);
    CHECK_FALSE(next().has_value());
    return event->error;
  }
};

TEST_CASE_FIXTURE(Fixture, "events are cut out of any pieces") {
  const std::string text =
      "{\"type\":\"ADDED\",\"object\":{\"n\":1}}\n\n{\"type\":\"MODIFIED\",\"object\":{\"n\":2}}\r\n"
      "{\"type\":\"DELETED\",\"object\":{\"n\":3}}\n{\"type\":\"BOOKMARK\",\"object\":{\"n\":4}}\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    WatchStream pieces(queue, 1, "watch", 100);
    for (std::size_t i = 0; i < text.size(); i += piece) pieces.data(std::string_view(text).substr(i, piece));
    const WatchEvent::Type types[] = {WatchEvent::Type::added, WatchEvent::Type::modified, WatchEvent::Type::deleted,
                                      WatchEvent::Type::bookmark};
    for (int i = 0; i < 4; ++i) {
      const auto event = next();
      REQUIRE(event.has_value());
      CHECK(event->type == types[i]);
      CHECK(event->object.path({"n"}).as_integer() == i + 1);
    }
    CHECK_FALSE(next().has_value());
  }
}

TEST_CASE_FIXTURE(Fixture, "half a line at the end is dropped and the end is an ordinary one") {
  stream.data("{\"type\":\"ADDED\",\"object\":{}}\n{\"type\":\"ADD");
  stream.end(test::reply(200, ""));
  CHECK(next()->type == WatchEvent::Type::added);
  CHECK_FALSE(ended().has_value());
}

TEST_CASE_FIXTURE(Fixture, "an error event ends the watch with its Status; what follows is ignored") {
  stream.data(
      "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Gone\",\"message\":\"too old\"}}\n"
      "{\"type\":\"ADDED\",\"object\":{}}\n");
  stream.end(test::reply(200, ""));
  const auto error = ended();
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::unavailable);
  CHECK(error->reason() == "Expired");
  CHECK(error->message() == "watch vms: too old");
}

TEST_CASE_FIXTURE(Fixture, "a refused watch ends with the words of the server") {
  stream.end(test::reply(403, R"({"kind":"Status","code":403,"reason":"Forbidden","message":"no"})"));
  const auto error = ended();
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::forbidden);
}

TEST_CASE_FIXTURE(Fixture, "a broken connection ends it with what happened") {
  stream.end(base::Error(ErrorCode::unavailable, "connection lost"));
  const auto error = ended();
  REQUIRE(error.has_value());
  CHECK(error->message() == "watch vms: connection lost");
}

TEST_CASE_FIXTURE(Fixture, "what is no event ends it as invalid") {
  SUBCASE("no JSON") { stream.data("<html>\n"); }
  SUBCASE("an unknown type") { stream.data("{\"type\":\"RENAMED\",\"object\":{}}\n"); }
  SUBCASE("no type") { stream.data("{}\n"); }
  SUBCASE("a line beyond the limit, in one piece") { stream.data(std::string(101, 'x')); }
  SUBCASE("a line beyond the limit, in pieces") {
    for (int i = 0; i < 101; ++i) stream.data("x");
  }
  const auto error = ended();
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::invalid);
}

TEST_CASE_FIXTURE(Fixture, "a line of exactly the limit is read") {
  std::string line = R"({"type":"ADDED","object":{"pad":")";
  line += std::string(100 - line.size() - 3, 'x') + R"("}})";
  REQUIRE(line.size() == 100);
  stream.data(line + "\n");
  CHECK(next()->type == WatchEvent::Type::added);
}

}  // namespace
}  // namespace vmbackup::kube
