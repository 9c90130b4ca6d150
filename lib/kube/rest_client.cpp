#include "kube/rest_client.hpp"

#include <utility>

#include "base/text.hpp"
#include "kube/api_path.hpp"
#include "kube/discovery.hpp"
#include "kube/exec_channel.hpp"
#include "kube/exec_session.hpp"
#include "kube/repeater.hpp"
#include "kube/status_error.hpp"
#include "kube/watch_stream.hpp"
#include "kube/websocket_handshake.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t k_most_body = std::size_t{256} << 20;
constexpr base::Duration k_list_patience = std::chrono::minutes(2);
// Server-side apply wants to know who applies.
constexpr const char* k_field_manager = "kubectl-vmbackup";
// A list without spec and status; a server that does not know it sends whole objects. [kubernetes docs, "API concepts"]
constexpr const char* k_only_metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

const char* content_type_of(PatchType type) {
  switch (type) {
    case PatchType::json:
      return "application/json-patch+json";
    case PatchType::merge:
      return "application/merge-patch+json";
    case PatchType::apply:
      return "application/apply-patch+yaml";
  }
  return "application/json";
}

// "kubectl auth can-i create virtualmachines.kubevirt.io/freeze -n prod": shows a refused user the same answer, and an administrator
// what to grant.
std::string can_i(const std::string& verb, const Resource& resource, const std::string& ns, const std::string& subresource) {
  std::string line = "kubectl auth can-i " + verb + " " + resource.plural + (resource.group.empty() ? "" : "." + resource.group);
  if (!subresource.empty()) line += " --subresource=" + subresource;
  if (resource.namespaced) line += ns.empty() ? " -A" : " -n " + ns;
  return line;
}

Result<json::Value> parse_body(const HttpResponse& response, const std::string& what) {
  if (response.body.empty()) return json::Value();
  Result<json::Value> value = json::parse(response.body, k_most_body, k_unread);
  if (!value) return value.error().wrap(what + ": the answer cannot be read");
  return value;
}

Result<json::Value> parse_object(const HttpResponse& response, const std::string& what) {
  Result<json::Value> value = parse_body(response, what);
  if (value && !value->is_object()) return Error(ErrorCode::invalid, what + ": the answer is no object");
  return value;
}

// Items of a list carry no apiVersion and kind of their own where the kind is built in.
void complete(json::Value& item, const Resource& resource) {
  if (item.find("kind") != nullptr && item.find("apiVersion") != nullptr) return;
  const std::string version = resource.group.empty() ? resource.version : resource.group + "/" + resource.version;
  json::Object members = item.take_members();
  item = json::Value::object({{"apiVersion", version}, {"kind", resource.kind}});
  for (json::Member& member : members) {
    if (member.first != "kind" && member.first != "apiVersion") item.set(member.first, std::move(member.second));
  }
}

class RestClient final : public Client {
 public:
  RestClient(std::unique_ptr<Transport> transport, base::Clock& clock, RequestLog log)
      : repeater_(std::move(transport), clock, std::move(log)) {}

  Result<json::Value> get(const Resource& resource, const Name& name, const Call& call, std::stop_token stop) override {
    return read_object(resource, name, {}, call, stop);
  }

  Result<json::Value> get_subresource(const Resource& resource, const Name& name, const std::string& subresource, const Call& call,
                                      std::stop_token stop) override {
    return read_object(resource, name, subresource, call, stop);
  }

  Result<ListPage> list_page(const Resource& resource, const std::string& ns, const ListOptions& options, const std::string& from,
                             const Call& call, std::stop_token stop) override;
  Result<json::Value> create(const Resource& resource, const std::string& ns, const json::Value& object, const Call& call,
                             std::stop_token stop) override;
  Result<json::Value> patch(const Resource& resource, const Name& name, PatchType type, const json::Value& body, const Call& call,
                            std::stop_token stop) override;
  Result<void> remove(const Resource& resource, const Name& name, const RemoveOptions& options, const Call& call,
                      std::stop_token stop) override;
  Result<json::Value> put_subresource(const Resource& resource, const Name& name, const std::string& subresource, const json::Value& body,
                                      const Call& call, std::stop_token stop) override;
  WatchHandle watch(const Resource& resource, const std::string& ns, const WatchOptions& options, std::shared_ptr<WatchQueue> queue,
                    int source) override;
  Result<json::Value> get_document(const std::string& path, const Call& call, std::stop_token stop) override;
  Result<ExecEnd> exec(const Name& pod, const ExecCommand& command, const Call& call, std::stop_token stop) override;
  Result<std::vector<std::string>> served_versions(const std::string& group, const Call& call, std::stop_token stop) override;
  Result<base::WallTime> server_time(const Call& call, std::stop_token stop) override;

