#include "backup/hindrance.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "backup/lookup.hpp"
#include "backup/snapshot_class.hpp"
#include "base/duration.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using Kind = Hindrance::Kind;
using kubevirt::SnapshotPhase;

constexpr base::Duration k_certain = std::chrono::seconds(10);
constexpr base::Duration k_unclear = std::chrono::seconds(60);

// [CSI spec, spec.md at e981e2a, Error Scheme and CreateSnapshot Errors: the caller must change the request, or somebody the rights or
// secrets]
constexpr std::array<std::string_view, 5> k_refusing = {"InvalidArgument", "AlreadyExists", "PermissionDenied", "Unimplemented",
                                                        "Unauthenticated"};
// [external-snapshotter 8.6.0, isCSIFinalError: the cut may still be under way. ResourceExhausted is one of them there, and "no space" to
// CSI, which nothing but the text could tell apart: it counts as an error like any other]
constexpr std::array<std::string_view, 4> k_working = {"Canceled", "DeadlineExceeded", "Unavailable", "Aborted"};

constexpr std::string_view k_rpc = "rpc error: code = ";

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The snapshotter writes the first attempt's error and that of the later ones with different words in front.
std::string_view from_rpc(std::string_view text) {
  const std::size_t at = text.find(k_rpc);
  return at == std::string_view::npos ? text : text.substr(at);
}

std::string_view code_of(std::string_view text) {
  const std::string_view rpc = from_rpc(text);
  if (!rpc.starts_with(k_rpc)) return {};
  const std::string_view rest = rpc.substr(k_rpc.size());
  return rest.substr(0, rest.find(' '));
}

Hindrance hindrance_of_disk(const DiskReport& disk) {
  if (!disk.included || disk.cut_time || disk.error.empty()) return {};
  const std::string_view code = code_of(disk.error);
  Hindrance found{Kind::failing, "disk " + disk.name + ": " + disk.error, {}, disk.name + ": " + std::string(from_rpc(disk.error))};
  if (is_one_of(k_working, code)) found.kind = Kind::passing;
  if (is_one_of(k_refusing, code)) {
    found.kind = Kind::refused;
    // Its text may hold the number of the attempt.
    found.same = disk.name + ": " + std::string(code);
  }
  return found;
}

// Of KubeVirt's own doing. Errors of VolumeSnapshots are repeated there too, and known better from the disks.
Hindrance hindrance_of_content(const SnapshotParts& parts) {
  const std::string& error = parts.content ? parts.content->error : parts.snapshot.error;
  if (error.empty() || error.starts_with("VolumeSnapshot")) return {};
  return {contains(error, "currently during migration") ? Kind::passing : Kind::failing, error, {}, error};
}

// Only where KubeVirt has to thaw.
bool is_unfinished(const SnapshotParts& parts, const SnapshotItem& shown) {
  const std::vector<std::string>& words = shown.indications;
  const auto has = [&words](const char* word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  if (!parts.content || !has("GuestAgent") || has("Paused")) return false;
  bool any = false;
  for (const DiskReport& disk : shown.disks) {
    if (!disk.included) continue;
    if (!disk.cut_time) return false;
    any = true;
  }
  return any;
}

// `Source not locked snapshot "NAME" in progress`.
std::string holder_in(const std::string& reason) {
  constexpr std::string_view begin = "Source not locked snapshot \"";
  if (!reason.starts_with(begin)) return {};
  const std::size_t end = reason.find('"', begin.size());
  return end == std::string::npos ? std::string() : reason.substr(begin.size(), end - begin.size());
}

// Before there is a content.
Hindrance hindrance_of_source(const SnapshotParts& parts) {
  for (const kubevirt::Condition& condition : parts.snapshot.conditions) {
    if (condition.type != "Progressing") continue;
    const std::string& reason = condition.reason;
    if (condition.status == "True") return {Kind::unbegun, "KubeVirt has locked the VM and begun nothing", {}, {}};
    if (reason == "Source does not exist") return {Kind::no_source, "its VM " + parts.snapshot.source_name + " does not exist", {}, {}};
    if (const std::string holder = holder_in(reason); !holder.empty()) return {Kind::locked, reason, holder, holder};
    const bool lacks = contains(reason, "volume doesnt exist: ") || contains(reason, "volume is being deleted: ");
    return {lacks ? Kind::failing : Kind::passing, reason, {}, reason};
  }
  return {};
}

std::string deadline_in_words(const SnapshotParts& parts) {
  const std::string& deadline = parts.snapshot.failure_deadline;
  const base::Result<base::Duration> length = base::parse_duration(deadline);
  if (length.ok() && *length == base::Duration::zero()) return "without end";
  return "until its failure deadline of " + (deadline.empty() ? std::string(k_default_failure_deadline) : deadline);
}

}  // namespace

