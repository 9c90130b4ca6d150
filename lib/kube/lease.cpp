#include "kube/lease.hpp"

#include <algorithm>
#include <limits>

#include "base/text.hpp"
#include "json/reader.hpp"
#include "kube/api_path.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;
using base::Result;

json::Value map_value(const std::vector<std::pair<std::string, std::string>>& pairs) {
  json::Value map = json::Value::object();
  for (const auto& [key, value] : pairs) map.set(key, value);
  return map;
}

// MicroTime: six digits are required by the API server. [kubernetes 1.34, apimachinery/pkg/apis/meta/v1/micro_time.go]
std::string micro_time(base::WallTime time) {
  std::string text = base::format_time(time);  // "2026-01-02T03:04:05.678Z"
  text.insert(text.size() - 1, "000");
  return text;
}

json::Value spec_of(const NewLease& lease) {
  const std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(lease.duration).count();
  return json::Value::object({{"holderIdentity", lease.holder},
                              {"leaseDurationSeconds", std::max<std::int64_t>(seconds, 1)},
                              {"renewTime", micro_time(lease.now)}});
}

std::optional<base::WallTime> time_of(const std::string& text) {
  const Result<base::WallTime> time = base::parse_time(text);
  return time ? std::optional<base::WallTime>(*time) : std::nullopt;
}

Result<Lease> decoded(const Result<json::Value>& object) { return object ? decode_lease(*object) : Result<Lease>(object.error()); }

}  // namespace

Resource leases() { return {"coordination.k8s.io", "v1", "leases", "Lease", true}; }

std::string Lease::annotation(const std::string& key) const {
  for (const auto& [word, value] : annotations) {
    if (word == key) return value;
  }
  return {};
}

Result<Lease> decode_lease(const json::Value& object) {
  const json::Value& raw = object.path({"metadata"});
  const json::Reader root(object, "Lease " + raw.path({"namespace"}).as_string() + "/" + raw.path({"name"}).as_string());
  const json::Reader metadata = root.member("metadata");
  const json::Reader spec = root.member("spec");
  Lease lease;
  lease.name = {metadata.required_string("namespace"), metadata.required_string("name")};
  lease.uid = metadata.required_string("uid");
  lease.resource_version = metadata.required_string("resourceVersion");
  lease.created = time_of(metadata.string("creationTimestamp"));
  lease.labels = metadata.string_map("labels");
  lease.annotations = metadata.string_map("annotations");
  metadata.for_each("ownerReferences", [&](const json::Reader& owner) {
    if (lease.owner_name.empty()) lease.owner_name = owner.string("name");
  });
  lease.holder = spec.string("holderIdentity");
  // An int32 by the API; more would not fit into nanoseconds. [kubernetes 1.34, coordination.k8s.io/v1 LeaseSpec]
  const std::int64_t length = spec.optional_integer("leaseDurationSeconds").value_or(0);
  lease.duration = std::chrono::seconds(std::clamp<std::int64_t>(length, 0, std::numeric_limits<std::int32_t>::max()));
  lease.renewed = time_of(spec.string("renewTime"));
  if (std::optional<base::Error> error = root.error()) return *error;
  return lease;
}

Result<Lease> create_lease(Client& client, const NewLease& lease, const Call& call, const std::stop_token& stop) {
  json::Value metadata = json::Value::object({{"name", lease.name.name}, {"namespace", lease.name.ns}});
  metadata.set("labels", map_value(lease.labels));
  metadata.set("annotations", map_value(lease.annotations));
  if (lease.owner) {
    metadata.set("ownerReferences", json::Value::array({json::Value::object({{"apiVersion", lease.owner->api_version},
                                                                             {"kind", lease.owner->kind},
                                                                             {"name", lease.owner->name},
                                                                             {"uid", lease.owner->uid}})}));
  }
  json::Value spec = spec_of(lease);
  spec.set("acquireTime", micro_time(lease.now));
  const json::Value object = json::Value::object(
      {{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}});
  return decoded(client.create(leases(), lease.name.ns, object, call, stop));
}

Result<Lease> get_lease(Client& client, const Name& name, const Call& call, const std::stop_token& stop) {
  return decoded(client.get(leases(), name, call, stop));
}

Result<Lease> write_lease(Client& client, const Lease& seen, const NewLease& lease, const Call& call, const std::stop_token& stop) {
  json::Value metadata = json::Value::object({{"resourceVersion", seen.resource_version}, {"uid", seen.uid}});
  if (!lease.labels.empty()) metadata.set("labels", map_value(lease.labels));
  if (!lease.annotations.empty()) metadata.set("annotations", map_value(lease.annotations));
  json::Value spec = spec_of(lease);
  if (lease.holder != seen.holder) spec.set("acquireTime", micro_time(lease.now));
  const json::Value change = json::Value::object({{"metadata", std::move(metadata)}, {"spec", std::move(spec)}});
  return decoded(client.patch(leases(), seen.name, PatchType::merge, change, call, stop));
}

Result<void> remove_lease(Client& client, const Lease& lease, const Call& call, const std::stop_token& stop, bool unchanged) {
  const RemoveOptions options{.uid = lease.uid, .propagation = {}, .resource_version = unchanged ? lease.resource_version : ""};
  Result<void> removed = client.remove(leases(), lease.name, options, call, stop);
  if (!removed && removed.error().code() == ErrorCode::not_found) return {};
  return removed;
}

Result<std::vector<Lease>> list_leases(Client& client, const std::string& ns, const std::string& label_selector, const Call& call,
                                       const std::stop_token& stop) {
  const Result<ObjectList> list = client.list(leases(), ns, {.label_selector = label_selector, .field_selector = {}}, call, stop);
  if (!list) return list.error();
  std::vector<Lease> found;
  for (const json::Value& item : list->items) {
    Result<Lease> lease = decode_lease(item);
    if (!lease) return lease.error();
    found.push_back(std::move(*lease));
  }
  return found;
}

}  // namespace vmbackup::kube
