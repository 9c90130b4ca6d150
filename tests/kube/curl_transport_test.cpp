#include "kube/curl_transport.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>

#include "kube/tiny_server.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;
using base::Result;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::ok;
using test::TinyServer;

using Send = std::function<bool(const std::string&)>;

// A flag that one thread raises and another waits for.
class Flag {
 public:
  void raise() {
    const std::lock_guard lock(mutex_);
    raised_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [this] { return raised_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool raised_ = false;
};

struct Fixture {
  base::SystemClock clock;
  Connection connection;
  TransportOptions options;
  std::stop_source stop;

  std::unique_ptr<Transport> open(const std::string& server) {
    connection.server = server;
    auto transport = make_curl_transport(connection, options, clock);
    REQUIRE(transport);
    return std::move(transport).value();
  }
  Result<HttpResponse> send(Transport& transport, HttpRequest request, base::Duration within = seconds(20)) {
    return transport.send(request, base::Deadline::after(clock, within), stop.get_token());
  }
  Result<HttpResponse> get(Transport& transport, const std::string& target, base::Duration within = seconds(20)) {
    return send(transport, {"GET", target, {}, {}}, within);
  }
};

TEST_CASE_FIXTURE(Fixture, "requests arrive as they were meant") {
  TinyServer server([](const auto& request, const Send&) { return ok("<" + request.body + ">", "X-Some: Thing\r\n"); });
  options.user_agent = "test/1";
  const auto transport = open(server.url() + "/base/");
  const auto answer = get(*transport, "/a?b=c%20d");
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->body == "<>");
  CHECK(answer->header("x-some") == "Thing");
  CHECK(send(*transport, {"POST", "/p", {{"Content-Type", "application/json"}, {"X-Empty", ""}}, "{}"})->body == "<{}>");
  CHECK(send(*transport, {"PUT", "/u/../v", {}, ""})->body == "<>");
  CHECK(send(*transport, {"DELETE", "/d", {}, "{\"x\":1}"})->body == "<{\"x\":1}>");
  CHECK(send(*transport, {"PATCH", "/q", {}, std::string(3'000'000, 'x')})->body.size() == 3'000'002);
  const auto requests = server.requests();
  REQUIRE(requests.size() == 5);
  CHECK(requests[0].is("GET /base/a?b=c%20d HTTP/1.1\r\n"));
  CHECK(requests[0].has("User-Agent: test/1\r\n"));
  CHECK(requests[0].has("Accept-Encoding: gzip\r\n"));
  CHECK_FALSE(requests[0].has("Content-"));
  CHECK(requests[1].is("POST /base/p HTTP/1.1\r\n"));
  CHECK(requests[1].has("Content-Type: application/json\r\n"));
  CHECK(requests[1].has("X-Empty:"));
  CHECK(requests[2].is("PUT /base/u/../v HTTP/1.1\r\n"));
  CHECK(requests[2].has("Content-Length: 0\r\n"));
  CHECK_FALSE(requests[2].has("Content-Type"));
  CHECK(requests[3].is("DELETE /base/d HTTP/1.1\r\n"));
  CHECK(requests[4].is("PATCH /base/q HTTP/1.1\r\n"));
  CHECK_FALSE(requests[4].has("Expect"));
  CHECK(server.connections() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a handle that sent a body sends none the next time") {
  TinyServer server([](const auto& request, const Send&) { return ok(request.body); });
  const auto transport = open(server.url());
  CHECK(send(*transport, {"POST", "/", {{"X-Once", "1"}}, "body"})->body == "body");
  CHECK(get(*transport, "/")->body.empty());
  CHECK_FALSE(server.requests()[1].has("X-Once"));
  CHECK(server.requests()[1].is("GET / "));
}

TEST_CASE_FIXTURE(Fixture, "packing is not asked for where the connection forbids it") {
  TinyServer server([](const auto&, const Send&) { return ok(""); });
  connection.disable_compression = true;
  const auto transport = open(server.url());
  CHECK(get(*transport, "/"));
  CHECK_FALSE(server.requests()[0].has("Accept-Encoding"));
}

TEST_CASE_FIXTURE(Fixture, "a packed answer is unpacked, and its limit is that of the unpacked bytes") {
  // gzip of 100 times "0123456789".
  const unsigned char packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x33, 0x30, 0x34,
                                  0x32, 0x36, 0x31, 0x35, 0x33, 0xb7, 0xb0, 0x34, 0x18, 0x65, 0x8d, 0xb2, 0x46,
                                  0x59, 0xc3, 0x94, 0x05, 0x00, 0xf1, 0x8f, 0x85, 0x7c, 0xe8, 0x03, 0x00, 0x00};
  const std::string bytes(reinterpret_cast<const char*>(packed), sizeof packed);
  TinyServer server([&](const auto&, const Send&) { return ok(bytes, "Content-Encoding: gzip\r\n"); });
  const auto transport = open(server.url());
  const auto answer = get(*transport, "/");
  REQUIRE(answer);
  CHECK(answer->body.size() == 1000);
  CHECK(answer->body.substr(990) == "0123456789");
  const auto cut = send(*transport, {"GET", "/", {}, {}, 999});
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code() == ErrorCode::invalid);
}

