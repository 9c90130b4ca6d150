#include "kube/curl_transport_upgrade.hpp"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <mutex>
#include <optional>
#include <thread>

#include "kube/upgrade_answer.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// Woken before that by whatever matters.
constexpr int k_poll_milliseconds = 60'000;
constexpr std::size_t k_piece = std::size_t{64} << 10;

// The head of the request by hand, since curl only makes the connection: proxy, TLS, client certificate.
std::string head_of(const HttpRequest& request, const CurlSettings& settings) {
  const std::string& url = settings.address.base_url;
  const std::size_t begin = url.find("://") + 3;
  const std::size_t path = std::min(url.find('/', begin), url.size());
  const std::string& host = settings.address.host_header;
  std::string head = request.method + " " + url.substr(path) + request.target + " HTTP/1.1\r\n";
  head += "Host: " + (host.empty() ? url.substr(begin, path - begin) : host) + "\r\n";
  if (!settings.options.user_agent.empty()) head += "User-Agent: " + settings.options.user_agent + "\r\n";
  for (const auto& [name, value] : request.headers) {
    head += name;
    head += ": ";
    head += value;
    head += "\r\n";
  }
  return head + "\r\n";
}

// What is being sent. Neither moved nor added to before it is out: TLS wants a write that had to wait repeated from the same address.
struct Outgoing {
  std::string bytes;
  std::size_t sent = 0;
  bool all_sent() const { return sent == bytes.size(); }
};

// One connection and its thread. All of curl is touched by that thread alone, but for the wakeup.
class UpgradeRun {
 public:
  UpgradeRun(const CurlSettings& settings, const HttpRequest& request)
      : settings_(settings), request_(request), bytes_(std::make_shared<Duplex>()) {
    thread_ = std::thread([this] { run(); });
  }
  ~UpgradeRun() {
    bytes_->close();
    thread_.join();
  }
  UpgradeRun(const UpgradeRun&) = delete;
  UpgradeRun& operator=(const UpgradeRun&) = delete;

  base::Wakeup& wakeup() { return wakeup_; }
  std::optional<Result<HttpResponse>> answer() {
    const std::lock_guard lock(mutex_);
    return answer_;
  }
  std::shared_ptr<Duplex> bytes() const { return bytes_; }

 private:
  void run();
  bool connect(CurlHandle& handle, CURLM* multi);
  void pump(CurlHandle& handle, CURLM* multi);
  bool send(const CurlHandle& handle, Outgoing& unsent);
  enum class Heard { nothing, piece, end };  // `end`: the connection is over, or of no more use
  Heard receive(const CurlHandle& handle);
  bool take(std::string_view piece);
  void server_closed();
  void tell(Result<HttpResponse> answer);
  void broke_off(CURLcode code, const CurlHandle& handle);

  const CurlSettings settings_;
  const HttpRequest request_;
  const std::shared_ptr<Duplex> bytes_;
  std::string piece_ = std::string(k_piece, '\0');
  UpgradeAnswer reader_;
  bool upgraded_ = false;
  std::mutex mutex_;
  std::optional<Result<HttpResponse>> answer_;
  base::Wakeup wakeup_;
  std::thread thread_;
};

void UpgradeRun::run() {
  // As in the transport's thread: signals belong to the thread that waits for them, and no write may raise SIGPIPE.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  CurlHandle handle;
  const std::unique_ptr<CURLM, MultiFree> multi(curl_multi_init());
  set_connection(handle, settings_);
  handle.set(CURLOPT_URL, (settings_.address.base_url + request_.target).c_str());
  handle.set(CURLOPT_CONNECT_ONLY, 1L);
  handle.set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  // Also for a server without TLS: a proxy that reads along would not pass the new protocol on.
  handle.set(CURLOPT_HTTPPROXYTUNNEL, 1L);
  bytes_->on_change([multi = multi.get()] { curl_multi_wakeup(multi); });
  if (handle.failed == CURLE_OK && curl_multi_add_handle(multi.get(), handle.easy.get()) != CURLM_OK) handle.failed = CURLE_FAILED_INIT;
  if (handle.failed != CURLE_OK) {
    broke_off(handle.failed, handle);
  } else if (connect(handle, multi.get())) {
    pump(handle, multi.get());
  }
  bytes_->on_change(nullptr);
  if (handle.easy != nullptr) curl_multi_remove_handle(multi.get(), handle.easy.get());
}

bool UpgradeRun::connect(CurlHandle& handle, CURLM* multi) {
  while (!bytes_->closed()) {
    int still = 0;
    int left = 0;
    curl_multi_perform(multi, &still);
    if (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      const CURLcode code = message->data.result;
      if (code != CURLE_OK) broke_off(code, handle);
      return code == CURLE_OK;
    }
    curl_multi_poll(multi, nullptr, 0, k_poll_milliseconds, nullptr);
  }
  return false;
}

