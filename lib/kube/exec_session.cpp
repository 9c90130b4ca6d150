#include "kube/exec_session.hpp"

#include <random>

#include "kube/exec_channel.hpp"
#include "kube/websocket.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// [client-go/tools/remotecommand/websocket.go: pingPeriod, pingReadDeadline]
constexpr base::Duration k_ping_every = std::chrono::seconds(5);
constexpr base::Duration k_longest_silence = std::chrono::seconds(61);
// A message holds an output, or the Status.
constexpr std::size_t k_status_bytes = std::size_t{64} << 10;
constexpr std::uint16_t k_ordinary_end = 1000;

class Session {
 public:
  Session(Duplex& bytes, const ExecCommand& command, const std::string& what)
      : bytes_(bytes), reader_(command.most_bytes + k_status_bytes), channel_(command.most_bytes, what), what_(what) {}

  void send(WebsocketOpcode opcode, std::string_view payload) { bytes_.write(websocket_frame(opcode, payload, random_())); }

  // What has come so far. True: the process has ended.
  Result<bool> take(std::string_view bytes) {
    reader_.feed(bytes);
    for (;;) {
      const Result<std::optional<WebsocketMessage>> message = reader_.next();
      if (!message) return message.error().wrap(what_);
      if (!*message) return false;
      if ((*message)->opcode == WebsocketOpcode::ping) send(WebsocketOpcode::pong, (*message)->payload);
      if ((*message)->opcode == WebsocketOpcode::close) return closed();
      if ((*message)->opcode != WebsocketOpcode::binary && (*message)->opcode != WebsocketOpcode::text) continue;
      Result<bool> ended = channel_.take((*message)->payload);
      if (!ended || *ended) return ended;
    }
  }
  Result<ExecEnd> result() { return channel_.result(); }
  Error closed() const {
    return Error(ErrorCode::unavailable, what_ + ": the server closed the connection before it told how the command ended");
  }

 private:
  Duplex& bytes_;
  WebsocketReader reader_;
  ExecChannel channel_;
  const std::string what_;
  std::random_device random_;
};

}  // namespace

Result<ExecEnd> run_exec_session(Duplex& bytes, const ExecCommand& command, const std::string& what, base::Clock& clock,
                                 const base::Deadline& deadline, const std::stop_token& stop) {
  Session session(bytes, command, what);
  if (command.input) {
    for (const std::string& message : exec_input_messages(*command.input)) session.send(WebsocketOpcode::binary, message);
  }
  base::TimePoint heard = clock.now();
  for (;;) {
    const Result<std::string> piece = bytes.read(clock, deadline.sooner(base::Deadline::after(clock, k_ping_every)), stop);
    if (!piece && piece.error().code() == ErrorCode::timeout && !deadline.passed(clock)) {
      if (clock.now() - heard >= k_longest_silence) {
        return Error(ErrorCode::unavailable, what + ": the server says nothing any more");
      }
      session.send(WebsocketOpcode::ping, {});
      continue;
    }
    if (!piece) {
      // Told, so that the server need not find out by itself.
      session.send(WebsocketOpcode::close, websocket_close_payload(k_ordinary_end));
      if (piece.error().code() == ErrorCode::timeout) return Error(ErrorCode::timeout, what + ": the command has not ended in time");
      return piece.error().wrap(what);
    }
    if (piece->empty()) return session.closed();
    heard = clock.now();
    const Result<bool> ended = session.take(*piece);
    if (!ended || *ended) session.send(WebsocketOpcode::close, websocket_close_payload(k_ordinary_end));
    if (!ended) return ended.error();
    if (*ended) return session.result();
  }
}

}  // namespace vmbackup::kube
