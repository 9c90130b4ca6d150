#include "kube/websocket_handshake.hpp"

#include <doctest/doctest.h>

#include <set>

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

const std::vector<std::string> k_both = {"v5.channel.k8s.io", "v4.channel.k8s.io"};

HttpResponse answer(const std::string& key, const std::string& protocol) {
  return {101,
          {{"upgrade", "WebSocket"},
           {"connection", "keep-alive, Upgrade"},
           {"sec-websocket-accept", websocket_accept(key)},
           {"sec-websocket-protocol", protocol}},
          {}};
}

TEST_CASE("the accepted key is the one of the RFC") {
  CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  // Lengths around a block of the hash, against sha1sum.
  CHECK(websocket_accept("") == "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=");
  CHECK(websocket_accept(std::string(19, 'a')) == "yzaGyu0mcUukN7CdsSwa30tnCpc=");
  CHECK(websocket_accept(std::string(20, 'a')) == "dUYRM7bOMwDmbriNIPr11x+r3E0=");
  CHECK(websocket_accept(std::string(28, 'a')) == "xMWmCBqYJY4uXzUs8PNU1t+Pzro=");
}

TEST_CASE("keys are 16 bytes and never the same") {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    keys.insert(websocket_key());
    CHECK(base::base64_decode(websocket_key())->size() == 16);
  }
  CHECK(keys.size() == 100);
}

TEST_CASE("the request asks for all of it") {
  HttpRequest request{.method = "GET", .target = "/", .headers = {}, .body = {}};
  ask_for_websocket(request, "KEY", k_both);
  CHECK(request.headers ==
        std::vector<std::pair<std::string, std::string>>{{"Connection", "Upgrade"},
                                                         {"Upgrade", "websocket"},
                                                         {"Sec-WebSocket-Version", "13"},
                                                         {"Sec-WebSocket-Key", "KEY"},
                                                         {"Sec-WebSocket-Protocol", "v5.channel.k8s.io, v4.channel.k8s.io"}});
}

TEST_CASE("an answer is taken only if it is one to this request") {
  CHECK(*chosen_protocol(answer("k", "v5.channel.k8s.io"), "k", k_both) == "v5.channel.k8s.io");
  CHECK(*chosen_protocol(answer("k", "v4.channel.k8s.io"), "k", k_both) == "v4.channel.k8s.io");
  CHECK_FALSE(chosen_protocol(answer("other", "v5.channel.k8s.io"), "k", k_both));
  CHECK_FALSE(chosen_protocol(answer("k", "v5.channel.k8s.io"), "k", {"v4.channel.k8s.io"}));
  CHECK_FALSE(chosen_protocol(answer("k", ""), "k", k_both));
  for (const char* missing : {"upgrade", "connection", "sec-websocket-accept"}) {
    HttpResponse response = answer("k", "v5.channel.k8s.io");
    for (auto& header : response.headers) {
      if (header.first == missing) header.second = "no";
    }
    CHECK(chosen_protocol(response, "k", k_both).error().code() == base::ErrorCode::invalid);
  }
}

}  // namespace
}  // namespace vmbackup::kube
