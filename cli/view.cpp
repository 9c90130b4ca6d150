#include "cli/view.hpp"

#include <cstdint>
#include <cstdio>
#include <optional>

#include "base/text.hpp"
#include "cli/error_view.hpp"
#include "cli/evidence_text.hpp"
#include "cli/recipe_view.hpp"
#include "json/yaml.hpp"

namespace vmbackup::cli {
namespace {

using json::Value;

Value optional_error(const std::optional<base::Error>& error) { return error ? error_value(*error) : Value(); }

template <typename T>
Value optional_value(const std::optional<T>& value) {
  return value ? Value(*value) : Value();
}

Value size_value(const std::optional<std::uint64_t>& bytes) { return bytes ? Value(static_cast<std::int64_t>(*bytes)) : Value(); }

Value document(const char* kind) { return Value::object({{"apiVersion", "vmbackup/v1"}, {"kind", kind}}); }

Value disk_value(const backup::DiskReport& disk) {
  return Value::object({{"name", disk.name},
                        {"source", disk.source},
                        {"claim", disk.claim},
                        {"included", disk.included},
                        {"counts", disk.counts},
                        {"reason", disk.reason},
                        {"volumeSnapshot", disk.volume_snapshot},
                        {"volumeSnapshotClass", disk.snapshot_class},
                        {"restoreSizeBytes", size_value(disk.restore_size)},
                        {"cutTime", time_value(disk.cut_time)},
                        {"readyToUse", optional_value(disk.ready)},
                        {"fileSystem", optional_value(disk.file_system)},
                        {"acceptedRaw", disk.accepted_raw},
                        {"shared", optional_value(disk.shared)},
                        {"error", disk.error}});
}

// Why a snapshot is incomplete or weaker than it might be, and what could not be read.
Value reasons_value(const backup::SnapshotItem& item) {
  std::vector<std::string> reasons = item.reasons;
  if (item.judged) reasons.insert(reasons.end(), item.judged->verdict.reasons.begin(), item.judged->verdict.reasons.end());
  return strings_value(reasons);
}

// The times of the freeze, by the clock of the machine that recorded them.
Value freeze_value(const backup::SnapshotItem& item) {
  const std::optional<backup::FreezeFacts>& facts = item.freeze;
  if (!item.judged || item.judged->source != backup::EvidenceSource::recorded) {
    if (!facts) return {};
    return Value::object({{"by", facts->by},
                          {"sentTime", time_value(facts->sent)},
                          {"confirmedTime", time_value(facts->confirmed)},
                          {"thawConfirmedTime", time_value(facts->thaw_confirmed)},
                          {"windowSeconds", optional_value(facts->window_seconds)}});
  }
  const kubevirt::Evidence& evidence = item.judged->evidence;
  if (!evidence.hold || *evidence.hold == kubevirt::Hold::none) return {};
  const auto at = [&evidence](const std::optional<kubevirt::Offset>& offset) {
    return evidence.t0_wall && offset ? Value(base::format_time(*evidence.t0_wall + *offset)) : Value();
  };
  std::optional<kubevirt::Offset> window;
  for (const kubevirt::EvidenceDisk& disk : evidence.disks.value_or(std::vector<kubevirt::EvidenceDisk>{})) {
    if (disk.included && disk.cut_seen && (!window || *disk.cut_seen > *window)) window = disk.cut_seen;
  }
  return Value::object({{"by", kubevirt::to_string(*evidence.hold)},
                        {"sentTime", at(kubevirt::Offset::zero())},
                        {"confirmedTime", at(evidence.freeze ? evidence.freeze->confirmed : std::nullopt)},
                        {"thawConfirmedTime", at(evidence.thaw ? evidence.thaw->confirmed : std::nullopt)},
                        {"windowSeconds", window ? Value(base::to_seconds(*window)) : Value()}});
}

Value labels_value(const backup::SnapshotItem& item) {
  Value labels = Value::object();
  for (const auto& [key, value] : item.labels) labels.set(key, value);
  return labels;
}

Value snapshot_items(const std::vector<backup::SnapshotItem>& items) {
  json::Array array;
  for (const backup::SnapshotItem& item : items) array.push_back(snapshot_value(item));
  return array;
}

Value component_value(const backup::ComponentVersion& component) {
  return Value::object(
      {{"installed", optional_value(component.installed)}, {"version", component.version}, {"error", optional_error(component.error)}});
}

// U+XXXX that look like nothing or turn the text around: C1, bidi controls, zero width, byte order mark.
bool deceives(std::uint32_t code) {
  return (code >= 0x7f && code <= 0x9f) || code == 0x061c || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

}  // namespace

Value time_value(const std::optional<base::WallTime>& time) { return time ? Value(base::format_time(*time)) : Value(); }

Value strings_value(const std::vector<std::string>& texts) {
  json::Array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

Value snapshot_value(const backup::SnapshotItem& item) {
  const std::vector<std::string> none;
  json::Array disks;
  for (const backup::DiskReport& disk : item.disks) disks.push_back(disk_value(disk));
  return Value::object({{"namespace", item.ns},
                        {"vm", item.vm},
                        {"name", item.name},
                        {"uid", item.uid},
                        {"outcome", backup::to_string(item.outcome)},
                        {"phase", item.phase},
                        {"readyToUse", item.ready_to_use},
                        {"indications", strings_value(item.indications)},
                        {"level", item.judged ? Value(to_string(item.judged->verdict.level)) : Value()},
                        {"levelSource", item.judged ? Value(to_string(item.judged->source)) : Value()},
                        {"complete", item.complete},
                        {"reasons", reasons_value(item)},
                        {"assumptions", strings_value(item.judged ? item.judged->verdict.assumptions : none)},
                        {"missingForStronger", strings_value(item.judged ? item.judged->verdict.missing_for_stronger : none)},
                        {"freeze", freeze_value(item)},
                        {"steps", steps_value(item.steps)},
                        {"disks", std::move(disks)},
                        {"deletionPolicy", item.deletion_policy},
                        {"failureDeadline", item.failure_deadline},
                        {"run", item.run},
                        {"labels", labels_value(item)},
                        {"content", item.content},
                        {"restoreSizeBytes", size_value(item.restore_size)},
                        {"creationTimestamp", time_value(item.created)},
                        {"cutTime", time_value(item.creation_time)},
                        {"durationSeconds", optional_value(item.seconds)},
                        {"obstacle", item.obstacle},
                        {"tries", static_cast<std::int64_t>(item.tries)},
                        {"failedTries", strings_value(item.failed_tries)},
                        {"left", strings_value(item.left)},
                        {"error", optional_error(item.error)}});
}

namespace {
Value group_value(const std::optional<backup::GroupReport>& group) {
  if (!group) return {};
  return Value::object({{"vms", static_cast<std::int64_t>(group->vms)},
                        {"heldTime", time_value(group->held)},
                        {"together", group->together},
                        {"reasons", strings_value(group->reasons)}});
}
}  // namespace

Value snapshot_report_value(const backup::SnapshotReport& report, ExitCode exit_code) {
  Value value = document("SnapshotReport");
  value.set("run", report.run);
  value.set("dryRun", report.dry_run);
  value.set("startTime", base::format_time(report.start_time));
  value.set("completionTime", time_value(report.completion_time));
  value.set("exitCode", static_cast<int>(exit_code));
  value.set("group", group_value(report.group));
  value.set("items", snapshot_items(report.items));
  return value;
}

Value plan_value(const backup::SnapshotPlan& plan) {
  return Value::object({{"apiVersion", "snapshot.kubevirt.io/" + plan.api_version},
                        {"running", plan.running},
                        {"agentConnected", optional_value(plan.agent_connected)},
                        {"paused", plan.paused},
                        {"namespace", plan.snapshot.ns},
                        {"vm", plan.snapshot.vm},
                        {"hold", kubevirt::to_string(plan.hold)},
                        {"maxFreezeSeconds", base::to_seconds(plan.max_freeze)},
                        {"safetyTimeoutSeconds", base::to_seconds(plan.safety_timeout)},
                        {"bestLevel", plan.refusal ? Value() : Value(to_string(plan.best))},
                        {"bestBecause", strings_value(plan.best_because)},
                        {"refusal", optional_error(plan.refusal)},
                        {"forced", strings_value(plan.forced)},
                        {"warnings", strings_value(plan.warnings)}});
}

Value snapshot_list_value(const std::vector<backup::SnapshotItem>& items) {
  Value value = document("SnapshotList");
  value.set("items", snapshot_items(items));
  return value;
}

Value snapshot_document(const backup::SnapshotItem& item) {
  Value value = document("Snapshot");
  const Value fields = snapshot_value(item);
  for (const json::Member& member : fields.members()) value.set(member.first, member.second);
  value.set("evidence", strings_value(item.judged ? evidence_sentences(item.judged->evidence) : std::vector<std::string>{}));
  return value;
}

Value delete_report_value(const backup::DeleteReport& report, ExitCode exit_code) {
  Value value = document("DeleteReport");
  value.set("dryRun", report.dry_run);
  value.set("exitCode", static_cast<int>(exit_code));
  json::Array items;
  for (const backup::DeleteItem& item : report.items) {
    items.push_back(Value::object({{"namespace", item.ns},
                                   {"name", item.name},
                                   {"vm", item.vm},
                                   {"outcome", backup::to_string(item.outcome)},
                                   {"deletes", strings_value(item.deletes)},
                                   {"stays", strings_value(item.stays)},
                                   {"users", strings_value(item.users)},
                                   {"error", optional_error(item.error)}}));
  }
  value.set("items", std::move(items));
  return value;
}

Value forget_report_value(const backup::ForgetReport& report, ExitCode exit_code) {
  Value value = document("ForgetReport");
  value.set("dryRun", report.dry_run);
  value.set("exitCode", static_cast<int>(exit_code));
  value.set("now", base::format_time(report.now));
  json::Array items;
  for (const backup::ForgetItem& forget : report.items) {
    items.push_back(Value::object({{"namespace", forget.item.ns},
                                   {"vm", forget.item.vm},
                                   {"vmUid", forget.vm_uid},
                                   {"name", forget.item.name},
                                   {"uid", forget.uid},
                                   {"creationTimestamp", time_value(forget.created)},
                                   {"level", forget.judged ? Value(to_string(forget.judged->verdict.level)) : Value()},
                                   {"complete", forget.complete},
                                   {"decision", backup::to_string(forget.fate)},
                                   {"reasons", strings_value(forget.reasons)},
                                   {"outcome", backup::to_string(forget.item.outcome)},
                                   {"deletes", strings_value(forget.item.deletes)},
                                   {"stays", strings_value(forget.item.stays)},
                                   {"error", optional_error(forget.item.error)}}));
  }
  value.set("items", std::move(items));
  return value;
}

Value version_value(const VersionFacts& facts, ExitCode exit_code) {
  Value value = document("VersionReport");
  Value built_with = Value::object();
  for (const std::pair<std::string, std::string>& library : facts.libraries) built_with.set(library.first, library.second);
  value.set("client", Value::object({{"version", facts.version}, {"builtWith", std::move(built_with)}}));
  value.set("exitCode", static_cast<int>(exit_code));
  value.set("server", facts.cluster ? component_value(facts.cluster->server) : Value());
  value.set("kubevirt", facts.cluster ? component_value(facts.cluster->kubevirt) : Value());
  value.set("cdi", facts.cluster ? component_value(facts.cluster->cdi) : Value());
  json::Array apis;
  for (const backup::ApiUse& api : facts.cluster ? facts.cluster->apis : std::vector<backup::ApiUse>()) {
    apis.push_back(Value::object({{"group", api.group}, {"served", strings_value(api.served)}, {"used", api.used}}));
  }
  value.set("apis", std::move(apis));
  value.set("apisError", facts.cluster ? optional_error(facts.cluster->apis_error) : Value());
  value.set("error", optional_error(facts.error));
  return value;
}

Value snapshot_event_value(const char* event, base::WallTime time, const backup::SnapshotItem& item) {
  Value value = document("SnapshotEvent");
  value.set("event", event);
  value.set("time", base::format_time(time));
  value.set("item", snapshot_value(item));
  return value;
}

namespace {

std::string without_deceit(const std::string& plain) {
  std::string out;
  for (std::size_t at = 0; at < plain.size();) {
    const unsigned char lead = static_cast<unsigned char>(plain[at]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint32_t code = length == 1 ? lead : lead & (0x3fU >> (length - 1));
    for (std::size_t next = 1; next < length && at + next < plain.size(); ++next) {
      code = (code << 6) | (static_cast<unsigned char>(plain[at + next]) & 0x3fU);
    }
    if (deceives(code)) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(code & 0xffffU));
      out += escape;
    } else {
      out.append(plain, at, length);
    }
    at += length;
  }
  if (out.empty() || out.back() != '\n') out += '\n';
  return out;
}

}  // namespace

std::string json_text(const Value& document) { return without_deceit(json::dump_pretty(document)); }

std::string json_line(const Value& document) { return without_deceit(json::dump(document)); }

std::string yaml_text(const Value& document) { return json::dump_yaml(document); }

const std::vector<FieldText>& report_field_texts() {
  static const std::vector<FieldText> texts = {
      {"apiVersion", "always vmbackup/v1"},
      {"kind",
       "SnapshotReport (snapshot, wait), SnapshotList (list), SnapshotEvent (list --watch), Snapshot (show), DeleteReport (delete), "
       "ForgetReport (forget), FreezeReport "
       "(freeze, thaw), VersionReport (version)"},
      {"run", "SnapshotReport: the id of this run; it is also the label kubectl-vmbackup/run of what it created"},
      {"dryRun", "SnapshotReport, DeleteReport, ForgetReport: true when nothing was changed"},
      {"startTime, completionTime", "SnapshotReport: begin and end of the run, on this machine's clock"},
      {"exitCode", "SnapshotReport, DeleteReport, ForgetReport, VersionReport: the exit code of the run"},
      {"group",
       "SnapshotReport of snapshot --group, else null: vms; heldTime, from which on all of them stood still (null: that was not reached); "
       "together, whether each is shown to have stood still until its last cut, so that all snapshots are of that instant; reasons[], why "
       "that is not shown"},
      {"items[]", "SnapshotReport, SnapshotList: snapshots, with the fields below; Snapshot has those fields at the top"},
      {"plans[]",
       "SnapshotReport of a dry run: namespace, vm, apiVersion, running, agentConnected (null: not known), paused, hold (none, controller, "
       "freeze), maxFreezeSeconds, safetyTimeoutSeconds, bestLevel (the strongest that can come of it), bestBecause[], refusal, "
       "forced[] (what it would be refused for without --force), warnings[]"},
      {"plan", "the same, where there is one VM and it is not refused"},
      {"event, time, item",
       "SnapshotEvent, one document per line: listed (there at the beginning), added, changed or gone (as last seen); when that was seen, "
       "on "
       "this machine's clock; the snapshot, with the fields below"},
      {"items[].deletes[], items[].stays[]", "DeleteReport: the objects that go, and those that a deletion policy other than Delete keeps"},
      {"items[].users[]", "DeleteReport: what still reads the snapshot, or why that cannot be excluded"},
      {"now", "ForgetReport: the server's clock"},
      {"items[].decision, reasons[]",
       "ForgetReport: keep or forget, and why; beside them namespace, vm, vmUid, name, uid, creationTimestamp, level, complete, outcome "
       "(skipped: it stays), deletes[], stays[], error"},
      {"client.version, client.builtWith", "VersionReport: our version, and those of the libraries in it"},
      {"server, kubevirt, cdi",
       "VersionReport: installed (null: not known), version (empty: not known) and error; null with --client and where nothing of the "
       "cluster could be read"},
      {"apis[].group, served[], used",
       "VersionReport: the APIs that this tool speaks, the versions that the server has of them, its preferred one first, and the one that "
       "is used"},
      {"apisError, error", "VersionReport: why the APIs are not known; why nothing of the cluster is"},
  };
  return texts;
}

const std::vector<FieldText>& item_field_texts() {
  static const std::vector<FieldText> texts = {
      {"namespace, vm, name, uid", "which VirtualMachineSnapshot of which VM; uid is empty while there is none"},
      {"outcome", "done, failed, skipped or planned"},
      {"phase", "KubeVirt's word: InProgress, Succeeded, Failed, ...; empty before there is one"},
      {"readyToUse", "whether KubeVirt says that it can be restored"},
      {"indications[]", "KubeVirt's own words on how the snapshot was taken; passed on as they are, not judged"},
      {"level",
       "offline, application, filesystem, crash, per-disk or unknown, see kubectl-vmbackup-levels(7); null where it was not "
       "judged"},
      {"levelSource", "recorded (while it was taken; unsigned), inferred (from the objects alone), unreadable, or null"},
      {"complete", "whether every disk that the VM can write is included; false while that is not known"},
      {"reasons[]", "why it is incomplete or its level not stronger, or what could not be read, one sentence each"},
      {"assumptions[]", "what the level takes on trust because nobody could see it"},
      {"missingForStronger[]", "what a stronger level would have needed"},
      {"freeze.by, sentTime, confirmedTime, thawConfirmedTime, windowSeconds",
       "from recorded evidence, else null: who held the guest (controller, freeze, pause, freeze+pause), when that was sent (with "
       "controller: the create), confirmed and let go, and the time from sending it to the last cut seen; without a cut, to the thaw"},
      {"evidence[]", "show: what was recorded, in plain sentences"},
      {"disks[].name, source, claim",
       "the VM's volume, what it is made of, and its PersistentVolumeClaim; source backendStorage: what KubeVirt keeps of TPM and "
       "firmware"},
      {"disks[].included, counts, reason",
       "whether it is in the snapshot, whether its absence makes it incomplete, and why it is not in it"},
      {"disks[].volumeSnapshot, volumeSnapshotClass", "the VolumeSnapshot; empty when it may not be read"},
      {"disks[].fileSystem, acceptedRaw, shared",
       "snapshot: whether the guest's agent lists a file system on it (null: not known), whether --accept-raw named it, whether another "
       "running VM mounts its claim (null: not known)"},
      {"disks[].cutTime, readyToUse, error",
       "when the storage cut it (by the storage's clock), whether it can be used, the storage's last error"},
      {"deletionPolicy, failureDeadline", "as the object has them, with KubeVirt's defaults filled in"},
      {"run", "our run id, empty for snapshots of other tools"},
      {"labels", "the labels of the VirtualMachineSnapshot by their keys, ours and those of --label"},
      {"content", "name of the VirtualMachineSnapshotContent"},
      {"restoreSizeBytes, disks[].restoreSizeBytes",
       "how large the volumes of a restore have to be, by the VolumeSnapshots; not the space that the snapshot takes up. null where it is "
       "not known"},
      {"creationTimestamp", "when the object was created, by the API server's clock"},
      {"cutTime", "when KubeVirt saw all cuts made"},
      {"durationSeconds", "from the create (or the begin of the wait) to the end of our wait"},
      {"obstacle", "what KubeVirt says stands in the way"},
      {"tries, failedTries[]", "how often it was tried in this run (snapshot --retry), and why each try before the last one failed"},
      {"left[]", "what was left behind in the cluster, with its state"},
      {"error", "null, or code, message, hint, reason (the server's word) and causes[]"},
  };
  return texts;
}

}  // namespace vmbackup::cli
