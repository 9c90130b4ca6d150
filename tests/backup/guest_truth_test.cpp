#include "backup/guest_truth.hpp"

#include <doctest/doctest.h>

#include <functional>

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::judge;
using backup::Window;
using backup::WindowVerdict;

constexpr base::TimePoint k_sent{1h};

// A window of `length` of which nothing bad was seen.
Window good(base::Duration length) {
  Window window;
  window.record.safety_timeout = 60s;
  window.record.sent = k_sent;
  window.record.confirmed = k_sent + 100ms;
  window.sight.unbroken = true;
  if (length > 5s) window.sight.frozen_seen = k_sent + 4s;
  window.needed_until = k_sent + length;
  return window;
}

bool has(const std::vector<std::string>& texts, const std::string& part) {
  for (const std::string& text : texts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a window of which nothing bad was seen stands on one assumption") {
  for (const base::Duration length : {base::Duration(300ms), base::Duration(8s), base::Duration(59s)}) {
    const WindowVerdict verdict = judge(good(length));
    CHECK(verdict.reasons.empty());
    REQUIRE(verdict.assumptions.size() == 1);
    CHECK(verdict.assumptions.front().find("nobody else thawed it within") == 0);
  }
}

TEST_CASE("each source that speaks against it is a reason") {
  struct Row {
    const char* reason;
    std::function<void(Window&)> change;
    base::Duration length = 12s;
  };
  const Row rows[] = {
      {"its safety timer thaws it after 1m", [](Window&) {}, 60s},
      {"Windows let go of its file systems before the thaw", [](Window& w) { w.record.vss_limit = true; }, 9s},
      {"Windows (VSS) lets go after 10s", [](Window& w) { w.windows = true; }, 11s},
      {"its instance ended", [](Window& w) { w.sight.instance_ended = true; }},
      {"it was migrated", [](Window& w) { w.sight.moved = true; }},
      {"snapshot s1 of it was under way meanwhile", [](Window& w) { w.sight.other_work = "snapshot s1 of it was under way"; }},
      {"its status went from frozen to thawed", [](Window& w) { w.sight.thawed_seen = k_sent + 8s; }},
      {"its status never said frozen", [](Window& w) { w.sight.frozen_seen.reset(); }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.reason);
    Window window = good(row.length);
    row.change(window);
    const WindowVerdict verdict = judge(window);
    CHECK(verdict.reasons.size() == 1);
    CHECK(has(verdict.reasons, row.reason));
  }
}

TEST_CASE("what is no reason") {
  SUBCASE("Windows within its limit") {
    Window window = good(10s);
    window.windows = true;
    CHECK(judge(window).reasons.empty());
  }
  SUBCASE("a status that is too fresh to say frozen") {
    Window window = good(9s);
    window.sight.frozen_seen.reset();
    CHECK(judge(window).reasons.empty());
  }
  SUBCASE("a thaw that was seen after the need had ended") {
    Window window = good(12s);
    window.sight.thawed_seen = k_sent + 13s;
    CHECK(judge(window).reasons.empty());
  }
}

TEST_CASE("what could not be seen is an assumption, with why") {
  Window window = good(12s);
  window.sight.frozen_seen.reset();
  window.sight.unbroken = false;
  window.sight.unseen = base::Error(base::ErrorCode::forbidden, "watch virtualmachines: forbidden");
  window.sight.agent_lost = true;
  window.sight.paused = true;
  const WindowVerdict verdict = judge(window);
  CHECK(verdict.reasons.empty());
  CHECK(has(verdict.assumptions, "it could not be watched all the time (watch virtualmachines: forbidden)"));
  CHECK(has(verdict.assumptions, "the agent's connection was lost"));
  CHECK(has(verdict.assumptions, "it was paused by someone"));
}

TEST_CASE("the agent's own word is worth more than the status") {
  Window window = good(12s);
  window.sight.unbroken = false;
  window.sight.frozen_seen.reset();
  window.sight.live.emplace();
  SUBCASE("frozen at the end: nothing is assumed") {
    window.sight.live->frozen = window.needed_until + 10ms;
    const WindowVerdict verdict = judge(window);
    CHECK(verdict.reasons.empty());
    CHECK(verdict.assumptions.empty());
  }
  SUBCASE("thawed in the middle") {
    window.sight.live->frozen = k_sent + 1s;
    window.sight.live->thawed = k_sent + 2s;
    CHECK(has(judge(window).reasons, "its agent said that it was thawed before we thawed it"));
  }
  SUBCASE("no answer at the end") {
    window.sight.live->frozen = k_sent + 1s;
    window.sight.live->unknown = base::Error(base::ErrorCode::unavailable, "agent silent");
    const WindowVerdict verdict = judge(window);
    CHECK(verdict.reasons.empty());
    CHECK(has(verdict.assumptions, "its agent did not answer at the end: agent silent"));
    CHECK(has(verdict.assumptions, "it could not be watched all the time"));
  }
}

TEST_CASE("an unknown guest OS counts as Windows") {
  CHECK(backup::may_be_windows(""));
  CHECK(backup::may_be_windows("mswindows"));
  CHECK_FALSE(backup::may_be_windows("debian"));
}

TEST_CASE("sights: what the objects of one guest come to") {
  backup::SightKeeper keeper;
  kubevirt::VirtualMachineInstance vmi;
  vmi.uid = "u1";
  vmi.node = "n1";
  vmi.phase = "Running";
  vmi.agent_connected = true;
  keeper.see(vmi, k_sent);
  CHECK_FALSE(keeper.sight().frozen_seen.has_value());
  vmi.fs_freeze_status = "frozen";
  keeper.see(vmi, k_sent + 1s);
  CHECK(keeper.sight().frozen_seen == k_sent + 1s);
  SUBCASE("its end is the first time that it is not frozen any more") {
    vmi.fs_freeze_status.clear();
    keeper.see(vmi, k_sent + 3s);
    keeper.see(vmi, k_sent + 5s);
    CHECK(keeper.sight().thawed_seen == k_sent + 3s);
  }
  SUBCASE("a mark forgets an earlier freeze") {
    keeper.mark();
    CHECK_FALSE(keeper.sight().frozen_seen.has_value());
  }
  SUBCASE("another node, a migration") {
    vmi.node = "n2";
    keeper.see(vmi, k_sent + 2s);
    CHECK(keeper.sight().moved);
  }
  SUBCASE("the agent goes and comes back") {
    vmi.agent_connected = false;
    keeper.see(vmi, k_sent + 2s);
    vmi.agent_connected = true;
    keeper.see(vmi, k_sent + 3s);
    CHECK(keeper.sight().agent_lost);
  }
  SUBCASE("another instance under its name") {
    vmi.uid = "u2";
    keeper.see(vmi, k_sent + 2s);
    CHECK(keeper.sight().instance_ended);
  }
  SUBCASE("work of others") {
    kubevirt::VirtualMachine vm;
    vm.snapshot_in_progress = "s1";
    keeper.see(vm, k_sent);
    CHECK(keeper.sight().other_work == "snapshot s1 of it was under way");
  }
}