TEST_CASE_FIXTURE(Fixture, "redirects are answers, not orders") {
  TinyServer server(
      [&](const auto&, const Send&) -> std::string { return "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"; });
  const auto transport = open(server.url());
  const auto answer = get(*transport, "/");
  REQUIRE(answer);
  CHECK(answer->status == 302);
  CHECK(answer->header("location") == "/elsewhere");
  CHECK(server.requests().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "nobody there: said with the server and the reason") {
  std::string url;
  {
    url = TinyServer([](const auto&, const Send&) { return ok(""); }).url();
  }
  const auto transport = open(url);
  const auto answer = get(*transport, "/");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::unavailable);
  CHECK(answer.error().message() == "cannot connect to the server " + url + ": Connection refused");
}

TEST_CASE_FIXTURE(Fixture, "a server that speaks something else") {
  TinyServer server([](const auto&, const Send&) -> std::string { return "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"; });
  const auto plain = open(server.url());
  const auto answer = get(*plain, "/");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::invalid);
  CHECK(answer.error().message().find(server.url() + " does not speak HTTP") == 0);
}

TEST_CASE_FIXTURE(Fixture, "connections that break") {
  std::string answer;
  TinyServer server([&](const auto&, const Send&) { return answer; });
  SUBCASE("without a word") { answer = "close"; }
  SUBCASE("in the head") { answer = "HTTP/1.1 200 OK\r\nContent-"; }
  SUBCASE("in the body") { answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc"; }
  const auto transport = open(server.url());
  const auto got = send(*transport, {"POST", "/", {}, "{}"});
  REQUIRE_FALSE(got);
  CHECK(got.error().code() == ErrorCode::unavailable);
  CHECK(got.error().message().find(server.url()) != std::string::npos);
  CHECK(server.requests().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a body is never sent twice behind the caller's back") {
  // The connection is one that was used before: for such, libcurl by itself tries again on a new one.
  TinyServer server([](const auto& request, const Send&) { return request.is("PUT") ? std::string("close") : ok(""); });
  const auto transport = open(server.url());
  CHECK(get(*transport, "/"));
  const auto answer = send(*transport, {"PUT", "/freeze", {}, "{}"});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::unavailable);
  CHECK(server.requests().size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "the deadline ends a call, and so does a stop, at once") {
  Flag seen;
  TinyServer server([&](const auto& request, const Send&) {
    if (request.is("GET /hang")) seen.raise();
    return request.is("GET /hang") ? std::string() : ok("");
  });
  const auto transport = open(server.url());
  const base::TimePoint begun = clock.now();
  const auto late = get(*transport, "/hang", milliseconds(50));
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == ErrorCode::timeout);
  CHECK(clock.now() - begun >= milliseconds(50));
  const auto passed = get(*transport, "/hang", seconds(-1));
  REQUIRE_FALSE(passed);
  CHECK(passed.error().code() == ErrorCode::timeout);
  std::jthread stopper([&] {
    CHECK(seen.wait());
    stop.request_stop();
  });
  const auto stopped = transport->send({"GET", "/hang", {}, {}}, base::Deadline::never(), stop.get_token());
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code() == ErrorCode::cancelled);
  CHECK(get(*transport, "/").error().code() == ErrorCode::cancelled);
  stop = std::stop_source();
  CHECK(get(*transport, "/"));
}

