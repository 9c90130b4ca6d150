#include "kubevirt/evidence.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "base/text.hpp"
#include "json/reader.hpp"

namespace vmbackup::kubevirt {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using json::Reader;
using json::Value;

constexpr int k_version = 1;
// A year: what is beyond was not measured.
constexpr std::int64_t k_most_offset_ms = std::int64_t{366} * 24 * 3600 * 1000;

template <typename T>
struct Word {
  T value;
  const char* text;
};
constexpr std::array<Word<Hold>, 5> k_holds{{{Hold::none, "none"},
                                             {Hold::controller, "controller"},
                                             {Hold::freeze, "freeze"},
                                             {Hold::pause, "pause"},
                                             {Hold::freeze_pause, "freeze+pause"}}};
constexpr std::array<Word<Stop>, 3> k_stops{{{Stop::clean, "clean"}, {Stop::killed, "killed"}, {Stop::unknown, "unknown"}}};
constexpr std::array<Word<Confirmed>, 2> k_confirmations{{{Confirmed::answer, "answer"}, {Confirmed::status, "status"}}};

template <typename T, std::size_t N>
const char* text_of(const std::array<Word<T>, N>& words, T value) {
  for (const Word<T>& word : words) {
    if (word.value == value) return word.text;
  }
  return "";
}

// ---- writing: what is absent or empty is left out ----

void put(Value& object, const char* key, const std::string& text) {
  if (!text.empty()) object.set(key, text);
}
void put(Value& object, const char* key, const std::optional<bool>& value) {
  if (value) object.set(key, *value);
}
void put(Value& object, const char* key, const std::optional<Offset>& offset) {
  if (offset) object.set(key, static_cast<std::int64_t>(offset->count()));
}
void put(Value& object, const char* key, const std::optional<base::WallTime>& time) {
  if (time) object.set(key, base::format_time(*time));
}

void put(Value& object, const char* key, const std::optional<std::vector<StateSeen>>& states) {
  if (!states) return;
  json::Array array;
  for (const StateSeen& state : *states) {
    array.push_back(Value::object({{"at", static_cast<std::int64_t>(state.at.count())}, {"on", state.on}}));
  }
  object.set(key, std::move(array));
}

Value strings_of(const std::vector<std::string>& texts) {
  json::Array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

Value value_of(const InstanceSeen& seen) {
  Value value = Value::object({{"ran", seen.ran}, {"gap", seen.gap}, {"migrating", seen.migrating}});
  put(value, "from", std::optional(seen.from));
  put(value, "until", std::optional(seen.until));
  put(value, "uid", seen.uid);
  put(value, "node", seen.node);
  put(value, "pod", seen.pod);
  put(value, "endUid", seen.end_uid);
  put(value, "endNode", seen.end_node);
  put(value, "endPod", seen.end_pod);
  if (seen.stopped) value.set("stopped", to_string(*seen.stopped));
  return value;
}

Value value_of(const PauseSeen& seen) {
  Value value = Value::object({{"seen", seen.seen}});
  put(value, "from", seen.from);
  put(value, "until", seen.until);
  return value;
}

Value value_of(const FreezeSeen& seen) {
  Value value = Value::object({{"by", text_of(k_confirmations, seen.by)}});
  put(value, "confirmed", seen.confirmed);
  put(value, "error", seen.error);
  return value;
}

Value value_of(const ThawSeen& seen) {
  Value value = Value::object({{"byController", seen.by_controller}});
  put(value, "sent", seen.sent);
  put(value, "confirmed", seen.confirmed);
  put(value, "error", seen.error);
  return value;
}

Value value_of(const LockSeen& seen) {
  Value value = Value::object({{"other", seen.other}, {"statusEmpty", seen.status_empty}, {"thawBefore", seen.thaw_before}});
  put(value, "becameOurs", seen.became_ours);
  put(value, "watched", std::optional(seen.watched));
  return value;
}

Value value_of(const GroupSeen& seen) {
  Value value = Value::object({{"vms", static_cast<std::int64_t>(seen.vms)}});
  put(value, "held", std::optional(seen.held));
  return value;
}

Value value_of(const StepSeen& seen) {
  Value value = Value::object({{"name", seen.name}});
  put(value, "ready", seen.ready);
  put(value, "held", seen.held);
  return value;
}

Value value_of(const EvidenceDisk& disk) {
  Value value = Value::object({{"name", disk.name}, {"included", disk.included}, {"counts", disk.counts}});
  put(value, "claim", disk.claim);
  put(value, "volumeSnapshot", disk.volume_snapshot);
  put(value, "handle", disk.handle);
  put(value, "creationTime", disk.creation_time);
  put(value, "cutSeen", disk.cut_seen);
  put(value, "reason", disk.reason);
  put(value, "fileSystem", disk.file_system);
  if (disk.accepted_raw) value.set("acceptedRaw", true);
  put(value, "shared", disk.shared);
  return value;
}

template <typename T>
void put_object(Value& object, const char* key, const std::optional<T>& seen) {
  if (seen) object.set(key, value_of(*seen));
}

template <typename T>
void put_list(Value& object, const char* key, const std::optional<std::vector<T>>& seen) {
  if (!seen) return;
  json::Array array;
  for (const T& one : *seen) array.push_back(value_of(one));
  object.set(key, std::move(array));
}

// ---- reading: wrong types and unknown words are errors, which the reader keeps ----

// Reads members and keeps the first thing that is wrong beyond types.
class Decoder {
 public:
  explicit Decoder(const Value& document) : root_(document, "evidence") {}

  Result<Evidence> evidence();

 private:
  std::optional<Offset> offset(const Reader& reader, const char* key) {
    const std::optional<std::int64_t> number = reader.optional_integer(key);
    if (!number) return std::nullopt;
    if (*number < -k_most_offset_ms || *number > k_most_offset_ms) fail(std::string(key) + ": no offset that could have been measured");
    return Offset(*number);
  }
  Offset required_offset(const Reader& reader, const char* key) {
    const std::optional<Offset> found = offset(reader, key);
    if (!found) fail(std::string(key) + ": missing");
    return found.value_or(Offset{});
  }
  // What is not said counts as its bad side.
  static bool flag(const Reader& reader, const char* key, bool bad) { return reader.optional_bool(key).value_or(bad); }
  std::optional<base::WallTime> time(const Reader& reader, const char* key) {
    const std::optional<std::string> text = reader.optional_string(key);
    if (!text) return std::nullopt;
    const Result<base::WallTime> parsed = base::parse_time(*text);
    if (parsed.ok()) return *parsed;
    fail(std::string(key) + ": " + parsed.error().message());
    return std::nullopt;
  }
  template <typename T, std::size_t N>
  std::optional<T> word(const Reader& reader, const char* key, const std::array<Word<T>, N>& words) {
    const std::optional<std::string> text = reader.optional_string(key);
    if (!text) return std::nullopt;
    for (const Word<T>& word : words) {
      if (*text == word.text) return word.value;
    }
    fail(std::string(key) + ": unknown word \"" + base::printable(*text, 64) + "\"");
    return std::nullopt;
  }
  std::optional<std::vector<StateSeen>> states(const char* key) {
    if (!root_.member(key).present()) return std::nullopt;
    std::vector<StateSeen> found;
    root_.for_each(key, [&](const Reader& one) { found.push_back({required_offset(one, "at"), required_flag(one, "on")}); });
    return found;
  }
  bool required_flag(const Reader& reader, const char* key) {
    const std::optional<bool> found = reader.optional_bool(key);
    if (!found) fail(std::string(key) + ": missing");
    return found.value_or(false);
  }
  void fail(const std::string& why) {
    if (!wrong_) wrong_ = Error(ErrorCode::invalid, "evidence: " + why);
  }

  std::optional<InstanceSeen> instance(const Reader& reader);
  std::optional<PauseSeen> pause(const Reader& reader);
  std::optional<FreezeSeen> freeze(const Reader& reader);
  std::optional<ThawSeen> thaw(const Reader& reader);
  std::optional<LockSeen> lock(const Reader& reader);
  std::optional<GroupSeen> group(const Reader& reader);
  StepSeen step(const Reader& reader);
  EvidenceDisk disk(const Reader& reader);
  void lists(Evidence& evidence);

  Reader root_;
  std::optional<Error> wrong_;
};

std::optional<InstanceSeen> Decoder::instance(const Reader& reader) {
  if (!reader.present()) return std::nullopt;
  InstanceSeen seen;
  seen.ran = required_flag(reader, "ran");
  seen.from = required_offset(reader, "from");
  seen.until = required_offset(reader, "until");
  seen.uid = reader.string("uid");
  seen.node = reader.string("node");
  seen.pod = reader.string("pod");
  seen.end_uid = reader.string("endUid");
  seen.end_node = reader.string("endNode");
  seen.end_pod = reader.string("endPod");
  seen.gap = flag(reader, "gap", true);
  seen.migrating = flag(reader, "migrating", true);
  seen.stopped = word(reader, "stopped", k_stops);
  return seen;
}

std::optional<PauseSeen> Decoder::pause(const Reader& reader) {
  if (!reader.present()) return std::nullopt;
  return PauseSeen{flag(reader, "seen", true), offset(reader, "from"), offset(reader, "until")};
}

std::optional<FreezeSeen> Decoder::freeze(const Reader& reader) {
  if (!reader.present()) return std::nullopt;
  return FreezeSeen{offset(reader, "confirmed"), word(reader, "by", k_confirmations).value_or(Confirmed::status), reader.string("error")};
}

std::optional<ThawSeen> Decoder::thaw(const Reader& reader) {
  if (!reader.present()) return std::nullopt;
  return ThawSeen{flag(reader, "byController", false), offset(reader, "sent"), offset(reader, "confirmed"), reader.string("error")};
}

std::optional<LockSeen> Decoder::lock(const Reader& reader) {
  if (!reader.present()) return std::nullopt;
  return LockSeen{flag(reader, "other", true), offset(reader, "becameOurs"), flag(reader, "statusEmpty", false),
                  flag(reader, "thawBefore", true), offset(reader, "watched").value_or(Offset{})};
}

std::optional<GroupSeen> Decoder::group(const Reader& reader) {
  if (!reader.present()) return std::nullopt;
  const std::int64_t vms = reader.optional_integer("vms").value_or(0);
  if (vms < 1) fail("vms: no number of VMs");
  return GroupSeen{static_cast<std::size_t>(std::max<std::int64_t>(vms, 0)), required_offset(reader, "held")};
}

StepSeen Decoder::step(const Reader& reader) { return {reader.required_string("name"), offset(reader, "ready"), offset(reader, "held")}; }

EvidenceDisk Decoder::disk(const Reader& reader) {
  EvidenceDisk disk;
  disk.name = reader.required_string("name");
  disk.claim = reader.string("claim");
  disk.volume_snapshot = reader.string("volumeSnapshot");
  disk.handle = reader.string("handle");
  disk.creation_time = time(reader, "creationTime");
  disk.cut_seen = offset(reader, "cutSeen");
  disk.included = required_flag(reader, "included");
  disk.counts = flag(reader, "counts", true);
  disk.reason = reader.string("reason");
  disk.file_system = reader.optional_bool("fileSystem");
  disk.accepted_raw = flag(reader, "acceptedRaw", false);
  disk.shared = reader.optional_bool("shared");
  return disk;
}

void Decoder::lists(Evidence& evidence) {
  evidence.agent = states("agent");
  evidence.frozen = states("frozen");
  evidence.probes = states("probes");
  if (root_.member("recipe").present()) {
    evidence.recipe.emplace();
    root_.for_each("recipe", [&](const Reader& one) { evidence.recipe->push_back(step(one)); });
  }
  if (root_.member("disks").present()) {
    evidence.disks.emplace();
    root_.for_each("disks", [&](const Reader& one) { evidence.disks->push_back(disk(one)); });
  }
  if (root_.member("indications").present()) evidence.indications = root_.strings("indications");
  evidence.assumptions = root_.strings("assumptions");
}

Result<Evidence> Decoder::evidence() {
  const std::optional<std::int64_t> version = root_.optional_integer("v");
  if (version && *version != k_version) fail("schema version " + std::to_string(*version) + " is not known to this version of the tool");
  if (!version) fail("v: missing");
  Evidence evidence;
  evidence.snapshot_uid = root_.string("snapshot");
  evidence.content_uid = root_.string("content");
  evidence.vm_uid = root_.string("vm");
  evidence.t0_wall = time(root_, "t0");
  evidence.hold = word(root_, "hold", k_holds);
  evidence.guest_os = root_.string("os");
  evidence.create_sent = offset(root_, "createSent");
  evidence.safety_timeout = offset(root_, "safetyTimeout");
  evidence.instance = instance(root_.member("instance"));
  evidence.pause = pause(root_.member("pause"));
  evidence.freeze = freeze(root_.member("freeze"));
  evidence.thaw = thaw(root_.member("thaw"));
  evidence.vss_error = root_.optional_bool("vssError");
  evidence.lock = lock(root_.member("lock"));
  evidence.group = group(root_.member("group"));
  lists(evidence);
  // A type error stops the reader, and what it then gives is empty: its word comes first.
  if (std::optional<Error> error = root_.error()) return *error;
  if (wrong_) return *wrong_;
  return evidence;
}

}  // namespace

Result<std::string> encode(const Evidence& evidence) {
  Value value = Value::object({{"v", k_version}});
  put(value, "snapshot", evidence.snapshot_uid);
  put(value, "content", evidence.content_uid);
  put(value, "vm", evidence.vm_uid);
  put(value, "t0", evidence.t0_wall);
  if (evidence.hold) value.set("hold", to_string(*evidence.hold));
  put(value, "os", evidence.guest_os);
  put(value, "createSent", evidence.create_sent);
  put(value, "safetyTimeout", evidence.safety_timeout);
  put_object(value, "instance", evidence.instance);
  put_object(value, "pause", evidence.pause);
  put_object(value, "freeze", evidence.freeze);
  put_object(value, "thaw", evidence.thaw);
  put(value, "vssError", evidence.vss_error);
  put(value, "agent", evidence.agent);
  put(value, "frozen", evidence.frozen);
  put(value, "probes", evidence.probes);
  put_object(value, "lock", evidence.lock);
  put_object(value, "group", evidence.group);
  put_list(value, "recipe", evidence.recipe);
  if (evidence.indications) value.set("indications", strings_of(*evidence.indications));
  put_list(value, "disks", evidence.disks);
  if (!evidence.assumptions.empty()) value.set("assumptions", strings_of(evidence.assumptions));
  std::string text = json::dump(value);
  if (text.size() > k_most_evidence_bytes) {
    return Error(ErrorCode::invalid, "evidence: " + std::to_string(text.size()) + " bytes are more than the " +
                                         std::to_string(k_most_evidence_bytes) + " that are kept");
  }
  return text;
}

Result<Evidence> decode_evidence(const std::string& text) {
  const Result<Value> document = json::parse(text, k_most_evidence_bytes);
  if (!document.ok()) return document.error().wrap("evidence");
  return Decoder(*document).evidence();
}

Value evidence_patch(const std::string& uid, const std::string& text) {
  // A UID in a patch is compared, never written. [apiserver/pkg/registry/rest/update.go]
  return Value::object({{"metadata", Value::object({{"uid", uid}, {"annotations", Value::object({{k_evidence_annotation, text}})}})}});
}

const char* to_string(Hold hold) { return text_of(k_holds, hold); }
const char* to_string(Stop stop) { return text_of(k_stops, stop); }

}  // namespace vmbackup::kubevirt
