// A plain HTTP/1.1 server on loopback, for what a transport does with bytes and connections. No TLS, no HTTP/2: the sandbox has those.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace vmbackup::test {

class TinyServer {
 public:
  struct Request {
    std::string head;  // request line and headers, as sent
    std::string body;
    bool is(const std::string& start) const { return head.compare(0, start.size(), start) == 0; }
    bool has(const std::string& line) const { return head.find("\r\n" + line) != std::string::npos; }
  };
  // The bytes to answer with. The connection stays open when they begin with "HTTP/1.1" and name a length or chunks; "" says nothing and
  // keeps it open until the other side or the test ends; "close" closes it without a word. `send` sends bytes at once; false: nobody
  // listens.
  using Handler = std::function<std::string(const Request&, const std::function<bool(const std::string&)>& send)>;

  // `greeting` is sent on every new connection before anything is read.
  explicit TinyServer(Handler handler, std::string greeting = {})
      : handler_(std::move(handler)), greeting_(std::move(greeting)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    listen(listener_, 64);
    socklen_t length = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TinyServer() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
    }
    for (std::thread& worker : workers_) worker.join();
    for (const int connection : connections_) close(connection);
    close(listener_);
  }
  TinyServer(const TinyServer&) = delete;
  TinyServer& operator=(const TinyServer&) = delete;

  std::string url(const std::string& scheme = "http") const { return scheme + "://127.0.0.1:" + std::to_string(port_); }
  std::size_t connections() {
    const std::lock_guard lock(mutex_);
    return connections_.size();
  }
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept_all() {
    for (;;) {
      const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      const std::lock_guard lock(mutex_);
      connections_.push_back(connection);
      workers_.emplace_back([this, connection] {
        serve(connection);
        shutdown(connection, SHUT_RDWR);
      });
    }
  }

  static std::size_t length_of(const std::string& head) {
    const std::size_t at = head.find("\r\nContent-Length: ");
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + 18));
  }

  static bool read_more(int connection, std::string& input) {
    char bytes[4096];
    const ssize_t count = recv(connection, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    input.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  void serve(int connection) {
    const auto send_all = [connection](const std::string& bytes) {
      return ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
    };
    if (!greeting_.empty() && !send_all(greeting_)) return;
    std::string input;
    for (;;) {
      std::size_t end = 0;
      while ((end = input.find("\r\n\r\n")) == std::string::npos) {
        if (!read_more(connection, input)) return;
      }
      Request request{input.substr(0, end + 2), {}};
      input.erase(0, end + 4);
      const std::size_t length = length_of(request.head);
      while (input.size() < length) {
        if (!read_more(connection, input)) return;
      }
      request.body = input.substr(0, length);
      input.erase(0, length);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const std::string answer = handler_(request, send_all);
      if (answer == "close") return;
      if (!answer.empty() && !send_all(answer)) return;
      if (!answer.empty() && answer.find("Content-Length") == std::string::npos) return;
    }
  }

  const Handler handler_;
  const std::string greeting_;
  const int listener_;
  int port_ = 0;
  std::mutex mutex_;
  std::vector<int> connections_;
  std::vector<std::thread> workers_;
  std::vector<Request> requests_;
  std::thread acceptor_;
};

inline std::string ok(const std::string& body, const std::string& headers = {}) {
  return "HTTP/1.1 200 OK\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace vmbackup::test
