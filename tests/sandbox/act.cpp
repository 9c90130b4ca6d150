// The small client for scripts: apply, delete, get, wait, patch, put, token, and the control calls.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include "base/text.hpp"
#include "hooks.hpp"
#include "json/yaml.hpp"
#include "kube/curl_transport.hpp"
#include "kube/kubeconfig.hpp"
#include "options.hpp"
#include "support/fake_cluster_kinds.hpp"

namespace vmbackup::sandbox {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using json::Value;

constexpr base::Duration k_look_again = std::chrono::milliseconds(20);

std::string read_all(std::istream& input) {
  std::stringstream text;
  text << input.rdbuf();
  return text.str();
}

class Actor {
 public:
  Actor(const ClientOptions& options, std::string secret)
      : options_(options), secret_(std::move(secret)), deadline_(base::Deadline::after(clock_, options.timeout)) {}
  Result<void> connect();
  // The answer's body, or the server's words as the error.
  Result<Value> call(const std::string& method, const std::string& target, const Value* body = nullptr,
                     const char* type = "application/json");

  Result<void> apply(const std::string& path);
  Result<void> apply_one(const Value& object);
  Result<void> remove();
  Result<void> get();
  Result<void> wait();
  Result<void> patch();
  Result<void> put();
  Result<void> token();
  Result<void> control();

 private:
  Result<const test::Kind*> kind(std::size_t word) const;
  std::string collection(const test::Kind& kind, const std::string& ns, const char* group = nullptr) const;
  Result<std::string> named(bool subresource = false) const;
  bool pause() { return clock_.sleep_until(clock_.now() + k_look_again, {}) && !deadline_.passed(clock_); }

  const ClientOptions& options_;
  const std::string secret_;
  base::SystemClock clock_;
  base::Deadline deadline_;
  std::string ns_;
  std::unique_ptr<kube::Transport> transport_;
};

Result<void> Actor::connect() {
  kube::KubeconfigSource source;
  source.explicit_path = options_.kubeconfig;
  Result<kube::Connection> connection = kube::load_connection(source);
  if (!connection) return connection.error();
  // The sandbox may show a bad certificate on purpose; this client is not what is tested with it.
  connection->insecure_skip_tls_verify = true;
  connection->ca_pem.clear();
  ns_ = options_.ns.empty() ? connection->ns : options_.ns;
  Result<std::unique_ptr<kube::Transport>> transport = kube::make_curl_transport(*connection, {}, clock_);
  if (!transport) return transport.error();
  transport_ = std::move(*transport);
  return {};
}

Result<Value> Actor::call(const std::string& method, const std::string& target, const Value* body, const char* type) {
  kube::HttpRequest request;
  request.method = method;
  request.target = target;
  request.headers = {{"Accept", "application/json, */*"}, {"X-Sandbox-Control", secret_}};
  if (body != nullptr) {
    request.headers.emplace_back("Content-Type", type);
    request.body = json::dump(*body);
  }
  const Result<kube::HttpResponse> response = transport_->send(request, deadline_, {});
  if (!response) return response.error();
  const Result<Value> answer = response.value().body.empty() ? Result<Value>(Value()) : json::parse(response.value().body);
  if (response.value().status < 300) return answer;
  const std::string words = answer ? answer.value().path({"message"}).as_string() : std::string(base::trim(response.value().body));
  const ErrorCode code = response.value().status == 404   ? ErrorCode::not_found
                         : response.value().status == 409 ? ErrorCode::conflict
                                                          : ErrorCode::invalid;
  return Error(code, words).with_reason(answer ? answer.value().path({"reason"}).as_string() : "");
}

Result<const test::Kind*> Actor::kind(std::size_t word) const {
  if (options_.words.size() <= word) return Error(ErrorCode::usage, options_.verb + ": KIND is missing");
  const test::Kind* found = test::find_kind_by_word(options_.words[word]);
  if (found == nullptr) return Error(ErrorCode::usage, "no such kind: " + options_.words[word]);
  return found;
}

std::string Actor::collection(const test::Kind& kind, const std::string& ns, const char* group) const {
  const std::string group_name = group == nullptr ? kind.group : group;
  const std::string version = group == nullptr ? kind.versions.front() : "v1";
  std::string path = group_name.empty() ? "/api/v1" : "/apis/" + group_name + "/" + version;
  if (kind.namespaced && !ns.empty()) path += "/namespaces/" + ns;
  return path + "/" + kind.plural;
}

Result<std::string> Actor::named(bool subresource) const {
  const Result<const test::Kind*> found = kind(0);
  if (!found) return found.error();
  if (options_.words.size() < 2) return Error(ErrorCode::usage, options_.verb + ": NAME is missing");
  return collection(**found, ns_, subresource ? "subresources.kubevirt.io" : nullptr) + "/" + options_.words[1];
}

Result<void> Actor::apply_one(const Value& object) {
  const test::Kind* found = test::find_kind_of(object);
  if (found == nullptr)
    return Error(ErrorCode::invalid, "no such kind: " + object.path({"apiVersion"}).as_string() + " " + object.path({"kind"}).as_string());
  const std::string& own = object.path({"metadata", "namespace"}).as_string();
  const std::string path = collection(*found, own.empty() ? ns_ : own);
  const std::string& name = object.path({"metadata", "name"}).as_string();
  const Result<Value> made = call("POST", path + "?fieldValidation=Strict", &object);
  const bool there = !made && made.error().reason() == "AlreadyExists";
  const Result<Value> done =
      there ? call("PATCH", path + "/" + name + "?fieldValidation=Strict", &object, "application/merge-patch+json") : made;
  if (!done) return done.error().wrap(found->kind + " " + name);
  std::printf("%s/%s %s\n", found->singular.c_str(), done.value().path({"metadata", "name"}).as_string().c_str(),
              there ? "configured" : "created");
  return {};
}

Result<void> Actor::apply(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path);
  if (path != "-" && !file) return Error(ErrorCode::not_found, path + ": cannot be read");
  const std::string text = path == "-" ? read_all(std::cin) : read_all(file);
  std::string document;
  for (const std::string& line : base::split(text + "\n---", '\n')) {
    if (line != "---" && !line.starts_with("--- ")) {
      document += line + "\n";
      continue;
    }
    const Result<Value> value = json::parse_yaml(document);
    if (!value) return value.error().wrap(path);
    document.clear();
    const bool list = value.value().path({"kind"}).as_string() == "List";
    const json::Array objects = list                      ? value.value().path({"items"}).items()
                                : value.value().is_null() ? json::Array()
                                                          : json::Array{value.value()};
    for (const Value& object : objects) {
      if (const Result<void> done = apply_one(object); !done) return done;
    }
  }
  return {};
}

