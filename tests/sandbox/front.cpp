#include "front.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "json/yaml.hpp"
#include "support/fake_cluster_exec.hpp"

namespace vmbackup::sandbox {

using json::Value;

std::string Incoming::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

// One request of the log: alive until its requester is gone.
struct Front::Running {
  std::shared_ptr<Response> response;
  std::string method;
  std::string target;
  std::string user;
  std::string protocol;
  bool gone = false;  // the requester
  bool logged = false;
  int status = 0;
  std::uint64_t watch = 0;
  std::shared_ptr<test::ExecSession> exec;
};

namespace {

Headers common_headers(const base::Clock& clock, const std::string& type) {
  const std::time_t now =
      std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(clock.wall_now()));
  std::tm parts{};
  gmtime_r(&now, &parts);
  char date[64];
  const std::size_t length = std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {{"cache-control", "no-cache, private"}, {"content-type", type}, {"date", std::string(date, length)}};
}

void send(const base::Clock& clock, Response& response, const test::Answer& answer) {
  const bool text = answer.text.has_value();
  Headers headers = common_headers(clock, text ? "text/plain; charset=utf-8" : "application/json");
  headers.insert(headers.end(), answer.headers.begin(), answer.headers.end());
  std::string body = text ? *answer.text : answer.body.is_null() ? "" : json::dump(answer.body) + "\n";
  response.answer(answer.status, std::move(headers), std::move(body), answer.broken);
}

}  // namespace

Front::Front(test::FakeCluster& cluster, std::string control_secret, std::FILE* log, std::function<void()> go_away)
    : cluster_(cluster), control_secret_(std::move(control_secret)), log_(log), go_away_(std::move(go_away)), hooks_(cluster) {}

void Front::authenticate(const Incoming& incoming, const Identity& identity, test::Request& request) const {
  const std::string bearer = incoming.header("authorization");
  if (identity.certificate) {
    if (!identity.valid) return;
    request.user = identity.user;
    request.groups = identity.groups;
  } else if (bearer.starts_with("Bearer ")) {
    const auto found = cluster_.world().tokens.find(bearer.substr(7));
    if (found == cluster_.world().tokens.end()) return;
    request.user = found->second.first;
    request.groups = found->second.second;
  } else if (bearer.empty()) {
    request.user = "system:anonymous";
    request.groups = {"system:unauthenticated"};
    return;
  } else {
    return;
  }
  request.groups.push_back("system:authenticated");
}

std::function<void()> Front::handle(const Incoming& incoming, const Identity& identity, const std::shared_ptr<Response>& response) {
  test::Request request = test::request_of(incoming.method, incoming.target);
  request.content_type = incoming.header("content-type");
  request.accept = incoming.header("accept");
  request.internal = !control_secret_.empty() && incoming.header("x-sandbox-control") == control_secret_;
  if (request.internal) {
    request.user = "sandbox";
    request.groups = {"system:masters"};
  } else {
    authenticate(incoming, identity, request);
  }
  base::Clock& clock = cluster_.world().clock;
  if (!incoming.body.empty()) {
    const bool yaml = request.content_type.find("yaml") != std::string::npos;
    base::Result<Value> body = yaml ? json::parse_yaml(incoming.body) : json::parse(incoming.body);
    if (!body) {
      send(clock, *response, test::bad_request("the object provided is unrecognized (must be of type Object): " + body.error().message()));
      return [] {};
    }
    request.body = std::move(*body);
  }
  if (request.internal && request.path.starts_with("/sandbox/")) {
    control(incoming, request, response);
    return [] {};
  }
  const auto running = std::make_shared<Running>();
  running->response = response;
  running->method = incoming.method;
  running->target = incoming.target;
  running->user = request.user.value_or("");
  running->protocol = incoming.protocol;
  running->logged = request.internal || log_ == nullptr;
  serve_cluster(incoming, std::move(request), running);
  return [this, running] {
    if (std::exchange(running->gone, true)) return;
    if (running->watch != 0) cluster_.world().stop_watch(running->watch);
    if (running->exec) {
      const test::Section section(cluster_.world());
      running->exec->gone();
    }
    // What was never answered, or never ended, is written down when its requester leaves.
    write_log(*running, running->status);
    running->logged = true;
  };
}

