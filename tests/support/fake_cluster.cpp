#include "support/fake_cluster.hpp"

#include <stdexcept>

#include "base/text.hpp"
#include "json/yaml.hpp"
#include "kube/rest_client.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster_guest.hpp"
#include "support/fake_cluster_transport.hpp"
#include "support/fake_cluster_watch.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

using base::Result;

namespace {

const std::vector<std::string>& masters() {
  static const std::vector<std::string> groups = {"system:masters", "system:authenticated"};
  return groups;
}

std::unique_ptr<kube::Client> client_for(World& world, std::optional<std::string> user, std::vector<std::string> groups) {
  return kube::make_rest_client(make_memory_transport(world, std::move(user), std::move(groups)), world.clock);
}

const Kind& kind_of(const kube::Resource& resource) {
  const Kind* kind = find_kind(resource.group, resource.plural);
  if (kind == nullptr) throw std::logic_error("FakeCluster: no such kind: " + resource.plural + "." + resource.group);
  return *kind;
}

// The VMI has come as far as it will come by itself.
bool still(const World& world, const json::Value& vmi) {
  const std::string& phase = vmi.path({"status", "phase"}).as_string();
  if (phase == "Succeeded" || phase == "Failed") return true;
  const std::string agent = world.guests->knob({namespace_of(vmi), name_of(vmi)}, "agent", "connected").mode;
  return phase == "Running" && (agent == "none" || agent == "flapping" || condition(vmi, "AgentConnected") == "True");
}

}  // namespace

FakeCluster::FakeCluster(base::Clock& clock, ClusterOptions options, std::function<void(base::TimePoint)> alarm)
    : world_(std::make_shared<World>(clock, std::move(options), std::move(alarm))),
      admin_(client_for(*world_, "kubernetes-admin", masters())) {
  world_->store.listen([this](const StoreChange& change) {
    if (hooks_.empty()) return;
    world_->after.push_back([hooks = hooks_, type = std::string(to_string(change.type)), object = change.object] {
      for (const auto& hook : hooks) hook(type, object);
    });
  });
}

namespace {

// A FakeClock keeps what is registered: the callback must not outlive the world.
std::function<void(base::TimePoint)> alarm_on(FakeClock& clock, const std::shared_ptr<std::weak_ptr<World>>& link) {
  return [&clock, link](base::TimePoint when) {
    clock.at(when, [link] {
      if (const std::shared_ptr<World> world = link->lock()) world->run_due();
    });
  };
}

}  // namespace

FakeCluster::FakeCluster(FakeClock& clock, ClusterOptions options, std::shared_ptr<std::weak_ptr<World>> link)
    : FakeCluster(clock, std::move(options), alarm_on(clock, link)) {
  *link = world_;
  fake_clock_ = &clock;
}

FakeCluster::FakeCluster(FakeClock& clock, ClusterOptions options)
    : FakeCluster(clock, std::move(options), std::make_shared<std::weak_ptr<World>>()) {}

FakeCluster::~FakeCluster() = default;

World& FakeCluster::world() { return *world_; }

// ---- building and changing ----