TEST_CASE_FIXTURE(Fixture, "what HTTP does not allow is not sent") {
  TinyServer server([](const auto&, const Send&) { return ok(""); });
  const auto transport = open(server.url());
  const HttpRequest bad[] = {{"GET", "/a b", {}, {}},  {"GET", "/a\r\nX: y", {}, {}},     {"GET", "a", {}, {}},
                             {"GE T\n", "/a", {}, {}}, {"GET", "/", {{"X", "a\nb"}}, {}}, {"GET", "/", {{"X\r", "a"}}, {}}};
  for (const HttpRequest& request : bad) CHECK(send(*transport, request).error().code() == ErrorCode::invalid);
  CHECK(server.requests().empty());
}

TEST_CASE_FIXTURE(Fixture, "the first request goes alone, until it is answered") {
  Flag first;
  Flag go;
  TinyServer server([&](const auto& request, const Send&) {
    if (request.is("GET /first")) {
      first.raise();
      CHECK(go.wait());
    }
    return ok("");
  });
  const auto transport = open(server.url());
  std::vector<std::jthread> threads;
  threads.emplace_back([&] { CHECK(get(*transport, "/first")); });
  CHECK(first.wait());
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { CHECK(get(*transport, "/more")); });
  }
  // Nothing can be waited for here: that nothing comes is the point. Whatever the timing, a right transport passes.
  CHECK(get(*transport, "/late", milliseconds(200)).error().code() == ErrorCode::timeout);
  CHECK(server.requests().size() == 1);
  go.raise();
  threads.clear();
  CHECK(server.requests().size() == 5);
}

TEST_CASE_FIXTURE(Fixture, "many threads at once share at most eight connections over HTTP/1.1") {
  TinyServer server([](const auto& request, const Send&) { return ok(request.body); });
  const auto transport = open(server.url());
  std::atomic<int> good = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 24; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 20; ++k) {
        const std::string body = std::to_string(i) + "/" + std::to_string(k);
        const auto answer = send(*transport, {"POST", "/", {}, body});
        if (answer && answer->body == body) ++good;
      }
    });
  }
  threads.clear();
  CHECK(good == 480);
  CHECK(server.connections() <= 8);
}

// What a stream told, for other threads to wait for.
struct Told {
  std::mutex mutex;
  std::condition_variable changed;
  std::string data;
  std::vector<std::string> ends;

  StreamSink sink() {
    return {[this](std::string_view bytes) {
              const std::lock_guard lock(mutex);
              data += bytes;
              changed.notify_all();
            },
            [this](Result<HttpResponse> end) {
              const std::lock_guard lock(mutex);
              ends.push_back(end ? std::to_string(end->status) + " " + end->body : base::to_string(end.error().code()));
              changed.notify_all();
            }};
  }
  bool wait(const std::function<bool()>& done) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, seconds(20), done);
  }
  bool wait_for(const std::string& text) {
    return wait([&] { return data == text; });
  }
  bool wait_for_end(const std::string& end) {
    return wait([&] { return ends == std::vector<std::string>{end}; });
  }
};

const std::string k_chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_CASE_FIXTURE(Fixture, "a stream is told piece by piece, as it comes") {
  Told told;
  TinyServer server([&](const auto&, const Send& send_now) -> std::string {
    CHECK(send_now(k_chunked + "3\r\none\r\n"));
    CHECK(told.wait_for("one"));
    CHECK(send_now("3\r\ntwo\r\n"));
    CHECK(told.wait_for("onetwo"));
    return "0\r\n\r\n";
  });
  const auto transport = open(server.url());
  const StreamHandle handle = transport->stream({"GET", "/watch", {}, {}}, told.sink());
  CHECK(told.wait_for_end("200 "));
  CHECK_FALSE(server.requests()[0].has("Accept-Encoding"));
}

TEST_CASE_FIXTURE(Fixture, "how streams end") {
  Told told;
  std::string answer;
  std::string end;
  SUBCASE("refused: with the body") {
    answer = "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";
    end = "403 no";
  }
  SUBCASE("broken off") {
    answer = k_chunked + "5\r\nab";
    end = "unavailable";
  }
  TinyServer server([&](const auto&, const Send&) { return answer; });
  const auto transport = open(server.url());
  const StreamHandle handle = transport->stream({"GET", "/watch", {}, {}}, told.sink());
  CHECK(told.wait_for_end(end));
}

