#include "kube/proxy_choice.hpp"

#include <doctest/doctest.h>

using vmbackup::kube::proxy_of_environment;

TEST_CASE("proxies of the environment, as Go reads them") {
  struct Row {
    const char* server;
    const char* no_proxy;
    bool used;
  };
  const Row rows[] = {
      {"https://api.example.org:6443", "", true},
      {"https://api.example.org:6443", "example.org", false},
      {"https://api.example.org:6443", ".example.org", false},
      {"https://api.example.org:6443", "*.example.org", false},
      {"https://example.org", ".example.org", true},
      {"https://example.org", "example.org", false},
      {"https://badexample.org", "example.org", true},
      {"https://API.Example.org", " api.EXAMPLE.org ", false},
      {"https://api.example.org:6443", "api.example.org:443", true},
      {"https://api.example.org", "api.example.org:443", false},
      {"https://10.1.2.3:6443", "10.0.0.0/8", false},
      {"https://10.1.2.3:6443", "10.2.0.0/16", true},
      {"https://10.1.2.3:6443", "10.1.2.3", false},
      {"https://10.1.2.3:6443", "x,*", false},
      {"https://[fd00::1]:6443", "fd00::/8", false},
      {"https://127.0.0.1:6443", "", false},
      {"https://[::1]:6443", "", false},
      {"https://localhost:6443", "", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.server);
    CAPTURE(row.no_proxy);
    CHECK((proxy_of_environment(row.server, {"HTTPS_PROXY=http://p:1", std::string("NO_PROXY=") + row.no_proxy}) == "http://p:1") ==
          row.used);
  }
  CHECK(proxy_of_environment("https://h", {"https_proxy=p:1"}) == "http://p:1");
  CHECK(proxy_of_environment("https://h", {"https_proxy=a:1", "HTTPS_PROXY=b:1"}) == "http://b:1");
  CHECK(proxy_of_environment("https://h", {"HTTP_PROXY=http://p:1", "ALL_PROXY=http://p:1"}).empty());
  CHECK(proxy_of_environment("http://h", {"HTTP_PROXY=http://p:1"}) == "http://p:1");
}
