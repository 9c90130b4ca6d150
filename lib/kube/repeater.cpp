#include "kube/repeater.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/backoff.hpp"
#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

constexpr const char* k_unauthorized_hint =
    "the server does not accept these credentials, or not any more; see who you are: kubectl auth whoami";

using base::Error;
using base::ErrorCode;

constexpr base::Duration k_first_pause = std::chrono::milliseconds(200);
constexpr base::Duration k_longest_pause = std::chrono::seconds(10);
// A server that has never answered is more likely misspelt than restarting: nobody should wait the whole deadline to read that.
constexpr base::Duration k_first_contact = std::chrono::seconds(5);
// 500 may pass (a webhook that restarts) or stay (a webhook that is gone).
constexpr int k_most_internal_errors = 3;

// The answers that ask for another try. [client-go/rest/request.go, with_retry.go; apimachinery/pkg/api/errors/errors.go]
bool heals(int status) { return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504; }

bool heals(const Outcome& outcome) {
  if (outcome.status != 0) return heals(outcome.status);
  const ErrorCode code = outcome.answer.error().code();
  return code == ErrorCode::unavailable || code == ErrorCode::timeout;
}

// Only a 429 is certain to come before anything is done.
bool may_have_acted(const Outcome& outcome) { return outcome.status != 429; }

// Whole seconds, the only form that the API server uses.
base::Duration retry_after(const HttpResponse& response) {
  const std::string text = response.header("retry-after");
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) return base::Duration::zero();
  return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, 86'400));
}

Error refusal(const HttpResponse& answer, const Order& order) {
  Error error = error_of_response(answer, order.what);
  if (answer.status == 403 && !order.hint.empty()) error = error.with_hint(order.hint);
  if (answer.status == 401) error = error.with_hint(k_unauthorized_hint);
  return error;
}

}  // namespace

Repeater::Repeater(std::unique_ptr<Transport> transport, base::Clock& clock, RequestLog log)
    : transport_(std::move(transport)), clock_(clock), log_(std::move(log)) {}

void Repeater::log(const std::string& line) const {
  if (log_) log_(line);
}

Outcome Repeater::send(const Order& order, const Call& call, const std::stop_token& stop) {
  const bool may_repeat = order.may_repeat && call.repeat;
  const base::TimePoint begun = clock_.now();
  base::Backoff backoff(k_first_pause, k_longest_pause);
  base::Duration patience = order.patience;
  bool unclear = false;
  int internal_errors = 0;
  for (;;) {
    const base::Deadline limit = order.may_repeat ? call.deadline.sooner(base::Deadline::after(clock_, patience)) : call.deadline;
    Outcome outcome = send_once(order, limit, stop);
    outcome.unclear = unclear;
    if (outcome.answer || !may_repeat || !heals(outcome)) return outcome;
    const bool silent = outcome.answer.error().code() == ErrorCode::timeout;
    if (silent && call.deadline.passed(clock_)) return outcome;
    if (outcome.status == 500 && ++internal_errors > k_most_internal_errors) return outcome;
    if (!reached_ && !silent && clock_.now() - begun >= k_first_contact) return outcome;
    unclear = unclear || may_have_acted(outcome);
    const base::TimePoint again = clock_.now() + std::max(backoff.next(), outcome.retry_after);
    if (again >= call.deadline.when()) return outcome;
    if (!clock_.sleep_until(again, stop)) return {Error(ErrorCode::cancelled, order.what + ": interrupted"), outcome.status, unclear, {}};
    if (silent) patience = std::min(patience * 2, order.patience * 4);
  }
}

Outcome Repeater::send_once(const Order& order, const base::Deadline& deadline, const std::stop_token& stop) {
  const base::TimePoint begun = clock_.now();
  base::Result<HttpResponse> answer = transport_->send(order.request, deadline, stop);
  note(order, begun, answer ? std::to_string(answer->status) : base::to_string(answer.error().code()));
  if (!answer) return {answer.error().wrap(order.what)};
  reached_ = true;
  log_warnings(*answer);
  const int status = answer->status;
  if (status >= 200 && status < 300) return {std::move(answer), status};
  return {refusal(*answer, order), status, false, status == 429 || status == 503 ? retry_after(*answer) : base::Duration::zero()};
}

base::Result<Upgrade> Repeater::upgrade(const Order& order, const base::Deadline& deadline, const std::stop_token& stop) {
  const base::TimePoint begun = clock_.now();
  base::Result<Upgrade> answer = transport_->upgrade(order.request, deadline, stop);
  note(order, begun, answer ? std::to_string(answer->response.status) : base::to_string(answer.error().code()));
  if (!answer) return answer.error().wrap(order.what);
  reached_ = true;
  log_warnings(answer->response);
  const HttpResponse& response = answer->response;
  // Whoever may not gets a Status. This is how Go's WebSocket says that it knows no protocol of the offer.
  // [golang.org/x/net/websocket/server.go: newServerConn]
  if (response.status == 403 && response.body.empty()) {
    return Error(ErrorCode::invalid, order.what + ": the server knows none of the WebSocket protocols that were offered");
  }
  if (response.status != 101) return refusal(response, order);
  return answer;
}

void Repeater::note(const Order& order, base::TimePoint begun, const std::string& how) const {
  const std::string took = base::format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - begun));
  log(order.request.method + " " + order.request.target + " " + how + " " + took);
}

// RFC 9111's Warning header as the API server uses it: 299 - "text". [apimachinery/pkg/util/net/http.go: ParseWarningHeader]
void Repeater::log_warnings(const HttpResponse& response) const {
  for (const auto& [name, value] : response.headers) {
    if (name != "warning") continue;
    const std::size_t open = value.find('"');
    const std::size_t close = value.rfind('"');
    if (value.substr(0, 4) != "299 " || open == std::string::npos || close <= open) continue;
    log("warning of the server: " + base::printable(value.substr(open + 1, close - open - 1), 1000));
  }
}

}  // namespace vmbackup::kube