// Only the HTTP/1.1 session can leave HTTP.
void Front::allow_upgrade(const std::shared_ptr<Running>& running, test::Exchange& exchange) {
  exchange.upgraded = [this, running](const Headers& headers, const std::shared_ptr<test::ExecSession>& session) {
    if (running->gone) return;
    write_log(*running, 101);
    running->logged = true;
    running->exec = session;
    session->send = [running](std::string_view bytes) { running->response->write(bytes); };
    session->end = [running](bool broken) { running->response->finish(broken); };
    running->response->upgrade(headers, [this, weak = std::weak_ptr(session)](std::string_view bytes) {
      const test::Section section(cluster_.world());
      if (const auto alive = weak.lock()) alive->take(bytes);
    });
  };
}

void Front::serve_cluster(const Incoming& incoming, test::Request request, const std::shared_ptr<Running>& running) {
  base::Clock& clock = cluster_.world().clock;
  test::Exchange exchange;
  exchange.answer = [this, running, &clock](const test::Answer& answer) {
    if (running->gone) return;
    write_log(*running, answer.status);
    running->logged = true;
    send(clock, *running->response, answer);
  };
  exchange.started = [running, &clock] {
    running->status = 200;
    if (!running->gone) running->response->begin(200, common_headers(clock, "application/json"));
  };
  exchange.event = [running](const std::string& type, const Value& object) {
    if (!running->gone) running->response->write(json::dump(Value::object({{"type", type}, {"object", object}})) + "\n");
  };
  exchange.ended = [this, running](bool broken) {
    if (running->gone) return;
    write_log(*running, 200);
    running->logged = true;
    if (broken) running->response->write(R"({"type":"MODIFIED","object":{"kind")");
    running->response->finish(broken);
  };
  if (incoming.protocol == "http/1.1") {
    test::note_upgrade(request, incoming.headers);
    allow_upgrade(running, exchange);
  }
  running->watch = cluster_.world().serve(request, exchange);
}

void Front::write_log(const Running& running, int status) {
  if (running.logged || log_ == nullptr) return;
  const Value line = Value::object(
      {{"method", running.method}, {"target", running.target}, {"status", status}, {"user", running.user}, {"protocol", running.protocol}});
  const std::string text = json::dump(line) + "\n";
  std::fwrite(text.data(), 1, text.size(), log_);
  std::fflush(log_);
}

// ---- control calls ----

Value Front::control_answer(const std::string& verb, const test::Request& request, std::string& error) {
  if (verb == "fault") {
    const std::optional<test::Fault> fault = fault_of(request.body, error);
    return fault ? Value::object({{"number", cluster_.add_fault(*fault)}}) : Value();
  }
  if (verb == "unused-faults") {
    Value list = Value::array();
    for (const std::string& each : cluster_.unused_faults()) list.push_back(each);
    return Value::object({{"unused", list}});
  }
  if (verb == "hook") {
    error = hooks_.add(request.body).value_or("");
  } else if (verb == "compact") {
    cluster_.compact();
  } else if (verb == "end-watches") {
    cluster_.end_watches();
  } else if (verb == "go-away") {
    go_away_();
  } else if (verb == "erase-now") {
    const test::Kind* kind = test::find_kind_of(request.body);
    if (kind == nullptr) {
      error = "no such kind";
    } else {
      cluster_.erase_now({kind->group, kind->versions.front(), kind->plural, kind->kind, kind->namespaced},
                         {request.body.path({"metadata", "namespace"}).as_string(), request.body.path({"metadata", "name"}).as_string()});
    }
  } else {
    error = "no such control call: " + verb;
  }
  return Value::object();
}

void Front::control(const Incoming& incoming, const test::Request& request, const std::shared_ptr<Response>& response) {
  std::string error;
  const Value answer = control_answer(request.path.substr(std::string_view("/sandbox/").size()), request, error);
  if (incoming.method != "POST") error = "control calls are POST";
  send(cluster_.world().clock, *response, error.empty() ? test::good(answer) : test::bad_request(error));
}

}  // namespace vmbackup::sandbox