TEST_CASE_FIXTURE(Fixture, "a stream whose handle is gone tells nothing more and frees its connection") {
  Told told;
  Flag closed;
  TinyServer server([&](const auto& request, const Send& send_now) -> std::string {
    if (!request.is("GET /watch")) return ok("");
    if (!send_now(k_chunked)) return "close";
    while (send_now("1\r\nx\r\n")) {
    }
    closed.raise();
    return "close";
  });
  const auto transport = open(server.url());
  StreamHandle handle = transport->stream({"GET", "/watch", {}, {}}, told.sink());
  CHECK(told.wait([&] { return !told.data.empty(); }));
  handle = StreamHandle();
  std::size_t before = 0;
  {
    const std::lock_guard lock(told.mutex);
    before = told.data.size();
  }
  CHECK(closed.wait());
  CHECK(get(*transport, "/"));
  CHECK(told.data.size() == before);
  CHECK(told.ends.empty());
}

TEST_CASE_FIXTURE(Fixture, "streams do not count against the requests") {
  Told told;
  TinyServer server([&](const auto& request, const Send& send_now) -> std::string {
    if (!request.is("GET /watch")) return ok("");
    CHECK(send_now(k_chunked + "1\r\nx\r\n"));
    return "";
  });
  const auto transport = open(server.url());
  std::vector<StreamHandle> handles;
  for (int i = 0; i < 12; ++i) handles.push_back(transport->stream({"GET", "/watch", {}, {}}, told.sink()));
  CHECK(told.wait_for("xxxxxxxxxxxx"));
  CHECK(get(*transport, "/"));
}

TEST_CASE_FIXTURE(Fixture, "closing the transport ends what runs as cancelled") {
  Told told;
  Flag hanging;
  TinyServer server([&](const auto& request, const Send& send_now) -> std::string {
    if (request.is("GET /watch")) CHECK(send_now(k_chunked + "1\r\nx\r\n"));
    if (request.is("GET /hang")) hanging.raise();
    return "";
  });
  auto transport = open(server.url());
  StreamHandle handle = transport->stream({"GET", "/watch", {}, {}}, told.sink());
  CHECK(told.wait_for("x"));
  std::jthread caller([&, sender = transport.get()] {
    const auto answer = sender->send({"GET", "/hang", {}, {}}, base::Deadline::never(), {});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::cancelled);
  });
  CHECK(hanging.wait());
  transport.reset();
  caller.join();
  CHECK(told.wait_for_end("cancelled"));
  handle = StreamHandle();  // after its transport: nothing to do, and no harm
}

TEST_CASE_FIXTURE(Fixture, "a transport that was never used, and one that cannot be made") {
  open("https://127.0.0.1:1");
  connection.ca_pem = "no PEM";
  CHECK(make_curl_transport(connection, options, clock).error().code() == ErrorCode::invalid);
  connection = Connection{};
  connection.server = "nonsense";
  CHECK(make_curl_transport(connection, options, clock).error().code() == ErrorCode::invalid);
}

TEST_CASE_FIXTURE(Fixture, "TLS to a server without it is named as such") {
  TinyServer server([](const auto&, const Send&) { return std::string("close"); }, "HTTP/1.0 400 Bad Request\r\n\r\n");
  connection.insecure_skip_tls_verify = true;
  const auto transport = open(server.url("https"));
  const auto answer = get(*transport, "/");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::unauthenticated);
  CHECK(answer.error().message() == "the server " + server.url("https") + " does not speak TLS");
}

TEST_CASE_FIXTURE(Fixture, "after a stream that was said to be dead, the next request goes over a new connection") {
  Flag begun;
  TinyServer server([](const auto& request, const Send& send) {
    if (!request.is("GET /watch")) return ok("x");
    send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    return std::string();
  });
  const auto transport = open(server.url());
  StreamHandle stream = transport->stream({"GET", "/watch", {}, {}}, {[&](std::string_view) { begun.raise(); }, [](const auto&) {}});
  REQUIRE(begun.wait());
  CHECK(get(*transport, "/a"));
  CHECK(get(*transport, "/b"));
  CHECK(server.connections() == 2);
  stream.doubt();
  CHECK(get(*transport, "/c"));
  CHECK(server.connections() == 3);
  CHECK(get(*transport, "/d"));
  CHECK(server.connections() == 3);
}

}  // namespace
}  // namespace vmbackup::kube
