#include "backup/snapshot_class.hpp"

#include <doctest/doctest.h>

namespace {

using namespace vmbackup;
using backup::ClassPick;
using Kind = ClassPick::Kind;
using SnapshotClasses = std::vector<kubevirt::VolumeSnapshotClass>;
using Profiles = std::vector<kubevirt::StorageProfile>;

TEST_CASE("every branch of KubeVirt's choice") {
  struct Row {
    const char* what;
    std::optional<std::string> storage_class;
    SnapshotClasses snapshot;
    Profiles profiles;
    Kind kind;
    std::vector<std::string> classes;
    const char* reason;
  };
  const kubevirt::VolumeSnapshotClass a{"a", "csi", false};
  const kubevirt::VolumeSnapshotClass b{"b", "csi", false};
  const kubevirt::VolumeSnapshotClass b_default{"b", "csi", true};
  const kubevirt::VolumeSnapshotClass c_default{"c", "csi", true};
  const kubevirt::VolumeSnapshotClass other{"other", "nfs", true};
  const Row rows[] = {
      {"no class named", std::nullopt, {a}, {}, Kind::none, {}, "its claim names no StorageClass"},
      {"an empty class", "", {a}, {}, Kind::none, {}, "its claim names no StorageClass"},
      {"no such class", "gone", {a}, {}, Kind::none, {}, "its StorageClass gone does not exist"},
      {"none at all", "fast", {}, {}, Kind::none, {}, "no VolumeSnapshotClass has the driver of StorageClass fast, csi"},
      {"only of another driver", "fast", {other}, {}, Kind::none, {}, "no VolumeSnapshotClass has the driver of StorageClass fast, csi"},
      {"one", "fast", {other, a}, {}, Kind::one, {"a"}, ""},
      {"two, one default", "fast", {a, other, b_default}, {}, Kind::one, {"b"}, ""},
      {"two defaults",
       "fast",
       {c_default, a, b_default},
       {},
       Kind::any_of,
       {"b", "c"},
       "several VolumeSnapshotClasses for StorageClass fast are called the default: b, c"},
      {"two, no default",
       "fast",
       {b, a, other},
       {},
       Kind::ambiguous,
       {"a", "b"},
       "several VolumeSnapshotClasses fit StorageClass fast, and none is called the default: a, b"},
      {"a profile beats two", "fast", {a, b}, {{"fast", "a"}}, Kind::one, {"a"}, ""},
      {"a profile beats the default", "fast", {a, b_default}, {{"fast", "a"}}, Kind::one, {"a"}, ""},
      {"a profile beats the driver",
       "fast",
       {a, other},
       {{"fast", "other"}},
       Kind::one,
       {"other"},
       "StorageProfile fast names VolumeSnapshotClass other, whose driver is nfs and not csi"},
      {"a profile that names nothing there, with no way back",
       "fast",
       {a},
       {{"fast", "gone"}},
       Kind::none,
       {},
       "StorageProfile fast names VolumeSnapshotClass gone, which does not exist"},
      {"a profile that names nothing", "fast", {a}, {{"fast", ""}}, Kind::one, {"a"}, ""},
      {"another class's profile", "fast", {a}, {{"slow", "gone"}}, Kind::one, {"a"}, ""},
      {"a profile without a class", "gone", {a}, {{"gone", "a"}}, Kind::none, {}, "its StorageClass gone does not exist"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const ClassPick pick = backup::pick_class(row.storage_class, {{{"slow", "nfs"}, {"fast", "csi"}}, row.snapshot, row.profiles});
    CHECK(pick.kind == row.kind);
    CHECK(pick.classes == row.classes);
    CHECK(pick.reason == row.reason);
  }
}

}  // namespace
