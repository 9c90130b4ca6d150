// A kube::Transport that answers from a script and keeps what it was asked.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "kube/transport.hpp"

namespace vmbackup::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

inline kube::HttpResponse reply(int status, std::string body, Headers headers = {}) {
  return {status, std::move(headers), std::move(body)};
}

// What a test and the client under test share; the test outlives the client.
struct Script {
  // One step per request, in order. No step left: the request fails as `internal`, which no client repeats.
  using Step = std::function<base::Result<kube::HttpResponse>(const kube::HttpRequest&, const base::Deadline&)>;
  std::deque<Step> steps;
  std::vector<kube::HttpRequest> requests;
  std::vector<base::Deadline> deadlines;
  // The same for upgrades.
  std::deque<std::function<base::Result<kube::Upgrade>(const kube::HttpRequest&)>> upgrades;
  // The last stream that was begun, until its handle is destroyed.
  std::optional<kube::StreamSink> stream;

  void answer(int status, std::string body, Headers headers = {}) {
    steps.push_back([=](const auto&, const auto&) { return reply(status, body, headers); });
  }
  void fail(base::ErrorCode code, std::string message) {
    steps.push_back([=](const auto&, const auto&) { return base::Error(code, message); });
  }
  std::vector<std::string> targets() const {
    std::vector<std::string> all;
    for (const kube::HttpRequest& request : requests) all.push_back(request.method + " " + request.target);
    return all;
  }
};

class ScriptedTransport final : public kube::Transport {
 public:
  explicit ScriptedTransport(Script& script) : script_(script) {}

  base::Result<kube::HttpResponse> send(const kube::HttpRequest& request, const base::Deadline& deadline, std::stop_token stop) override {
    if (stop.stop_requested()) return base::Error(base::ErrorCode::cancelled, "given up");
    script_.requests.push_back(request);
    script_.deadlines.push_back(deadline);
    if (script_.steps.empty()) return base::Error(base::ErrorCode::internal, "no step left for " + request.method + " " + request.target);
    const Script::Step step = std::move(script_.steps.front());
    script_.steps.pop_front();
    return step(request, deadline);
  }

  base::Result<kube::Upgrade> upgrade(const kube::HttpRequest& request, const base::Deadline& deadline, std::stop_token stop) override {
    if (stop.stop_requested()) return base::Error(base::ErrorCode::cancelled, "given up");
    script_.requests.push_back(request);
    script_.deadlines.push_back(deadline);
    if (script_.upgrades.empty()) return base::Error(base::ErrorCode::internal, "no upgrade left for " + request.target);
    const auto step = std::move(script_.upgrades.front());
    script_.upgrades.pop_front();
    return step(request);
  }

  kube::StreamHandle stream(const kube::HttpRequest& request, kube::StreamSink sink) override {
    script_.requests.push_back(request);
    script_.stream = std::move(sink);
    return kube::StreamHandle([this] { script_.stream.reset(); });
  }

 private:
  Script& script_;
};

}  // namespace vmbackup::test
