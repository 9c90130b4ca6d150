// FakeCluster: a Kubernetes API server with KubeVirt's snapshot controllers and a CSI snapshotter, in memory.
//
//   FakeClock clock;
//   FakeCluster cluster(clock);                      // KubeVirt 1.9.0, empty but for the classes of the test cluster
//   for (const json::Value& object : manifest_of({.ns = "prod", .name = "db-0", .volumes = {"root", "data"}})) cluster.apply(object);
//   cluster.settle();                                // bound, running, agent connected
//   ... hand `cluster` to the code under test: it is a kube::Client of an administrator
//
// It answers with the words of a real kube-apiserver and real KubeVirt webhooks, and its controllers pass through the same states. What
// the guests do is chosen by the annotations guest.vmbackup.test/* on the VM's template, what the storage does by the StorageClass
// (rig, rig-slow, rig-failsnap, rig-failonce, rig-notready, rig-wffc, rig-retain, rig-broken, plain), as on the real test cluster:
// tests/sandbox/README.md lists both. Where this and the real control plane differ, this is wrong.
//
// As a kube::Client it is the project's own rest client over memory instead of a connection: the same errors, repeats and pages.
//
// Time: nothing sleeps and no thread is started. All that happens later is a timer; on a FakeClock it runs when the clock is moved
// or when the code under test waits. Thread-safe. The functions given to on_change() and at() run without a lock held
// and may call everything here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "json/value.hpp"
#include "kube/client.hpp"
#include "support/fake_cluster_fault.hpp"
#include "support/fake_cluster_options.hpp"

namespace vmbackup::test {

class FakeClock;
struct World;

// One request as the server saw it. `target` is path and query: "/api/v1/namespaces/prod/pods?limit=500".
struct RequestRecord {
  std::string method;
  std::string target;
  std::string user;
  int status = 0;  // 0 while it is not answered
  bool watch = false;
};

class FakeCluster final : public kube::Client {
 public:
  // On a FakeClock the timers run by themselves; `clock` must outlive the cluster.
  explicit FakeCluster(FakeClock& clock, ClusterOptions options = ClusterOptions());
  // On any other clock: `alarm` is told the time at which run_due() should be called (a later call for an earlier time may follow).
  FakeCluster(base::Clock& clock, ClusterOptions options, std::function<void(base::TimePoint)> alarm);
  ~FakeCluster() override;
  FakeCluster(const FakeCluster&) = delete;
  FakeCluster& operator=(const FakeCluster&) = delete;

  // ---- building and changing the world; no request is recorded, no fault hits, no rights are asked ----
  // Creates or merges one object; its namespace is made when it is missing. What admission refuses is thrown as std::runtime_error.
  void apply(const json::Value& object);
  // The same for all documents of a manifest (YAML, separated by ---).
  void apply_manifest(const std::string& text);
  // As `kubectl delete` does it: finalizers count.
  void erase(const kube::Resource& resource, const kube::Name& name);
  // Takes the object away at once, whatever finalizers it has.
  void erase_now(const kube::Resource& resource, const kube::Name& name);
  // Changes an object in place (status too), as a controller would.
  void change(const kube::Resource& resource, const kube::Name& name, const std::function<void(json::Value&)>& edit);
  // The object, or nothing. list_all: all of a kind, by namespace and name.
  std::optional<json::Value> find(const kube::Resource& resource, const kube::Name& name) const;
  std::vector<json::Value> list_all(const kube::Resource& resource) const;
  // Lets time pass until all that was applied stands still (PVCs bound, VMs running, agents connected), a minute at most. FakeClock only.
  void settle();
  // All VMs that should run do, with their agents.
  bool settled() const;
  // From now on.
  void set_speed(const Speed& speed);

  // ---- acting in the middle ----
  // Called after every change of an object: type "ADDED", "MODIFIED" or "DELETED".
  void on_change(std::function<void(const std::string& type, const json::Value& object)> hook);
  // Called at `when` (from run_due, so also while the code under test waits on a FakeClock).
  void at(base::TimePoint when, std::function<void()> action);
  // Rules that make requests fail, hang, end early; see fake_cluster_fault.hpp. Returns a number for drop_fault.
  int add_fault(Fault fault);
  void drop_fault(int number);
  // Rules that never hit anything: a test asserts that there are none.
  std::vector<std::string> unused_faults() const;
  // Forgets the history of changes: watches that begin before now, and pages begun before now, are answered 410 Expired.
  void compact();
  // Ends all running watches: cleanly, or with an error event Expired.
  void end_watches(bool expired = false);
  // Somebody watches the kind now.
  bool watched(const kube::Resource& resource) const;

