#include "backup/run_id.hpp"

#include <doctest/doctest.h>

#include "base/text.hpp"

namespace {

using namespace vmbackup;

base::WallTime at(const char* text) { return *base::parse_time(text); }

TEST_CASE("a run id is the UTC time and four characters") {
  CHECK(backup::make_run_id(at("2026-01-02T03:04:05.678Z"), 0) == "20260102-030405-0000");
  CHECK(backup::make_run_id(at("2026-01-02T05:04:05+02:00"), 35) == "20260102-030405-z000");
  CHECK(backup::make_run_id(at("2026-01-02T03:04:05Z"), 4294967295U).size() == 20);
}

TEST_CASE("a snapshot's name holds the VM's and the run's, and never exceeds 63 characters") {
  const std::string run = "20260102-030405-ab12";
  CHECK(backup::snapshot_name("db-0", run) == "db-0-20260102-030405-ab12");
  const std::string edge(36, 'a');
  CHECK(backup::snapshot_name(edge, run) == edge + "-" + run);
  const std::string one = backup::snapshot_name(std::string(62, 'a') + "1", run);
  const std::string two = backup::snapshot_name(std::string(62, 'a') + "2", run);
  CHECK(one.size() <= 63);
  CHECK(one != two);
  CHECK(one.ends_with("-" + run));
  // A cut that falls on a separator leaves no name that the server would refuse.
  const std::string dotted = backup::snapshot_name(std::string(26, 'a') + "." + std::string(20, 'b'), run);
  CHECK(dotted.find(".-") == std::string::npos);
  CHECK(dotted.find("--") == std::string::npos);
}

TEST_CASE("keys of labels that are ours") {
  CHECK(backup::is_own_label(backup::k_managed_by_label));
  CHECK(backup::is_own_label(backup::k_run_label));
  CHECK(backup::is_own_label("kubectl-vmbackup/other"));
  CHECK_FALSE(backup::is_own_label("app.kubernetes.io/name"));
  CHECK_FALSE(backup::is_own_label("kubectl-vmbackup"));
}

}  // namespace
