// WebSocket frames (RFC 6455) as bytes, from the client's side. Knows nothing of connections or of what the messages hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace vmbackup::kube {

enum class WebsocketOpcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// One whole frame, masked as every frame of a client has to be. A new unpredictable `mask` for each one.
std::string websocket_frame(WebsocketOpcode opcode, std::string_view payload, std::uint32_t mask);

// The payload of a close frame: 1000 is an ordinary end.
std::string websocket_close_payload(std::uint16_t code);

// A data message put together from its fragments, or one control frame.
struct WebsocketMessage {
  WebsocketOpcode opcode = WebsocketOpcode::binary;  // never `continuation`
  std::string payload;
};

// Reads what a server sends. Not thread-safe.
class WebsocketReader {
 public:
  // A message, whole, of more than `most_message` bytes is refused when its header has come, before it is stored.
  explicit WebsocketReader(std::size_t most_message) : most_message_(most_message) {}

  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next message, or nothing while it has not come whole. Control frames come out between the fragments they were sent between.
  // invalid: what no server may send (masked, a reserved bit or opcode, a control frame that is long or in pieces, a fragment out of
  // order, a length that is not the shortest form), or a message that is too long. After an error the reader is of no more use.
  base::Result<std::optional<WebsocketMessage>> next();

 private:
  struct Header;
  base::Result<std::optional<Header>> read_header() const;
  base::Result<std::optional<WebsocketMessage>> take_frame(const Header& header);
  void drop(std::size_t bytes);

  const std::size_t most_message_;
  std::string buffer_;
  std::size_t begin_ = 0;  // of what is not read yet
  std::string message_;    // the fragments so far
  std::optional<WebsocketOpcode> fragmented_;
};

}  // namespace vmbackup::kube
