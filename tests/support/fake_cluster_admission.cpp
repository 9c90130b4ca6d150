// What is refused, and what is filled in. [kubevirt 1.9.0, pkg/storage/admitters/vmsnapshot.go; CRD schemas of snapshot.kubevirt.io]
#include <algorithm>
#include <set>

#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

namespace {

// Fields that the schema knows, by path. What is not listed is not looked into.
const std::map<std::string, std::set<std::string>>& snapshot_schema() {
  static const std::map<std::string, std::set<std::string>> schema = {
      {"", {"apiVersion", "kind", "metadata", "spec", "status"}},
      {"metadata",
       {"name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "generateName", "uid", "resourceVersion",
        "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink"}},
      {"spec", {"source", "deletionPolicy", "failureDeadline"}},
      {"spec.source", {"apiGroup", "kind", "name"}},
  };
  return schema;
}

void find_unknown(const json::Value& value, const std::string& path, std::vector<std::string>& unknown) {
  const auto known = snapshot_schema().find(path);
  if (known == snapshot_schema().end()) return;
  for (const json::Member& member : value.members()) {
    const std::string below = path.empty() ? member.first : path + "." + member.first;
    if (known->second.count(member.first) == 0) {
      unknown.push_back(below);
    } else {
      find_unknown(member.second, below, unknown);
    }
  }
}

void prune(json::Value& value, const std::string& path) {
  const auto known = snapshot_schema().find(path);
  if (known == snapshot_schema().end()) return;
  const json::Object members = value.members();
  for (const json::Member& member : members) {
    if (known->second.count(member.first) == 0) {
      value.erase(member.first);
    } else {
      prune(value[member.first], path.empty() ? member.first : path + "." + member.first);
    }
  }
}

const char* type_name(const json::Value& value) {
  if (value.is_string()) return "string";
  if (value.is_bool()) return "boolean";
  if (value.is_integer()) return "integer";
  if (value.is_number()) return "number";
  if (value.is_array()) return "array";
  return value.is_object() ? "object" : "null";
}

void check_type(const json::Value& owner, const std::string& path, const char* key, const char* type, bool required,
                std::vector<Cause>& causes) {
  const json::Value* value = owner.find(key);
  const std::string field = path + key;
  if (value == nullptr) {
    if (required) causes.push_back({"FieldValueRequired", "Required value", field});
    return;
  }
  const std::string found = type_name(*value);
  if (found == type || (!required && found == "null")) return;
  causes.push_back({"FieldValueTypeInvalid",
                    "Invalid value: \"" + found + "\": " + field + " in body must be of type " + type + ": \"" + found + "\"", field});
}

std::vector<Cause> schema_errors(const json::Value& object) {
  std::vector<Cause> causes;
  check_type(object, "", "spec", "object", true, causes);
  const json::Value* spec = object.find("spec");
  if (spec == nullptr || !spec->is_object()) return causes;
  check_type(*spec, "spec.", "deletionPolicy", "string", false, causes);
  check_type(*spec, "spec.", "failureDeadline", "string", false, causes);
  check_type(*spec, "spec.", "source", "object", true, causes);
  const json::Value* source = spec->find("source");
  if (source == nullptr || !source->is_object()) return causes;
  check_type(*source, "spec.source.", "apiGroup", "string", false, causes);
  check_type(*source, "spec.source.", "kind", "string", true, causes);
  check_type(*source, "spec.source.", "name", "string", true, causes);
  return causes;
}

// The message of Go's time.ParseDuration; nothing where it parses.
std::optional<std::string> duration_error(const std::string& text) {
  const std::string quoted = "\"" + text + "\"";
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::string_view rest = text;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  if (rest == "0") return std::nullopt;
  if (rest.empty()) return "time: invalid duration " + quoted;
  while (!rest.empty()) {
    std::size_t digits = 0;
    std::size_t end = 0;
    while (end < rest.size() && digit(rest[end])) ++end, ++digits;
    if (end < rest.size() && rest[end] == '.') {
      ++end;
      while (end < rest.size() && digit(rest[end])) ++end, ++digits;
    }
    if (digits == 0) return "time: invalid duration " + quoted;
    rest.remove_prefix(end);
    const std::size_t unit_end = std::min(
        rest.size(),
        static_cast<std::size_t>(std::find_if(rest.begin(), rest.end(), [&](char c) { return c == '.' || digit(c); }) - rest.begin()));
    const std::string unit(rest.substr(0, unit_end));
    if (unit.empty()) return "time: missing unit in duration " + quoted;
    static const std::set<std::string> k_units = {"ns", "us", "\u00b5s", "\u03bcs", "ms", "s", "m", "h"};
    if (k_units.count(unit) == 0) return "time: unknown unit \"" + unit + "\" in duration " + quoted;
    rest.remove_prefix(unit_end);
  }
  if (!base::parse_duration(text)) return "time: invalid duration " + quoted;
  return std::nullopt;
}

// Durations are compared as such: "330s" is no change of "5m30s". (Seen on 1.9.0.)
json::Value comparable_spec(const json::Value& object) {
  json::Value spec = object.path({"spec"});
  const base::Result<base::Duration> deadline = base::parse_duration(spec.path({"failureDeadline"}).as_string());
  if (deadline) spec.set("failureDeadline", base::format_duration(*deadline));
  return spec;
}

std::optional<Answer> admit_snapshot(const World& world, const json::Value& object, const json::Value& previous) {
  const std::string webhook = "virtualmachinesnapshot-validator.snapshot.kubevirt.io";
  const bool create = previous.is_null();
  if (create && !world.options.snapshot_gate) return webhook_denied(webhook, "snapshot feature gate not enabled");
  const json::Value& deadline = object.path({"spec", "failureDeadline"});
  if (deadline.is_string()) {
    if (const std::optional<std::string> why = duration_error(deadline.as_string())) return webhook_denied(webhook, *why);
  }
  if (!create) {
    if (comparable_spec(object) == comparable_spec(previous)) return std::nullopt;
    return webhook_invalid(webhook, {{"FieldValueInvalid", "spec in immutable after creation", "spec"}});
  }
  const json::Value& source = object.path({"spec", "source"});
  if (!source.path({"apiGroup"}).is_string()) {
    return webhook_invalid(webhook, {{"FieldValueNotFound", "missing apiGroup", "spec.source.apiGroup"}});
  }
  if (source.path({"apiGroup"}).as_string() != "kubevirt.io") {
    return webhook_invalid(webhook, {{"FieldValueInvalid", "invalid apiGroup", "spec.source.apiGroup"}});
  }
  if (source.path({"kind"}).as_string() != "VirtualMachine") {
    return webhook_invalid(webhook, {{"FieldValueInvalid", "invalid kind", "spec.source.kind"}});
  }
  return std::nullopt;
}

void fill_claim(const World& world, json::Value& object) {
  json::Value& spec = object["spec"];
  if (!spec.path({"volumeMode"}).is_string()) spec.set("volumeMode", "Filesystem");
  if (spec.find("storageClassName") == nullptr) {
    for (const json::Value* sc : world.store.list(kind("StorageClass"))) {
      if (sc->path({"metadata", "annotations", "storageclass.kubernetes.io/is-default-class"}).as_string() == "true")
        spec.set("storageClassName", name_of(*sc));
    }
  }
  add_finalizer(object, "kubernetes.io/pvc-protection");
  if (object.find("status") == nullptr) object.set("status", json::Value::object({{"phase", "Pending"}}));
}

}  // namespace

