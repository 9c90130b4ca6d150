#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace vmbackup::base {
namespace {

constexpr std::string_view k_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<signed char, 256> make_values() {
  std::array<signed char, 256> values{};
  for (signed char& value : values) value = -1;
  for (std::size_t i = 0; i < k_alphabet.size(); ++i) values[static_cast<unsigned char>(k_alphabet[i])] = static_cast<signed char>(i);
  return values;
}
constexpr std::array<signed char, 256> k_values = make_values();

// Says where, never what: the text may be a key.
Error refuse(const std::string& why) { return {ErrorCode::invalid, "invalid base64: " + why}; }

}  // namespace

Result<std::string> base64_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  unsigned bits = 0;
  std::size_t count = 0;    // characters of the alphabet
  std::size_t padding = 0;  // '=' at the end
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const signed char value = k_values[static_cast<unsigned char>(c)];
    if (value < 0) return refuse("a character at offset " + std::to_string(at) + " does not belong there");
    if (padding > 0) return refuse("more text after the padding at offset " + std::to_string(at));
    bits = (bits << 6) | static_cast<unsigned>(value);
    if (++count % 4 == 0) {
      for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>((bits >> shift) & 0xFFU);
      bits = 0;
    }
  }
  const std::size_t tail = count % 4;
  if (tail == 1 || padding != (4 - tail) % 4) return refuse("it is cut off or its padding is wrong");
  if (tail >= 2) out += static_cast<char>((bits >> (tail == 2 ? 4 : 10)) & 0xFFU);
  if (tail == 3) out += static_cast<char>((bits >> 2) & 0xFFU);
  return out;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    unsigned bits = 0;
    for (std::size_t i = 0; i < 3; ++i) bits = (bits << 8) | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) out += i <= count ? k_alphabet[(bits >> (18 - 6 * i)) & 0x3FU] : '=';
  }
  return out;
}

}  // namespace vmbackup::base
