#include "backup/retention.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "backup/consistency.hpp"
#include "base/text.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::Fate;
using backup::Level;
using backup::RetentionCandidate;
using backup::RetentionDecision;
using backup::RetentionRules;
using State = RetentionCandidate::State;

const base::WallTime k_now = base::parse_time("2026-03-31T12:00:00Z").value();

RetentionCandidate at(const char* time, const char* name = nullptr) {
  RetentionCandidate one;
  one.ns = "prod";
  one.vm = "db-0";
  one.vm_uid = "v1";
  one.name = name != nullptr ? name : time;
  one.created = base::parse_time(time).value();
  one.level = Level::filesystem;
  one.complete = true;
  one.ours = true;
  return one;
}

// The names that stay, in order, joined by blanks.
std::string kept(const std::vector<RetentionCandidate>& all, const RetentionRules& rules) {
  const std::vector<RetentionDecision> decisions = backup::decide_retention(all, rules, k_now);
  std::vector<std::string> names;
  REQUIRE(decisions.size() == all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK_FALSE(decisions[i].reasons.empty());
    if (decisions[i].fate == Fate::keep) names.push_back(all[i].name);
  }
  return base::join(names, " ");
}

RetentionRules rules_of(const std::function<void(RetentionRules&)>& set) {
  RetentionRules rules;
  set(rules);
  return rules;
}

// e is the newest.
std::vector<RetentionCandidate> five() {
  return {at("2026-01-10T10:00:00Z", "a"), at("2026-03-01T09:10:00Z", "b"), at("2026-03-30T08:00:00Z", "c"),
          at("2026-03-31T08:10:00Z", "d"), at("2026-03-31T08:50:00Z", "e")};
}

TEST_CASE("each rule by itself: the first of each bucket, newest first") {
  struct Row {
    const char* what;
    std::function<void(RetentionRules&)> set;
    const char* kept;
  };
  const std::vector<Row> rows = {
      {"last 2", [](RetentionRules& r) { r.last = 2; }, "d e"},
      {"more than there are", [](RetentionRules& r) { r.last = 9; }, "a b c d e"},
      {"hourly 1", [](RetentionRules& r) { r.hourly = 1; }, "e"},
      {"hourly 2", [](RetentionRules& r) { r.hourly = 2; }, "c e"},
      {"daily 2", [](RetentionRules& r) { r.daily = 2; }, "c e"},
      {"daily, days without any do not count", [](RetentionRules& r) { r.daily = 3; }, "b c e"},
      {"weekly 2: both days are of one week", [](RetentionRules& r) { r.weekly = 2; }, "b e"},
      {"monthly 2", [](RetentionRules& r) { r.monthly = 2; }, "a e"},
      {"yearly 5", [](RetentionRules& r) { r.yearly = 5; }, "e"},
      {"daily unlimited", [](RetentionRules& r) { r.daily = backup::k_keep_all; }, "a b c e"},
      {"within a day of the newest", [](RetentionRules& r) { r.within = 25h; }, "c d e"},
      {"within less", [](RetentionRules& r) { r.within = 24h; }, "d e"},
      {"rules add up",
       [](RetentionRules& r) {
         r.last = 1;
         r.monthly = 2;
       },
       "a e"},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    CHECK(kept(five(), rules_of(row.set)) == row.kept);
  }
}

TEST_CASE("buckets end where UTC says: midnight, Monday, the first of month and year") {
  const auto two = [](const char* older, const char* newer, const std::function<void(RetentionRules&)>& set) {
    return kept({at(older, "old"), at(newer, "new")}, rules_of(set));
  };
  const auto daily = [](RetentionRules& r) { r.daily = 2; };
  const auto weekly = [](RetentionRules& r) { r.weekly = 2; };
  const auto monthly = [](RetentionRules& r) { r.monthly = 2; };
  const auto yearly = [](RetentionRules& r) { r.yearly = 2; };
  CHECK(two("2026-03-30T23:59:59Z", "2026-03-31T00:00:00Z", daily) == "old new");
  CHECK(two("2026-03-31T00:00:00Z", "2026-03-31T23:59:59Z", daily) == "new");
  CHECK(two("2026-03-29T23:00:00Z", "2026-03-30T01:00:00Z", weekly) == "old new");  // a Sunday and a Monday
  CHECK(two("2026-03-23T00:00:00Z", "2026-03-29T23:00:00Z", weekly) == "new");
  CHECK(two("2025-12-29T00:00:00Z", "2026-01-04T00:00:00Z", weekly) == "new");  // one week across the year
  CHECK(two("2026-02-28T23:00:00Z", "2026-03-01T01:00:00Z", monthly) == "old new");
  CHECK(two("2025-03-05T00:00:00Z", "2026-03-05T00:00:00Z", monthly) == "old new");
  CHECK(two("2025-12-31T23:00:00Z", "2026-01-01T01:00:00Z", yearly) == "old new");
}

