// Connections that leave HTTP, over real sockets. TLS, client certificates and exec itself are tested against the sandbox.
#include <doctest/doctest.h>

#include "kube/curl_transport.hpp"
#include "kube/tiny_server.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;
using base::Result;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::TinyServer;
using Send = std::function<bool(const std::string&)>;

constexpr const char* k_agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n";

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
  Result<Upgrade> upgrade(Transport& transport, base::Duration within = seconds(20), const std::string& target = "/up?x=1") {
    return transport.upgrade({"GET", target, {{"Connection", "Upgrade"}, {"Upgrade", "echo"}}, {}}, base::Deadline::after(clock, within),
                             stop.get_token());
  }
  std::string read(const Upgrade& upgrade, std::size_t wanted) {
    std::string all;
    while (all.size() < wanted) {
      const auto piece = upgrade.bytes->read(clock, base::Deadline::after(clock, seconds(20)), {});
      if (!piece) return all + " error: " + piece.error().message();
      if (piece->empty()) return all + " closed";
      all += *piece;
    }
    return all;
  }
};

TEST_CASE_FIXTURE(Fixture, "the request is whole, and bytes after the head belong to the connection") {
  TinyServer server([](const auto&, const Send& send) {
    send(std::string(k_agreed) + "early ");
    send("late");
    return std::string("close");
  });
  options.user_agent = "test/1";
  const auto transport = open(server.url() + "/base");
  const auto answer = upgrade(*transport);
  REQUIRE(answer);
  CHECK(answer->response.status == 101);
  CHECK(answer->response.header("upgrade") == "echo");
  CHECK(read(*answer, 100) == "early late closed");
  REQUIRE(server.requests().size() == 1);
  const auto request = server.requests().front();
  CHECK(request.is("GET /base/up?x=1 HTTP/1.1\r\n"));
  CHECK(request.has("Host: " + server.url().substr(7) + "\r\n"));
  CHECK(request.has("User-Agent: test/1\r\n"));
  CHECK(request.has("Connection: Upgrade\r\n"));
}

// Reads what the client writes on an upgraded connection: TinyServer takes it for requests, so it is written as such.
TEST_CASE_FIXTURE(Fixture, "bytes go both ways, also many") {
  const std::string big(9'000'000, 'b');
  TinyServer server([&big](const auto& request, const Send& send) {
    if (request.is("GET /up")) {
      send(k_agreed);
      return std::string();
    }
    send(std::to_string(request.body.size()) + " ");
    send(big);
    return std::string("close");
  });
  const auto transport = open(server.url());
  const auto answer = upgrade(*transport);
  REQUIRE(answer);
  answer->bytes->write("MORE\r\nContent-Length: 5000000\r\n\r\n");
  answer->bytes->write(std::string(5'000'000, 'a'));
  CHECK(read(*answer, big.size() + 8) == "5000000 " + big);
  CHECK(read(*answer, 1) == " closed");
}

TEST_CASE_FIXTURE(Fixture, "a refusal comes with its body, and nothing to talk over") {
  TinyServer server([](const auto&, const Send&) { return "HTTP/1.1 403 Forbidden\r\nX-Why: 1\r\nContent-Length: 9\r\n\r\nnot for u"; });
  const auto transport = open(server.url());
  const auto answer = upgrade(*transport);
  REQUIRE(answer);
  CHECK(answer->response.status == 403);
  CHECK(answer->response.header("x-why") == "1");
  CHECK(answer->response.body == "not for u");
  CHECK(answer->bytes == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "no answer: closed, silent, none of HTTP, nobody there") {
  SUBCASE("closed") {
    TinyServer server([](const auto&, const Send&) { return "close"; });
    const auto transport = open(server.url());
    const auto answer = upgrade(*transport);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::unavailable);
  }
  SUBCASE("silent") {
    TinyServer server([](const auto&, const Send&) { return ""; });
    const auto transport = open(server.url());
    const auto answer = upgrade(*transport, milliseconds(50));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::timeout);
  }
  SUBCASE("none of HTTP") {
    TinyServer server([](const auto&, const Send&) { return "SSH-2.0-OpenSSH\r\n"; });
    const auto transport = open(server.url());
    const auto answer = upgrade(*transport);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::invalid);
  }
  SUBCASE("nobody there") {
    std::string url;
    {
      url = TinyServer([](const auto&, const Send&) { return ""; }).url();
    }
    const auto transport = open(url);
    const auto answer = upgrade(*transport);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::unavailable);
    CHECK(answer.error().message().find("cannot connect to the server " + url) == 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "stop ends the wait for the answer, and the wait for bytes") {
  TinyServer server([this](const auto& request, const Send& send) {
    if (request.is("GET /agree")) {
      send(k_agreed);
      return std::string();
    }
    stop.request_stop();
    return std::string();
  });
  const auto transport = open(server.url());
  const auto agreed = upgrade(*transport, seconds(20), "/agree");
  REQUIRE(agreed);
  CHECK(upgrade(*transport).error().code() == ErrorCode::cancelled);
  CHECK(upgrade(*transport).error().code() == ErrorCode::cancelled);
  CHECK(agreed->bytes->read(clock, base::Deadline::after(clock, seconds(20)), stop.get_token()).error().code() == ErrorCode::cancelled);
  CHECK(agreed->bytes->read(clock, base::Deadline::after(clock, milliseconds(10)), {}).error().code() == ErrorCode::timeout);
}

