#include "kube/websocket.hpp"

#include <utility>

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint8_t k_final = 0x80;
constexpr std::uint8_t k_reserved = 0x70;
constexpr std::uint8_t k_masked = 0x80;
constexpr std::size_t k_most_control = 125;
// What was read is cut off the buffer when it is worth it.
constexpr std::size_t k_drop_at = std::size_t{64} << 10;

Error broken(const std::string& why) { return Error(ErrorCode::invalid, "the server breaks the WebSocket protocol: " + why); }

void append_number(std::string& out, std::uint64_t number, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>((number >> shift) & 0xff);
}

bool is_control(WebsocketOpcode opcode) { return static_cast<std::uint8_t>(opcode) >= 8; }

}  // namespace

std::string websocket_frame(WebsocketOpcode opcode, std::string_view payload, std::uint32_t mask) {
  std::string frame;
  frame.reserve(payload.size() + 14);
  frame += static_cast<char>(k_final | static_cast<std::uint8_t>(opcode));
  if (payload.size() < 126) {
    frame += static_cast<char>(k_masked | payload.size());
  } else if (payload.size() <= 0xffff) {
    frame += static_cast<char>(k_masked | 126);
    append_number(frame, payload.size(), 2);
  } else {
    frame += static_cast<char>(k_masked | 127);
    append_number(frame, payload.size(), 8);
  }
  append_number(frame, mask, 4);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    frame += static_cast<char>(static_cast<std::uint8_t>(payload[i]) ^ ((mask >> (24 - i % 4 * 8)) & 0xff));
  }
  return frame;
}

std::string websocket_close_payload(std::uint16_t code) {
  std::string payload;
  append_number(payload, code, 2);
  return payload;
}

struct WebsocketReader::Header {
  bool final = false;
  WebsocketOpcode opcode = WebsocketOpcode::binary;
  std::size_t size = 0;  // of the header itself
  std::uint64_t length = 0;
};

Result<std::optional<WebsocketReader::Header>> WebsocketReader::read_header() const {
  const std::string_view bytes = std::string_view(buffer_).substr(begin_);
  if (bytes.size() < 2) return std::optional<Header>();
  const auto byte = [&bytes](std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); };
  Header header;
  header.final = (byte(0) & k_final) != 0;
  if ((byte(0) & k_reserved) != 0) return broken("a reserved bit is set");
  const int opcode = byte(0) & 0x0f;
  if (opcode > 10 || (opcode > 2 && opcode < 8)) return broken("opcode " + std::to_string(opcode) + " is not known");
  header.opcode = static_cast<WebsocketOpcode>(opcode);
  if ((byte(1) & k_masked) != 0) return broken("a frame is masked");
  const std::uint8_t length = byte(1) & 0x7f;
  if (is_control(header.opcode) && (!header.final || length > k_most_control)) return broken("a control frame is in pieces or too long");
  const std::size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
  header.size = 2 + more;
  if (bytes.size() < header.size) return std::optional<Header>();
  header.length = more == 0 ? length : 0;
  for (std::size_t i = 0; i < more; ++i) header.length = header.length << 8 | byte(2 + i);
  if (header.length >> 63 != 0) return broken("a length is negative");
  if ((more == 2 && header.length < 126) || (more == 8 && header.length <= 0xffff)) return broken("a length is longer than needed");
  return std::optional<Header>(header);
}

Result<std::optional<WebsocketMessage>> WebsocketReader::next() {
  for (;;) {
    const Result<std::optional<Header>> header = read_header();
    if (!header) return header.error();
    if (!*header) return std::optional<WebsocketMessage>();
    const bool control = is_control((*header)->opcode);
    if (!control && ((*header)->opcode == WebsocketOpcode::continuation) != fragmented_.has_value()) {
      return broken("the fragments of a message are out of order");
    }
    if (!control && (*header)->length > most_message_ - message_.size()) {
      return Error(ErrorCode::invalid, "the server sends a message of more than " + std::to_string(most_message_) + " bytes");
    }
    if (buffer_.size() - begin_ - (*header)->size < (*header)->length) return std::optional<WebsocketMessage>();
    Result<std::optional<WebsocketMessage>> message = take_frame(**header);
    if (!message || *message) return message;
  }
}

// The frame is there, whole. Nothing: it was a fragment, and the message goes on.
Result<std::optional<WebsocketMessage>> WebsocketReader::take_frame(const Header& header) {
  const std::string_view payload = std::string_view(buffer_).substr(begin_ + header.size, static_cast<std::size_t>(header.length));
  std::optional<WebsocketMessage> message;
  if (is_control(header.opcode)) {
    message = WebsocketMessage{header.opcode, std::string(payload)};
  } else {
    message_.append(payload);
    if (!fragmented_) fragmented_ = header.opcode;
    if (header.final) {
      message = WebsocketMessage{*fragmented_, std::exchange(message_, {})};
      fragmented_.reset();
    }
  }
  drop(header.size + static_cast<std::size_t>(header.length));
  return message;
}

void WebsocketReader::drop(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ < buffer_.size() && begin_ < k_drop_at) return;
  buffer_.erase(0, begin_);
  begin_ = 0;
}

}  // namespace vmbackup::kube