  // ---- people ----
  // A client of another user; rights come from Role, ClusterRole and their bindings, as on a real server. "" is nobody (401).
  std::unique_ptr<kube::Client> as_user(const std::string& user);
  // Lets `user` in by a bearer token (for the server). Without a binding he may do nothing.
  void add_token(const std::string& token, const std::string& user, std::vector<std::string> groups = {});

  // ---- looking ----
  std::vector<RequestRecord> requests() const;
  void forget_requests();
  // What happened to guests and disks, in order, with times of the cluster's clock; see fake_cluster_options.hpp.
  std::vector<Happening> happenings() const;
  std::vector<Happening> happenings_since(std::size_t index) const;
  // The guest's true state, not what KubeVirt says of it.
  bool guest_frozen(const std::string& ns, const std::string& vm) const;
  bool guest_paused(const std::string& ns, const std::string& vm) const;

  // ---- timers, for clocks other than FakeClock ----
  void run_due();
  std::optional<base::TimePoint> next_due() const;

  // ---- kube::Client, as an administrator ----
  base::Result<json::Value> get(const kube::Resource& resource, const kube::Name& name, const kube::Call& call,
                                std::stop_token stop) override;
  base::Result<kube::ListPage> list_page(const kube::Resource& resource, const std::string& ns, const kube::ListOptions& options,
                                         const std::string& from, const kube::Call& call, std::stop_token stop) override;
  base::Result<json::Value> create(const kube::Resource& resource, const std::string& ns, const json::Value& object, const kube::Call& call,
                                   std::stop_token stop) override;
  base::Result<json::Value> patch(const kube::Resource& resource, const kube::Name& name, kube::PatchType type, const json::Value& body,
                                  const kube::Call& call, std::stop_token stop) override;
  base::Result<void> remove(const kube::Resource& resource, const kube::Name& name, const kube::RemoveOptions& options,
                            const kube::Call& call, std::stop_token stop) override;
  base::Result<json::Value> get_subresource(const kube::Resource& resource, const kube::Name& name, const std::string& subresource,
                                            const kube::Call& call, std::stop_token stop) override;
  base::Result<json::Value> put_subresource(const kube::Resource& resource, const kube::Name& name, const std::string& subresource,
                                            const json::Value& body, const kube::Call& call, std::stop_token stop) override;
  kube::WatchHandle watch(const kube::Resource& resource, const std::string& ns, const kube::WatchOptions& options,
                          std::shared_ptr<kube::WatchQueue> queue, int source) override;
  base::Result<json::Value> get_document(const std::string& path, const kube::Call& call, std::stop_token stop) override;
  base::Result<kube::ExecEnd> exec(const kube::Name& pod, const kube::ExecCommand& command, const kube::Call& call,
                                   std::stop_token stop) override;
  base::Result<std::vector<std::string>> served_versions(const std::string& group, const kube::Call& call, std::stop_token stop) override;
  base::Result<base::WallTime> server_time(const kube::Call& call, std::stop_token stop) override;

  // For the server in tests/sandbox; see fake_cluster_world.hpp.
  World& world();

 private:
  FakeCluster(FakeClock& clock, ClusterOptions options, std::shared_ptr<std::weak_ptr<World>> link);

  FakeClock* fake_clock_ = nullptr;
  std::shared_ptr<World> world_;
  std::unique_ptr<kube::Client> admin_;
  std::vector<std::function<void(const std::string&, const json::Value&)>> hooks_;
};

// Manifests in a few words. Disks are PVCs `<name>-d1`, `<name>-d2`, ... of volumes named as given.
struct VmManifest {
  std::string ns = "default";
  std::string name;
  std::vector<std::string> volumes = {"root"};
  std::string storage_class = "rig";
  bool running = true;
  // guest.vmbackup.test/<key>: {"agent", "none"}, {"freeze", "fail"}, ...
  std::vector<std::pair<std::string, std::string>> knobs;
};
// The PVCs and the VM.
std::vector<json::Value> manifest_of(const VmManifest& vm);

}  // namespace vmbackup::test
