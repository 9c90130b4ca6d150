// Sends one request until it is answered: which failures heal, how long to pause, when to stop trying. Private to the rest client.
#pragma once

#include <atomic>
#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "kube/client.hpp"
#include "kube/rest_client.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

// A request, and what is known about repeating it.
struct Order {
  HttpRequest request;
  std::string what;  // "get VirtualMachine prod/db-0": begins every error
  std::string hint;  // of a 403
  bool may_repeat = false;
  // The longest first try of an order that may be repeated; each further one may take twice as long as the one before, up to four times
  // this. So a server that never answers does not eat the whole deadline, and one that is merely slow is heard in the end.
  base::Duration patience = std::chrono::seconds(30);
};

// How it ended.
struct Outcome {
  base::Result<HttpResponse> answer;  // status 2xx, or the error that kube::Client promises
  int status = 0;                     // of the last answer, 0: there was none
  // An earlier try may have been carried out although its answer was lost.
  bool unclear = false;
  base::Duration retry_after{};  // what the server asked for
};

// Thread-safe.
class Repeater {
 public:
  Repeater(std::unique_ptr<Transport> transport, base::Clock& clock, RequestLog log);

  Outcome send(const Order& order, const Call& call, const std::stop_token& stop);
  // One try, never repeated: a connection with status 101, or the error that kube::Client promises.
  base::Result<Upgrade> upgrade(const Order& order, const base::Deadline& deadline, const std::stop_token& stop);
  Transport& transport() { return *transport_; }
  base::Clock& clock() { return clock_; }
  void log(const std::string& line) const;

 private:
  Outcome send_once(const Order& order, const base::Deadline& deadline, const std::stop_token& stop);
  void note(const Order& order, base::TimePoint begun, const std::string& how) const;
  void log_warnings(const HttpResponse& response) const;

  std::unique_ptr<Transport> transport_;
  base::Clock& clock_;
  RequestLog log_;
  // The server has answered something, at some time.
  std::atomic<bool> reached_ = false;
};

}  // namespace vmbackup::kube
