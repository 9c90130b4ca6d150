// What a server sends on the way to and through an exec: the answer to the upgrade, WebSocket frames, the exec channel. Whatever it is, and
// however it is cut into pieces, the outcome is the same, bounded, and printable where it is an error.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "kube/exec_channel.hpp"
#include "kube/upgrade_answer.hpp"
#include "kube/websocket.hpp"

using vmbackup::base::Result;
using vmbackup::fuzz::require;
using namespace vmbackup::kube;

namespace {

constexpr std::size_t k_most = 600;

// The messages of a stream that is fed `step` bytes at a time, and "!" where it is refused.
std::vector<std::string> messages_of(std::string_view bytes, std::size_t step) {
  WebsocketReader reader(k_most);
  std::vector<std::string> all;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
    reader.feed(bytes.substr(0, step));
    for (;;) {
      const Result<std::optional<WebsocketMessage>> message = reader.next();
      if (!message) {
        all.emplace_back("!");
        return all;
      }
      if (!*message) break;
      require((*message)->payload.size() <= k_most, "a message is no longer than allowed");
      require((*message)->opcode != WebsocketOpcode::continuation, "a message is whole");
      all.push_back(static_cast<char>((*message)->opcode) + (*message)->payload);
    }
  }
  return all;
}

void check_channel(const std::vector<std::string>& messages) {
  ExecChannel channel(k_most, "x");
  for (const std::string& message : messages) {
    const Result<bool> ended = channel.take(std::string_view(message).substr(1));
    if (!ended) return;
    if (!*ended) continue;
    const Result<ExecEnd> end = channel.result();
    require(!end || end->out.size() + end->err.size() <= k_most, "the outputs are no longer than allowed");
    require(end || end.error().message().find('\n') == std::string::npos, "an error is one line");
    return;
  }
}

// "101", "403 and the body", or "" while it has not come whole, and "!" where it is refused.
std::string answer_of(std::string_view bytes, std::size_t step) {
  UpgradeAnswer answer;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
    const Result<bool> whole = answer.take(bytes.substr(0, step));
    if (!whole) return "!";
    if (*whole) return std::to_string(answer.response().status) + (answer.response().status == 101 ? "" : answer.response().body);
  }
  return answer.end() ? std::to_string(answer.response().status) + answer.response().body : "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> messages = messages_of(bytes, std::max<std::size_t>(size, 1));
  require(messages == messages_of(bytes, 1), "pieces make no difference to frames");
  check_channel(messages);
  require(answer_of(bytes, std::max<std::size_t>(size, 1)) == answer_of(bytes, 1), "pieces make no difference to an answer");
  return 0;
}
