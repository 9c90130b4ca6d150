#include "kubevirt/persistent_state.hpp"

#include <doctest/doctest.h>

#include <string>

#include "kubevirt/storage.hpp"
#include "kubevirt/virtual_machine.hpp"
#include "kubevirt/vm_snapshot.hpp"

namespace {

using namespace vmbackup;

json::Value parsed(const std::string& text) {
  const base::Result<json::Value> value = json::parse(text);
  REQUIRE(value.ok());
  return *value;
}

// What upstream's function answers for names of v's that end in x.
TEST_CASE("the name of what stands for the state, as KubeVirt makes it of names of any length") {
  const auto vm = [](std::size_t length) { return std::string(length - 1, 'v') + "x"; };
  CHECK(kubevirt::state_volume_of("db-0") == "persistent-state-for-db-0");
  CHECK(kubevirt::state_volume_of(vm(42)) == "persistent-state-for-" + vm(42));
  CHECK(kubevirt::state_volume_of(vm(43)) == "persistent-e807c95a-" + vm(43));
  CHECK(kubevirt::state_volume_of(vm(52)) == "p-e807c95a-" + vm(52));
  CHECK(kubevirt::state_volume_of(vm(53)) == "persistent-state-for-f6bab7a7");
  CHECK(kubevirt::state_volume_of(vm(54)) == "persistent-state-for-3ad5c943");
  CHECK(kubevirt::state_volume_of(vm(63)) == "persistent-state-for-d9deba8f");
}

TEST_CASE("which VMs keep a state, in the VM and in the content of a snapshot") {
  struct Row {
    const char* domain;
    bool keeps;
  };
  const Row rows[] = {
      {R"({"devices": {}})", false},
      {R"({"devices": {"tpm": {}}})", false},
      {R"({"devices": {"tpm": {"persistent": false}}})", false},
      {R"({"devices": {"tpm": {"persistent": true}}})", true},
      {R"({"devices": {"tpm": {"persistent": true, "enabled": false}}})", false},
      {R"({"firmware": {"bootloader": {"bios": {}}}})", false},
      {R"({"firmware": {"bootloader": {"efi": {"secureBoot": true}}}})", false},
      {R"({"firmware": {"bootloader": {"efi": {"persistent": true}}}})", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.domain);
    const std::string vm = std::string(R"({"metadata": {"name": "db-0", "uid": "u"}, "spec": {"template": {"spec": {"domain": )") +
                           row.domain + R"(, "volumes": []}}}})";
    CHECK(kubevirt::decode_virtual_machine(parsed(vm))->persistent_state == row.keeps);
    const std::string content =
        R"({"metadata": {"name": "c", "uid": "u"}, "spec": {"source": {"virtualMachine": )" + vm + R"(}, "volumeBackups": []}})";
    CHECK(kubevirt::decode_vm_snapshot_content(parsed(content))->persistent_state == row.keeps);
  }
}

TEST_CASE("whose state a claim holds") {
  const auto claim = kubevirt::decode_claim(parsed(R"({"metadata": {"name": "persistent-state-for-db-0-abcde",
      "labels": {"persistent-state-for": "db-0"}, "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Bound"}})"));
  REQUIRE(claim.ok());
  CHECK(claim->state_of == "db-0");
  CHECK(claim->created == "2026-01-01T00:00:00Z");
}

}  // namespace
