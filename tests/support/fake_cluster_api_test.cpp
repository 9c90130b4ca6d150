// The API server's part of a FakeCluster: its words, versions, watches, rights and faults.
#include <doctest/doctest.h>

#include <algorithm>

#include "kube/wait.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace vmbackup::test {
namespace {

using base::ErrorCode;
using base::Result;
using json::Value;

const kube::Resource k_config_map{"", "v1", "configmaps", "ConfigMap", true};
const kube::Resource k_vm{"kubevirt.io", "v1", "virtualmachines", "VirtualMachine", true};
const kube::Resource k_snapshot{"snapshot.kubevirt.io", "v1beta1", "virtualmachinesnapshots", "VirtualMachineSnapshot", true};
const kube::Resource k_old_snapshot{"snapshot.kubevirt.io", "v1alpha1", "virtualmachinesnapshots", "VirtualMachineSnapshot", true};
const kube::Resource k_namespace{"", "v1", "namespaces", "Namespace", false};
const kube::Resource k_vmi_sub{"subresources.kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", true};

Value config_map(const std::string& name, const std::string& label = {}) {
  Value object = Value::object({{"apiVersion", "v1"}, {"kind", "ConfigMap"}});
  object["metadata"].set("name", name);
  if (!label.empty()) object["metadata"]["labels"].set("app", label);
  return object;
}

Value snapshot(const std::string& name) {
  Value object = Value::object({{"apiVersion", "snapshot.kubevirt.io/v1beta1"}, {"kind", "VirtualMachineSnapshot"}});
  object["metadata"].set("name", name);
  object["spec"].set("source", Value::object({{"apiGroup", "kubevirt.io"}, {"kind", "VirtualMachine"}, {"name", "db-0"}}));
  return object;
}

struct Fixture {
  FakeClock clock;
  FakeCluster cluster;
  explicit Fixture(ClusterOptions options = {}) : cluster(clock, std::move(options)) {}
  kube::Call call() { return {base::Deadline::after(clock, std::chrono::seconds(20))}; }
  std::string refusal(const Value& object, ErrorCode code = ErrorCode::invalid) {
    const Result<Value> made = cluster.create(k_snapshot, "default", object, call(), {});
    if (made) return "accepted";
    CHECK(made.error().code() == code);
    return made.error().message() + "|" + made.error().reason() + "|" +
           (made.error().causes().empty() ? "" : made.error().causes().front());
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("objects: not found, already exists, missing namespace, conflict, precondition") {
  Fixture f;
  const Result<Value> none = f.cluster.get(k_vm, {"default", "x"}, f.call(), {});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code() == ErrorCode::not_found);
  CHECK(has(none.error().message(), "virtualmachines.kubevirt.io \"x\" not found"));
  REQUIRE(f.cluster.create(k_config_map, "default", config_map("a"), f.call(), {}).ok());
  const Result<Value> twice = f.cluster.create(k_config_map, "default", config_map("a"), f.call(), {});
  CHECK(twice.error().code() == ErrorCode::already_exists);
  CHECK(has(twice.error().message(), "configmaps \"a\" already exists"));
  const Result<Value> nowhere = f.cluster.create(k_config_map, "nowhere", config_map("a"), f.call(), {});
  CHECK(nowhere.error().code() == ErrorCode::not_found);
  CHECK(has(nowhere.error().message(), "namespaces \"nowhere\" not found"));
  const Value stale = Value::object({{"metadata", Value::object({{"resourceVersion", "1"}, {"labels", Value::object({{"x", "y"}})}})}});
  const Result<Value> late = f.cluster.patch(k_config_map, {"default", "a"}, kube::PatchType::merge, stale, f.call(), {});
  CHECK(late.error().code() == ErrorCode::conflict);
  CHECK(has(late.error().message(), "the object has been modified; please apply your changes to the latest version and try again"));
  const Result<void> other = f.cluster.remove(k_config_map, {"default", "a"}, {.uid = "other"}, f.call(), {});
  CHECK(other.error().code() == ErrorCode::precondition);
  CHECK(has(other.error().message(), "Precondition failed: UID in precondition: other, UID in object meta: "));
  CHECK(f.cluster.remove(k_config_map, {"default", "a"}, {}, f.call(), {}).ok());
  CHECK_FALSE(f.cluster.find(k_config_map, {"default", "a"}).has_value());
}

TEST_CASE("lists: selectors and pages; a page of before the compaction is expired") {
  Fixture f;
  for (const char* name : {"a", "b", "c", "d", "e"}) f.cluster.apply(config_map(name, name == std::string("b") ? "web" : "db"));
  const auto count = [&](const std::string& labels, const std::string& fields, int page) {
    const Result<kube::ObjectList> list = f.cluster.list(k_config_map, "", {labels, fields, page}, f.call(), {});
    return list ? static_cast<int>(list.value().items.size()) : -1;
  };
  CHECK(count("", "", 2) == 5);
  CHECK(count("app=db", "", 2) == 4);
  CHECK(count("app!=db", "", 0) == 1);
  CHECK(count("app in (web, x)", "", 0) == 1);
  CHECK(count("app notin (web)", "", 0) == 4);
  CHECK(count("!app", "", 0) == 0);
  CHECK(count("", "metadata.name=c", 0) == 1);
  CHECK(count("", "spec.foo=c", 0) == -1);
  CHECK(count("a=b=c,=", "", 0) == -1);
  const std::size_t pages = f.cluster.requests().size();
  // Forgotten between two pages: the client lists anew, all at once.
  f.cluster.on_change([](const std::string&, const Value&) {});
  Fault fault;
  fault.action = Fault::Action::expired;
  fault.path = "continue=";
  f.cluster.add_fault(fault);
  CHECK(count("", "", 2) == 5);
  CHECK(f.cluster.requests().size() == pages + 3);
  CHECK(f.cluster.unused_faults().empty());
}

std::vector<std::string> drain(FakeClock& clock, kube::WatchQueue& queue, std::optional<base::Error>* ended = nullptr) {
  std::vector<std::string> seen;
  for (;;) {
    const std::optional<kube::WatchEvent> event = queue.pop(clock, base::Deadline::after(clock, std::chrono::milliseconds(100)), {});
    if (!event) return seen;
    const std::string name = event->object.path({"metadata", "name"}).as_string();
    switch (event->type) {
      case kube::WatchEvent::Type::added:
        seen.push_back("+" + name);
        break;
      case kube::WatchEvent::Type::modified:
        seen.push_back("~" + name);
        break;
      case kube::WatchEvent::Type::deleted:
        seen.push_back("-" + name);
        break;
      case kube::WatchEvent::Type::bookmark:
        seen.push_back("bookmark");
        break;
      case kube::WatchEvent::Type::ended:
        seen.push_back(event->error ? "broken" : "ended");
        if (ended != nullptr) *ended = event->error;
        break;
    }
  }
}

TEST_CASE("watches: history, selection, bookmarks, compaction") {
  Fixture f;
  f.cluster.apply(config_map("old", "db"));
  const std::string from = f.cluster.list(k_config_map, "default", {}, f.call(), {}).value().resource_version;
  f.cluster.apply(config_map("a", "db"));
  const std::shared_ptr<kube::WatchQueue> queue = std::make_shared<kube::WatchQueue>();
  kube::WatchHandle handle = f.cluster.watch(k_config_map, "default", {"app=db", "", from}, queue, 1);
  CHECK(drain(f.clock, *queue) == std::vector<std::string>{"+a"});
  f.cluster.apply(config_map("a", "web"));  // leaves the selection
  f.cluster.apply(config_map("a", "db"));   // and comes back
  f.cluster.apply(config_map("b", "web"));
  f.cluster.erase(k_config_map, {"default", "old"});
  CHECK(drain(f.clock, *queue) == std::vector<std::string>{"-a", "+a", "-old"});
  f.clock.advance(std::chrono::seconds(61));
  CHECK(drain(f.clock, *queue) == std::vector<std::string>{"bookmark"});
  handle = kube::WatchHandle();
  f.cluster.apply(config_map("c", "db"));
  CHECK(drain(f.clock, *queue).empty());
  f.cluster.compact();
  std::optional<base::Error> why;
  handle = f.cluster.watch(k_config_map, "default", {"", "", from}, queue, 1);
  CHECK(drain(f.clock, *queue, &why) == std::vector<std::string>{"broken"});
  REQUIRE(why);
  CHECK(why->reason() == "Expired");
}

TEST_CASE("faults on watches and requests, each as often as asked") {
  Fixture f;
  Fault expired;
  expired.action = Fault::Action::expired;
  expired.path = "configmaps";
  expired.after_events = 1;
  f.cluster.add_fault(expired);
  const std::shared_ptr<kube::WatchQueue> queue = std::make_shared<kube::WatchQueue>();
  const kube::WatchHandle handle = f.cluster.watch(k_config_map, "default", {"", "", "0"}, queue, 1);
  f.cluster.apply(config_map("a"));
  f.cluster.apply(config_map("b"));
  CHECK(drain(f.clock, *queue) == std::vector<std::string>{"+a", "broken"});

  Fault busy;
  busy.status = 429;
  busy.retry_after = 3;
  busy.method = "GET";
  busy.path = "configmaps/a";
  busy.times = 2;
  f.cluster.add_fault(busy);
  const base::TimePoint before = f.clock.now();
  CHECK(f.cluster.get(k_config_map, {"default", "a"}, f.call(), {}).ok());
  CHECK(f.clock.now() - before >= std::chrono::seconds(6));

  Fault lost;
  lost.action = Fault::Action::lose_answer;
  lost.method = "POST";
  f.cluster.add_fault(lost);
  const Result<Value> again = f.cluster.create(k_config_map, "default", config_map("c"), f.call(), {});
  CHECK(again.error().code() == ErrorCode::already_exists);
  CHECK(f.cluster.find(k_config_map, {"default", "c"}).has_value());

  Fault hang;
  hang.action = Fault::Action::hang;
  hang.path = "configmaps/a";
  hang.times = -1;
  f.cluster.add_fault(hang);
  CHECK(f.cluster.get(k_config_map, {"default", "a"}, f.call(), {}).error().code() == ErrorCode::timeout);
  Fault idle;
  idle.path = "/nothing";
  f.cluster.add_fault(idle);
  CHECK(f.cluster.unused_faults() == std::vector<std::string>{"status 503 on /nothing"});
}

TEST_CASE("admission of a snapshot, in the words seen on 1.9.0") {
  Fixture f;
  const std::string webhook = "admission webhook \"virtualmachinesnapshot-validator.snapshot.kubevirt.io\" denied the request: ";
  for (const auto& [value, words] :
       std::vector<std::pair<std::string, std::string>>{{"300", "time: missing unit in duration \"300\""},
                                                        {"", "time: invalid duration \"\""},
                                                        {"5 m", "time: unknown unit \" m\" in duration \"5 m\""},
                                                        {"1d", "time: unknown unit \"d\" in duration \"1d\""},
                                                        {"9999999h", "time: invalid duration \"9999999h\""}}) {
    Value object = snapshot("s1");
    object["spec"].set("failureDeadline", value);
    CHECK(has(f.refusal(object), webhook + words));
  }
  Value object = snapshot("s1");
  object["spec"].set("failureDeadline", 300);
  CHECK(has(f.refusal(object), "spec.failureDeadline in body must be of type string: \"integer\""));
  object = snapshot("s1");
  object["spec"].set("foo", 1);
  CHECK(has(f.refusal(object), "strict decoding error: unknown field \"spec.foo\""));
  object = snapshot("s1");
  object["spec"]["source"].set("kind", "VirtualMachineInstance");
  CHECK(has(f.refusal(object), webhook + "invalid kind"));
  CHECK(has(f.refusal(object), "spec.source.kind: invalid kind"));
  object["spec"]["source"].erase("apiGroup");
  CHECK(has(f.refusal(object), "missing apiGroup"));
  kube::Call dry = f.call();
  dry.dry_run = true;
  CHECK(f.cluster.create(k_snapshot, "default", snapshot("s1"), dry, {}).ok());
  CHECK_FALSE(f.cluster.find(k_snapshot, {"default", "s1"}).has_value());
  CHECK(f.refusal(snapshot("s1")) == "accepted");
  const Value policy = Value::object({{"spec", Value::object({{"deletionPolicy", "Retain"}})}});
  const Result<Value> changed = f.cluster.patch(k_snapshot, {"default", "s1"}, kube::PatchType::merge, policy, f.call(), {});
  CHECK(has(changed.error().message(), "spec in immutable after creation"));
  const Value note = Value::object({{"metadata", Value::object({{"annotations", Value::object({{"a", "b"}})}})}});
  const Result<Value> noted = f.cluster.patch(k_snapshot, {"default", "s1"}, kube::PatchType::merge, note, f.call(), {});
  REQUIRE(noted.ok());
  CHECK(noted.value().path({"metadata", "generation"}).as_integer() == 1);
  CHECK(f.cluster.get(k_old_snapshot, {"default", "s1"}, f.call(), {}).value().path({"apiVersion"}).as_string() ==
        "snapshot.kubevirt.io/v1alpha1");
  Fixture off({.snapshot_gate = false});
  CHECK(has(off.refusal(snapshot("s1")), webhook + "snapshot feature gate not enabled"));
}

TEST_CASE("discovery follows the options") {
  Fixture f;
  kube::ListOptions names_only;
  names_only.names_only = true;
  const base::Result<kube::ObjectList> names = f.cluster.list({"", "v1", "namespaces", "Namespace", false}, "", names_only, f.call(), {});
  REQUIRE(names.ok());
  CHECK(names->items.front().path({"kind"}).as_string() == "PartialObjectMetadata");
  CHECK(names->items.front().find("status") == nullptr);
  CHECK(f.cluster.served_versions("snapshot.kubevirt.io", f.call(), {}).value() == std::vector<std::string>{"v1beta1", "v1alpha1"});
  Fixture none({.snapshot_api = false});
  CHECK(none.cluster.served_versions("snapshot.kubevirt.io", none.call(), {}).error().code() == ErrorCode::not_found);
  CHECK(none.cluster.served_versions("kubevirt.io", none.call(), {}).ok());
}

TEST_CASE("rights: nobody, somebody without, somebody with the role edit") {
  Fixture f;
  CHECK(f.cluster.as_user("")->get(k_vm, {"default", "x"}, f.call(), {}).error().code() == ErrorCode::unauthenticated);
  const std::unique_ptr<kube::Client> jane = f.cluster.as_user("jane");
  const Result<Value> one = jane->get(k_vm, {"default", "x"}, f.call(), {});
  CHECK(one.error().code() == ErrorCode::forbidden);
  CHECK(has(one.error().message(),
            "virtualmachines.kubevirt.io \"x\" is forbidden: User \"jane\" cannot get resource \"virtualmachines\" in API group "
            "\"kubevirt.io\" in the namespace \"default\""));
  const Result<kube::ObjectList> all = jane->list(k_vm, "", {}, f.call(), {});
  CHECK(has(all.error().message(), "cannot list resource \"virtualmachines\" in API group \"kubevirt.io\" at the cluster scope"));
  const Result<Value> freeze = jane->put_subresource(k_vmi_sub, {"default", "x"}, "freeze", Value::object(), f.call(), {});
  CHECK(
      has(freeze.error().message(), "cannot update resource \"virtualmachineinstances/freeze\" in API group \"subresources.kubevirt.io\""));
  f.cluster.apply_manifest(
      "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: jane, namespace: default}\n"
      "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects: [{kind: User, name: jane}]\n");
  CHECK(jane->get(k_vm, {"default", "x"}, f.call(), {}).error().code() == ErrorCode::not_found);
  CHECK(jane->list(k_vm, "", {}, f.call(), {}).error().code() == ErrorCode::forbidden);
  f.cluster.apply_manifest(
      "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: bob, namespace: default}\n"
      "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects: [{kind: ServiceAccount, name: bob}]\n");
  const std::unique_ptr<kube::Client> bob = f.cluster.as_user("system:serviceaccount:default:bob");
  CHECK(bob->get(k_vm, {"default", "x"}, f.call(), {}).error().code() == ErrorCode::not_found);
  const std::unique_ptr<kube::Client> other = f.cluster.as_user("system:serviceaccount:prod:bob");
  CHECK(other->get(k_vm, {"default", "x"}, f.call(), {}).error().code() == ErrorCode::forbidden);
}

TEST_CASE("a namespace goes with all that is in it, owned objects with their owner") {
  Fixture f;
  for (const Value& object : manifest_of({.ns = "prod", .name = "db-0"})) f.cluster.apply(object);
  f.cluster.settle();
  REQUIRE(f.cluster.find(k_vm, {"prod", "db-0"})->path({"status", "printableStatus"}).as_string() == "Running");
  REQUIRE(f.cluster.remove(k_namespace, {"", "prod"}, {}, f.call(), {}).ok());
  f.clock.advance(std::chrono::seconds(2));
  CHECK(f.cluster.list_all(k_vm).empty());
  CHECK(f.cluster.list_all({"", "v1", "pods", "Pod", true}).empty());
  CHECK(f.cluster.list_all({"apps", "v1", "controllerrevisions", "ControllerRevision", true}).empty());
}

TEST_CASE("a JSON patch adds, replaces, removes, and a failed test changes nothing") {
  Fixture f;
  f.cluster.apply(config_map("a", "db"));
  const auto step = [](const char* op, const char* path, Value value) {
    return Value::object({{"op", op}, {"path", path}, {"value", std::move(value)}});
  };
  const Value good = Value::array({step("test", "/metadata/labels/app", "db"), step("replace", "/metadata/labels/app", "web"),
                                   step("add", "/metadata/annotations", Value::object()), step("add", "/metadata/annotations/x~1y", "z")});
  const Result<Value> done = f.cluster.patch(k_config_map, {"default", "a"}, kube::PatchType::json, good, f.call(), {});
  REQUIRE(done.ok());
  CHECK(done.value().path({"metadata", "labels", "app"}).as_string() == "web");
  CHECK(done.value().path({"metadata", "annotations", "x/y"}).as_string() == "z");
  const Value bad = Value::array({step("test", "/metadata/labels/app", "db"), step("replace", "/metadata/labels/app", "x")});
  CHECK(f.cluster.patch(k_config_map, {"default", "a"}, kube::PatchType::json, bad, f.call(), {}).error().code() == ErrorCode::invalid);
  CHECK(f.cluster.find(k_config_map, {"default", "a"})->path({"metadata", "labels", "app"}).as_string() == "web");
}

TEST_CASE("a follower gives up a watch that hangs, and misses nothing") {
  Fixture f;
  f.cluster.add_fault({.action = Fault::Action::hang, .method = "WATCH", .path = "configmaps"});
  kube::Follower follower(f.cluster, f.clock);
  follower.follow(k_config_map, "default", {});
  const auto next = [&] { return follower.next(base::Deadline::after(f.clock, std::chrono::minutes(5)), {}); };
  REQUIRE(next());  // synced
  f.cluster.at(f.clock.now() + std::chrono::seconds(10), [&f] { f.cluster.apply(config_map("late")); });
  const base::TimePoint begun = f.clock.now();
  const Result<kube::Change> change = next();
  REQUIRE(change.ok());
  CHECK(change->object.path({"metadata", "name"}).as_string() == "late");
  CHECK(f.clock.now() - begun == std::chrono::seconds(150));
  CHECK(f.cluster.unused_faults().empty());
  // Bookmarks keep a quiet watch alive: no third one is begun until the server ends it.
  CHECK(follower.next(base::Deadline::after(f.clock, std::chrono::minutes(40)), {}).error().code() == ErrorCode::timeout);
  const std::vector<RequestRecord> requests = f.cluster.requests();
  CHECK(std::count_if(requests.begin(), requests.end(), [](const RequestRecord& each) { return each.watch; }) == 2);
}

}  // namespace
}  // namespace vmbackup::test
