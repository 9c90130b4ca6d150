#include "backup/thaw.hpp"

#include <doctest/doctest.h>

#include <functional>

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::choose;
using backup::ThawChoice;
using backup::ThawDecision;
using backup::ThawFacts;

// A running guest that is frozen by a run of ours that has died.
ThawFacts ours() {
  ThawFacts facts;
  facts.vm = {"prod", "db-0"};
  facts.running = true;
  facts.agent = true;
  facts.frozen = true;
  facts.leased = true;
  facts.run = "20261125-030000-abcd";
  facts.lease_expired = true;
  facts.held_for = 10min;
  return facts;
}

}  // namespace

TEST_CASE("which guests are let go") {
  struct Row {
    const char* what;
    std::function<void(ThawFacts&)> change;
    ThawDecision plain;
    ThawDecision forced;
  };
  const ThawDecision go = ThawDecision::let_go;
  const ThawDecision leave = ThawDecision::leave;
  const ThawDecision nothing = ThawDecision::nothing;
  const Row rows[] = {
      {"ours, its run dead", [](ThawFacts&) {}, go, go},
      {"ours, its run under way", [](ThawFacts& f) { f.lease_expired = false; }, leave, go},
      {"somebody else's", [](ThawFacts& f) { f.leased = false; }, leave, go},
      {"paused by us, no lease left",
       [](ThawFacts& f) {
         f.leased = false;
         f.frozen = false;
         f.marked = true;
       },
       go, go},
      {"in the middle of a snapshot", [](ThawFacts& f) { f.snapshot_in_progress = "s1"; }, leave, go},
      {"named, in the middle of a snapshot",
       [](ThawFacts& f) {
         f.named = true;
         f.snapshot_in_progress = "s1";
       },
       leave, go},
      {"named, somebody else's",
       [](ThawFacts& f) {
         f.named = true;
         f.leased = false;
       },
       go, go},
      {"named, held by a run under way",
       [](ThawFacts& f) {
         f.named = true;
         f.lease_expired = false;
       },
       go, go},
      {"named, not called frozen",
       [](ThawFacts& f) {
         f.named = true;
         f.frozen = false;
         f.leased = false;
       },
       go, go},
      {"not frozen", [](ThawFacts& f) { f.frozen = false; }, nothing, nothing},
      {"not running", [](ThawFacts& f) { f.running = false; }, nothing, nothing},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    ThawFacts facts = ours();
    row.change(facts);
    CHECK(choose(facts, false, {}).decision == row.plain);
    CHECK(choose(facts, true, {}).decision == row.forced);
    if (row.plain != go) CHECK_FALSE(choose(facts, false, {}).reason.empty());
  }
}

TEST_CASE("an age that is not known never satisfies --older-than") {
  ThawFacts facts = ours();
  CHECK(choose(facts, false, 5min).decision == ThawDecision::let_go);
  CHECK(choose(facts, false, 11min).decision == ThawDecision::leave);
  CHECK(choose(facts, false, 11min).reason == "it has been held for 10m only");
  facts.leased = false;
  facts.held_for.reset();
  CHECK(choose(facts, true, 1s).decision == ThawDecision::leave);
  CHECK(choose(facts, true, 1s).reason == "since when it is held is not known");
}

TEST_CASE("a guest that a run under way has only just frozen is not called free") {
  ThawFacts facts = ours();
  facts.frozen = false;
  facts.lease_expired = false;
  const ThawChoice choice = choose(facts, false, {});
  CHECK(choice.decision == ThawDecision::nothing);
  CHECK(choice.reason == "run 20261125-030000-abcd holds its lock; its status does not call it frozen");
}

TEST_CASE("a lease that has run out over a guest that does not stand still is cleared away") {
  ThawFacts facts = ours();
  facts.frozen = false;
  CHECK(choose(facts, false, {}).clear_lease);
  facts.running = false;
  CHECK(choose(facts, false, {}).clear_lease);
  facts.lease_expired = false;
  CHECK_FALSE(choose(facts, false, {}).clear_lease);
}
