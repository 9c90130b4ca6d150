// What goes through the WebSocket of an exec: the first byte of each message names its channel. Knows nothing of connections.
// [apimachinery/pkg/util/remotecommand/constants.go, client-go/tools/remotecommand/websocket.go, v2.go to v5.go]
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "json/value.hpp"
#include "kube/client.hpp"

namespace vmbackup::kube {

// The same but for one thing: only v5 can end standard input (client-go 1.29 and later, kube-apiserver 1.30 and later by default).
inline constexpr const char* k_exec_v5 = "v5.channel.k8s.io";
inline constexpr const char* k_exec_v4 = "v4.channel.k8s.io";

// The messages that bring `input` to the process and end it, for v5.
std::vector<std::string> exec_input_messages(std::string_view input);

// Gathers what the process says until it has ended. Not thread-safe.
class ExecChannel {
 public:
  // `most_bytes`: of both outputs together. `what` begins every error.
  ExecChannel(std::size_t most_bytes, std::string what) : most_bytes_(most_bytes), what_(std::move(what)) {}

  // One message of the server. True: the process has ended, result() tells how. invalid: more output than allowed, or a message that none
  // can be.
  base::Result<bool> take(std::string_view message);
  // Errors: as the server's Status says, where the process was not started or its end is not known (mostly unavailable).
  base::Result<ExecEnd> result();

 private:
  base::Result<void> take_status(std::string_view text);

  const std::size_t most_bytes_;
  const std::string what_;
  ExecEnd end_;
  std::optional<base::Error> failure_;
};

}  // namespace vmbackup::kube
