#include "cli/evidence_text.hpp"

#include <doctest/doctest.h>

#include "backup/evidence_builder.hpp"
#include "base/text.hpp"

namespace {

using namespace vmbackup;
using namespace vmbackup::test;

std::string told(const Evidence& evidence) { return base::join(cli::evidence_sentences(evidence), "\n"); }

TEST_CASE("our freeze in plain sentences") {
  Evidence evidence = with_recipe(held_by_freeze());
  evidence.frozen = {{Offset(-300), false}, {Offset(350), true}};
  evidence.probes = {{Offset(200), true}};
  evidence.disks->back().file_system = false;
  evidence.disks->back().accepted_raw = true;
  CHECK(told(evidence) ==
        "t0 is when our freeze was sent, 2025-12-18T00:00:00.000Z by the clock of the machine that took it\n"
        "we froze the guest\n"
        "the VM ran on node n1 in pod p1; watched from 300 ms before t0 until 900 ms after t0, without a break\n"
        "guest system: fedora\n"
        "the guest agent was connected from 300 ms before t0\n"
        "recipe step flush: ready 900 ms before t0, last found in force 640 ms after t0\n"
        "recipe step lock: ready 200 ms before t0, last found in force 640 ms after t0\n"
        "the freeze was confirmed 90 ms after t0, by the answer to it\n"
        "the guest would have thawed itself after 300000 ms\n"
        "the snapshot was created 95 ms after t0\n"
        "fsFreezeStatus said nothing from 300 ms before t0, frozen from 350 ms after t0\n"
        "the agent itself was asked 1 times and said frozen 1 times, the last time asked 200 ms after t0\n"
        "disk root: its cut was seen 400 ms after t0, the storage says 2025-12-18T00:00:01.000Z\n"
        "disk data: its cut was seen 600 ms after t0, the storage says 2025-12-18T00:00:01.000Z; no file system on it, accepted\n"
        "the window from t0 to the last cut seen is 600 ms\n"
        "our thaw was sent 700 ms after t0 and confirmed 760 ms after t0");
}

TEST_CASE("the controller's freeze, and a VM that did not run") {
  CHECK(told(held_by_controller())
            .find("it had the VM's lock 80 ms after t0, no other snapshot was before it; fsFreezeStatus then was empty") !=
        std::string::npos);
  CHECK(told(held_by_controller()).find("the thaw was left to KubeVirt's controller") != std::string::npos);
  CHECK(told(stopped()).find("the VM did not run, it had stopped: clean; watched from 300 ms before t0") != std::string::npos);
  CHECK(told(held_by_freeze_pause()).find("the VM was seen paused from 140 ms after t0 until 650 ms after t0") != std::string::npos);
}

TEST_CASE("nothing recorded, nothing told") {
  Evidence evidence;
  CHECK(told(evidence).empty());
  evidence = held_by_freeze();
  evidence.inferred = true;
  CHECK(told(evidence).empty());
}

TEST_CASE("a level with where it is from") {
  backup::Judged judged;
  judged.verdict.level = backup::Level::per_disk;
  CHECK(cli::level_text(judged) == "per-disk (inferred)");
  CHECK(cli::level_cell(judged) == "per-disk (inferred)");
  judged.verdict.level = backup::Level::unknown;
  CHECK(cli::level_cell(judged) == "unknown");
  judged.source = backup::EvidenceSource::unreadable;
  CHECK(cli::level_text(judged) == "unknown (recorded evidence unreadable)");
  judged.source = backup::EvidenceSource::recorded;
  judged.verdict.level = backup::Level::filesystem;
  CHECK(cli::level_text(judged) == "filesystem (recorded, unsigned)");
  CHECK(cli::level_cell(judged) == "filesystem");
}

}  // namespace