Hindrance hindrance_of(const SnapshotParts& parts, const SnapshotItem& shown) {
  const kubevirt::VmSnapshot& snapshot = parts.snapshot;
  if (snapshot.deleting) return {};
  if (snapshot.phase == SnapshotPhase::succeeded) {
    const bool missing = snapshot.error.starts_with("VolumeSnapshots (") && snapshot.error.ends_with(") missing");
    return missing && !snapshot.ready_to_use ? Hindrance{Kind::missing, snapshot.error, {}, {}} : Hindrance{};
  }
  if (snapshot.phase != SnapshotPhase::in_progress) return {};
  Hindrance worst = hindrance_of_content(parts);
  for (const DiskReport& disk : shown.disks) {
    Hindrance found = hindrance_of_disk(disk);
    const bool worse = (found.kind == Kind::refused && worst.kind != Kind::refused) ||
                       (found.kind == Kind::failing && worst.kind != Kind::refused && worst.kind != Kind::failing) ||
                       (found.kind == Kind::passing && worst.kind == Kind::none);
    if (worse) worst = std::move(found);
  }
  if (worst.kind != Kind::none) return worst;
  if (!parts.content && snapshot.content_name.empty()) return hindrance_of_source(parts);
  if (!is_unfinished(parts, shown)) return {};
  return {Kind::unfinished, "all its disks are cut and KubeVirt does not finish it, as when it cannot thaw the guest", {}, {}};
}

std::optional<base::Duration> patience_with(Kind kind) {
  switch (kind) {
    case Kind::none:
    case Kind::passing:
      return std::nullopt;
    case Kind::failing:
    case Kind::unfinished:
      return k_unclear;
    case Kind::refused:
    case Kind::unbegun:
    case Kind::locked:
    case Kind::no_source:
    case Kind::missing:
      return k_certain;
  }
  return std::nullopt;
}

std::string class_ambiguity(const kubevirt::VirtualMachine& vm) {
  for (const kubevirt::VolumeSnapshotSupport& volume : vm.snapshot_support) {
    if (volume.enabled || !says_ambiguous(volume.reason)) continue;
    return "KubeVirt cannot choose a VolumeSnapshotClass for disk " + volume.name + ": " + volume.reason;
  }
  return {};
}

base::Error standing_error(const SnapshotParts& parts, const Hindrance& hindrance) {
  const kubevirt::VmSnapshot& snapshot = parts.snapshot;
  const std::string what = kubevirt::describe(kubevirt::vm_snapshots(""), {snapshot.ns, snapshot.name});
  const std::string stood = base::format_duration(patience_with(hindrance.kind).value_or(base::Duration::zero()));
  const std::string in = " -n " + snapshot.ns;
  if (hindrance.kind == Kind::missing) {
    return base::Error(base::ErrorCode::internal, what + " is of no use any more: " + hindrance.cause,
                       "remove it with: kubectl vmbackup delete " + snapshot.name + in);
  }
  const std::string go_on = "kubectl vmbackup wait vmsnapshot/" + snapshot.name + in + " --wait-on-error";
  const std::string hint = hindrance.kind == Kind::unbegun ? "mark one class as default: kubectl annotate volumesnapshotclass CLASS "
                                                             "snapshot.storage.kubernetes.io/is-default-class=true; then go on with: " +
                                                                 go_on
                                                           : "go on waiting for it with: " + go_on;
  return base::Error(base::ErrorCode::internal,
                     what + " is stuck: " + hindrance.cause + "; unchanged for " + stood + ", and KubeVirt alone would go on trying " +
                         deadline_in_words(parts),
                     hint);
}

}  // namespace vmbackup::backup
