#include "kube/event.hpp"

#include <doctest/doctest.h>

#include "kube/rest_client.hpp"
#include "kube/scripted_transport.hpp"
#include "support/fake_clock.hpp"

namespace {

using namespace vmbackup;

struct Fixture {
  Fixture() { client = kube::make_rest_client(std::make_unique<test::ScriptedTransport>(script), clock); }
  kube::NewEvent event() const {
    return {.api_version = "example.io/v1",
            .kind = "Thing",
            .about = {"prod", "db-0"},
            .uid = "u1",
            .warning = true,
            .reason = "ThingFailed",
            .message = "it failed",
            .component = "tester",
            .now = test::FakeClock::default_wall_start()};
  }
  test::FakeClock clock;
  test::Script script;
  std::unique_ptr<kube::Client> client;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "an event names its object, and is named by it and the time") {
  script.answer(201, "{}");
  REQUIRE(kube::create_event(*client, event(), {}, {}).ok());
  CHECK(script.targets().front() == "POST /api/v1/namespaces/prod/events?fieldValidation=Strict");
  const base::Result<json::Value> body = json::parse(script.requests.front().body);
  REQUIRE(body.ok());
  CHECK(body->path({"metadata", "name"}).as_string().find("db-0.18") == 0);
  CHECK(body->path({"involvedObject", "uid"}).as_string() == "u1");
  CHECK(body->path({"type"}).as_string() == "Warning");
  CHECK(body->path({"lastTimestamp"}).as_string() == "2026-01-02T03:04:05Z");
  const std::string name = body->path({"metadata", "name"}).as_string();
  script.answer(201, "{}");
  REQUIRE(kube::create_event(*client, event(), {}, {}).ok());
  CHECK(json::parse(script.requests.back().body)->path({"metadata", "name"}).as_string() == name);
}

TEST_CASE_FIXTURE(Fixture, "a long message is cut, one that is there already is no error, a refusal is") {
  kube::NewEvent long_one = event();
  long_one.message = std::string(5000, 'x');
  script.answer(409, R"({"kind":"Status","code":409,"reason":"AlreadyExists","message":"events \"db-0.1\" already exists"})");
  CHECK(kube::create_event(*client, long_one, {}, {}).ok());
  CHECK(json::parse(script.requests.front().body)->path({"message"}).as_string().size() <= 1024);
  script.answer(403, R"({"kind":"Status","code":403,"reason":"Forbidden","message":"no"})");
  CHECK(kube::create_event(*client, event(), {}, {}).error().code() == base::ErrorCode::forbidden);
}
