// The bytes of a connection that has left HTTP, in both directions: one side uses it, the other is the transport's.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace vmbackup::kube {

// Thread-safe; each side is used by one thread at a time.
class Duplex {
 public:
  // The user's side.

  // Whatever has come, at least one byte; "" when the server has closed the connection and all was read.
  // unavailable: the connection broke off. timeout, cancelled: nothing came before; it may be called again.
  base::Result<std::string> read(base::Clock& clock, const base::Deadline& deadline, const std::stop_token& stop);
  // Leaves bytes to be sent; never blocks. What cannot be sent any more is dropped: read() tells why.
  void write(std::string_view bytes);
  // Nobody reads any more: the transport is to close the connection once what was left to be sent is out, or cannot be sent at once.
  void close();

  // The transport's side.

  // How to tell the transport that something of its concern has changed: bytes to send, room, closed. Called by the user's thread; when
  // this returns, a function that was here before is not running any more. null: nobody is to be told.
  void on_change(std::function<void()> changed);
  // No: the user is behind with reading, leave the bytes in the connection.
  bool has_room();
  void feed(std::string_view bytes);
  // All that is to be sent.
  std::string take_outgoing();
  bool closed();
  // Nothing more will come: closed by the server, or broken off.
  void end(std::optional<base::Error> failure);

 private:
  void tell();

  // Held while `changed_` runs, and never taken while `mutex_` is held.
  std::mutex change_mutex_;
  std::function<void()> changed_;
  std::mutex mutex_;
  std::string incoming_;
  std::string outgoing_;
  bool closed_ = false;
  bool ended_ = false;
  std::optional<base::Error> failure_;
  base::Wakeup wakeup_;
};

}  // namespace vmbackup::kube