 private:
  Result<json::Value> read_object(const Resource& resource, const Name& name, const std::string& subresource, const Call& call,
                                  const std::stop_token& stop);
  HttpRequest request(std::string method, std::string target, const json::Value* body = nullptr,
                      const char* content_type = "application/json") const;

  Repeater repeater_;
};

HttpRequest RestClient::request(std::string method, std::string target, const json::Value* body, const char* content_type) const {
  HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers.emplace_back("Accept", "application/json");
  if (body != nullptr) {
    request.headers.emplace_back("Content-Type", content_type);
    request.body = json::dump(*body);
  }
  return request;
}

Result<json::Value> RestClient::read_object(const Resource& resource, const Name& name, const std::string& subresource, const Call& call,
                                            const std::stop_token& stop) {
  const Result<std::string> path = object_path(resource, name, subresource);
  if (!path) return path.error();
  Order order;
  order.request = request("GET", *path);
  order.what = "get " + (subresource.empty() ? "" : subresource + " of ") + object_label(resource, name);
  order.hint = can_i("get", resource, name.ns, subresource);
  order.may_repeat = true;
  const Outcome outcome = repeater_.send(order, call, stop);
  if (!outcome.answer) return outcome.answer.error();
  return subresource.empty() ? parse_object(*outcome.answer, order.what) : parse_body(*outcome.answer, order.what);
}

Result<ListPage> RestClient::list_page(const Resource& resource, const std::string& ns, const ListOptions& options, const std::string& from,
                                       const Call& call, std::stop_token stop) {
  const Result<std::string> path = collection_path(resource, ns);
  if (!path) return path.error();
  Query query;
  query.add("labelSelector", options.label_selector).add("fieldSelector", options.field_selector);
  if (options.page_size > 0) query.add("limit", std::to_string(options.page_size));
  query.add("continue", from);
  Order order;
  order.request = request("GET", *path + query.text());
  if (options.names_only) order.request.headers.front().second = k_only_metadata;
  order.what = "list " + collection_label(resource, ns);
  order.hint = can_i("list", resource, ns, {});
  order.may_repeat = true;
  order.patience = k_list_patience;
  const Outcome outcome = repeater_.send(order, call, stop);
  if (!outcome.answer) return outcome.answer.error();
  Result<json::Value> answer = parse_object(*outcome.answer, order.what);
  if (!answer) return answer.error();
  ListPage page;
  if (json::Value* items = answer->find("items"); items != nullptr) page.items = items->take_items();
  for (json::Value& item : page.items) complete(item, resource);
  page.resource_version = answer->path({"metadata", "resourceVersion"}).as_string();
  page.next = answer->path({"metadata", "continue"}).as_string();
  return page;
}

Result<json::Value> RestClient::create(const Resource& resource, const std::string& ns, const json::Value& object, const Call& call,
                                       std::stop_token stop) {
  const std::string& name = object.path({"metadata", "name"}).as_string();
  Order order;
  order.what = "create " + object_label(resource, {ns, name.empty() ? object.path({"metadata", "generateName"}).as_string() : name});
  if (resource.namespaced && ns.empty()) return Error(ErrorCode::usage, order.what + ": a namespace is needed");
  const Result<std::string> path = collection_path(resource, ns);
  if (!path) return path.error();
  Query query;
  query.add("fieldValidation", "Strict").add("dryRun", call.dry_run ? "All" : "");
  order.request = request("POST", *path + query.text(), &object);
  order.hint = can_i("create", resource, ns, {});
  order.may_repeat = !name.empty();
  const Outcome outcome = repeater_.send(order, call, stop);
  if (!outcome.answer) return outcome.answer.error();
  return parse_object(*outcome.answer, order.what);
}

