#include "backup/consistency.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "backup/evidence_builder.hpp"

namespace {

using namespace vmbackup;
using namespace vmbackup::test;
using backup::Level;
using backup::Stop;
using backup::Verdict;
using Change = std::function<void(Evidence&)>;

bool mentions(const std::vector<std::string>& sentences, const std::string& part) {
  return std::any_of(sentences.begin(), sentences.end(), [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

struct Row {
  const char* what;
  Evidence evidence;
  Change change;
  Level level;
  const char* reason;  // part of a sentence that must be there; "" none wanted
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    Evidence evidence = row.evidence;
    if (row.change) row.change(evidence);
    const Verdict verdict = backup::consistency_of(evidence);
    CHECK(std::string(to_string(verdict.level)) == to_string(row.level));
    if (*row.reason != '\0') {
      CAPTURE(verdict.reasons.empty() ? std::string() : verdict.reasons.front());
      CHECK(mentions(verdict.reasons, row.reason));
    }
  }
}

void long_window(Evidence& evidence, int last_cut_ms) {
  evidence.disks->back().cut_seen = Offset(last_cut_ms);
  evidence.instance->until = Offset(last_cut_ms + 300);
  if (evidence.thaw && evidence.thaw->sent) {
    evidence.thaw->sent = Offset(last_cut_ms + 100);
    evidence.thaw->confirmed = Offset(last_cut_ms + 150);
  }
  if (evidence.pause->until) evidence.pause->until = Offset(last_cut_ms + 50);
}

void one_disk(Evidence& evidence) { evidence.disks->pop_back(); }

TEST_CASE("each row of the table") {
  check({
      {"nothing ran", stopped(), {}, Level::offline, "shut down cleanly"},
      {"nothing ran, killed", stopped(), [](Evidence& e) { e.instance->stopped = Stop::killed; }, Level::offline, "killed"},
      {"nothing ran, how it stopped unknown", stopped(), [](Evidence& e) { e.instance->stopped.reset(); }, Level::offline, "not known"},
      {"recipe and our freeze", with_recipe(held_by_freeze()), {}, Level::application, ""},
      {"recipe and the controller's freeze", with_recipe(held_by_controller()), {}, Level::application, ""},
      {"recipe, freeze and pause", with_recipe(held_by_freeze_pause()), {}, Level::application, ""},
      {"our freeze", held_by_freeze(), {}, Level::filesystem, ""},
      {"the controller's freeze", held_by_controller(), {}, Level::filesystem, ""},
      {"freeze and pause", held_by_freeze_pause(), {}, Level::filesystem, ""},
      {"a pause, several disks", held_by_pause(), {}, Level::crash, "paused, not frozen"},
      {"one disk, nobody held it", held_by_nobody(), one_disk, Level::crash, "nobody froze"},
      {"several disks, nobody held it", held_by_nobody(), {}, Level::per_disk, "an instant of its own"},
      {"nothing known", Evidence{}, {}, Level::unknown, "not recorded"},
  });
}

TEST_CASE("offline: from before the first cut until the last, without a break, and said how it stopped") {
  check({
      {"seen too late", stopped(), [](Evidence& e) { e.instance->from = Offset(10); }, Level::unknown, "not seen to stand still"},
      {"not seen to the end", stopped(), [](Evidence& e) { e.instance->until = Offset(599); }, Level::unknown, "not seen to stand still"},
      {"a gap", stopped(), [](Evidence& e) { e.instance->gap = true; }, Level::unknown, "without a break"},
      {"an indication of a guest", stopped(), [](Evidence& e) { e.indications = {"Online"}; }, Level::unknown, "Online"},
      {"a disk left out is no matter", stopped(), [](Evidence& e) { e.indications = {"PartialSnapshot"}; }, Level::offline, ""},
      {"a new indication", stopped(), [](Evidence& e) { e.indications = {"Thawing"}; }, Level::unknown, "Thawing"},
      {"held though it did not run", stopped(), [](Evidence& e) { e.hold = Hold::freeze; }, Level::unknown, "was held by freeze"},
      {"the default hold changes nothing", stopped(), [](Evidence& e) { e.hold = Hold::controller; }, Level::offline, ""},
      {"raw disks do not matter", stopped(), [](Evidence& e) { e.disks->front().file_system = false; }, Level::offline, ""},
  });
}

TEST_CASE("application: each step ready before the freeze and in force at the last cut") {
  check({
      {"ready after the freeze", with_recipe(held_by_freeze()), [](Evidence& e) { e.recipe->front().ready = Offset(1); }, Level::filesystem,
       "step flush was not ready"},
      {"never ready", with_recipe(held_by_freeze()), [](Evidence& e) { e.recipe->back().ready.reset(); }, Level::filesystem, "step lock"},
      {"lost before the last cut", with_recipe(held_by_freeze()), [](Evidence& e) { e.recipe->back().held = Offset(599); },
       Level::filesystem, "step lock was not found in force"},
      {"never looked at again", with_recipe(held_by_freeze()), [](Evidence& e) { e.recipe->back().held.reset(); }, Level::filesystem,
       "step lock was not found in force"},
      {"a recipe without steps", held_by_freeze(), [](Evidence& e) { e.recipe.emplace(); }, Level::filesystem, ""},
      {"a recipe, but no proven freeze", with_recipe(held_by_freeze()), [](Evidence& e) { e.vss_error = true; }, Level::per_disk, "VSS"},
      {"a recipe, and nobody held", with_recipe(held_by_nobody()), {}, Level::per_disk, ""},
  });
}

TEST_CASE("an agent's freeze alone is never application, on Windows it is noted") {
  Evidence evidence = held_by_freeze();
  evidence.guest_os = "mswindows";
  const Verdict verdict = backup::consistency_of(evidence);
  CHECK(verdict.level == Level::filesystem);
  CHECK(mentions(verdict.reasons, "VSS writers were notified"));
}

TEST_CASE("3.1: agent, migration, instance, watch, pause") {
  for (const Evidence& base : {held_by_freeze(), held_by_controller(), held_by_freeze_pause()}) {
    CAPTURE(std::string(to_string(*base.hold)));
    const Level next = base.hold == Hold::freeze_pause ? Level::crash : Level::per_disk;
    check({
        {"agent not there at t0", base,
         [](Evidence& e) {
           e.agent = {{Offset(-300), false}};
         },
         next, "not seen connected"},
        {"agent came after t0", base,
         [](Evidence& e) {
           e.agent = {{Offset(-9), false}, {Offset(3), true}};
         },
         next, "not seen connected"},
        {"agent left", base,
         [](Evidence& e) {
           e.agent = {{Offset(-9), true}, {Offset(500), false}, {Offset(510), true}};
         },
         next, "left"},
        {"agent left after the last cut", base,
         [](Evidence& e) {
           e.agent->push_back({Offset(601), false});
         },
         Level::filesystem, ""},
        {"agent unknown", base, [](Evidence& e) { e.agent->clear(); }, Level::unknown, "agent"},
        {"a gap", base, [](Evidence& e) { e.instance->gap = true; }, Level::unknown, "watch of the VM broke"},
        {"watched too late", base, [](Evidence& e) { e.instance->from = Offset(1); }, Level::unknown, "not watched"},
        {"watched too short", base, [](Evidence& e) { e.instance->until = Offset(599); }, Level::unknown, "not watched"},
        {"no pod named", base, [](Evidence& e) { e.instance->pod.clear(); }, Level::unknown, "which pod"},
    });
    check({
        {"a migration", base, [](Evidence& e) { e.instance->migrating = true; }, Level::per_disk, "migration"},
        {"another instance", base, [](Evidence& e) { e.instance->end_uid = "i2"; }, Level::per_disk, "started anew"},
        {"another node", base, [](Evidence& e) { e.instance->end_node = "n2"; }, Level::per_disk, "moved"},
        {"another pod", base, [](Evidence& e) { e.instance->end_pod = "p2"; }, Level::per_disk, "moved"},
    });
  }
  check({
      {"paused by someone", held_by_freeze(), [](Evidence& e) { e.pause->seen = true; }, Level::per_disk, "paused by someone else"},
      {"paused by someone", held_by_controller(), [](Evidence& e) { e.pause->seen = true; }, Level::per_disk, "paused by someone else"},
      {"paused by someone through all cuts", held_by_controller(),
       [](Evidence& e) {
         e.pause = kubevirt::PauseSeen{true, Offset(-300), Offset(800)};
       },
       Level::crash, "paused by someone else"},
      {"nobody held, paused by someone through all cuts", held_by_nobody(),
       [](Evidence& e) {
         e.pause = kubevirt::PauseSeen{true, Offset(-300), Offset(800)};
       },
       Level::crash, ""},
  });
}

TEST_CASE("3.1: indications") {
  for (const char* word : {"NoGuestAgent", "QuiesceTimeout", "QuiesceFailed", "Thawing"}) {
    CAPTURE(std::string(word));
    const Change add = [&](Evidence& e) { e.indications->emplace_back(word); };
    check({{"our freeze", held_by_freeze(), add, Level::per_disk, word},
           {"the controller's", held_by_controller(), add, Level::per_disk, word},
           {"freeze and pause", held_by_freeze_pause(), add, Level::crash, word}});
  }
  check({
      {"Paused", held_by_freeze(), [](Evidence& e) { e.indications->emplace_back("Paused"); }, Level::per_disk, "Paused"},
      {"Paused", held_by_controller(), [](Evidence& e) { e.indications->emplace_back("Paused"); }, Level::per_disk, "Paused"},
      {"the controller saw no agent", held_by_controller(), [](Evidence& e) { e.indications = {"Online"}; }, Level::per_disk, "GuestAgent"},
      {"for our own freeze that is no matter", held_by_freeze(), [](Evidence& e) { e.indications = {"Online"}; }, Level::filesystem, ""},
      {"no Online: it stopped in the middle", held_by_freeze(), [](Evidence& e) { e.indications->clear(); }, Level::unknown, "Online"},
      {"a disk was left out", held_by_freeze(), [](Evidence& e) { e.indications->emplace_back("PartialSnapshot"); }, Level::filesystem, ""},
  });
}

TEST_CASE("3.1: the window against the safety timer and Windows") {
  for (const Evidence& base : {held_by_freeze(), held_by_controller()}) {
    CAPTURE(std::string(to_string(*base.hold)));
    check({
        {"timer at the last cut", base, [](Evidence& e) { e.safety_timeout = Offset(600); }, Level::per_disk, "safety timer"},
        {"timer after the last cut", base, [](Evidence& e) { e.safety_timeout = Offset(601); }, Level::filesystem, ""},
        {"no timer at all", base, [](Evidence& e) { e.safety_timeout = Offset(0); }, Level::filesystem, ""},
        {"timer unknown", base, [](Evidence& e) { e.safety_timeout.reset(); }, Level::unknown, "safety timeout"},
        {"Windows, 10 s", base,
         [](Evidence& e) {
           e.guest_os = "mswindows";
           long_window(e, 10'000);
         },
         Level::filesystem, ""},
        {"Windows, more", base,
         [](Evidence& e) {
           e.guest_os = "mswindows";
           long_window(e, 10'001);
           e.frozen->push_back({Offset(4'000), true});
         },
         Level::per_disk, "Windows ends a freeze"},
        {"unknown system, more", base,
         [](Evidence& e) {
           e.guest_os.clear();
           long_window(e, 10'001);
           e.frozen->push_back({Offset(4'000), true});
         },
         Level::per_disk, "counts as Windows"},
    });
  }
}

TEST_CASE("3.1: what the answers said, and our own thaw") {
  check({
      {"VSS error", held_by_freeze(), [](Evidence& e) { e.vss_error = true; }, Level::per_disk, "VSS"},
      {"VSS error, paused", held_by_freeze_pause(), [](Evidence& e) { e.vss_error = true; }, Level::crash, "VSS"},
      {"thawed by us too early", held_by_freeze(), [](Evidence& e) { e.thaw->sent = Offset(599); }, Level::per_disk, "we thawed"},
      {"freeze never confirmed", held_by_freeze(), [](Evidence& e) { e.freeze->confirmed.reset(); }, Level::per_disk, "not confirmed"},
      {"created before that", held_by_freeze(), [](Evidence& e) { e.create_sent = Offset(89); }, Level::per_disk, "created before"},
      {"confirmed before sent", held_by_freeze(), [](Evidence& e) { e.freeze->confirmed = Offset(-1); }, Level::unknown, "before it was"},
      {"thaw confirmed before sent", held_by_freeze(), [](Evidence& e) { e.thaw->confirmed = Offset(650); }, Level::unknown,
       "before it was"},
  });
}

TEST_CASE("3.1: the stale status, where the controller freezes") {
  check({
      {"another snapshot", held_by_controller(), [](Evidence& e) { e.lock->other = true; }, Level::per_disk, "another snapshot"},
      {"not ours at once", held_by_controller(), [](Evidence& e) { e.lock->became_ours = Offset(2'001); }, Level::per_disk, "at once"},
      {"never seen ours", held_by_controller(), [](Evidence& e) { e.lock->became_ours.reset(); }, Level::per_disk, "at once"},
      {"stale", held_by_controller(), [](Evidence& e) { e.lock->status_empty = false; }, Level::per_disk, "stale"},
      {"a thaw before", held_by_controller(), [](Evidence& e) { e.lock->thaw_before = true; }, Level::per_disk, "less than 10 s before"},
      {"nobody looked", held_by_controller(), [](Evidence& e) { e.lock.reset(); }, Level::unknown, "lock"},
      {"another snapshot after our own freeze, at whose end KubeVirt thaws", held_by_freeze(), [](Evidence& e) { e.lock->other = true; },
       Level::per_disk, "another snapshot"},
      {"the same before our pause", held_by_freeze_pause(), [](Evidence& e) { e.lock->other = true; }, Level::crash, "another snapshot"},
      {"nobody looked for one", held_by_freeze(), [](Evidence& e) { e.lock.reset(); }, Level::unknown, "another snapshot"},
      {"our own freeze on top of one that stood already, which may end first", held_by_freeze(),
       [](Evidence& e) {
         e.frozen = {{Offset(-300), true}};
       },
       Level::per_disk, "frozen already"},
  });
  Evidence evidence = held_by_controller();
  evidence.lock->watched = Offset(200);
  const Verdict verdict = backup::consistency_of(evidence);
  CHECK(verdict.level == Level::filesystem);
  CHECK(mentions(verdict.assumptions, "the last 0.20 s of them were watched"));
}

TEST_CASE("3.1: an early thaw by someone else") {
  for (const Evidence& base : {held_by_freeze(), held_by_controller()}) {
    CAPTURE(std::string(to_string(*base.hold)));
    check({
        {"status went back", base,
         [](Evidence& e) {
           e.frozen = {{Offset(-9), false}, {Offset(300), true}, {Offset(500), false}};
         },
         Level::per_disk, "went back"},
        {"status went back after the last cut", base,
         [](Evidence& e) {
           e.frozen = {{Offset(-9), false}, {Offset(300), true}, {Offset(700), false}};
         },
         Level::filesystem, ""},
        {"12 s and never said so", base, [](Evidence& e) { long_window(e, 12'000); }, Level::per_disk, "nothing ever said"},
        {"12 s and said so", base,
         [](Evidence& e) {
           long_window(e, 12'000);
           e.frozen->push_back({Offset(4'900), true});
         },
         Level::filesystem, ""},
        {"12 s and said so too late", base,
         [](Evidence& e) {
           long_window(e, 12'000);
           e.frozen->push_back({Offset(12'001), true});
         },
         Level::per_disk, "nothing ever said"},
        {"12 s and the agent itself said so", base,
         [](Evidence& e) {
           long_window(e, 12'000);
           e.probes = {{Offset(1'000), true}, {Offset(11'500), true}};
         },
         Level::filesystem, ""},
        {"the agent itself said thawed", base,
         [](Evidence& e) {
           e.probes = {{Offset(200), true}, {Offset(500), false}};
         },
         Level::per_disk, "the agent itself"},
    });
  }
  check({{"frozen and paused needs none of it", held_by_freeze_pause(), [](Evidence& e) { long_window(e, 12'000); }, Level::filesystem, ""},
         {"thawed before the first probe", held_by_freeze(),
          [](Evidence& e) {
            e.probes = {{Offset(200), false}};
          },
          Level::per_disk, "the agent itself"},
         {"the controller had not frozen yet", held_by_controller(),
          [](Evidence& e) {
            e.probes = {{Offset(10), false}, {Offset(500), true}};
          },
          Level::filesystem, ""}});
}

TEST_CASE("what stays unseen is an assumption, with its length") {
  Evidence evidence = held_by_freeze();
  CHECK(mentions(backup::consistency_of(evidence).assumptions, "nobody else thawed the guest in the last 0.60 s"));
  evidence.probes = {{Offset(500), true}};
  CHECK(mentions(backup::consistency_of(evidence).assumptions, "nobody else thawed the guest in the last 0.10 s"));
  CHECK(backup::consistency_of(held_by_freeze_pause()).assumptions.empty());
  evidence = held_by_freeze();
  long_window(evidence, 40'000);
  evidence.frozen->push_back({Offset(3'000), true});
  evidence.assumptions = {"as recorded"};
  const Verdict verdict = backup::consistency_of(evidence);
  CHECK(verdict.level == Level::filesystem);
  CHECK(mentions(verdict.assumptions, "in the last 5.00 s"));
  CHECK(mentions(verdict.assumptions, "as recorded"));
}

TEST_CASE("3.2: a pause must stand from the create until the last cut, after the freeze") {
  check({
      {"paused after the create", held_by_pause(), [](Evidence& e) { e.pause->from = Offset(61); }, Level::per_disk, ""},
      {"let go before the last cut", held_by_pause(), [](Evidence& e) { e.pause->until = Offset(599); }, Level::per_disk, ""},
      {"never seen", held_by_pause(),
       [](Evidence& e) {
         e.pause = kubevirt::PauseSeen{false, {}, {}};
       },
       Level::per_disk, ""},
      {"a gap", held_by_pause(), [](Evidence& e) { e.instance->gap = true; }, Level::unknown, "broke"},
      {"one disk", held_by_pause(), one_disk, Level::crash, ""},
      {"freeze: paused after the create", held_by_freeze_pause(), [](Evidence& e) { e.pause->from = Offset(151); }, Level::per_disk,
       "stand"},
      {"freeze: let go early", held_by_freeze_pause(), [](Evidence& e) { e.pause->until = Offset(599); }, Level::per_disk, "stand"},
      {"paused before frozen", held_by_freeze_pause(), [](Evidence& e) { e.pause->from = Offset(50); }, Level::crash, "before the pause"},
      {"backwards", held_by_pause(),
       [](Evidence& e) {
         e.pause = kubevirt::PauseSeen{true, Offset(9), Offset(8)};
       },
       Level::unknown, ""},
  });
}

TEST_CASE("disks: raw, shared, not cut, twice, none") {
  const Change raw = [](Evidence& e) { e.disks->back().file_system = false; };
  const Change shared = [](Evidence& e) { e.disks->back().shared = true; };
  check({
      {"raw", held_by_freeze(), raw, Level::per_disk, "does not reach disk data"},
      {"not asked", held_by_freeze(), [](Evidence& e) { e.disks->back().file_system.reset(); }, Level::per_disk, "is not known"},
      {"raw, one instant all the same", held_by_freeze_pause(), raw, Level::crash, "does not reach disk data"},
      {"raw and accepted", held_by_freeze(),
       [](Evidence& e) {
         e.disks->back().file_system = false;
         e.disks->back().accepted_raw = true;
       },
       Level::filesystem, ""},
      {"shared", held_by_freeze(), shared, Level::per_disk, "another running VM"},
      {"shared, frozen and paused", held_by_freeze_pause(), shared, Level::per_disk, "another running VM"},
      {"shared, nothing ran here", stopped(), shared, Level::per_disk, "another running VM"},
      {"shared, not recorded", held_by_freeze(), [](Evidence& e) { e.disks->back().shared.reset(); }, Level::per_disk, "not recorded"},
      {"one shared disk", held_by_nobody(),
       [](Evidence& e) {
         one_disk(e);
         e.disks->back().shared = true;
       },
       Level::per_disk, "another running VM"},
      {"a cut not seen", held_by_freeze(), [](Evidence& e) { e.disks->back().cut_seen.reset(); }, Level::unknown, "was not seen"},
      {"no time of the cut", held_by_freeze(), [](Evidence& e) { e.disks->back().creation_time.reset(); }, Level::unknown, "not known"},
      {"cut before the create", held_by_freeze(), [](Evidence& e) { e.disks->back().cut_seen = Offset(94); }, Level::unknown, "before"},
      {"twice", held_by_freeze(), [](Evidence& e) { e.disks->push_back(e.disks->back()); }, Level::unknown, "twice"},
      {"none", held_by_freeze(), [](Evidence& e) { e.disks->clear(); }, Level::unknown, "no disk"},
  });
  Evidence evidence = held_by_freeze();
  raw(evidence);
  CHECK(backup::consistency_of(evidence, {.accept_raw = {"data"}}).level == Level::filesystem);
  CHECK(backup::consistency_of(evidence, {.accept_raw = {"root"}}).level == Level::per_disk);
}

TEST_CASE("the level speaks of the disks included, complete of the others") {
  Evidence evidence = held_by_freeze();
  CHECK(backup::consistency_of(evidence).complete);
  EvidenceDisk left_out = disk_seen("hot", 0);
  left_out.included = false;
  left_out.creation_time.reset();
  left_out.cut_seen.reset();
  left_out.file_system = false;
  left_out.shared = true;
  evidence.disks->push_back(left_out);
  CHECK(backup::consistency_of(evidence).level == Level::filesystem);
  CHECK_FALSE(backup::consistency_of(evidence).complete);
  evidence.disks->back().counts = false;
  CHECK(backup::consistency_of(evidence).complete);
}

TEST_CASE("inferred: one disk is an instant; several online ones are not; no word of a running VM shows nothing") {
  const auto inferred = [](std::size_t disks, std::vector<std::string> indications) {
    Evidence evidence;
    evidence.inferred = true;
    evidence.indications = std::move(indications);
    evidence.disks.emplace();
    for (std::size_t i = 0; i < disks; ++i) {
      EvidenceDisk disk = disk_seen("d" + std::to_string(i), 0);
      disk.cut_seen.reset();
      disk.file_system.reset();
      disk.shared.reset();
      evidence.disks->push_back(disk);
    }
    return evidence;
  };
  check({
      {"one, online", inferred(1, {"GuestAgent", "Online"}), {}, Level::crash, "nothing was recorded"},
      {"one, no word", inferred(1, {}), {}, Level::crash, "nothing was recorded"},
      {"two, online with agent", inferred(2, {"GuestAgent", "Online"}), {}, Level::per_disk, "nothing was recorded"},
      {"two, paused", inferred(2, {"Online", "Paused"}), {}, Level::per_disk, "nothing was recorded"},
      {"two, no word", inferred(2, {}), {}, Level::unknown, "does not show that none ran"},
      {"none", inferred(0, {}), {}, Level::unknown, "no disk"},
      {"one, not cut", inferred(1, {}), [](Evidence& e) { e.disks->front().creation_time.reset(); }, Level::unknown, "not known"},
  });
  CHECK(mentions(backup::consistency_of(inferred(1, {})).assumptions, "no other running VM had mounted claim db-0-d0"));
}

// One change to one fact, by name. Removing is always allowed; the harms are facts seen to be otherwise.
const std::vector<std::pair<const char*, Change>>& removals() {
  static const std::vector<std::pair<const char*, Change>> list = {
      {"snapshot_uid", [](Evidence& e) { e.snapshot_uid.clear(); }},
      {"content_uid", [](Evidence& e) { e.content_uid.clear(); }},
      {"vm_uid", [](Evidence& e) { e.vm_uid.clear(); }},
      {"t0_wall", [](Evidence& e) { e.t0_wall.reset(); }},
      {"hold", [](Evidence& e) { e.hold.reset(); }},
      {"guest_os", [](Evidence& e) { e.guest_os.clear(); }},
      {"create_sent", [](Evidence& e) { e.create_sent.reset(); }},
      {"safety_timeout", [](Evidence& e) { e.safety_timeout.reset(); }},
      {"instance", [](Evidence& e) { e.instance.reset(); }},
      {"instance end",
       [](Evidence& e) {
         if (e.instance) e.instance->end_pod.clear();
       }},
      {"stopped",
       [](Evidence& e) {
         if (e.instance) e.instance->stopped.reset();
       }},
      {"pause", [](Evidence& e) { e.pause.reset(); }},
      {"pause until",
       [](Evidence& e) {
         if (e.pause) e.pause->until.reset();
       }},
      {"freeze", [](Evidence& e) { e.freeze.reset(); }},
      {"thaw", [](Evidence& e) { e.thaw.reset(); }},
      {"vss_error", [](Evidence& e) { e.vss_error.reset(); }},
      {"agent", [](Evidence& e) { e.agent.reset(); }},
      {"frozen", [](Evidence& e) { e.frozen.reset(); }},
      {"probes", [](Evidence& e) { e.probes.reset(); }},
      {"lock", [](Evidence& e) { e.lock.reset(); }},
      {"lock ours",
       [](Evidence& e) {
         if (e.lock) e.lock->became_ours.reset();
       }},
      {"recipe", [](Evidence& e) { e.recipe.reset(); }},
      {"recipe held",
       [](Evidence& e) {
         if (e.recipe && !e.recipe->empty()) e.recipe->back().held.reset();
       }},
      {"indications", [](Evidence& e) { e.indications.reset(); }},
      {"disks", [](Evidence& e) { e.disks.reset(); }},
      {"cut seen",
       [](Evidence& e) {
         if (e.disks && !e.disks->empty()) e.disks->front().cut_seen.reset();
       }},
      {"cut time",
       [](Evidence& e) {
         if (e.disks && !e.disks->empty()) e.disks->front().creation_time.reset();
       }},
      {"file system",
       [](Evidence& e) {
         if (e.disks && !e.disks->empty()) e.disks->front().file_system.reset();
       }},
      {"shared",
       [](Evidence& e) {
         if (e.disks && !e.disks->empty()) e.disks->front().shared.reset();
       }},
  };
  return list;
}

const std::vector<std::pair<const char*, Change>>& harms() {
  static const std::vector<std::pair<const char*, Change>> list = {
      {"none", [](Evidence&) {}},
      {"gap", [](Evidence& e) { e.instance->gap = true; }},
      {"migration", [](Evidence& e) { e.instance->migrating = true; }},
      {"late watch", [](Evidence& e) { e.instance->from = Offset(50); }},
      {"other instance", [](Evidence& e) { e.instance->end_uid = "i2"; }},
      {"agent left",
       [](Evidence& e) {
         e.agent = {{Offset(-300), true}, {Offset(200), false}};
       }},
      {"status went back",
       [](Evidence& e) {
         e.frozen = {{Offset(-9), false}, {Offset(300), true}, {Offset(500), false}};
       }},
      {"long", [](Evidence& e) { long_window(e, 12'000); }},
      {"VSS", [](Evidence& e) { e.vss_error = true; }},
      {"timer", [](Evidence& e) { e.safety_timeout = Offset(500); }},
      {"early thaw",
       [](Evidence& e) {
         e.thaw = kubevirt::ThawSeen{false, Offset(450), Offset(500), {}};
       }},
      {"freeze backwards",
       [](Evidence& e) {
         e.freeze = kubevirt::FreezeSeen{Offset(-5), {}, {}};
       }},
      {"raw", [](Evidence& e) { e.disks->front().file_system = false; }},
      {"shared", [](Evidence& e) { e.disks->front().shared = true; }},
      {"one disk", one_disk},
      {"paused",
       [](Evidence& e) {
         e.pause = kubevirt::PauseSeen{true, Offset(-300), Offset(50'000)};
       }},
      {"pause short",
       [](Evidence& e) {
         e.pause = kubevirt::PauseSeen{true, Offset(300), Offset(400)};
       }},
      {"no agent", [](Evidence& e) { e.indications->emplace_back("NoGuestAgent"); }},
      {"new word", [](Evidence& e) { e.indications->emplace_back("Thawing"); }},
      {"no words", [](Evidence& e) { e.indications->clear(); }},
      {"stale",
       [](Evidence& e) {
         if (e.lock) e.lock->status_empty = false;
       }},
      {"probe",
       [](Evidence& e) {
         e.probes = {{Offset(200), true}, {Offset(300), false}};
       }},
      {"recipe lost",
       [](Evidence& e) {
         if (e.recipe) e.recipe->front().held = Offset(10);
       }},
      {"nothing ran", [](Evidence& e) { e.instance->ran = !e.instance->ran; }},
      {"windows", [](Evidence& e) { e.guest_os = "mswindows"; }},
  };
  return list;
}

std::vector<Evidence> all_bases() {
  return {stopped(),
          held_by_nobody(),
          held_by_pause(),
          held_by_controller(),
          held_by_freeze(),
          held_by_freeze_pause(),
          with_recipe(held_by_freeze()),
          with_recipe(held_by_freeze_pause()),
          with_recipe(held_by_controller())};
}

TEST_CASE("property: taking a fact away never makes the verdict stronger, whatever two things went wrong before") {
  int weakened = 0;
  for (const Evidence& base : all_bases()) {
    for (const auto& [first_name, first] : harms()) {
      for (const auto& [second_name, second] : harms()) {
        Evidence evidence = base;
        first(evidence);
        second(evidence);
        const Level before = backup::consistency_of(evidence).level;
        for (const auto& [removed, remove] : removals()) {
          Evidence less = evidence;
          remove(less);
          const Level after = backup::consistency_of(less).level;
          if (backup::stronger(after, before)) {
            FAIL_CHECK("hold " << std::string(to_string(*base.hold)) << ", " << std::string(first_name) << " and "
                               << std::string(second_name) << ": without " << std::string(removed) << " it is "
                               << std::string(to_string(after)) << ", with it " << std::string(to_string(before)));
          }
          weakened += after != before ? 1 : 0;
        }
      }
    }
  }
  CHECK(weakened > 1000);
}

TEST_CASE("property: a claim needs every clause: each member that is recorded for a hold is needed for its level") {
  for (const Evidence& base : all_bases()) {
    const Level level = backup::consistency_of(base).level;
    CAPTURE(std::string(to_string(level)));
    CAPTURE(std::string(to_string(*base.hold)));
    for (const char* needed : {"snapshot_uid", "content_uid", "vm_uid", "hold", "create_sent", "instance", "pause", "indications", "disks",
                               "cut seen", "cut time"}) {
      CAPTURE(std::string(needed));
      const auto found = std::find_if(removals().begin(), removals().end(), [&](const auto& r) { return std::string(r.first) == needed; });
      REQUIRE(found != removals().end());
      Evidence less = base;
      found->second(less);
      CHECK(backup::consistency_of(less).level == Level::unknown);
    }
  }
  for (const Evidence& base : {held_by_controller(), held_by_freeze(), held_by_freeze_pause()}) {
    for (const char* needed : {"safety_timeout", "thaw", "vss_error", "agent"}) {
      CAPTURE(std::string(needed));
      const auto found = std::find_if(removals().begin(), removals().end(), [&](const auto& r) { return std::string(r.first) == needed; });
      Evidence less = base;
      found->second(less);
      CHECK(backup::consistency_of(less).level == Level::unknown);
    }
  }
}

TEST_CASE("meets: the order, and offline against application") {
  CHECK(backup::meets(Level::offline, Level::filesystem, false));
  CHECK(backup::meets(Level::offline, Level::crash, false));
  CHECK_FALSE(backup::meets(Level::offline, Level::application, false));
  CHECK(backup::meets(Level::offline, Level::application, true));
  CHECK(backup::meets(Level::application, Level::application, false));
  CHECK(backup::meets(Level::application, Level::filesystem, false));
  CHECK_FALSE(backup::meets(Level::application, Level::offline, true));
  CHECK_FALSE(backup::meets(Level::crash, Level::filesystem, true));
  CHECK_FALSE(backup::meets(Level::unknown, Level::per_disk, true));
  CHECK(backup::meets(Level::unknown, Level::unknown, false));
  CHECK(backup::meets(Level::offline, Level::application, stopped()));
  Evidence killed = stopped();
  killed.instance->stopped = Stop::killed;
  CHECK_FALSE(backup::meets(Level::offline, Level::application, killed));
}

TEST_CASE("names of levels, strong to weak, and back") {
  std::string names;
  for (const Level level : backup::all_levels()) {
    names += std::string(to_string(level)) + " ";
    CHECK(backup::parse_level(to_string(level)) == level);
  }
  CHECK(names == "offline application filesystem crash per-disk unknown ");
  CHECK_FALSE(backup::parse_level("Crash").has_value());
  CHECK_FALSE(backup::parse_level("").has_value());
}

TEST_CASE("what a stronger level would have needed is said") {
  CHECK(mentions(backup::consistency_of(held_by_nobody()).missing_for_stronger, "filesystem: a freeze"));
  CHECK(mentions(backup::consistency_of(held_by_nobody()).missing_for_stronger, "crash: one disk"));
  CHECK(mentions(backup::consistency_of(held_by_freeze()).missing_for_stronger, "application: "));
  CHECK_FALSE(mentions(backup::consistency_of(held_by_freeze()).missing_for_stronger, "filesystem: "));
  CHECK(backup::consistency_of(stopped()).missing_for_stronger.empty());
}

}  // namespace
