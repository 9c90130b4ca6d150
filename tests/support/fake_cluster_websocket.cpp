#include "support/fake_cluster_websocket.hpp"

#include <cstdint>

namespace vmbackup::test {

std::string server_frame(int opcode, std::string_view payload) {
  std::string frame(1, static_cast<char>(0x80 | opcode));
  const int wide = payload.size() < 126 ? 0 : payload.size() < 65536 ? 2 : 8;
  frame += static_cast<char>(wide == 0 ? payload.size() : wide == 2 ? 126 : 127);
  for (int i = wide - 1; i >= 0; --i) frame += static_cast<char>(payload.size() >> (8 * i));
  return frame.append(payload);
}

std::optional<ServerFrame> take_client_frame(std::string& bytes) {
  const auto byte = [&bytes](std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); };
  if (bytes.size() < 2) return std::nullopt;
  ServerFrame frame;
  frame.opcode = byte(0) & 15;
  frame.masked = byte(1) >= 128;
  std::size_t length = byte(1) & 127;
  std::size_t at = 2;
  if (length >= 126) {
    const std::size_t wide = length == 126 ? 2 : 8;
    if (bytes.size() < at + wide) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < wide; ++i) length = length * 256 + byte(at + i);
    at += wide;
  }
  const std::size_t mask = at;
  if (frame.masked) at += 4;
  if (bytes.size() < at + length) return std::nullopt;
  for (std::size_t i = 0; i < length; ++i) {
    frame.payload += frame.masked ? static_cast<char>(byte(at + i) ^ byte(mask + i % 4)) : bytes[at + i];
  }
  bytes.erase(0, at + length);
  return frame;
}

}  // namespace vmbackup::test
