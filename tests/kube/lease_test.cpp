#include "kube/lease.hpp"

#include <doctest/doctest.h>

#include "kube/rest_client.hpp"
#include "kube/scripted_transport.hpp"
#include "support/fake_clock.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;
using std::chrono::seconds;
using test::FakeClock;
using test::Script;

const char* const k_seen = R"({
  "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
  "metadata": {"name": "vmbackup-db-0", "namespace": "prod", "uid": "u-1", "resourceVersion": "7",
               "creationTimestamp": "2026-01-02T03:04:05Z",
               "labels": {"app": "x"}, "annotations": {"run": "r-1"},
               "ownerReferences": [{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "db-0", "uid": "u-2"},
                                   {"apiVersion": "v1", "kind": "Pod", "name": "other", "uid": "u-3"}]},
  "spec": {"holderIdentity": "me", "leaseDurationSeconds": 30, "renewTime": "2026-01-02T03:04:06.500000Z"}
})";

struct Fixture {
  FakeClock clock;
  Script script;
  std::unique_ptr<Client> client = make_rest_client(std::make_unique<test::ScriptedTransport>(script), clock, {});
  const Call call{.deadline = base::Deadline::after(clock, seconds(60))};

  NewLease wanted() const {
    NewLease lease;
    lease.name = {"prod", "vmbackup-db-0"};
    lease.holder = "me";
    lease.duration = seconds(30);
    lease.now = FakeClock::default_wall_start();
    return lease;
  }
  Lease seen() const { return decode_lease(*json::parse(k_seen)).value(); }
  json::Value sent() const { return json::parse(script.requests.back().body).value(); }
};

TEST_CASE("a lease is read with what tells whose it is and since when") {
  const base::Result<Lease> lease = decode_lease(*json::parse(k_seen));
  REQUIRE(lease);
  CHECK(lease->name == Name{"prod", "vmbackup-db-0"});
  CHECK(lease->uid == "u-1");
  CHECK(lease->resource_version == "7");
  CHECK(lease->holder == "me");
  CHECK(lease->duration == seconds(30));
  CHECK(lease->created == FakeClock::default_wall_start());
  CHECK(lease->renewed == FakeClock::default_wall_start() + std::chrono::milliseconds(1500));
  CHECK(lease->annotation("run") == "r-1");
  CHECK(lease->annotation("other").empty());
  CHECK(lease->owner_name == "db-0");
}

TEST_CASE("a lease that nobody holds has neither holder nor times; one of another shape is refused by the field") {
  const char* const bare = R"({"metadata": {"name": "a", "namespace": "prod", "uid": "u", "resourceVersion": "1"}, "spec": {}})";
  const base::Result<Lease> free = decode_lease(*json::parse(bare));
  REQUIRE(free);
  CHECK(free->holder.empty());
  CHECK(free->duration == base::Duration::zero());
  CHECK_FALSE(free->renewed);
  CHECK_FALSE(free->created);
  const base::Result<Lease> odd = decode_lease(*json::parse(
      R"({"metadata": {"name": "a", "namespace": "prod", "uid": "u", "resourceVersion": "1"}, "spec": {"holderIdentity": 7}})"));
  REQUIRE_FALSE(odd);
  CHECK(odd.error().code() == ErrorCode::invalid);
  CHECK(odd.error().message() == "Lease prod/a: spec.holderIdentity: expected string, found integer");
  CHECK_FALSE(decode_lease(*json::parse(R"({"metadata": {"name": "a", "namespace": "prod", "uid": "u"}})")));
}

TEST_CASE("a duration that no API server allows stays a duration") {
  const auto duration_of = [](const std::string& number) {
    const base::Result<Lease> lease = decode_lease(*json::parse(
        R"({"metadata": {"name": "a", "namespace": "p", "uid": "u", "resourceVersion": "1"}, "spec": {"leaseDurationSeconds": )" + number +
        "}}"));
    return lease.value().duration;
  };
  CHECK(duration_of("9223372036854775807") == seconds(2147483647));
  CHECK(duration_of("-9223372036854775807") == base::Duration::zero());
}

TEST_CASE_FIXTURE(Fixture, "create writes holder, whole seconds, times with six digits, and whose end is the lease's end too") {
  script.answer(201, k_seen);
  NewLease lease = wanted();
  lease.duration = std::chrono::milliseconds(30'900);
  lease.labels = {{"app", "x"}};
  lease.annotations = {{"run", "r-1"}};
  lease.owner = Owner{.api_version = "kubevirt.io/v1", .kind = "VirtualMachine", .name = "db-0", .uid = "u-2"};
  const base::Result<Lease> made = create_lease(*client, lease, call, {});
  REQUIRE(made);
  CHECK(made->uid == "u-1");
  CHECK(script.targets() == std::vector<std::string>{"POST /apis/coordination.k8s.io/v1/namespaces/prod/leases?fieldValidation=Strict"});
  CHECK(sent() == json::parse(R"({
    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
    "metadata": {"name": "vmbackup-db-0", "namespace": "prod", "labels": {"app": "x"}, "annotations": {"run": "r-1"},
                 "ownerReferences": [{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "db-0", "uid": "u-2"}]},
    "spec": {"holderIdentity": "me", "leaseDurationSeconds": 30, "renewTime": "2026-01-02T03:04:05.000000Z",
             "acquireTime": "2026-01-02T03:04:05.000000Z"}})")
                      .value());
}

