#include "kube/access_review.hpp"

#include <doctest/doctest.h>

#include "kube/rest_client.hpp"
#include "kube/scripted_transport.hpp"
#include "support/fake_clock.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;

struct Fixture {
  test::FakeClock clock;
  test::Script script;
  std::unique_ptr<Client> client = make_rest_client(std::make_unique<test::ScriptedTransport>(script), clock, {});
  const Access freeze{
      .verb = "update", .group = "subresources.kubevirt.io", .plural = "virtualmachineinstances", .subresource = "freeze", .ns = "prod"};

  base::Result<bool> ask(const Access& access) {
    return may(*client, access, {.deadline = base::Deadline::after(clock, std::chrono::seconds(60))}, {});
  }
};

TEST_CASE_FIXTURE(Fixture, "the question names verb, resource, subresource and namespace") {
  script.answer(201, R"({"status": {"allowed": true}})");
  CHECK(ask(freeze).value());
  CHECK(script.targets() == std::vector<std::string>{"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews?fieldValidation=Strict"});
  CHECK(json::parse(script.requests[0].body).value() == json::parse(R"({
    "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
    "spec": {"resourceAttributes": {"verb": "update", "group": "subresources.kubevirt.io", "resource": "virtualmachineinstances",
                                    "subresource": "freeze", "namespace": "prod"}}})")
                                                            .value());
}

TEST_CASE_FIXTURE(Fixture, "all namespaces and no subresource are left out, for an empty word would be another question") {
  script.answer(201, R"({"status": {"allowed": true}})");
  CHECK(ask({.verb = "list", .group = "", .plural = "pods", .subresource = "", .ns = ""}).value());
  CHECK(json::dump(json::parse(script.requests[0].body)->path({"spec", "resourceAttributes"})) ==
        R"({"verb":"list","group":"","resource":"pods"})");
}

TEST_CASE_FIXTURE(Fixture, "only a clear yes is a yes") {
  for (const char* answer : {R"({"status": {"allowed": false}})", R"({"status": {}})", R"({"status": {"allowed": "true"}})",
                             R"({"status": {"allowed": false, "reason": "no", "evaluationError": "webhook is down"}})", "{}"}) {
    CAPTURE(answer);
    script.answer(201, answer);
    CHECK_FALSE(ask(freeze).value());
  }
}

TEST_CASE_FIXTURE(Fixture, "a question that was not answered is an error that says what was asked") {
  script.answer(403, R"({"kind":"Status","reason":"Forbidden","message":"not even this","code":403})");
  const base::Result<bool> answer = ask(freeze);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::forbidden);
  CHECK(answer.error().message().find("asking whether we may update virtualmachineinstances/freeze in subresources.kubevirt.io: ") == 0);
}

TEST_CASE("an access in words") {
  CHECK(describe({.verb = "list", .group = "", .plural = "pods", .subresource = "", .ns = "prod"}) == "list pods");
  CHECK(describe({.verb = "create", .group = "", .plural = "pods", .subresource = "exec", .ns = ""}) == "create pods/exec");
}

}  // namespace
}  // namespace vmbackup::kube
