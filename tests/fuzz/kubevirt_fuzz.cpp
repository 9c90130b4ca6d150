// The decoders of KubeVirt's kinds, and the report that is made of what they give: any JSON is decoded or refused with its path.
#include <algorithm>

#include "backup/assemble.hpp"
#include "check.hpp"
#include "json/value.hpp"
#include "kubevirt/guest_exec.hpp"
#include "kubevirt/installation.hpp"
#include "kubevirt/virtual_machine.hpp"
#include "kubevirt/vm_snapshot.hpp"

using vmbackup::base::Result;
using vmbackup::fuzz::require;
using vmbackup::json::Value;

namespace {

namespace kubevirt = vmbackup::kubevirt;

template <typename T>
void check(const Result<T>& decoded) {
  if (decoded) return;
  require(decoded.error().code() == vmbackup::base::ErrorCode::invalid, "a refusal is about the object");
  require(!decoded.error().message().empty(), "a refusal says why");
}

void check_report(const kubevirt::VmSnapshot& snapshot, const std::optional<kubevirt::VmSnapshotContent>& content,
                  const std::optional<kubevirt::VolumeSnapshot>& volume_snapshot) {
  vmbackup::backup::SnapshotParts parts{.snapshot = snapshot, .content = content, .volume_snapshots = {}, .planned = {}};
  if (volume_snapshot) parts.volume_snapshots.push_back(*volume_snapshot);
  const vmbackup::backup::SnapshotItem item = vmbackup::backup::assemble(parts);
  require(item.name == snapshot.name && item.ns == snapshot.ns, "the report is of that snapshot");
  require(!item.complete || std::none_of(item.disks.begin(), item.disks.end(),
                                         [](const vmbackup::backup::DiskReport& disk) { return disk.counts && !disk.included; }),
          "nothing that counts is missing from what is complete");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<Value> value = vmbackup::json::parse({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  check(kubevirt::decode_virtual_machine(*value));
  check(kubevirt::decode_virtual_machine_instance(*value));
  check(kubevirt::observed_kubevirt_version(*value));
  check(kubevirt::observed_cdi_version(*value));
  const Result<kubevirt::GuestProcess> process = kubevirt::decode_guest_process(*value);
  check(process);
  if (process && process->ended && process->exit_code == 0) {
    require(value->path({"exitcode"}).is_integer() && value->path({"exitcode"}).as_integer() == 0, "only 0 is taken for 0");
  }
  const Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(*value);
  const Result<kubevirt::VmSnapshotContent> content = kubevirt::decode_vm_snapshot_content(*value);
  const Result<kubevirt::VolumeSnapshot> volume_snapshot = kubevirt::decode_volume_snapshot(*value);
  check(snapshot);
  check(content);
  check(volume_snapshot);
  if (content) {
    require(
        std::is_sorted(content->backups.begin(), content->backups.end(),
                       [](const kubevirt::VolumeBackup& left, const kubevirt::VolumeBackup& right) { return left.volume < right.volume; }),
        "claims are sorted by volume");
  }
  if (snapshot) {
    check_report(*snapshot, content ? std::optional(*content) : std::nullopt,
                 volume_snapshot ? std::optional(*volume_snapshot) : std::nullopt);
  }
  return 0;
}
