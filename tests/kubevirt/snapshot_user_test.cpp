#include "kubevirt/snapshot_user.hpp"

#include <doctest/doctest.h>

namespace {

using namespace vmbackup;
using kubevirt::SnapshotUser;

json::Value object_of(const std::string& spec, const std::string& status) {
  const base::Result<json::Value> value =
      json::parse(R"({"metadata":{"namespace":"prod","name":"u"},"spec":)" + spec + R"(,"status":)" + status + "}");
  REQUIRE(value.ok());
  return *value;
}

TEST_CASE("a restore reads its snapshot until it is complete, a failed one too") {
  for (const auto& [status, finished] :
       std::vector<std::pair<std::string, bool>>{{"{}", false},
                                                 {R"({"complete":false})", false},
                                                 {R"({"complete":false,"conditions":[{"type":"Failure","status":"True"}]})", false},
                                                 {R"({"complete":true})", true}}) {
    CAPTURE(status);
    const base::Result<SnapshotUser> user = kubevirt::decode_vm_restore(object_of(R"({"virtualMachineSnapshotName":"s1"})", status));
    REQUIRE(user.ok());
    CHECK(user->ns == "prod");
    CHECK(user->name == "u");
    CHECK(user->snapshot == "s1");
    CHECK(user->finished == finished);
  }
}

TEST_CASE("exports and clones: by phase, and only where the source is a snapshot") {
  const std::string of_snapshot = R"({"source":{"kind":"VirtualMachineSnapshot","name":"s1"}})";
  const std::string of_vm = R"({"source":{"kind":"VirtualMachine","name":"s1"}})";
  for (const char* phase : {"", "Pending", "Ready"}) {
    CHECK_FALSE(kubevirt::decode_vm_export(object_of(of_snapshot, std::string(R"({"phase":")") + phase + "\"}"))->finished);
  }
  for (const char* phase : {"Terminated", "Skipped"}) {
    CHECK(kubevirt::decode_vm_export(object_of(of_snapshot, std::string(R"({"phase":")") + phase + "\"}"))->finished);
  }
  for (const char* phase : {"", "SnapshotInProgress", "CreatingTargetVM", "RestoreInProgress", "Unknown"}) {
    CHECK_FALSE(kubevirt::decode_vm_clone(object_of(of_snapshot, std::string(R"({"phase":")") + phase + "\"}"))->finished);
  }
  for (const char* phase : {"Succeeded", "Failed"}) {
    CHECK(kubevirt::decode_vm_clone(object_of(of_snapshot, std::string(R"({"phase":")") + phase + "\"}"))->finished);
  }
  CHECK(kubevirt::decode_vm_export(object_of(of_snapshot, "{}"))->snapshot == "s1");
  CHECK(kubevirt::decode_vm_export(object_of(of_vm, "{}"))->snapshot.empty());
  CHECK(kubevirt::decode_vm_clone(object_of(of_vm, "{}"))->snapshot.empty());
}

TEST_CASE("a field of another type is an error that names it") {
  const base::Result<SnapshotUser> user = kubevirt::decode_vm_restore(object_of(R"({"virtualMachineSnapshotName":5})", "{}"));
  REQUIRE_FALSE(user.ok());
  CHECK(user.error().message().find("virtualMachineSnapshotName: expected string") != std::string::npos);
  CHECK_FALSE(kubevirt::decode_vm_clone(object_of(R"({"source":{"kind":"VirtualMachineSnapshot","name":[]}})", "{}")).ok());
}

}  // namespace