Result<json::Value> RestClient::patch(const Resource& resource, const Name& name, PatchType type, const json::Value& body, const Call& call,
                                      std::stop_token stop) {
  const Result<std::string> path = object_path(resource, name);
  if (!path) return path.error();
  Query query;
  query.add("fieldManager", type == PatchType::apply ? k_field_manager : "").add("dryRun", call.dry_run ? "All" : "");
  Order order;
  order.request = request("PATCH", *path + query.text(), &body, content_type_of(type));
  order.what = "change " + object_label(resource, name);
  order.hint = can_i("patch", resource, name.ns, {});
  const Outcome outcome = repeater_.send(order, call, stop);
  if (!outcome.answer) return outcome.answer.error();
  return parse_object(*outcome.answer, order.what);
}

Result<void> RestClient::remove(const Resource& resource, const Name& name, const RemoveOptions& options, const Call& call,
                                std::stop_token stop) {
  const Result<std::string> path = object_path(resource, name);
  if (!path) return path.error();
  // In the body, for with one the server does not look at the query. [apiserver/pkg/endpoints/handlers/delete.go]
  json::Value body = json::Value::object({{"apiVersion", "v1"}, {"kind", "DeleteOptions"}});
  if (!options.uid.empty()) body["preconditions"].set("uid", options.uid);
  if (!options.resource_version.empty()) body["preconditions"].set("resourceVersion", options.resource_version);
  if (!options.propagation.empty()) body.set("propagationPolicy", options.propagation);
  if (call.dry_run) body.set("dryRun", json::Value::array({"All"}));
  Order order;
  order.request = request("DELETE", *path, &body);
  order.what = "delete " + object_label(resource, name);
  order.hint = can_i("delete", resource, name.ns, {});
  order.may_repeat = true;
  const Outcome outcome = repeater_.send(order, call, stop);
  if (outcome.answer) return {};
  const Error& error = outcome.answer.error();
  // An earlier try took it away and its answer was lost.
  if (error.code() == ErrorCode::not_found && outcome.unclear) return {};
  if (outcome.status == 409 && !(options.uid.empty() && options.resource_version.empty())) {
    return Error(ErrorCode::precondition, error.message(), error.hint()).with_reason(error.reason()).with_causes(error.causes());
  }
  return error;
}

Result<json::Value> RestClient::put_subresource(const Resource& resource, const Name& name, const std::string& subresource,
                                                const json::Value& body, const Call& call, std::stop_token stop) {
  const Result<std::string> path = object_path(resource, name, subresource);
  if (!path) return path.error();
  // KubeVirt's subresources take options from the body alone: a query would be passed over, and the call would really act.
  // [kubevirt 1.9.0, pkg/virt-api/rest/lifecycle.go]
  json::Value sent = body;
  if (call.dry_run) sent.set("dryRun", json::Value::array({"All"}));
  Order order;
  order.request = request("PUT", *path, sent.is_null() ? nullptr : &sent);
  // virt-api's freeze and unfreeze give no JSON, and answer 406 to who takes nothing else. [kubevirt 1.9.0, pkg/virt-api/api.go]
  for (auto& [name_of_header, value] : order.request.headers) {
    if (name_of_header == "Accept") value = "application/json, */*";
  }
  order.what = subresource + " " + object_label(resource, name);
  order.hint = can_i("update", resource, name.ns, subresource);
  const Outcome outcome = repeater_.send(order, call, stop);
  if (!outcome.answer) return outcome.answer.error();
  return parse_body(*outcome.answer, order.what);
}

WatchHandle RestClient::watch(const Resource& resource, const std::string& ns, const WatchOptions& options,
                              std::shared_ptr<WatchQueue> queue, int source) {
  const std::string what = "watch " + collection_label(resource, ns);
  const Result<std::string> path = collection_path(resource, ns);
  if (!path) {
    queue->push({source, WatchEvent::Type::ended, {}, path.error()});
    return {};
  }
  Query query;
  query.add("watch", "true").add("allowWatchBookmarks", "true").add("resourceVersion", options.resource_version);
  query.add("labelSelector", options.label_selector).add("fieldSelector", options.field_selector);
  const HttpRequest watch_request = request("GET", *path + query.text());
  repeater_.log("WATCH " + watch_request.target);
  const auto stream = std::make_shared<WatchStream>(std::move(queue), source, what);
  StreamSink sink;
  sink.data = [stream](std::string_view bytes) { stream->data(bytes); };
  sink.end = [stream](Result<HttpResponse> end) { stream->end(end); };
  // Shared only because a std::function wants to be copied.
  const auto handle = std::make_shared<StreamHandle>(repeater_.transport().stream(watch_request, std::move(sink)));
  return WatchHandle([handle] { *handle = StreamHandle(); }, [handle] { handle->doubt(); });
}

