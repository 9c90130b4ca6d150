// Rules by which a FakeCluster's requests go wrong.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/duration.hpp"

namespace vmbackup::test {

// The first rule that fits a request acts on it. Unit tests and the server know all of them; what needs a connection is played
// to a kube::Client as the `unavailable` that a real one would return. Of an exec, delay, lose_answer and half_body come after the upgrade.
struct Fault {
  enum class Action {
    status,     // answer with `status` (and Retry-After: `retry_after` seconds when set) instead of doing it: 401, 403, 429, 500, 503, ...
    expired,    // a watch gets the error event 410 Expired after `after_events` events; a list is answered 410
    end_watch,  // a watch ends properly after `after_events` events
    cut_watch,  // a watch breaks in the middle of a line after `after_events` events
    hang,       // no answer, ever
    delay,      // the answer comes `delay` later
    lose_answer,  // it is done, and the connection breaks before the answer
    reset,        // the stream (HTTP/1.1: the connection) is reset before anything is done
    half_body,    // half of the answer, then the connection breaks
    go_away,      // GOAWAY, then the connection is closed when its running requests end (HTTP/1.1: Connection: close)
    junk,         // 200 with a body that is no JSON
    only_v4,      // an exec: the server does not know v5.channel.k8s.io
    endless,      // an exec: its output never ends
  };
  Action action = Action::status;
  std::string method;  // "GET", ..., "WATCH" for watches only, empty: any but watches
  std::string path;    // substring of path and query; empty: any
  int skip = 0;        // that many fitting requests pass first
  int times = 1;       // then that many are hit; negative: all
  int status = 503;
  std::string text;      // body of a `status` answer in place of the usual one (sent as text/plain)
  int retry_after = -1;  // seconds; negative: no such header
  int after_events = 0;  // events of a watch that pass first, bookmarks not counted
  base::Duration delay{};
};

// "status", "cut-watch", ... as scripts write them; nothing for another word.
const char* to_string(Fault::Action action);
std::optional<Fault::Action> fault_action(const std::string& name);
// One line for messages: "status 503 on GET /api/v1".
std::string describe(const Fault& fault);
// expired, end_watch, cut_watch: without a method they are about watches.
bool is_about_watch(Fault::Action action);

// The rules of one cluster, first added first asked. Not thread-safe.
class FaultBook {
 public:
  int add(Fault fault);
  void drop(int number);
  // Counts the request against every rule up to the one that acts on it.
  std::optional<Fault> take(const std::string& method, const std::string& target, bool watch);
  std::vector<std::string> unused() const;

 private:
  struct Entry {
    int number;
    Fault fault;
    int seen;
    bool fits(const std::string& method, const std::string& target, bool watch) const;
  };
  std::vector<Entry> entries_;
  int last_ = 0;
};

}  // namespace vmbackup::test