Result<void> Actor::remove() {
  const Result<std::string> path = named();
  if (!path) return path.error();
  const test::Kind& found = **kind(0);
  if (options_.now) {
    const Value object = Value::object({{"apiVersion", found.api_version()},
                                        {"kind", found.kind},
                                        {"metadata", Value::object({{"namespace", ns_}, {"name", options_.words[1]}})}});
    const Result<Value> done = call("POST", "/sandbox/erase-now", &object);
    return done ? Result<void>() : Result<void>(done.error());
  }
  const Result<Value> before = call("GET", *path);
  if (!before) return before.error();
  const Result<Value> done = call("DELETE", *path);
  if (!done) return done.error();
  do {
    const Result<Value> left = call("GET", *path);
    if (!left && left.error().code() == ErrorCode::not_found) return {};
    if (!left) return left.error();
    // Somebody made another one of that name: the old one is gone.
    if (!(left.value().path({"metadata", "uid"}) == before.value().path({"metadata", "uid"}))) return {};
  } while (pause());
  return Error(ErrorCode::timeout, found.singular + "/" + options_.words[1] + " is still there");
}

Result<void> Actor::get() {
  const Result<const test::Kind*> found = kind(0);
  if (!found) return found.error();
  if (options_.words.size() > 1) {
    const Result<Value> object = call("GET", *named());
    if (!object) return object.error();
    const std::string text = options_.output == "json" ? json::dump_pretty(*object) : (*found)->resource() + "/" + options_.words[1];
    std::printf("%s\n", text.c_str());
    return {};
  }
  const Result<Value> list = call("GET", collection(**found, options_.all_namespaces ? "" : ns_));
  if (!list) return list.error();
  if (options_.output == "json") {
    std::printf("%s\n", json::dump_pretty(*list).c_str());
    return {};
  }
  for (const Value& item : list.value().path({"items"}).items()) {
    const std::string& ns = item.path({"metadata", "namespace"}).as_string();
    const std::string where = options_.all_namespaces && options_.output.empty() ? ns + " " : "";
    std::printf("%s%s/%s\n", where.c_str(), (*found)->resource().c_str(), item.path({"metadata", "name"}).as_string().c_str());
  }
  return {};
}

