#include "kube/websocket.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "support/fake_cluster_websocket.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;

std::string bytes(std::initializer_list<int> list) {
  std::string text;
  for (const int each : list) text += static_cast<char>(each);
  return text;
}

struct Seen {
  std::vector<std::string> messages;  // "2:payload"
  std::optional<base::Error> error;
};

// What a reader makes of the bytes, given `step` at a time.
Seen read_all(const std::string& input, std::size_t step = std::string::npos, std::size_t most = 1000) {
  WebsocketReader reader(most);
  Seen seen;
  for (std::size_t at = 0; at < input.size() && !seen.error; at += std::min(step, input.size())) {
    reader.feed(std::string_view(input).substr(at, step));
    for (;;) {
      const auto message = reader.next();
      if (!message) seen.error = message.error();
      if (!message || !*message) break;
      seen.messages.push_back(std::to_string(static_cast<int>((*message)->opcode)) + ":" + (*message)->payload);
    }
  }
  return seen;
}

bool broken(const std::string& input) {
  const Seen seen = read_all(input);
  return seen.messages.empty() && seen.error && seen.error->code() == ErrorCode::invalid;
}

TEST_CASE("a frame of ours is the one of the RFC") {
  // RFC 6455, section 5.7: a single-frame masked text message "Hello".
  CHECK(websocket_frame(WebsocketOpcode::text, "Hello", 0x37fa213d) ==
        bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));
  CHECK(websocket_frame(WebsocketOpcode::close, websocket_close_payload(1000), 0) == bytes({0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}));
}

TEST_CASE("every length comes through, masked") {
  for (const std::size_t length : {0, 1, 125, 126, 127, 65535, 65536, 200000}) {
    std::string payload(length, 'x');
    if (length > 5) payload[5] = '\0';
    std::string frame = websocket_frame(WebsocketOpcode::binary, payload, 0xdeadbeef);
    const auto read = test::take_client_frame(frame);
    REQUIRE(read);
    CHECK(read->masked);
    CHECK(read->opcode == 2);
    CHECK(read->payload == payload);
    CHECK(frame.empty());
  }
}

TEST_CASE("frames of a server are read, whole or byte by byte") {
  const std::string small = test::server_frame(2, "one") + test::server_frame(1, "") + test::server_frame(2, std::string(300, 'm'));
  for (const std::size_t step : {std::string::npos, std::size_t{1}, std::size_t{7}}) {
    const Seen seen = read_all(small, step);
    CHECK_FALSE(seen.error);
    CHECK(seen.messages == std::vector<std::string>{"2:one", "1:", "2:" + std::string(300, 'm')});
  }
  const std::string big(70'000, 'b');
  CHECK(read_all(test::server_frame(2, big), 4096, 100'000).messages == std::vector<std::string>{"2:" + big});
}

TEST_CASE("fragments are put together, with control frames between them") {
  const std::string input = bytes({0x02, 2, 'a', 'b'}) + test::server_frame(9, "ping") + bytes({0x00, 1, 'c'}) +
                            test::server_frame(10, "") + bytes({0x80, 1, 'd'}) + test::server_frame(2, "next");
  for (const std::size_t step : {std::string::npos, std::size_t{1}}) {
    const Seen seen = read_all(input, step);
    CHECK_FALSE(seen.error);
    CHECK(seen.messages == std::vector<std::string>{"9:ping", "10:", "2:abcd", "2:next"});
  }
}

TEST_CASE("what no server may send is refused") {
  CHECK(broken(bytes({0xc2, 0})));  // reserved bit: an extension that was not asked for
  CHECK(broken(bytes({0x83, 0})));  // unknown opcodes
  CHECK(broken(bytes({0x8b, 0})));
  CHECK(broken(bytes({0x82, 0x80, 0, 0, 0, 0})));  // masked
  CHECK(broken(bytes({0x80, 0})));                 // a continuation of nothing
  CHECK(broken(bytes({0x09, 0})));                 // a control frame in pieces
  CHECK(broken(bytes({0x89, 126, 0, 126})));       // a long control frame
  CHECK(broken(bytes({0x82, 126, 0, 125})));       // lengths that are not the shortest
  CHECK(broken(bytes({0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff})));
  CHECK(broken(bytes({0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0})));  // and negative
  CHECK(broken(bytes({0x02, 1, 'a', 0x82, 1, 'b'})));            // a new message inside another
  CHECK(broken("HTTP/1.1 400 Bad Request\r\n\r\n"));
}

TEST_CASE("a message that is too long is refused before it has come") {
  CHECK(read_all(test::server_frame(2, std::string(1000, 'x'))).messages.size() == 1);
  CHECK(broken(bytes({0x82, 126, 0x03, 0xe9})));
  CHECK(broken(bytes({0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})));
  // Also where its fragments are short.
  std::string input = bytes({0x02, 100}) + std::string(100, 'x');
  for (int i = 0; i < 10; ++i) input += bytes({0x00, 100}) + std::string(100, 'x');
  CHECK(broken(input));
}

}  // namespace
}  // namespace vmbackup::kube