Result<ExecEnd> RestClient::exec(const Name& pod, const ExecCommand& command, const Call& call, std::stop_token stop) {
  const Resource pods{"", "v1", "pods", "Pod", true};
  Order order;
  order.what = "run a command in " + object_label(pods, pod);
  order.hint = can_i("get", pods, pod.ns, "exec");
  if (command.argv.empty()) return Error(ErrorCode::usage, order.what + ": there is no command");
  if (call.dry_run) return Error(ErrorCode::usage, order.what + ": there is no dry run of a command");
  const Result<std::string> path = object_path(pods, pod, "exec");
  if (!path) return path.error();
  Query query;
  query.add("container", command.container).add("stdin", command.input ? "true" : "").add("stdout", "true").add("stderr", "true");
  for (const std::string& word : command.argv) query.add_always("command", word);
  order.request = request("GET", *path + query.text());
  // Without the end of its input, which only v5 can tell, a command that reads all of it would never end.
  const std::vector<std::string> protocols =
      command.input ? std::vector<std::string>{k_exec_v5} : std::vector<std::string>{k_exec_v5, k_exec_v4};
  const std::string key = websocket_key();
  ask_for_websocket(order.request, key, protocols);
  const Result<Upgrade> upgrade = repeater_.upgrade(order, call.deadline, stop);
  if (!upgrade) return upgrade.error();
  if (auto chosen = chosen_protocol(upgrade->response, key, protocols); !chosen) return chosen.error().wrap(order.what);
  return run_exec_session(*upgrade->bytes, command, order.what, repeater_.clock(), call.deadline, stop);
}

Result<json::Value> RestClient::get_document(const std::string& path, const Call& call, std::stop_token stop) {
  Order order;
  order.request = request("GET", path);
  order.what = "get " + path;
  order.may_repeat = true;
  const Outcome outcome = repeater_.send(order, call, stop);
  if (!outcome.answer) return outcome.answer.error();
  return parse_object(*outcome.answer, order.what);
}

Result<std::vector<std::string>> RestClient::served_versions(const std::string& group, const Call& call, std::stop_token stop) {
  Order order;
  order.request = request("GET", group.empty() ? "/api" : "/apis/" + escape(group));
  order.what = "ask for the API group " + (group.empty() ? "of the core" : group);
  order.may_repeat = true;
  const Outcome outcome = repeater_.send(order, call, stop);
  if (!outcome.answer) return outcome.answer.error();
  const Result<json::Value> answer = parse_object(*outcome.answer, order.what);
  if (!answer) return answer.error();
  std::vector<std::string> versions = versions_of(*answer);
  if (versions.empty()) return Error(ErrorCode::invalid, order.what + ": the answer names no version");
  return versions;
}

Result<base::WallTime> RestClient::server_time(const Call& call, std::stop_token stop) {
  Order order;
  // What everybody may read. [kubernetes 1.34, clusterrole system:public-info-viewer]
  order.request = request("GET", "/version");
  order.what = "ask for the server's time";
  order.may_repeat = true;
  const Outcome outcome = repeater_.send(order, call, stop);
  if (!outcome.answer) return outcome.answer.error();
  const Result<base::WallTime> time = base::parse_http_time(outcome.answer->header("date"));
  if (!time) return time.error().wrap(order.what);
  return time;
}

}  // namespace

std::unique_ptr<Client> make_rest_client(std::unique_ptr<Transport> transport, base::Clock& clock, RequestLog log) {
  return std::make_unique<RestClient>(std::move(transport), clock, std::move(log));
}

}  // namespace vmbackup::kube
