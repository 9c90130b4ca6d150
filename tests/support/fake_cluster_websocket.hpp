// WebSocket frames as a server reads and writes them. Not the code under test: that has its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vmbackup::test {

struct ServerFrame {
  int opcode = 2;  // 2 binary, 8 close, 9 ping, 10 pong
  std::string payload;
  bool masked = false;
};

// One whole frame, not masked.
std::string server_frame(int opcode, std::string_view payload);

// Takes the first whole frame out of `bytes`; nothing while there is none. Fragments come out one by one.
std::optional<ServerFrame> take_client_frame(std::string& bytes);

}  // namespace vmbackup::test
