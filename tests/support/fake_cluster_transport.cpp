#include "support/fake_cluster_transport.hpp"

#include <ctime>

#include "support/fake_cluster_exec.hpp"

namespace vmbackup::test {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string http_date(base::WallTime time) {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  gmtime_r(&now, &parts);
  char date[64];
  return {date, std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

Result<kube::HttpResponse> response_of(const Answer& answer) {
  if (answer.broken == Answer::Break::reset || answer.broken == Answer::Break::lose) {
    return Error(ErrorCode::unavailable, "the connection broke off before an answer came");
  }
  if (answer.broken == Answer::Break::half) return Error(ErrorCode::unavailable, "the connection broke off in the middle of the answer");
  kube::HttpResponse response;
  response.status = answer.status;
  response.headers = answer.headers;
  response.headers.emplace_back("content-type", answer.text ? "text/plain; charset=utf-8" : "application/json");
  response.body = answer.text ? *answer.text : answer.body.is_null() ? "" : json::dump(answer.body);
  return response;
}

class MemoryTransport final : public kube::Transport {
 public:
  MemoryTransport(World& world, std::optional<std::string> user, std::vector<std::string> groups)
      : world_(world), user_(std::move(user)), groups_(std::move(groups)) {}

  Result<kube::HttpResponse> send(const kube::HttpRequest& http, const base::Deadline& deadline, std::stop_token stop) override {
    struct Waiting {
      base::Wakeup wakeup;
      std::optional<Result<kube::HttpResponse>> result;
    };
    const auto waiting = std::make_shared<Waiting>();
    Exchange exchange;
    exchange.answer = [waiting](const Answer& answer) {
      waiting->result = response_of(answer);
      waiting->wakeup.notify();
    };
    exchange.started = [] {};
    exchange.event = [](const std::string&, const json::Value&) {};
    exchange.ended = [](bool) {};
    world_.serve(request_from(http), exchange);
    const base::WaitEnd end = world_.clock.wait(waiting->wakeup, deadline.when(), stop);
    const Section section(world_);
    if (waiting->result && waiting->result->ok()) waiting->result->value().headers.emplace_back("date", http_date(world_.clock.wall_now()));
    if (waiting->result) return *waiting->result;
    if (end == base::WaitEnd::stopped) return Error(ErrorCode::cancelled, "stopped while waiting for the answer");
    return Error(ErrorCode::timeout, "no answer until the deadline");
  }

  Result<kube::Upgrade> upgrade(const kube::HttpRequest& http, const base::Deadline& deadline, std::stop_token stop) override {
    struct Waiting {
      base::Wakeup wakeup;
      std::optional<Result<kube::HttpResponse>> result;
      std::shared_ptr<ExecSession> session;
    };
    const auto waiting = std::make_shared<Waiting>();
    const auto bytes = std::make_shared<kube::Duplex>();
    Exchange exchange;
    exchange.answer = [waiting](const Answer& answer) {
      waiting->result = response_of(answer);
      waiting->wakeup.notify();
    };
    exchange.upgraded = [waiting, bytes](const auto& headers, const std::shared_ptr<ExecSession>& session) {
      waiting->session = session;
      session->send = [bytes](std::string_view piece) { bytes->feed(piece); };
      session->end = [bytes](bool broken) {
        bytes->end(broken ? std::optional<Error>(Error(ErrorCode::unavailable, "the connection broke off")) : std::nullopt);
      };
      waiting->result = kube::HttpResponse{101, headers, {}};
      waiting->wakeup.notify();
    };
    world_.serve(request_from(http), exchange);
    const base::WaitEnd end = world_.clock.wait(waiting->wakeup, deadline.when(), stop);
    kube::Upgrade upgrade;
    std::shared_ptr<ExecSession> session;
    {
      const Section section(world_);
      if (!waiting->result && end == base::WaitEnd::stopped) return Error(ErrorCode::cancelled, "stopped while waiting for the answer");
      if (!waiting->result) return Error(ErrorCode::timeout, "no answer until the deadline");
      if (!*waiting->result) return waiting->result->error();
      upgrade.response = **waiting->result;
      session = waiting->session;
    }
    if (!session) return upgrade;
    upgrade.bytes = bytes;
    upgrade.connection = connect(bytes, session);
    return upgrade;
  }

  kube::StreamHandle stream(const kube::HttpRequest& http, kube::StreamSink sink) override {
    struct Running {
      kube::StreamSink sink;
      bool alive = true;
    };
    const auto running = std::make_shared<Running>();
    running->sink = std::move(sink);
    const auto finish = [running](const Result<kube::HttpResponse>& result) {
      if (!std::exchange(running->alive, false)) return;
      running->sink.end(result);
    };
    Exchange exchange;
    exchange.answer = [running, finish](const Answer& answer) {
      const Result<kube::HttpResponse> response = response_of(answer);
      if (running->alive && response && answer.ok()) running->sink.data(response.value().body);
      finish(response);
    };
    exchange.started = [] {};
    exchange.event = [running](const std::string& type, const json::Value& object) {
      if (running->alive) running->sink.data(json::dump(json::Value::object({{"type", type}, {"object", object}})) + "\n");
    };
    exchange.ended = [running, finish](bool broken) {
      if (broken && running->alive) running->sink.data(R"({"type":"MODIFIED","object":{"kind")");
      if (broken) return finish(Error(ErrorCode::unavailable, "the connection broke off in the middle of the answer"));
      kube::HttpResponse response;
      response.status = 200;
      finish(response);
    };
    const std::uint64_t number = world_.serve(request_from(http), exchange);
    return kube::StreamHandle([this, running, number] {
      const Section section(world_);
      running->alive = false;
      world_.stop_watch(number);
    });
  }

 private:
  // Not in a Section: the connection's own lock comes before it, here as whenever the user has written.
  kube::StreamHandle connect(const std::shared_ptr<kube::Duplex>& bytes, const std::shared_ptr<ExecSession>& session) {
    // By a weak pointer: the session holds `bytes`.
    bytes->on_change([this, to = bytes.get(), weak = std::weak_ptr(session)] {
      const Section section(world_);
      const std::string out = to->take_outgoing();
      if (const auto alive = weak.lock(); alive && !out.empty()) alive->take(out);
    });
    return kube::StreamHandle([this, bytes, session] {
      bytes->on_change(nullptr);
      const Section section(world_);
      session->gone();
    });
  }

  Request request_from(const kube::HttpRequest& http) const {
    Request request = request_of(http.method, http.target);
    request.user = user_;
    request.groups = groups_;
    for (const auto& [name, value] : http.headers) {
      if (name == "Content-Type") request.content_type = value;
      if (name == "Accept") request.accept = value;
    }
    note_upgrade(request, http.headers);
    if (!http.body.empty()) {
      base::Result<json::Value> body = json::parse(http.body);
      if (body) request.body = std::move(*body);
    }
    return request;
  }

  World& world_;
  const std::optional<std::string> user_;
  const std::vector<std::string> groups_;
};

}  // namespace

std::unique_ptr<kube::Transport> make_memory_transport(World& world, std::optional<std::string> user, std::vector<std::string> groups) {
  return std::make_unique<MemoryTransport>(world, std::move(user), std::move(groups));
}

}  // namespace vmbackup::test