TEST_CASE("each VM of each namespace is a group, by UID and not by name") {
  std::vector<RetentionCandidate> all = {at("2026-03-01T00:00:00Z", "old"), at("2026-03-02T00:00:00Z", "new")};
  const RetentionRules last = rules_of([](RetentionRules& r) { r.last = 1; });
  CHECK(kept(all, last) == "new");
  all[1].vm_uid = "v2";
  CHECK(kept(all, last) == "old new");
  all[1].vm_uid = "v1";
  all[1].ns = "test";
  CHECK(kept(all, last) == "old new");
}

TEST_CASE("labels, with and without a value") {
  std::vector<RetentionCandidate> all = five();
  all[0].labels = {{"keep", "true"}};
  all[1].labels = {{"keep", "no"}};
  CHECK(kept(all, rules_of([](RetentionRules& r) {
               r.last = 1;
               r.labels = {{"keep", "true"}};
             })) == "a e");
  CHECK(kept(all, rules_of([](RetentionRules& r) {
               r.last = 1;
               r.labels = {{"keep", ""}};
             })) == "a b e");
  CHECK(kept(all, rules_of([](RetentionRules& r) {
               r.last = 1;
               r.labels = {{"other", ""}};
             })) == "e");
}

TEST_CASE("the last at the level asked for stays, and the last complete one") {
  const auto with = [](std::optional<Level> level) {
    return rules_of([&](RetentionRules& r) {
      r.last = 1;
      r.level = level;
    });
  };
  std::vector<RetentionCandidate> all = five();
  all[3].level = Level::crash;
  all[4].level = Level::per_disk;
  CHECK(kept(all, with({})) == "c e");  // the strongest is filesystem
  CHECK(kept(all, with(Level::crash)) == "d e");
  CHECK(kept(all, with(Level::unknown)) == "e");
  CHECK(kept(all, with(Level::application)) == "c e");  // none there: the strongest stands in
  all[2].complete = false;
  CHECK(kept(all, with({})) == "b c e");
  all[0].level = Level::offline;
  CHECK(kept(all, with(Level::application)) == "a e");  // no clean stop: it does not meet application, the strongest stands in
  all[1].level = Level::application;
  CHECK(kept(all, with(Level::application)) == "b e");
  all[0].clean_stop = true;
  CHECK(kept(all, with(Level::application)) == "b e");
  for (RetentionCandidate& one : all) one.level = Level::unknown;
  CHECK(kept(all, rules_of([](RetentionRules& r) { r.labels = {{"none", ""}}; })) == "e");
}

TEST_CASE("what is never deleted, whatever the rules say") {
  std::vector<RetentionCandidate> all = five();
  const RetentionRules last = rules_of([](RetentionRules& r) { r.last = 1; });
  all[0].users = {"in use: VirtualMachineRestore prod/r, not complete"};
  all[1].state = State::unfinished;
  all[2].state = State::failed;
  all[3].ours = false;
  CHECK(kept(all, last) == "a b c d e");
  const std::vector<RetentionDecision> decisions = backup::decide_retention(all, last, k_now);
  CHECK(decisions[0].reasons == std::vector<std::string>{"in use: VirtualMachineRestore prod/r, not complete"});
  CHECK(decisions[1].reasons == std::vector<std::string>{"not finished or not ready to use"});
  CHECK(decisions[2].reasons == std::vector<std::string>{"failed; --failed-older-than was not given"});
  CHECK(decisions[3].reasons == std::vector<std::string>{"not made by this tool"});
  RetentionRules more = last;
  more.all_tools = true;
  CHECK(kept(all, more) == "a b c e");
  all[2].state = State::deleting;
  CHECK(kept(all, more) == "a b c e");
}

TEST_CASE("failed ones go by their age alone, and take no other's place") {
  std::vector<RetentionCandidate> all = five();
  all[4].state = State::failed;
  all[0].state = State::failed;
  CHECK(kept(all, rules_of([](RetentionRules& r) {
               r.last = 1;
               r.failed_older_than = 24h;
             })) == "d e");
  CHECK(kept(all, rules_of([](RetentionRules& r) {
               r.last = 1;
               r.failed_older_than = 3h;
             })) == "d");
}

TEST_CASE("a VM that is gone keeps all, or with --vm-gone what the rules say and its last") {
  std::vector<RetentionCandidate> all = five();
  for (RetentionCandidate& one : all) one.vm_gone = true;
  RetentionRules rules = rules_of([](RetentionRules& r) { r.last = 1; });
  CHECK(kept(all, rules) == "a b c d e");
  rules.vm_gone = true;
  CHECK(kept(all, rules) == "e");
}

TEST_CASE("a snapshot dated in the future does not push the others out of --keep-within") {
  std::vector<RetentionCandidate> all = five();
  all.push_back(at("2027-01-01T00:00:00Z", "f"));
  CHECK(kept(all, rules_of([](RetentionRules& r) { r.within = 5h; })) == "d e f");
}

