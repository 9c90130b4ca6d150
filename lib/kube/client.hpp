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
  int page_size = 500;      // 0 asks for all at once
  bool names_only = false;  // only metadata is wanted, so kind may read PartialObjectMetadata; a server may send more
};

struct ListPage {
  std::vector<json::Value> items;  // each with apiVersion and kind filled in
  std::string resource_version;    // where a watch may begin
  std::string next;                // where the next page begins; empty on the last one
};

struct ObjectList {
  std::vector<json::Value> items;  // each with apiVersion and kind filled in
  std::string resource_version;    // where a watch may begin
};

// Takes the items of a list one by one, so that never more than a page of them is held.
struct ListSink {
  // The list begins. Called once more when the server forgot the list between two pages: what came before counts no more.
  std::function<void()> begin;
  // An error ends the list and is its result.
  std::function<base::Result<void>(const json::Value& item)> take;
};

struct RemoveOptions {
  std::string uid;                 // when set: only the object with this UID (precondition)
  std::string propagation;         // "", "Background", "Foreground", "Orphan"
  std::string resource_version{};  // when set: only as it was when it had this version (precondition)
};

enum class PatchType { json, merge, apply };

// A command for one container of a pod. No shell is between; and argv is part of the URL, which servers write down: no secrets in it.
struct ExecCommand {
  std::string container;  // empty: the pod's only one
  std::vector<std::string> argv;
  std::optional<std::string> input;               // its standard input, which ends after that; none: it has no standard input
  std::size_t most_bytes = std::size_t{1} << 20;  // of both outputs together
};

struct ExecEnd {
  int exit_code = 0;
  std::string out;  // as it came: untrusted bytes
  std::string err;
};

// Errors of every call, by code: not_found, already_exists, conflict (409), precondition (UID differs), invalid (400, 422, or an answer
// that is no JSON), unauthenticated (401), forbidden (403), unavailable (connection, 429, 500, 503, 504 after the repeats; 410 with
// reason "Expired"), timeout (the deadline), cancelled (the stop token). The server's words are the message, its reason and
// causes are kept. Calls that only read, and `remove`, are repeated inside the deadline while the server is unavailable; `create` is
// repeated only when the object has a name, and an already_exists after a lost answer is returned as such: who created it, the caller
// decides by label. Thread-safe. Every call blocks, ends soon after `stop` is requested, and then leaves open whether the server acted.
// Objects come without metadata.managedFields: half of their bytes, and nothing here has a use for them.
class Client {
 public:
  virtual ~Client() = default;

  virtual base::Result<json::Value> get(const Resource& resource, const Name& name, const Call& call, std::stop_token stop) = 0;
  // One page of a list; `from` is the `next` of the page before it, empty for the first. `ns` empty: all namespaces. A page whose list the
  // server has forgotten is unavailable with reason "Expired".
  virtual base::Result<ListPage> list_page(const Resource& resource, const std::string& ns, const ListOptions& options,
                                           const std::string& from, const Call& call, std::stop_token stop) = 0;
  // All pages. A list that the server forgot in between is begun again, then all at once.
  base::Result<ObjectList> list(const Resource& resource, const std::string& ns, const ListOptions& options, const Call& call,
                                std::stop_token stop);
  // The same, each item given away as soon as its page is there. Returns the resource version.
  base::Result<std::string> list_each(const Resource& resource, const std::string& ns, const ListOptions& options, const ListSink& sink,
                                      const Call& call, std::stop_token stop);
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
  // Runs a command in a pod and waits for its end; any exit code is a good result. Sent once, never repeated. Needs the right to get, since
  // Kubernetes 1.35 also to create, pods/exec. Errors beyond those above: usage (no command, or `dry_run`, which exec does not know);
  // invalid (400: no such container, or the pod has ended; more output than allowed; a server that speaks no WebSocket, or with `input`
  // only v4 of the protocol, which cannot end it); unavailable (the connection broke off, or the command could not be started: the
  // server's words say which). After timeout, cancelled, too much output or a lost connection the channel is closed, and the process in the
  // pod may go on: nobody can end it from here.
  virtual base::Result<ExecEnd> exec(const Name& pod, const ExecCommand& command, const Call& call, std::stop_token stop) = 0;

  // The served versions of an API group, preferred first. not_found: the server has no such group.
  virtual base::Result<std::vector<std::string>> served_versions(const std::string& group, const Call& call, std::stop_token stop) = 0;

  // The server's clock: the Date of an answer, in whole seconds. invalid: it sent none that can be read.
  virtual base::Result<base::WallTime> server_time(const Call& call, std::stop_token stop) = 0;
};

}  // namespace vmbackup::kube
