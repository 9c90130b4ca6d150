#include "kube/server_address.hpp"

#include <doctest/doctest.h>

namespace vmbackup::kube {
namespace {

Connection at(const std::string& server) {
  Connection connection;
  connection.server = server;
  return connection;
}

TEST_CASE("addresses and their parts") {
  struct Row {
    const char* server;
    bool tls;
    const char* host;
    const char* port;
    const char* label;
    const char* base_url;
  };
  const Row rows[] = {
      {"https://10.0.0.1:6443", true, "10.0.0.1", "6443", "https://10.0.0.1:6443", "https://10.0.0.1:6443"},
      {"https://api.example.com", true, "api.example.com", "443", "https://api.example.com", "https://api.example.com"},
      {"https://api.example.com/", true, "api.example.com", "443", "https://api.example.com", "https://api.example.com"},
      {"https://r.example.com/k8s/clusters/c-1/", true, "r.example.com", "443", "https://r.example.com",
       "https://r.example.com/k8s/clusters/c-1"},
      {"https://[::1]:6443", true, "[::1]", "6443", "https://[::1]:6443", "https://[::1]:6443"},
      {"https://[fd00::1]/p", true, "[fd00::1]", "443", "https://[fd00::1]", "https://[fd00::1]/p"},
      {"http://localhost:8001", false, "localhost", "8001", "http://localhost:8001", "http://localhost:8001"},
      {"http://h", false, "h", "80", "http://h", "http://h"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.server);
    const auto address = address_of(at(row.server));
    REQUIRE(address);
    CHECK(address->tls == row.tls);
    CHECK(address->host == row.host);
    CHECK(address->port == row.port);
    CHECK(address->label == row.label);
    CHECK(address->base_url == row.base_url);
    CHECK(address->tls_name == row.host);
    CHECK(address->connect_to.empty());
  }
}

TEST_CASE("what is no address") {
  for (const char* server : {"", "10.0.0.1:6443", "ftp://h", "https://", "https://:6443", "https://h:", "https://h:0", "https://h:65536",
                             "https://h:x", "https://user@h", "https://h/?q", "https://h/#f", "https://h /", "https://h\r\nX: y",
                             "https://[::1", "https://[]:1", "https:///p"}) {
    CAPTURE(server);
    const auto address = address_of(at(server));
    REQUIRE_FALSE(address);
    CHECK(address.error().code() == base::ErrorCode::invalid);
  }
}

TEST_CASE("tls-server-name goes into the URL, the address stays where the connection leads to") {
  Connection connection = at("https://10.0.0.1:6443/path");
  connection.tls_server_name = "api.internal";
  const auto address = address_of(connection);
  REQUIRE(address);
  CHECK(address->base_url == "https://api.internal:6443/path");
  CHECK(address->connect_to == "::10.0.0.1:6443");
  CHECK(address->host_header == "10.0.0.1:6443");
  CHECK(address->tls_name == "api.internal");
  CHECK(address->label == "https://10.0.0.1:6443");
  connection.tls_server_name = "10.0.0.1";
  CHECK(address_of(connection)->connect_to.empty());
  connection.tls_server_name = "no/name";
  CHECK_FALSE(address_of(connection));
  connection.server = "http://10.0.0.1";
  CHECK(address_of(connection)->connect_to.empty());
}

TEST_CASE("a SOCKS proxy resolves the names itself") {
  CHECK(address_of(at("https://10.0.0.1"))->proxy.empty());
  Connection connection = at("https://10.0.0.1");
  connection.proxy_url = "socks5://p:1080";
  CHECK(address_of(connection)->proxy == "socks5h://p:1080");
  connection.proxy_url = "http://p:3128";
  CHECK(address_of(connection)->proxy == "http://p:3128");
}

TEST_CASE("a proxy is shown without its password") {
  Connection connection = at("https://10.0.0.1");
  CHECK(address_of(connection)->proxy_label.empty());
  connection.proxy_url = "https://user:pass@p:3128/";
  CHECK(address_of(connection)->proxy_label == "https://p:3128");
  CHECK(address_of(connection)->proxy_host == "p");
  connection.proxy_url = "http://[::1]:3128";
  CHECK(address_of(connection)->proxy_label == "http://[::1]:3128");
  CHECK(address_of(connection)->proxy_host == "[::1]");
}

}  // namespace
}  // namespace vmbackup::kube