void FakeCluster::apply(const json::Value& object) {
  const Section section(*world_);
  const Kind* kind = find_kind_of(object);
  if (kind == nullptr) throw std::runtime_error("FakeCluster: no such kind: " + json::dump(object).substr(0, 200));
  Request request = request_of("POST", "/?fieldValidation=Strict");
  request.body = object;
  Route route;
  route.kind = kind;
  const std::string& api_version = object.path({"apiVersion"}).as_string();
  const std::size_t slash = api_version.find('/');
  route.version = slash == std::string::npos ? api_version : api_version.substr(slash + 1);
  if (kind->namespaced) route.ns = namespace_of(object).empty() ? "default" : namespace_of(object);
  if (kind->namespaced && world_->store.find(test::kind("Namespace"), "", route.ns) == nullptr) {
    apply(json::Value::object({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", json::Value::object({{"name", route.ns}})}}));
  }
  const bool there = world_->store.find(*kind, route.ns, name_of(object)) != nullptr;
  route.verb = there ? "patch" : "create";
  if (there) route.name = name_of(object);
  const Answer answer = run_verb(*world_, request, route);
  if (answer.ok()) return;
  throw std::runtime_error("FakeCluster: cannot apply " + kind->kind + " " + name_of(object) + ": " +
                           (answer.text ? *answer.text : answer.body.path({"message"}).as_string()));
}

void FakeCluster::apply_manifest(const std::string& text) {
  std::string document;
  for (const std::string& line : base::split(text + "\n---", '\n')) {
    if (line != "---" && !line.starts_with("--- ")) {
      document += line + "\n";
      continue;
    }
    const Result<json::Value> value = json::parse_yaml(document);
    if (!value) throw std::runtime_error("FakeCluster: cannot read a manifest: " + value.error().message());
    document.clear();
    if (value.value().path({"kind"}).as_string() == "List") {
      for (const json::Value& item : value.value().path({"items"}).items()) apply(item);
    } else if (!value.value().is_null()) {
      apply(value.value());
    }
  }
}

void FakeCluster::erase(const kube::Resource& resource, const kube::Name& name) {
  const Section section(*world_);
  world_->store.remove(kind_of(resource), name.ns, name.name);
}

void FakeCluster::erase_now(const kube::Resource& resource, const kube::Name& name) {
  const Section section(*world_);
  world_->store.erase_now(kind_of(resource), name.ns, name.name);
}

void FakeCluster::change(const kube::Resource& resource, const kube::Name& name, const std::function<void(json::Value&)>& edit) {
  const Section section(*world_);
  if (!world_->store.edit(kind_of(resource), name.ns, name.name, edit))
    throw std::logic_error("FakeCluster: no " + resource.kind + " " + name.name);
}

std::optional<json::Value> FakeCluster::find(const kube::Resource& resource, const kube::Name& name) const {
  const Section section(*world_);
  const json::Value* object = world_->store.find(kind_of(resource), name.ns, name.name);
  return object == nullptr ? std::nullopt : std::optional<json::Value>(*object);
}

std::vector<json::Value> FakeCluster::list_all(const kube::Resource& resource) const {
  const Section section(*world_);
  std::vector<json::Value> result;
  for (const json::Value* object : world_->store.list(kind_of(resource))) result.push_back(*object);
  return result;
}

bool FakeCluster::settled() const {
  const Section section(*world_);
  for (const json::Value* vmi : world_->store.list(kind("VirtualMachineInstance"))) {
    if (!still(*world_, *vmi)) return false;
  }
  for (const json::Value* vm : world_->store.list(kind("VirtualMachine"))) {
    const std::string& status = vm->path({"status", "printableStatus"}).as_string();
    const json::Value* vmi = world_->store.find(kind("VirtualMachineInstance"), namespace_of(*vm), name_of(*vm));
    if (status.empty() || (status == "Provisioning" && vmi == nullptr) || status == "Starting") return false;
    if (vmi != nullptr && condition(*vm, "AgentConnected") != condition(*vmi, "AgentConnected")) return false;
  }
  return true;
}

void FakeCluster::set_speed(const Speed& speed) {
  const Section section(*world_);
  world_->options.speed = speed;
}

void FakeCluster::settle() {
  if (fake_clock_ == nullptr) throw std::logic_error("FakeCluster: settle() needs a FakeClock");
  std::int64_t version = -1;
  int unchanged = 0;
  for (int step = 0; step < 6000 && unchanged < 10; ++step) {
    fake_clock_->advance(std::chrono::milliseconds(10));
    const Section section(*world_);
    unchanged = settled() && world_->store.version() == version ? unchanged + 1 : 0;
    version = world_->store.version();
  }
}

// ---- acting in the middle ----

void FakeCluster::on_change(std::function<void(const std::string&, const json::Value&)> hook) {
  const Section section(*world_);
  hooks_.push_back(std::move(hook));
}

void FakeCluster::at(base::TimePoint when, std::function<void()> action) {
  const Section section(*world_);
  World& world = *world_;
  world.timers.at(when, [&world, action = std::move(action)] { world.after.push_back(action); });
}

int FakeCluster::add_fault(Fault fault) {
  const Section section(*world_);
  return world_->faults.add(std::move(fault));
}

void FakeCluster::drop_fault(int number) {
  const Section section(*world_);
  world_->faults.drop(number);
}

std::vector<std::string> FakeCluster::unused_faults() const {
  const Section section(*world_);
  return world_->faults.unused();
}

void FakeCluster::compact() {
  const Section section(*world_);
  world_->store.compact();
}

void FakeCluster::end_watches(bool expired) {
  const Section section(*world_);
  world_->watches->end_all(expired);
}

bool FakeCluster::watched(const kube::Resource& resource) const {
  const Section section(*world_);
  return world_->watches->watched(kind_of(resource));
}

// ---- people and looking ----

std::unique_ptr<kube::Client> FakeCluster::as_user(const std::string& user) {
  return client_for(*world_, user.empty() ? std::nullopt : std::optional<std::string>(user), {"system:authenticated"});
}

void FakeCluster::add_token(const std::string& token, const std::string& user, std::vector<std::string> groups) {
  const Section section(*world_);
  groups.push_back("system:authenticated");
  world_->tokens[token] = {user, std::move(groups)};
}

std::vector<RequestRecord> FakeCluster::requests() const {
  const Section section(*world_);
  return world_->requests;
}

void FakeCluster::forget_requests() {
  const Section section(*world_);
  world_->forget_requests();
}

std::vector<Happening> FakeCluster::happenings() const {
  const Section section(*world_);
  return world_->happenings;
}

std::vector<Happening> FakeCluster::happenings_since(std::size_t index) const {
  const Section section(*world_);
  const std::vector<Happening>& all = world_->happenings;
  if (index >= all.size()) return {};
  return {all.begin() + static_cast<std::ptrdiff_t>(index), all.end()};
}

bool FakeCluster::guest_frozen(const std::string& ns, const std::string& vm) const {
  const Section section(*world_);
  return world_->guests->frozen({ns, vm});
}

bool FakeCluster::guest_paused(const std::string& ns, const std::string& vm) const {
  const Section section(*world_);
  return world_->guests->paused({ns, vm});
}

void FakeCluster::run_due() { world_->run_due(); }

std::optional<base::TimePoint> FakeCluster::next_due() const {
  const Section section(*world_);
  return world_->timers.next();
}

// ---- kube::Client: the administrator's rest client ----

Result<json::Value> FakeCluster::get(const kube::Resource& resource, const kube::Name& name, const kube::Call& call, std::stop_token stop) {
  return admin_->get(resource, name, call, std::move(stop));
}

Result<kube::ListPage> FakeCluster::list_page(const kube::Resource& resource, const std::string& ns, const kube::ListOptions& options,
                                              const std::string& from, const kube::Call& call, std::stop_token stop) {
  return admin_->list_page(resource, ns, options, from, call, std::move(stop));
}

Result<json::Value> FakeCluster::create(const kube::Resource& resource, const std::string& ns, const json::Value& object,
                                        const kube::Call& call, std::stop_token stop) {
  return admin_->create(resource, ns, object, call, std::move(stop));
}

Result<json::Value> FakeCluster::patch(const kube::Resource& resource, const kube::Name& name, kube::PatchType type,
                                       const json::Value& body, const kube::Call& call, std::stop_token stop) {
  return admin_->patch(resource, name, type, body, call, std::move(stop));
}

Result<void> FakeCluster::remove(const kube::Resource& resource, const kube::Name& name, const kube::RemoveOptions& options,
                                 const kube::Call& call, std::stop_token stop) {
  return admin_->remove(resource, name, options, call, std::move(stop));
}

Result<json::Value> FakeCluster::get_subresource(const kube::Resource& resource, const kube::Name& name, const std::string& subresource,
                                                 const kube::Call& call, std::stop_token stop) {
  return admin_->get_subresource(resource, name, subresource, call, std::move(stop));
}

Result<json::Value> FakeCluster::put_subresource(const kube::Resource& resource, const kube::Name& name, const std::string& subresource,
                                                 const json::Value& body, const kube::Call& call, std::stop_token stop) {
  return admin_->put_subresource(resource, name, subresource, body, call, std::move(stop));
}

kube::WatchHandle FakeCluster::watch(const kube::Resource& resource, const std::string& ns, const kube::WatchOptions& options,
                                     std::shared_ptr<kube::WatchQueue> queue, int source) {
  return admin_->watch(resource, ns, options, std::move(queue), source);
}

Result<json::Value> FakeCluster::get_document(const std::string& path, const kube::Call& call, std::stop_token stop) {
  return admin_->get_document(path, call, std::move(stop));
}

Result<kube::ExecEnd> FakeCluster::exec(const kube::Name& pod, const kube::ExecCommand& command, const kube::Call& call,
                                        std::stop_token stop) {
  return admin_->exec(pod, command, call, stop);
}

Result<std::vector<std::string>> FakeCluster::served_versions(const std::string& group, const kube::Call& call, std::stop_token stop) {
  return admin_->served_versions(group, call, std::move(stop));
}

Result<base::WallTime> FakeCluster::server_time(const kube::Call& call, std::stop_token stop) {
  return admin_->server_time(call, std::move(stop));
}

}  // namespace vmbackup::test
