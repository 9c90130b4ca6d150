#include "kube/websocket_handshake.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstdint>
#include <random>

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;

// SHA-1 is asked for by the protocol, and protects nothing here: it only shows that the other side read the key. [FIPS 180-4]
std::string sha1(std::string message) {
  std::array<std::uint32_t, 5> hash{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  const std::uint64_t bits = std::uint64_t{message.size()} * 8;
  message += '\x80';
  while (message.size() % 64 != 56) message += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) message += static_cast<char>((bits >> shift) & 0xff);
  for (std::size_t block = 0; block < message.size(); block += 64) {
    std::array<std::uint32_t, 80> word{};
    for (std::size_t i = 0; i < 64; ++i) word[i / 4] = word[i / 4] << 8 | static_cast<std::uint8_t>(message[block + i]);
    for (std::size_t i = 16; i < 80; ++i) word[i] = std::rotl(word[i - 3] ^ word[i - 8] ^ word[i - 14] ^ word[i - 16], 1);
    auto [a, b, c, d, e] = hash;
    for (std::size_t i = 0; i < 80; ++i) {
      const std::uint32_t mix = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                                : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                                : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                         : (b ^ c ^ d) + 0xca62c1d6;
      const std::uint32_t next = std::rotl(a, 5) + mix + e + word[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    hash = {hash[0] + a, hash[1] + b, hash[2] + c, hash[3] + d, hash[4] + e};
  }
  std::string result;
  for (const std::uint32_t word : hash) {
    for (int shift = 24; shift >= 0; shift -= 8) result += static_cast<char>((word >> shift) & 0xff);
  }
  return result;
}

bool same_word(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

bool names(const std::string& list, std::string_view word) {
  const std::vector<std::string> parts = base::split(list, ',');
  return std::any_of(parts.begin(), parts.end(), [word](const std::string& part) { return same_word(base::trim(part), word); });
}

}  // namespace

std::string websocket_key() {
  std::random_device random;
  std::string bytes;
  while (bytes.size() < 16) {
    const std::uint32_t number = random();
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((number >> shift) & 0xff);
  }
  return base::base64_encode(bytes);
}

std::string websocket_accept(std::string_view key) {
  return base::base64_encode(sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
}

void ask_for_websocket(HttpRequest& request, const std::string& key, const std::vector<std::string>& protocols) {
  request.headers.emplace_back("Connection", "Upgrade");
  request.headers.emplace_back("Upgrade", "websocket");
  request.headers.emplace_back("Sec-WebSocket-Version", "13");
  request.headers.emplace_back("Sec-WebSocket-Key", key);
  request.headers.emplace_back("Sec-WebSocket-Protocol", base::join(protocols, ", "));
}

base::Result<std::string> chosen_protocol(const HttpResponse& response, const std::string& key, const std::vector<std::string>& protocols) {
  const std::string chosen = response.header("sec-websocket-protocol");
  if (!same_word(response.header("upgrade"), "websocket") || !names(response.header("connection"), "upgrade") ||
      response.header("sec-websocket-accept") != websocket_accept(key)) {
    return Error(ErrorCode::invalid, "the answer is not the one of a WebSocket server to this request");
  }
  if (std::find(protocols.begin(), protocols.end(), chosen) == protocols.end()) {
    return Error(ErrorCode::invalid, "the server chose the protocol \"" + base::printable(chosen, 100) + "\", which was not offered");
  }
  return chosen;
}

}  // namespace vmbackup::kube
