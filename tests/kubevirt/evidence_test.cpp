#include "kubevirt/evidence.hpp"

#include <doctest/doctest.h>

#include "backup/evidence_builder.hpp"

namespace {

using namespace vmbackup;
using kubevirt::Evidence;
using kubevirt::Offset;

std::string text_of(const Evidence& evidence) {
  const base::Result<std::string> text = kubevirt::encode(evidence);
  REQUIRE(text.ok());
  return *text;
}

TEST_CASE("what is written is read back, each way to hold a guest") {
  for (const Evidence& evidence : {test::stopped(), test::held_by_nobody(), test::held_by_controller(), test::held_by_pause(),
                                   test::with_recipe(test::held_by_freeze()), test::held_by_freeze_pause()}) {
    const std::string text = text_of(evidence);
    CAPTURE(text);
    const base::Result<Evidence> read = kubevirt::decode_evidence(text);
    REQUIRE(read.ok());
    CHECK(text_of(*read) == text);
    CHECK(backup::consistency_of(*read).level == backup::consistency_of(evidence).level);
  }
}

TEST_CASE("the schema, member by member") {
  Evidence evidence = test::with_recipe(test::held_by_freeze());
  evidence.disks->pop_back();
  evidence.disks->front().accepted_raw = true;
  evidence.freeze->error = "slow";
  evidence.assumptions = {"a sentence"};
  evidence.probes = {{Offset(500), true}};
  evidence.group = kubevirt::GroupSeen{3, Offset(93)};
  CHECK(text_of(evidence) ==
        R"({"v":1,"snapshot":"u1","content":"c1","vm":"v1","t0":"2025-12-18T00:00:00.000Z","hold":"freeze","os":"fedora","createSent":95,)"
        R"("safetyTimeout":300000,"instance":{"ran":true,"gap":false,"migrating":false,"from":-300,"until":900,"uid":"i1","node":"n1",)"
        R"("pod":"p1","endUid":"i1","endNode":"n1","endPod":"p1"},"pause":{"seen":false},"freeze":{"by":"answer","confirmed":90,)"
        R"("error":"slow"},"thaw":{"byController":false,"sent":700,"confirmed":760},"vssError":false,"agent":[{"at":-300,"on":true}],)"
        R"("frozen":[{"at":-300,"on":false}],"probes":[{"at":500,"on":true}],"lock":{"other":false,)"
        R"("statusEmpty":false,"thawBefore":false,"becameOurs":80,"watched":12000},"group":{"vms":3,"held":93},)"
        R"("recipe":[{"name":"flush","ready":-900,"held":640},)"
        R"({"name":"lock","ready":-200,"held":640}],"indications":["GuestAgent","Online"],"disks":[{"name":"root","included":true,)"
        R"("counts":true,"claim":"db-0-root","volumeSnapshot":"vmsnapshot-u1-volume-root","handle":"snapcontent-root",)"
        R"("creationTime":"2025-12-18T00:00:01.000Z","cutSeen":400,"fileSystem":true,"acceptedRaw":true,"shared":false}],)"
        R"("assumptions":["a sentence"]})");
}

TEST_CASE("members of later versions are passed over, an empty document is evidence of nothing") {
  CHECK(kubevirt::decode_evidence(R"({"v":1,"new":{"x":[1]},"instance":{"ran":false,"from":0,"until":1,"later":true}})").ok());
  const base::Result<Evidence> empty = kubevirt::decode_evidence(R"({"v":1})");
  REQUIRE(empty.ok());
  CHECK_FALSE(empty->disks.has_value());
  CHECK(backup::consistency_of(*empty).level == backup::Level::unknown);
}

TEST_CASE("what a fact does not say counts as its bad side") {
  const base::Result<Evidence> read = kubevirt::decode_evidence(
      R"({"v":1,"instance":{"ran":true,"from":0,"until":1},"pause":{},"lock":{},"disks":[{"name":"d","included":true}]})");
  REQUIRE(read.ok());
  CHECK(read->instance->gap);
  CHECK(read->instance->migrating);
  CHECK(read->pause->seen);
  CHECK(read->lock->other);
  CHECK(read->lock->thaw_before);
  CHECK_FALSE(read->lock->status_empty);
  CHECK(read->disks->front().counts);
}

TEST_CASE("strict on types, words, times, numbers and version: each is an error that names the member") {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"", "evidence"},
      {"no", "evidence"},
      {"[]", "expected object"},
      {"{}", "v: missing"},
      {R"({"v":2})", "schema version 2"},
      {R"({"v":"1"})", "v: expected integer"},
      {R"({"v":1,"hold":"freese"})", "unknown word \"freese\""},
      {R"({"v":1,"hold":5})", "hold: expected string"},
      {R"({"v":1,"t0":"yesterday"})", "t0: invalid time"},
      {R"({"v":1,"createSent":"95"})", "createSent: expected integer"},
      {R"({"v":1,"createSent":95.5})", "createSent: expected integer"},
      {R"({"v":1,"createSent":99999999999999})", "no offset"},
      {R"({"v":1,"createSent":-99999999999999})", "no offset"},
      {R"({"v":1,"instance":[]})", "instance"},
      {R"({"v":1,"instance":{"from":0,"until":1}})", "ran: missing"},
      {R"({"v":1,"instance":{"ran":1,"from":0,"until":1}})", "instance.ran: expected boolean"},
      {R"({"v":1,"instance":{"ran":true,"until":1}})", "from: missing"},
      {R"({"v":1,"agent":{"at":1}})", "agent: expected array"},
      {R"({"v":1,"agent":[{"on":true}]})", "at: missing"},
      {R"({"v":1,"agent":[5]})", "agent[0]"},
      {R"({"v":1,"indications":["Online",5]})", "indications[1]"},
      {R"({"v":1,"disks":[{"included":true}]})", "disks[0].name: missing"},
      {R"({"v":1,"disks":[{"name":"d"}]})", "included: missing"},
      {R"({"v":1,"freeze":{"by":"hope"}})", "unknown word \"hope\""},
      {R"({"v":1,"recipe":[{"ready":1}]})", "recipe[0].name: missing"},
      {R"({"v":1,"assumptions":"x"})", "assumptions: expected array"},
  };
  for (const auto& [text, part] : rows) {
    CAPTURE(text);
    const base::Result<Evidence> read = kubevirt::decode_evidence(text);
    REQUIRE_FALSE(read.ok());
    CAPTURE(read.error().message());
    CHECK(read.error().code() == base::ErrorCode::invalid);
    CHECK(read.error().message().find(part) != std::string::npos);
  }
}

TEST_CASE("no more than the cap is written or read, and forty disks fit") {
  Evidence evidence = test::held_by_freeze();
  evidence.disks->clear();
  for (int i = 0; i < 40; ++i) {
    kubevirt::EvidenceDisk disk = test::disk_seen(std::string(60, 'd') + std::to_string(i), 500);
    disk.claim = std::string(200, 'c');
    evidence.disks->push_back(disk);
  }
  CHECK(kubevirt::encode(evidence).ok());
  evidence.assumptions = {std::string(kubevirt::k_most_evidence_bytes, 'x')};
  const base::Result<std::string> written = kubevirt::encode(evidence);
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().message().find("more than the 65536 that are kept") != std::string::npos);
  CHECK_FALSE(kubevirt::decode_evidence(R"({"v":1,"assumptions":[")" + std::string(kubevirt::k_most_evidence_bytes, 'x') + "\"]}").ok());
}

TEST_CASE("the patch is bound to one object") {
  CHECK(json::dump(kubevirt::evidence_patch("u1", "{}")) ==
        R"({"metadata":{"uid":"u1","annotations":{"kubectl-vmbackup/evidence":"{}"}}})");
}

}  // namespace
