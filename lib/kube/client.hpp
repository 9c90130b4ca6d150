// Kubernetes objects by verb. One of the project's four interfaces: RestClient talks to a server, FakeCluster (tests) is one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "json/value.hpp"
#include "kube/watch.hpp"

namespace vmbackup::kube {

// One kind as the server spells it: {"snapshot.kubevirt.io", "v1beta1", "virtualmachinesnapshots", "VirtualMachineSnapshot"}.
// The group is empty for the core group.
struct Resource {
  std::string group;
  std::string version;
  std::string plural;
  std::string kind;
  bool namespaced = true;
  friend bool operator==(const Resource&, const Resource&) = default;
};

// Which object of a kind. `ns` is empty for cluster-scoped kinds.
struct Name {
  std::string ns;
  std::string name;
  friend bool operator==(const Name&, const Name&) = default;
  friend auto operator<=>(const Name&, const Name&) = default;
};

// What every call carries. The deadline covers the call with its repeats.
struct Call {
  base::Deadline deadline = base::Deadline::never();
  bool dry_run = false;  // server-side dry run, for the verbs that change something
  bool repeat = true;    // false: one try only, for callers that have pauses of their own
};

struct ListOptions {
  std::string label_selector;
  std::string field_selector;
  int page_size = 500;      // pages are followed to the end; 0 asks for all at once
  bool names_only = false;  // only metadata is wanted, so kind may read PartialObjectMetadata; a server may send more
};

struct ObjectList {
  std::vector<json::Value> items;  // each with apiVersion and kind filled in
  std::string resource_version;    // where a watch may begin
};

struct RemoveOptions {
  std::string uid;          // when set: only the object with this UID (precondition)
  std::string propagation;  // "", "Background", "Foreground", "Orphan"
};

enum class PatchType { json, merge, apply };

// Errors of every call, by code: not_found, already_exists, conflict (409), precondition (UID differs), invalid (400, 422, or an answer
// that is no JSON), unauthenticated (401), forbidden (403), unavailable (connection, 429, 500, 503, 504 after the repeats; 410 with
// reason "Expired"), timeout (the deadline), cancelled (the stop token). The server's words are the message, its reason and
// causes are kept. Calls that only read, and `remove`, are repeated inside the deadline while the server is unavailable; `create` is
// repeated only when the object has a name, and an already_exists after a lost answer is returned as such: who created it, the caller
// decides by label. Thread-safe. Every call blocks, ends soon after `stop` is requested, and then leaves open whether the server acted.
class Client {
 public:
  virtual ~Client() = default;

  virtual base::Result<json::Value> get(const Resource& resource, const Name& name, const Call& call, std::stop_token stop) = 0;
  // `ns` empty: all namespaces.
  virtual base::Result<ObjectList> list(const Resource& resource, const std::string& ns, const ListOptions& options, const Call& call,
                                        std::stop_token stop) = 0;
  // Sent with fieldValidation=Strict, so a field that the server does not know is `invalid`, never dropped.
  virtual base::Result<json::Value> create(const Resource& resource, const std::string& ns, const json::Value& object, const Call& call,
                                           std::stop_token stop) = 0;
  virtual base::Result<json::Value> patch(const Resource& resource, const Name& name, PatchType type, const json::Value& body,
                                          const Call& call, std::stop_token stop) = 0;
  // Good also where the object is only marked for deletion (finalizers); wait for it to go by a watch.
  virtual base::Result<void> remove(const Resource& resource, const Name& name, const RemoveOptions& options, const Call& call,
                                    std::stop_token stop) = 0;
  // Subresources. An empty body of a good answer is null. Put is sent once, never repeated; its dry run goes into the body, and
  // not every subresource knows it (freeze and unfreeze do not: they act).
  virtual base::Result<json::Value> get_subresource(const Resource& resource, const Name& name, const std::string& subresource,
                                                    const Call& call, std::stop_token stop) = 0;
  virtual base::Result<json::Value> put_subresource(const Resource& resource, const Name& name, const std::string& subresource,
                                                    const json::Value& body, const Call& call, std::stop_token stop) = 0;

  // Starts one watch; its events go to `queue` under the number `source`, from any thread, until the handle is destroyed or the watch
  // ends by itself (then one `ended` event comes last). Never blocks. Bookmarks are asked for and delivered.
  virtual WatchHandle watch(const Resource& resource, const std::string& ns, const WatchOptions& options, std::shared_ptr<WatchQueue> queue,
                            int source) = 0;

  // What the server answers to a GET of a path that names no object of a kind: "/version", "/apis". Not escaped further.
  virtual base::Result<json::Value> get_document(const std::string& path, const Call& call, std::stop_token stop) = 0;

  // The served versions of an API group, preferred first. not_found: the server has no such group.
  virtual base::Result<std::vector<std::string>> served_versions(const std::string& group, const Call& call, std::stop_token stop) = 0;
};

}  // namespace vmbackup::kube