TEST_CASE("snapshots of one second: the order is fixed by name") {
  const std::vector<RetentionCandidate> all = {at("2026-03-01T00:00:00Z", "b"), at("2026-03-01T00:00:00Z", "a")};
  CHECK(kept(all, rules_of([](RetentionRules& r) { r.last = 1; })) == "b");
}

RetentionRules random_rules(std::mt19937& random) {
  const auto chance = [&random](unsigned of) { return random() % of == 0; };
  RetentionRules rules;
  for (std::optional<std::uint32_t> RetentionRules::*count : {&RetentionRules::last, &RetentionRules::hourly, &RetentionRules::daily,
                                                              &RetentionRules::weekly, &RetentionRules::monthly, &RetentionRules::yearly}) {
    if (chance(3)) rules.*count = chance(8) ? backup::k_keep_all : random() % 5 + 1;
  }
  if (chance(4)) rules.within = 1h * (random() % 2000);
  if (chance(4)) rules.labels = {{"keep", chance(2) ? "" : "true"}};
  if (chance(3)) rules.level = backup::all_levels()[random() % 6];
  if (chance(3)) rules.failed_older_than = 1h * (random() % 1000);
  rules.all_tools = chance(3);
  rules.vm_gone = chance(3);
  return rules;
}

std::vector<RetentionCandidate> random_candidates(std::mt19937& random) {
  std::vector<RetentionCandidate> all(random() % 40);
  for (std::size_t i = 0; i < all.size(); ++i) {
    RetentionCandidate& one = all[i];
    one.ns = random() % 3 == 0 ? "a" : "b";
    one.vm_uid = "v" + std::to_string(random() % 3);
    one.vm = one.vm_uid;
    one.name = "s" + std::to_string(i);
    one.created = k_now - 1h * (random() % 3000) + 1h * (random() % 20);
    one.state = random() % 6 == 0 ? static_cast<State>(random() % 4) : State::good;
    one.level = backup::all_levels()[random() % 6];
    one.clean_stop = one.level == Level::offline && random() % 2 == 0;
    one.complete = random() % 4 != 0;
    one.ours = random() % 5 != 0;
    one.vm_gone = one.vm_uid == "v2" && random() % 2 == 0;
    if (random() % 6 == 0) one.labels = {{"keep", random() % 2 == 0 ? "true" : "x"}};
    if (random() % 12 == 0) one.users = {"in use: x"};
  }
  return all;
}

std::vector<RetentionCandidate> left_of(const std::vector<RetentionCandidate>& all, const std::vector<RetentionDecision>& decisions) {
  std::vector<RetentionCandidate> left;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (decisions[i].fate == Fate::keep) left.push_back(all[i]);
  }
  return left;
}

TEST_CASE("properties, on 2000 random sets: idempotent, monotone, the last at its level stays, nothing protected goes") {
  std::mt19937 random(20260331);
  std::size_t forgotten = 0;
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    const std::vector<RetentionCandidate> all = random_candidates(random);
    const RetentionRules rules = random_rules(random);
    const std::vector<RetentionDecision> decisions = backup::decide_retention(all, rules, k_now);
    const std::vector<RetentionCandidate> left = left_of(all, decisions);
    forgotten += all.size() - left.size();

    const std::vector<RetentionDecision> again = backup::decide_retention(left, rules, k_now);
    CHECK(left_of(left, again).size() == left.size());

    RetentionRules more = rules;
    const RetentionRules other = random_rules(random);
    if (other.last) more.last = std::max(more.last.value_or(0), *other.last);
    if (other.daily) more.daily = std::max(more.daily.value_or(0), *other.daily);
    if (other.weekly) more.weekly = std::max(more.weekly.value_or(0), *other.weekly);
    if (other.yearly) more.yearly = std::max(more.yearly.value_or(0), *other.yearly);
    if (other.within) more.within = std::max(more.within.value_or(0h), *other.within);
    more.labels.insert(more.labels.end(), other.labels.begin(), other.labels.end());
    const std::vector<RetentionDecision> with_more = backup::decide_retention(all, more, k_now);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (decisions[i].fate == Fate::keep) CHECK(with_more[i].fate == Fate::keep);
      if (decisions[i].fate == Fate::keep) continue;
      CHECK(all[i].users.empty());
      CHECK((all[i].state == State::good || (all[i].state == State::failed && rules.failed_older_than)));
      CHECK((all[i].ours || rules.all_tools));
      CHECK((!all[i].vm_gone || rules.vm_gone));
      if (all[i].state != State::good) continue;
      // Something at least as good by this rule is still there, in the same group.
      const auto stands_in = [&](const RetentionCandidate& one) {
        if (one.ns != all[i].ns || one.vm_uid != all[i].vm_uid || one.state != State::good) return false;
        if (!rules.level) return !backup::stronger(all[i].level, one.level);
        return backup::meets(one.level, *rules.level, one.clean_stop) || !backup::meets(all[i].level, *rules.level, all[i].clean_stop);
      };
      CHECK(std::any_of(left.begin(), left.end(), stands_in));
    }
  }
  CHECK(forgotten > 4000);
}

}  // namespace