Result<void> Actor::wait() {
  const Result<std::string> path = named();
  if (!path) return path.error();
  if (options_.words.size() < 3) return Error(ErrorCode::usage, "wait: PATH=VALUE or gone is missing");
  const std::string& wanted = options_.words[2];
  const std::size_t equal = wanted.find('=');
  if (wanted != "gone" && equal == std::string::npos) return Error(ErrorCode::usage, "wait: want PATH=VALUE or gone, not " + wanted);
  std::string last;
  do {
    const Result<Value> object = call("GET", *path);
    const bool gone = !object && object.error().code() == ErrorCode::not_found;
    if (gone && wanted == "gone") return {};
    if (!object && !gone) return object.error();
    if (wanted == "gone") continue;
    last = gone ? "not there" : text_at(*object, wanted.substr(0, equal));
    if (object && last == wanted.substr(equal + 1)) return {};
  } while (pause());
  return Error(ErrorCode::timeout,
               options_.words[0] + "/" + options_.words[1] + ": " + wanted + " was not reached, it is \"" + last + "\"");
}

Result<void> Actor::patch() {
  const Result<std::string> path = named();
  if (!path) return path.error();
  if (options_.words.size() < 3) return Error(ErrorCode::usage, "patch: JSON is missing");
  const Result<Value> body = json::parse_yaml(options_.words[2]);
  if (!body) return body.error();
  const Result<Value> done = call("PATCH", *path, &body.value(), "application/merge-patch+json");
  return done ? Result<void>() : Result<void>(done.error());
}

Result<void> Actor::put() {
  const Result<std::string> path = named(true);
  if (!path) return path.error();
  if (options_.words.size() < 3) return Error(ErrorCode::usage, "put: SUBRESOURCE is missing");
  const Result<Value> body = json::parse_yaml(options_.words.size() > 3 ? options_.words[3] : "");
  if (!body) return body.error();
  const Result<Value> done = call("PUT", *path + "/" + options_.words[2], body.value().is_null() ? nullptr : &body.value());
  return done ? Result<void>() : Result<void>(done.error());
}

Result<void> Actor::token() {
  if (options_.words.empty()) return Error(ErrorCode::usage, "token: SERVICEACCOUNT is missing");
  const Value body = Value::object({{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}, {"spec", Value::object()}});
  const Result<Value> answer = call("POST", "/api/v1/namespaces/" + ns_ + "/serviceaccounts/" + options_.words[0] + "/token", &body);
  if (!answer) return answer.error();
  std::printf("%s\n", answer.value().path({"status", "token"}).as_string().c_str());
  return {};
}

Result<void> Actor::control() {
  const bool rule = options_.verb == "fault" || options_.verb == "hook";
  Value body = Value::object();
  if (rule && !options_.unused) {
    if (options_.words.empty()) return Error(ErrorCode::usage, options_.verb + ": JSON is missing");
    Result<Value> given = json::parse(options_.words[0]);
    if (!given) return given.error();
    body = std::move(*given);
  }
  const Result<Value> answer = call("POST", "/sandbox/" + (options_.unused ? "unused-faults" : options_.verb), &body);
  if (!answer) return answer.error();
  if (answer.value().path({"number"}).is_integer())
    std::printf("%lld\n", static_cast<long long>(answer.value().path({"number"}).as_integer()));
  for (const Value& each : answer.value().path({"unused"}).items()) std::printf("%s\n", each.as_string().c_str());
  return {};
}

Result<void> run(Actor& actor, const ClientOptions& options) {
  if (const Result<void> connected = actor.connect(); !connected) return connected;
  const std::string& verb = options.verb;
  if (verb == "apply") {
    if (options.words.empty()) return Error(ErrorCode::usage, "apply: FILE is missing");
    for (const std::string& path : options.words) {
      if (const Result<void> done = actor.apply(path); !done) return done;
    }
    return {};
  }
  if (verb == "delete") return actor.remove();
  if (verb == "get") return actor.get();
  if (verb == "wait") return actor.wait();
  if (verb == "patch") return actor.patch();
  if (verb == "put") return actor.put();
  if (verb == "token") return actor.token();
  for (const char* known : {"fault", "hook", "compact", "end-watches", "go-away"}) {
    if (verb == known) return actor.control();
  }
  return Error(ErrorCode::usage, "unknown command \"" + verb + "\"");
}

}  // namespace

int act(const ClientOptions& options) {
  std::ifstream file(std::filesystem::path(options.kubeconfig).parent_path() / "control");
  Actor actor(options, read_all(file));
  const Result<void> done = run(actor, options);
  if (done) return 0;
  std::fprintf(stderr, "error: %s\n", done.error().message().c_str());
  return done.error().code() == ErrorCode::usage ? 2 : 1;
}

}  // namespace vmbackup::sandbox
