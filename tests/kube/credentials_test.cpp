#include "kube/credentials.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "kube/curl_transport.hpp"
#include "scripted_transport.hpp"
#include "support/fake_clock.hpp"
#include "tiny_server.hpp"

namespace vmbackup::kube {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;
using test::FakeClock;

const std::string k_v1 = "client.authentication.k8s.io/v1";

// A plugin that is a shell script in a folder of its own.
struct Fixture {
  Fixture() {
    std::string pattern = (fs::temp_directory_path() / "credentials_test.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder = pattern;
    surroundings.environment = {"PATH=/usr/bin:/bin", "KEPT=yes"};
    connection.server = "https://h:1";
    ExecPlugin plugin;
    plugin.what = "user \"u\"";
    plugin.command = (folder / "plugin").string();
    plugin.api_version = k_v1;
    plugin.interactive = ExecPlugin::Interactive::never;
    plugin.install_hint = "install it";
    connection.exec = plugin;
  }
  ~Fixture() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  void script(const std::string& lines) {
    std::ofstream(folder / "plugin") << "#!/bin/sh\ncd '" << folder.string() << "'\n" << lines << "\n";
    ::chmod((folder / "plugin").c_str(), 0755);
  }
  // Counts its runs in the file "runs" and gives the token t1, t2, ...
  void counting(const std::string& more = {}) {
    script("echo x >> runs\nn=$(wc -l < runs | tr -d ' ')\necho '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" + k_v1 +
           "\",\"status\":{" + more + "\"token\":\"t'$n'\"}}'");
  }
  std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(folder / name).rdbuf();
    return text.str();
  }
  base::Error failure() {
    const base::Result<ExecCredential> result = run_exec_plugin(connection, surroundings, {});
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code() == ErrorCode::unauthenticated);
    CHECK(result.error().hint() == "install it");
    CHECK(result.error().message().find("hunter2") == std::string::npos);
    return result.error();
  }

  fs::path folder;
  FakeClock clock;
  Connection connection;
  ExecSurroundings surroundings;
};

TEST_CASE_FIXTURE(Fixture, "a plugin gets args, env and the cluster, and no standard input") {
  connection.exec->args = {"one", "two three"};
  connection.exec->env = {{"MINE", "v"}};
  connection.exec->provide_cluster_info = true;
  script(
      "printf '%s|' \"$@\" \"$MINE\" \"$KEPT\" \"$KUBERNETES_EXEC_INFO\" > seen; cat >> seen\necho "
      "'{\"kind\":\"ExecCredential\",\"apiVersion\":\"" +
      k_v1 + "\",\"status\":{\"token\":\"abc\",\"expirationTimestamp\":\"2026-01-02T04:00:00Z\"}}'");
  const base::Result<ExecCredential> credential = run_exec_plugin(connection, surroundings, {});
  REQUIRE_MESSAGE(credential.ok(), credential.error().message());
  CHECK(credential->token.reveal() == "abc");
  CHECK(credential->expires.has_value());
  CHECK(content("seen") == "one|two three|v|yes|{\"kind\":\"ExecCredential\",\"apiVersion\":\"" + k_v1 +
                               "\",\"spec\":{\"interactive\":false,\"cluster\":{\"server\":\"https://h:1\",\"config\":null}}}|");
}