TEST_CASE_FIXTURE(Fixture, "a connection may outlive its transport, and many run at once") {
  TinyServer server([](const auto& request, const Send& send) {
    if (request.is("GET /up")) {
      send(k_agreed);
      return std::string();
    }
    send(request.body);
    return std::string("close");
  });
  std::vector<Upgrade> all;
  {
    const auto transport = open(server.url());
    for (int i = 0; i < 8; ++i) {
      auto answer = upgrade(*transport);
      REQUIRE(answer);
      all.push_back(std::move(answer).value());
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].bytes->write("MORE\r\nContent-Length: 2\r\n\r\n" + std::to_string(10 + i));
    CHECK(read(all[i], 2) == std::to_string(10 + i));
  }
}

TEST_CASE_FIXTURE(Fixture, "a proxy is asked for a tunnel, also to a server without TLS") {
  TinyServer tunnel([](const auto& request, const Send& send) {
    if (request.is("CONNECT ")) {
      send("HTTP/1.1 200 yes\r\n\r\n");
      return std::string();
    }
    send(std::string(k_agreed) + "through");
    return std::string("close");
  });
  connection.proxy_url = tunnel.url();
  const auto transport = open("http://far.example:6443");
  const auto answer = upgrade(*transport);
  REQUIRE(answer);
  CHECK(read(*answer, 7) == "through");
  REQUIRE(tunnel.requests().size() == 2);
  CHECK(tunnel.requests()[0].is("CONNECT far.example:6443 HTTP/1.1\r\n"));
  CHECK(tunnel.requests()[1].is("GET /up?x=1 HTTP/1.1\r\n"));
  CHECK(tunnel.requests()[1].has("Host: far.example:6443\r\n"));
}

TEST_CASE_FIXTURE(Fixture, "a server that never stops can be left, read or not") {
  TinyServer server([](const auto&, const Send& send) {
    send(k_agreed);
    const std::string much(1'000'000, 'y');
    while (send(much)) {
    }
    return std::string("close");
  });
  const auto transport = open(server.url());
  for (const std::size_t wanted : {std::size_t{0}, std::size_t{50'000'000}}) {
    const auto answer = upgrade(*transport);
    REQUIRE(answer);
    std::size_t read = 0;
    while (read < wanted) read += answer->bytes->read(clock, base::Deadline::after(clock, seconds(20)), {})->size();
  }
}

TEST_CASE_FIXTURE(Fixture, "characters that HTTP does not allow are refused, and nothing is sent") {
  TinyServer server([](const auto&, const Send&) { return k_agreed; });
  const auto transport = open(server.url());
  CHECK(upgrade(*transport, seconds(20), "/a b").error().code() == ErrorCode::invalid);
  CHECK(transport->upgrade({"GET", "/", {{"X", "a\r\nY: b"}}, {}}, base::Deadline::never(), {}).error().code() == ErrorCode::invalid);
  CHECK(server.requests().empty());
}

}  // namespace
}  // namespace vmbackup::kube
