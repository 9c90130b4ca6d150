// The parts of a FakeCluster, put together, and the one way in for requests. For the files fake_cluster_*.cpp and the server in
// tests/sandbox.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/fake_cluster.hpp"
#include "support/fake_cluster_fault.hpp"
#include "support/fake_cluster_options.hpp"
#include "support/fake_cluster_status.hpp"
#include "support/fake_cluster_store.hpp"
#include "support/fake_cluster_timers.hpp"

namespace vmbackup::test {

class Watches;
class Guests;
class VmController;
class StorageController;
class SnapshotController;
class ContentController;
class Collector;
class ExecSession;

// A request as it arrives, path and query decoded.
struct Request {
  std::string method;
  std::string target;  // as sent, for records and faults
  std::string path;
  std::map<std::string, std::string> query;
  json::Value body;
  std::string content_type;
  std::string accept;               // empty: anything
  std::optional<std::string> user;  // none: not known, 401
  std::vector<std::string> groups;
  std::string websocket_key;           // of a request that asks for a WebSocket
  std::vector<std::string> protocols;  // of that WebSocket, as offered
  bool internal = false;               // of a script that acts on the world: not recorded, and no fault hits it
};
// Splits and decodes `target`.
Request request_of(std::string method, std::string target);
// Takes what is asked for from the headers of a WebSocket's handshake; any case of the names.
void note_upgrade(Request& request, const std::vector<std::pair<std::string, std::string>>& headers);

// How an answer comes back: either answer() once, or started(), any number of event(), and ended(); or upgraded(), which is to tell the
// session where its bytes go. Called under the world's mutex, perhaps before serve() returns, perhaps never (a hang). Must not call the
// world.
struct Exchange {
  std::function<void(Answer)> answer;
  std::function<void()> started;
  std::function<void(const std::string& type, const json::Value& object)> event;
  // broken: the connection breaks in the middle of a line.
  std::function<void(bool broken)> ended;
  // None: the connection cannot leave HTTP.
  std::function<void(const std::vector<std::pair<std::string, std::string>>& headers, const std::shared_ptr<ExecSession>& session)>
      upgraded;
};

struct World {
  World(base::Clock& clock, ClusterOptions options, std::function<void(base::TimePoint)> alarm);
  ~World();

  base::Clock& clock;
  ClusterOptions options;  // only the speed may change
  // Protects all below. Recursive, since listeners and callbacks nest.
  mutable std::recursive_mutex mutex;
  int depth = 0;                            // of Sections
  std::deque<std::function<void()>> after;  // run when the outermost Section ends, without the mutex
  Timers timers;
  Store store;
  FaultBook faults;
  std::vector<RequestRecord> requests;
  std::vector<Happening> happenings;
  std::map<std::string, std::pair<std::string, std::vector<std::string>>> tokens;        // token: user, groups
  std::map<std::pair<kube::Name, std::string>, std::shared_ptr<ExecSession>> pod_locks;  // who holds it
  std::unique_ptr<Watches> watches;
  std::unique_ptr<Collector> collector;
  std::unique_ptr<Guests> guests;
  std::unique_ptr<VmController> vms;
  std::unique_ptr<StorageController> storage;
  std::unique_ptr<SnapshotController> snapshots;
  std::unique_ptr<ContentController> contents;

  bool at_least(int minor) const { return minor_ >= minor; }  // of KubeVirt 1.x
  bool served(const Kind& kind) const;                        // by the options
  void happened(const std::string& event, const std::string& ns, const std::string& vm, const std::string& detail = {},
                const std::string& claim = {});
  // A core/v1 Event, as controllers write them.
  void tell(const Kind& kind, const json::Value& object, const std::string& type, const std::string& reason, const std::string& message);
  // Runs all timers that are due.
  void run_due();
  // Answers one request; returns the number of the watch that was started, or 0. Takes the mutex by itself.
  std::uint64_t serve(const Request& request, const Exchange& exchange);
  void stop_watch(std::uint64_t number);
  // Requests that are not answered yet are not recorded any more either.
  void forget_requests();

 private:
  void arm(base::TimePoint when);
  int minor_;
  std::function<void(base::TimePoint)> alarm_;
  std::set<base::TimePoint> armed_;
  std::size_t forgotten_ = 0;  // requests that were recorded before
};

// Holds the world's mutex; when the outermost one ends, what was put into `after` runs.
class Section {
 public:
  explicit Section(World& world);
  ~Section();
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

 private:
  World& world_;
};

// What is there from the start: namespaces, node, storage classes, snapshot classes, KubeVirt, roles.
void install_base(World& world);

// ---- one request, step by step (fake_cluster_route.cpp, _api.cpp, _discovery.cpp, _rbac.cpp, _subresource.cpp) ----
struct Route {
  const Kind* kind = nullptr;  // nullptr with a plural: a resource without a store (subresources.kubevirt.io, reviews)
  std::string group;
  std::string version;
  std::string ns;
  std::string plural;
  std::string name;
  std::string subresource;
  std::string verb;  // RBAC's word: get, list, watch, create, update, patch, delete, deletecollection
};
// Nothing: the path is not one of a resource, or of none that is served.
std::optional<Route> route_of(const World& world, const Request& request);
// Discovery, /version, /healthz. Nothing: not such a path.
std::optional<Answer> discovery(const World& world, const Request& request);
bool allowed(const World& world, const Request& who, const Route& what);
Answer review_access(const World& world, const Request& request);
// Verbs on stored objects but watch; watch is in fake_cluster_watch.hpp.
Answer run_verb(World& world, const Request& request, const Route& route);
// PUT and GET below subresources.kubevirt.io; may answer later.
void run_subresource(World& world, const Request& request, const Route& route, const std::function<void(Answer)>& answer);
// Mutating and validating admission of a create or (previous not null) an update. Nothing: accepted.
std::optional<Answer> admit(const World& world, const Kind& kind, json::Value& object, const json::Value& previous, bool strict);
// RFC 7386 and RFC 6902. The patch that cannot be applied gives an answer (400, 422).
json::Value merge_patched(json::Value target, const json::Value& patch);
std::optional<Answer> apply_json_patch(json::Value& target, const json::Value& patch);

}  // namespace vmbackup::test