TEST_CASE_FIXTURE(Fixture, "plugins that fail, hang, fork or talk nonsense are named, and nothing they said is shown") {
  CHECK(failure().message().find("No such file") != std::string::npos);
  connection.exec->command = "no-such-plugin-anywhere";
  CHECK(failure().message().find("no such program in PATH") != std::string::npos);
  connection.exec->command = (folder / "plugin").string();
  script("echo hunter2; exit 3");
  CHECK(failure().message().find("exit code 3") != std::string::npos);
  script("echo hunter2");
  CHECK(failure().message().find("no JSON object") != std::string::npos);
  script("echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"status\":{\"token\":\"hunter2\"}}'");
  CHECK(failure().message().find("another apiVersion") != std::string::npos);
  script("yes hunter2");
  CHECK(failure().message().find("more than 1048576 bytes") != std::string::npos);
  surroundings.limit = std::chrono::milliseconds(100);
  script("sleep 60 & sleep 60");
  CHECK(failure().message().find("did not end within 100ms") != std::string::npos);
  connection.exec->interactive = ExecPlugin::Interactive::always;
  CHECK(failure().message().find("needs a terminal") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a plugin may leave a process behind that holds its output open; it runs in a group of its own") {
  surroundings.limit = std::chrono::seconds(30);
  script("sleep 300 & echo $! > background\necho $$ > self\necho '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" + k_v1 +
         "\",\"status\":{\"token\":\"abc\"}}'");
  const base::Result<ExecCredential> credential = run_exec_plugin(connection, surroundings, {});
  const pid_t background = std::stoi(content("background"));
  CHECK(::getpgid(background) == std::stoi(content("self")));
  CHECK(::kill(background, SIGKILL) == 0);
  REQUIRE_MESSAGE(credential.ok(), credential.error().message());
  CHECK(credential->token.reveal() == "abc");
}

TEST_CASE_FIXTURE(Fixture, "a plugin that may ask a person stays in our process group, and is told so") {
  script(
      "sleep 300 > /dev/null & echo $! > background\necho \"$KUBERNETES_EXEC_INFO\" > info\necho "
      "'{\"kind\":\"ExecCredential\",\"apiVersion\":\"" +
      k_v1 + "\",\"status\":{\"token\":\"abc\"}}'");
  using Interactive = ExecPlugin::Interactive;
  for (const Interactive mode : {Interactive::never, Interactive::if_available, Interactive::always}) {
    for (const bool terminal : {false, true}) {
      const bool told = terminal && mode != Interactive::never;
      connection.exec->interactive = mode;
      surroundings.terminal = terminal;
      const base::Result<ExecCredential> credential = run_exec_plugin(connection, surroundings, {});
      REQUIRE(credential.ok() == (terminal || mode != Interactive::always));
      if (!credential) continue;
      const pid_t background = std::stoi(content("background"));
      CHECK((::getpgid(background) == ::getpgrp()) == told);
      ::kill(background, SIGKILL);
      CHECK((content("info").find("\"interactive\":true") != std::string::npos) == told);
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "a plugin that fails at first is wrong usage, later it is not; the deadline of the caller ends it, too") {
  counting("\"expirationTimestamp\":\"2020-01-02T03:00:00Z\",");
  Credentials credentials(connection, surroundings, clock);
  REQUIRE(credentials.current(base::Deadline::never(), {}).ok());
  script("exit 1");
  CHECK(credentials.current(base::Deadline::never(), {}).error().code() == ErrorCode::unauthenticated);
  script("sleep 60");
  Credentials late(connection, surroundings, clock);
  const base::Result<Signature> none = late.current(base::Deadline::after(clock, std::chrono::milliseconds(50)), {});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code() == ErrorCode::usage);
  CHECK(none.error().message().find("did not end within 100ms") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "answers of a plugin") {
  const auto parse = [&](const std::string& status) {
    return parse_exec_credential(R"({"kind":"ExecCredential","apiVersion":")" + k_v1 + R"(","status":)" + status + "}", *connection.exec);
  };
  CHECK(parse(R"({"clientCertificateData":"c","clientKeyData":"k"})")->key_pem.reveal() == "k");
  for (const char* bad :
       {"null", "{}", R"({"clientCertificateData":"c"})", R"({"token":"a b"})", R"({"token":"a","expirationTimestamp":"x"})"}) {
    CHECK_FALSE(parse(bad).ok());
  }
}

TEST_CASE_FIXTURE(Fixture, "a plugin runs at first need, after a 401, and at expiry; never more often") {
  counting();
  test::Script wire;
  const auto make = [&](const Connection&) -> base::Result<std::unique_ptr<Transport>> {
    return std::unique_ptr<Transport>(std::make_unique<test::ScriptedTransport>(wire));
  };
  connection.as = {"ann", "", {"g", "h"}, {{"Key/x", {"v"}}}};
  auto made = make_signed_transport(connection, surroundings, make, clock);
  REQUIRE(made.ok());
  CHECK(content("runs").empty());
  Transport& transport = **made;
  const auto send = [&] {
    return transport.send({.method = "GET", .target = "/", .headers = {}, .body = {}}, base::Deadline::never(), {});
  };
  wire.answer(200, "");
  CHECK(send()->status == 200);
  CHECK(wire.requests[0].headers == test::Headers{{"Authorization", "Bearer t1"},
                                                  {"Impersonate-User", "ann"},
                                                  {"Impersonate-Group", "g"},
                                                  {"Impersonate-Group", "h"},
                                                  {"Impersonate-Extra-key%2Fx", "v"}});
  wire.answer(401, "");
  wire.answer(200, "");
  CHECK(send()->status == 200);
  CHECK(wire.requests[2].headers[0].second == "Bearer t2");
  // Refused twice: told, not tried for ever.
  wire.answer(401, "");
  wire.answer(401, "");
  CHECK(send()->status == 401);
  CHECK(wire.requests.size() == 5);
}

TEST_CASE_FIXTURE(Fixture, "an upgrade is signed too, and asked for once more after a 401") {
  counting();
  test::Script wire;
  const auto make = [&](const Connection&) -> base::Result<std::unique_ptr<Transport>> {
    return std::unique_ptr<Transport>(std::make_unique<test::ScriptedTransport>(wire));
  };
  connection.as = {"ann", "", {}, {}};
  connection.request_timeout = std::chrono::seconds(7);
  auto made = make_signed_transport(connection, surroundings, make, clock);
  REQUIRE(made.ok());
  const auto answer = [&wire](int status) {
    wire.upgrades.push_back([status](const HttpRequest&) {
      Upgrade upgrade;
      upgrade.response.status = status;
      return base::Result<Upgrade>(std::move(upgrade));
    });
  };
  const auto upgrade = [&] {
    return (*made)->upgrade({.method = "GET", .target = "/", .headers = {}, .body = {}}, base::Deadline::never(), {});
  };
  answer(401);
  answer(101);
  CHECK(upgrade()->response.status == 101);
  REQUIRE(wire.requests.size() == 2);
  CHECK(wire.requests[0].headers == test::Headers{{"Authorization", "Bearer t1"}, {"Impersonate-User", "ann"}});
  CHECK(wire.requests[1].headers[0].second == "Bearer t2");
  CHECK(wire.deadlines[0].remaining(clock) == std::chrono::seconds(7));
  answer(401);
  answer(401);
  CHECK(upgrade()->response.status == 401);
}

TEST_CASE_FIXTURE(Fixture, "an expired credential is renewed; another certificate makes another transport") {
  counting("\"expirationTimestamp\":\"2026-01-02T03:00:00Z\",\"clientCertificateData\":\"c'$n'\",\"clientKeyData\":\"k\",");
  test::Script wire;
  std::vector<std::string> certificates;
  const auto make = [&](const Connection& to) -> base::Result<std::unique_ptr<Transport>> {
    certificates.push_back(to.certificate_pem);
    return std::unique_ptr<Transport>(std::make_unique<test::ScriptedTransport>(wire));
  };
  auto made = make_signed_transport(connection, surroundings, make, clock);
  REQUIRE(made.ok());
  for (int i = 0; i < 2; ++i) {
    wire.answer(200, "");
    CHECK((*made)->send({.method = "GET", .target = "/", .headers = {}, .body = {}}, base::Deadline::never(), {}).ok());
  }
  CHECK(certificates == std::vector<std::string>{"", "c1", "c2"});
}

TEST_CASE_FIXTURE(Fixture, "threads share one run of the plugin") {
  counting();
  Credentials credentials(connection, surroundings, clock);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const base::Result<Signature> signature = credentials.current(base::Deadline::never(), {});
      if (signature && signature->token.reveal() == "t1") ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 8);
  CHECK(content("runs") == "x\n");
  // Eight threads were refused the same token: one renewal.
  threads.clear();
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      CHECK(credentials.refused(1));
      CHECK(credentials.current(base::Deadline::never(), {}).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(content("runs") == "x\nx\n");
}

TEST_CASE_FIXTURE(Fixture, "a token file is read again once a minute") {
  connection.exec.reset();
  connection.token = Secret("old");
  connection.token_file = (folder / "token").string();
  std::ofstream(folder / "token") << "new\n";
  Credentials credentials(connection, surroundings, clock);
  CHECK(credentials.current(base::Deadline::never(), {})->token.reveal() == "old");
  CHECK_FALSE(credentials.refused(0));
  clock.sleep_until(clock.now() + std::chrono::minutes(1), {});
  CHECK(credentials.refused(0));
  CHECK(credentials.current(base::Deadline::never(), {})->token.reveal() == "new");
  fs::remove(folder / "token");
  clock.sleep_until(clock.now() + std::chrono::minutes(2), {});
  CHECK(credentials.current(base::Deadline::never(), {})->token.reveal() == "new");
}

TEST_CASE("an http proxy is asked to CONNECT to an https server") {
  test::TinyServer proxy(
      [](const test::TinyServer::Request&, const auto&) { return std::string("HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n"); });
  base::SystemClock clock;
  Connection connection;
  connection.server = "https://far.example:6443";
  connection.insecure_skip_tls_verify = true;
  connection.proxy_url = proxy.url();
  auto transport = make_curl_transport(connection, {}, clock);
  REQUIRE(transport.ok());
  CHECK_FALSE(
      (*transport)
          ->send({.method = "GET", .target = "/", .headers = {}, .body = {}}, base::Deadline::after(clock, std::chrono::seconds(20)), {})
          .ok());
  REQUIRE(proxy.requests().size() == 1);
  CHECK(proxy.requests()[0].is("CONNECT far.example:6443 HTTP/1.1\r\n"));
}

}  // namespace
}  // namespace vmbackup::kube