void UpgradeRun::pump(CurlHandle& handle, CURLM* multi) {
  curl_waitfd socket{};
  curl_socket_t number = CURL_SOCKET_BAD;
  curl_easy_getinfo(handle.easy.get(), CURLINFO_ACTIVESOCKET, &number);
  socket.fd = number;
  Outgoing unsent{head_of(request_, settings_)};
  for (;;) {
    const bool closing = bytes_->closed();
    if (!send(handle, unsent)) return;
    if (closing) return;
    const bool room = bytes_->has_room();
    const Heard heard = room ? receive(handle) : Heard::nothing;
    if (heard == Heard::end) return;
    // Round by round, so that a server that never stops does not keep us from sending and closing.
    if (heard == Heard::piece) continue;
    socket.events = static_cast<short>((room ? CURL_WAIT_POLLIN : 0) | (unsent.all_sent() ? 0 : CURL_WAIT_POLLOUT));
    curl_multi_poll(multi, &socket, 1, k_poll_milliseconds, nullptr);
  }
}

// Sends as much as the connection takes. False: it is over.
bool UpgradeRun::send(const CurlHandle& handle, Outgoing& unsent) {
  CURLcode code = CURLE_OK;
  while (code == CURLE_OK) {
    if (unsent.all_sent()) unsent = Outgoing{bytes_->take_outgoing()};
    if (unsent.all_sent()) return true;
    std::size_t count = 0;
    code = curl_easy_send(handle.easy.get(), unsent.bytes.data() + unsent.sent, unsent.bytes.size() - unsent.sent, &count);
    unsent.sent += count;
  }
  if (code == CURLE_AGAIN) return true;
  // What the server said before it went away is worth more than that it went away.
  while (bytes_->has_room() && !bytes_->closed() && receive(handle) == Heard::piece) {
  }
  broke_off(code, handle);
  return false;
}

UpgradeRun::Heard UpgradeRun::receive(const CurlHandle& handle) {
  std::size_t count = 0;
  const CURLcode code = curl_easy_recv(handle.easy.get(), piece_.data(), piece_.size(), &count);
  if (code == CURLE_AGAIN) return Heard::nothing;
  if (code != CURLE_OK) {
    broke_off(code, handle);
    return Heard::end;
  }
  if (count == 0) {
    server_closed();
    return Heard::end;
  }
  return take(std::string_view(piece_).substr(0, count)) ? Heard::piece : Heard::end;
}

// False: the request was refused, or the answer is none.
bool UpgradeRun::take(std::string_view piece) {
  if (upgraded_) {
    bytes_->feed(piece);
    return true;
  }
  const Result<bool> whole = reader_.take(piece);
  if (!whole) {
    tell(whole.error().wrap("the answer of " + settings_.address.label + " cannot be read"));
    return false;
  }
  if (!*whole) return true;
  upgraded_ = reader_.response().status == 101;
  if (upgraded_ && !reader_.rest().empty()) bytes_->feed(reader_.rest());
  tell(reader_.response());
  return upgraded_;
}

void UpgradeRun::server_closed() {
  bytes_->end(std::nullopt);
  if (reader_.end()) {
    tell(reader_.response());
  } else {
    tell(Error(ErrorCode::unavailable, "the connection to " + settings_.address.label + " was closed before an answer came"));
  }
}

// The first word counts.
void UpgradeRun::tell(Result<HttpResponse> answer) {
  {
    const std::lock_guard lock(mutex_);
    if (answer_) return;
    answer_ = std::move(answer);
  }
  wakeup_.notify();
}

void UpgradeRun::broke_off(CURLcode code, const CurlHandle& handle) {
  const Error error = describe(code, handle, settings_);
  bytes_->end(error);
  tell(error);
}

}  // namespace

Result<Upgrade> curl_upgrade(const CurlSettings& settings, const HttpRequest& request, base::Clock& clock, const base::Deadline& deadline,
                             const std::stop_token& stop) {
  if (stop.stop_requested()) return Error(ErrorCode::cancelled, "the request was given up");
  const auto run = std::make_shared<UpgradeRun>(settings, request);
  for (;;) {
    const base::WaitEnd end = clock.wait(run->wakeup(), deadline.when(), stop);
    if (const auto answer = run->answer()) {
      if (!*answer) return answer->error();
      Upgrade upgrade;
      upgrade.response = **answer;
      if (upgrade.response.status != 101) return upgrade;
      upgrade.bytes = run->bytes();
      // The run ends with this function object.
      upgrade.connection = StreamHandle([own = run]() mutable { own.reset(); });
      return upgrade;
    }
    if (end == base::WaitEnd::woken) continue;
    if (end == base::WaitEnd::stopped) return Error(ErrorCode::cancelled, "the request was given up");
    return Error(ErrorCode::timeout, "no answer from " + settings.address.label + " in time");
  }
}

}  // namespace vmbackup::kube