std::optional<Answer> admit(const World& world, const Kind& kind, json::Value& object, const json::Value& previous, bool strict) {
  if (kind.kind == "VirtualMachineSnapshot") {
    std::vector<std::string> unknown;
    find_unknown(object, "", unknown);
    if (strict && !unknown.empty()) {
      std::string list;
      for (const std::string& field : unknown) list += (list.empty() ? "" : ", ") + std::string("unknown field \"") + field + "\"";
      return bad_request(kind.kind + " in version \"" + kind.versions.front() + "\" cannot be handled as a " + kind.kind +
                         ": strict decoding error: " + list);
    }
    prune(object, "");
    const std::vector<Cause> causes = schema_errors(object);
    if (!causes.empty()) return invalid(kind, name_of(object), causes);
    return admit_snapshot(world, object, previous);
  }
  if (kind.kind == "PersistentVolumeClaim" && previous.is_null()) fill_claim(world, object);
  if (kind.kind == "Namespace" && previous.is_null()) {
    object.set("status", json::Value::object({{"phase", "Active"}}));
    // A real one has it in spec.finalizers.
    add_finalizer(object, "kubernetes");
  }
  if (kind.kind == "VirtualMachine") {
    const json::Value& spec = object.path({"spec"});
    const bool both = spec.find("running") != nullptr && spec.find("runStrategy") != nullptr;
    const bool none = spec.find("running") == nullptr && spec.find("runStrategy") == nullptr;
    if (both || none) {
      return webhook_invalid(
          "virtualmachine-validator.kubevirt.io",
          {{"FieldValueInvalid",
            both ? "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead"
                 : "One of Running or RunStrategy must be specified",
            "spec.running"}});
    }
  }
  return std::nullopt;
}

}  // namespace vmbackup::test