TEST_CASE_FIXTURE(Fixture, "create says that somebody has it; less than a second is a second, for 0 is no length of a lease") {
  script.answer(409, R"({"kind":"Status","reason":"AlreadyExists","message":"it is there","code":409})");
  NewLease lease = wanted();
  lease.duration = std::chrono::milliseconds(10);
  const base::Result<Lease> made = create_lease(*client, lease, call, {});
  REQUIRE_FALSE(made);
  CHECK(made.error().code() == ErrorCode::already_exists);
  CHECK(made.error().message() == "create Lease prod/vmbackup-db-0: it is there");
  CHECK(sent().path({"spec", "leaseDurationSeconds"}).as_integer() == 1);
  CHECK(sent().path({"metadata", "ownerReferences"}).is_null());
}

TEST_CASE_FIXTURE(Fixture, "write changes the lease that was seen and no other; who takes it from another says since when he has it") {
  script.answer(200, k_seen);
  CHECK(write_lease(*client, seen(), wanted(), call, {}));
  CHECK(script.targets() == std::vector<std::string>{"PATCH /apis/coordination.k8s.io/v1/namespaces/prod/leases/vmbackup-db-0"});
  CHECK(script.requests[0].headers.back().second == "application/merge-patch+json");
  CHECK(sent() == json::parse(R"({"metadata": {"resourceVersion": "7", "uid": "u-1"},
    "spec": {"holderIdentity": "me", "leaseDurationSeconds": 30, "renewTime": "2026-01-02T03:04:05.000000Z"}})")
                      .value());
  script.answer(409, R"({"kind":"Status","reason":"Conflict","message":"changed","code":409})");
  NewLease taken = wanted();
  taken.holder = "other";
  taken.annotations = {{"run", "r-2"}};
  const base::Result<Lease> lost = write_lease(*client, seen(), taken, call, {});
  REQUIRE_FALSE(lost);
  CHECK(lost.error().code() == ErrorCode::conflict);
  CHECK(sent().path({"spec", "acquireTime"}).as_string() == "2026-01-02T03:04:05.000000Z");
  CHECK(sent().path({"metadata", "annotations", "run"}).as_string() == "r-2");
}

TEST_CASE_FIXTURE(Fixture, "remove takes that very lease; gone is as good as removed, another in its place is not") {
  script.answer(200, "{}");
  CHECK(remove_lease(*client, seen(), call, {}));
  CHECK(script.targets() == std::vector<std::string>{"DELETE /apis/coordination.k8s.io/v1/namespaces/prod/leases/vmbackup-db-0"});
  CHECK(sent().path({"preconditions", "uid"}).as_string() == "u-1");
  script.answer(404, R"({"kind":"Status","reason":"NotFound","message":"gone","code":404})");
  CHECK(remove_lease(*client, seen(), call, {}));
  script.answer(409, R"({"kind":"Status","reason":"Conflict","message":"Precondition failed: UID","code":409})");
  CHECK(remove_lease(*client, seen(), call, {}).error().code() == ErrorCode::precondition);
}

TEST_CASE_FIXTURE(Fixture, "get and list read; a list with one lease of another shape is no list") {
  script.answer(200, k_seen);
  CHECK(get_lease(*client, {"prod", "vmbackup-db-0"}, call, {}).value().uid == "u-1");
  script.answer(200, std::string(R"({"metadata": {"resourceVersion": "9"}, "items": [)") + k_seen + "]}");
  const base::Result<std::vector<Lease>> all = list_leases(*client, "", "app=x", call, {});
  REQUIRE(all);
  REQUIRE(all->size() == 1);
  CHECK(all->front().holder == "me");
  script.answer(200, std::string(R"({"metadata": {"resourceVersion": "9"}, "items": [)") + k_seen + R"(, {"metadata": 1}]})");
  CHECK(list_leases(*client, "prod", "", call, {}).error().code() == ErrorCode::invalid);
  CHECK(script.targets() == std::vector<std::string>{"GET /apis/coordination.k8s.io/v1/namespaces/prod/leases/vmbackup-db-0",
                                                     "GET /apis/coordination.k8s.io/v1/leases?labelSelector=app%3Dx&limit=500",
                                                     "GET /apis/coordination.k8s.io/v1/namespaces/prod/leases?limit=500"});
}

}  // namespace
}  // namespace vmbackup::kube
