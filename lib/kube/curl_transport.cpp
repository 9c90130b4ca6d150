// Ordinary requests and streams: the thread that drives curl's multi handle. Options and errors are in curl_transport_handle, connections
// that leave HTTP in curl_transport_upgrade; what can be decided without curl lives in exchange, mailbox, request_scheduler,
// server_address, tls_trust and upgrade_answer.
#include "kube/curl_transport.hpp"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kube/curl_transport_handle.hpp"
#include "kube/curl_transport_upgrade.hpp"
#include "kube/exchange.hpp"
#include "kube/mailbox.hpp"
#include "kube/request_scheduler.hpp"
#include "kube/tls_trust.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t k_most_requests = 64;
// Over HTTP/1.1 each request in flight has a connection of its own.
constexpr std::size_t k_most_requests_http1 = 8;
// Never 1: after a GOAWAY the old connection, kept open by a watch, would be the only one for ever.
constexpr long k_most_connections = 4;

// A handle and the request it serves. Kept and used again: each has some 70 kB of its own.
struct Slot : CurlHandle {
  std::unique_ptr<curl_slist, ListFree> headers;
  std::shared_ptr<Exchange> exchange;
  std::size_t sent = 0;
  RequestScheduler* scheduler = nullptr;
};

extern "C" {

static std::size_t vmbackup_on_head(char* data, std::size_t size, std::size_t count, void* slot_pointer) {
  Slot& slot = *static_cast<Slot*>(slot_pointer);
  if (!slot.exchange->take_head_line({data, size * count})) return 0;
  if (slot.exchange->answered()) slot.scheduler->answered();
  return size * count;
}

static std::size_t vmbackup_on_body(char* data, std::size_t size, std::size_t count, void* slot_pointer) {
  Slot& slot = *static_cast<Slot*>(slot_pointer);
  return slot.exchange->take_body({data, size * count}) ? size * count : 0;
}

static std::size_t vmbackup_on_send(char* data, std::size_t size, std::size_t count, void* slot_pointer) {
  Slot& slot = *static_cast<Slot*>(slot_pointer);
  const std::string& body = slot.exchange->request().body;
  const std::size_t length = std::min(size * count, body.size() - slot.sent);
  body.copy(data, length, slot.sent);
  slot.sent += length;
  return length;
}

}  // extern "C"

void add_callbacks(Slot& slot) {
  slot.set(CURLOPT_PRIVATE, &slot);
  slot.set(CURLOPT_HEADERFUNCTION, vmbackup_on_head);
  slot.set(CURLOPT_HEADERDATA, &slot);
  slot.set(CURLOPT_WRITEFUNCTION, vmbackup_on_body);
  slot.set(CURLOPT_WRITEDATA, &slot);
  slot.set(CURLOPT_READFUNCTION, vmbackup_on_send);
  slot.set(CURLOPT_READDATA, &slot);
}

void add_header(Slot& slot, const std::string& line) {
  curl_slist* list = curl_slist_append(slot.headers.get(), line.c_str());
  if (list == nullptr) return;
  (void)slot.headers.release();
  slot.headers.reset(list);
}

// What differs from request to request; all of it is set each time, since the handle has served another before.
void set_request(Slot& slot, const CurlSettings& settings, bool fresh, bool wait_for_connection) {
  const HttpRequest& request = slot.exchange->request();
  slot.sent = 0;
  slot.words[0] = 0;
  slot.set(CURLOPT_URL, (settings.address.base_url + request.target).c_str());
  slot.set(CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
  slot.set(CURLOPT_PIPEWAIT, wait_for_connection ? 1L : 0L);
  // A stream is not packed: the server would gather events to fill its window.
  const bool unpack = !settings.connection.disable_compression && !slot.exchange->is_stream();
  slot.set(CURLOPT_ACCEPT_ENCODING, unpack ? "gzip" : static_cast<const char*>(nullptr));
  slot.set(CURLOPT_HTTPGET, 1L);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    // The body is read through a function that cannot go back, so that curl cannot send it a second time on its own: only the caller
    // knows whether that is right.
    slot.set(CURLOPT_POST, 1L);
    slot.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  slot.set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  slot.headers.reset();
  bool typed = false;
  for (const auto& [name, value] : request.headers) {
    typed = typed || name == "Content-Type";
    add_header(slot, name + (value.empty() ? ";" : ": " + value));
  }
  if (!typed) add_header(slot, "Content-Type:");
  add_header(slot, "Expect:");
  if (!settings.address.host_header.empty()) add_header(slot, "Host: " + settings.address.host_header);
  slot.set(CURLOPT_HTTPHEADER, slot.headers.get());
}

bool connection_is_lost(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_SEND_FAIL_REWIND:
      return true;
    default:
      return false;
  }
}

// Why the request of a slot failed.
Error failure_of(CURLcode code, const Slot& slot, const CurlSettings& settings) {
  if (!slot.exchange->too_long()) return describe(code, slot, settings);
  return Error(ErrorCode::invalid, "the answer of " + settings.address.label + " is longer than " +
                                       std::to_string(slot.exchange->request().most_bytes) + " bytes");
}

// Drives one multi handle. Made and destroyed anywhere, all else on its own thread.
class Engine {
 public:
  Engine(const CurlSettings& settings, std::shared_ptr<Mailbox> mailbox)
      : settings_(settings),
        mailbox_(std::move(mailbox)),
        multi_(curl_multi_init()),
        scheduler_(settings.http2 ? k_most_requests : k_most_requests_http1) {
    curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
    curl_multi_setopt(multi_.get(), CURLMOPT_MAX_HOST_CONNECTIONS, settings.http2 ? k_most_connections : 0L);
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(2 * k_most_requests_http1));
    mailbox_->open_reader([multi = multi_.get()] { curl_multi_wakeup(multi); });
    thread_ = std::thread([this] { run(); });
  }
  ~Engine() {
    mailbox_->close();
    thread_.join();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

 private:
  void run();
  bool take_mail();
  void give_up(const Mailbox::Dropped& dropped);
  void start_allowed();
  void start(std::shared_ptr<Exchange> exchange);
  void collect_finished();
  void note_protocol();
  void end(Slot& slot, std::optional<Error> failure);
  void end_all();
  std::unique_ptr<Slot> take_slot();

  const CurlSettings& settings_;
  const std::shared_ptr<Mailbox> mailbox_;
  std::vector<std::unique_ptr<Slot>> idle_;
  std::map<const Exchange*, std::unique_ptr<Slot>> running_;
  std::unique_ptr<CURLM, MultiFree> multi_;
  RequestScheduler scheduler_;
  bool http1_ = false;
  bool doubtful_ = false;  // a request got no answer in time: try the next one on a new connection
  std::thread thread_;
};

void Engine::run() {
  // Signals belong to the thread that waits for them; and a write to a closed connection must not raise SIGPIPE here.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (take_mail()) {
    start_allowed();
    int still = 0;
    curl_multi_perform(multi_.get(), &still);
    collect_finished();
    start_allowed();
    curl_multi_poll(multi_.get(), nullptr, 0, 60'000, nullptr);
  }
  mailbox_->close_reader();
  end_all();
  // Here, where SIGPIPE is blocked: closing a connection writes to it.
  idle_.clear();
  multi_.reset();
}

bool Engine::take_mail() {
  const Mailbox::Mail mail = mailbox_->collect();
  for (const std::shared_ptr<Exchange>& exchange : mail.begun) scheduler_.add(exchange);
  for (const Mailbox::Dropped& dropped : mail.dropped) give_up(dropped);
  return !mail.closed;
}

void Engine::give_up(const Mailbox::Dropped& dropped) {
  if (scheduler_.drop(*dropped.exchange)) return;
  const auto found = running_.find(dropped.exchange.get());
  if (found == running_.end()) return;
  // A stream that has begun is too slow only when it is said to be dead.
  if (dropped.too_slow && (dropped.exchange->is_stream() || !dropped.exchange->answered())) {
    doubtful_ = true;
    scheduler_.lost();
  }
  end(*found->second, Error(ErrorCode::cancelled, "the request was given up"));
}

void Engine::start_allowed() {
  while (std::shared_ptr<Exchange> exchange = scheduler_.next()) start(std::move(exchange));
}

std::unique_ptr<Slot> Engine::take_slot() {
  if (!idle_.empty()) {
    std::unique_ptr<Slot> slot = std::move(idle_.back());
    idle_.pop_back();
    return slot;
  }
  auto slot = std::make_unique<Slot>();
  slot->scheduler = &scheduler_;
  set_connection(*slot, settings_);
  add_callbacks(*slot);
  return slot;
}

void Engine::start(std::shared_ptr<Exchange> exchange) {
  Slot& slot = *running_.emplace(exchange.get(), take_slot()).first->second;
  slot.exchange = std::move(exchange);
  if (slot.failed == CURLE_OK) set_request(slot, settings_, doubtful_, settings_.http2 && !http1_);
  if (slot.failed == CURLE_OK && curl_multi_add_handle(multi_.get(), slot.easy.get()) != CURLM_OK) slot.failed = CURLE_FAILED_INIT;
  if (slot.failed != CURLE_OK) end(slot, failure_of(slot.failed, slot, settings_));
}

void Engine::note_protocol() {
  if (http1_ || !settings_.http2) return;
  http1_ = true;
  scheduler_.set_most(k_most_requests_http1);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAX_HOST_CONNECTIONS, 0L);
}

void Engine::collect_finished() {
  for (const auto& [exchange, slot] : running_) {
    if (exchange->answered() && exchange->http_major() == 1) note_protocol();
  }
  if (!scheduler_.cold()) doubtful_ = false;
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    Slot* slot = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
    if (connection_is_lost(code)) scheduler_.lost();
    // A head that was cut off is no error to curl over HTTP/1.1.
    const bool whole = code == CURLE_OK && slot->exchange->answered();
    end(*slot, whole ? std::nullopt : std::optional<Error>(failure_of(code == CURLE_OK ? CURLE_GOT_NOTHING : code, *slot, settings_)));
  }
}

void Engine::end(Slot& slot, std::optional<Error> failure) {
  if (slot.easy != nullptr) curl_multi_remove_handle(multi_.get(), slot.easy.get());
  const std::shared_ptr<Exchange> exchange = std::move(slot.exchange);
  scheduler_.ended(*exchange);
  const auto found = running_.find(exchange.get());
  std::unique_ptr<Slot> own = std::move(found->second);
  running_.erase(found);
  // A handle that curl refused to set up is not used again.
  if (own->failed == CURLE_OK) idle_.push_back(std::move(own));
  exchange->finish(std::move(failure));
}

void Engine::end_all() {
  const Error closed(ErrorCode::cancelled, "the connection to " + settings_.address.label + " was closed");
  while (!running_.empty()) end(*running_.begin()->second, closed);
  for (const std::shared_ptr<Exchange>& exchange : scheduler_.drain()) exchange->finish(closed);
}

Error not_allowed() { return Error(ErrorCode::invalid, "the request holds characters that HTTP does not allow"); }

bool is_allowed(const HttpRequest& request) {
  const auto bad = [](std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; });
  };
  const bool bad_header = std::any_of(request.headers.begin(), request.headers.end(),
                                      [&](const auto& header) { return bad(header.first) || bad(header.second); });
  return request.target.substr(0, 1) == "/" && !bad(request.target) && request.target.find(' ') == std::string::npos &&
         !bad(request.method) && !bad_header;
}

class CurlTransport final : public Transport {
 public:
  CurlTransport(CurlSettings settings, base::Clock& clock) : settings_(std::move(settings)), clock_(clock) {}

  base::Result<HttpResponse> send(const HttpRequest& request, const base::Deadline& deadline, std::stop_token stop) override {
    if (stop.stop_requested()) return Error(ErrorCode::cancelled, "the request was given up");
    const auto exchange = std::make_shared<Exchange>(request);
    if (auto begun = begin(exchange); !begun) return begun.error();
    for (;;) {
      const base::WaitEnd end = clock_.wait(exchange->wakeup(), deadline.when(), stop);
      if (auto answer = exchange->take()) return *std::move(answer);
      if (end == base::WaitEnd::woken) continue;
      mailbox_->drop(exchange, end == base::WaitEnd::expired);
      if (end == base::WaitEnd::stopped) return Error(ErrorCode::cancelled, "the request was given up");
      return Error(ErrorCode::timeout, "no answer from " + settings_.address.label + " in time");
    }
  }

  base::Result<Upgrade> upgrade(const HttpRequest& request, const base::Deadline& deadline, std::stop_token stop) override {
    if (!is_allowed(request)) return not_allowed();
    return curl_upgrade(settings_, request, clock_, deadline, stop);
  }

  StreamHandle stream(const HttpRequest& request, StreamSink sink) override {
    const auto exchange = std::make_shared<Exchange>(request, std::move(sink));
    if (auto begun = begin(exchange); !begun) {
      exchange->finish(begun.error());
      return {};
    }
    const auto drop = [exchange, mailbox = mailbox_](bool too_slow) {
      exchange->give_up();
      mailbox->drop(exchange, too_slow);
    };
    return StreamHandle([drop] { drop(false); }, [drop] { drop(true); });
  }

 private:
  base::Result<void> begin(const std::shared_ptr<Exchange>& exchange) {
    if (!is_allowed(exchange->request())) return not_allowed();
    std::call_once(started_, [this] { engine_ = std::make_unique<Engine>(settings_, mailbox_); });
    if (!mailbox_->begin(exchange)) return Error(ErrorCode::cancelled, "the connection to " + settings_.address.label + " was closed");
    return {};
  }

  const CurlSettings settings_;
  base::Clock& clock_;
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::once_flag started_;
  std::unique_ptr<Engine> engine_;  // last: it goes first, with its thread
};

// Once per process, whoever comes first.
bool curl_is_ready() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  return code == CURLE_OK;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> transport_libraries() {
  const curl_version_info_data& info = *curl_version_info(CURLVERSION_NOW);
  std::vector<std::pair<std::string, std::string>> libraries;
  const auto add = [&libraries](const std::string& name, const char* version) {
    if (version != nullptr) libraries.emplace_back(name, version);
  };
  add("libcurl", info.version);
  // "OpenSSL/3.0.15"; other builds of libcurl name other libraries.
  const std::string tls = info.ssl_version == nullptr ? "" : info.ssl_version;
  const std::size_t slash = tls.find('/');
  if (slash != std::string::npos) add(tls.substr(0, slash), tls.c_str() + slash + 1);
  add("nghttp2", info.nghttp2_version);
  add("zlib", info.libz_version);
  add("c-ares", info.ares);
  return libraries;
}

base::Result<std::unique_ptr<Transport>> make_curl_transport(const Connection& connection, const TransportOptions& options,
                                                             base::Clock& clock) {
  if (!curl_is_ready()) return Error(ErrorCode::internal, "libcurl cannot be started");
  CurlSettings settings;
  settings.connection = connection;
  settings.options = options;
  settings.user_timeout = static_cast<unsigned>(curl_milliseconds(options.idle_keepalive));
  base::Result<ServerAddress> address = address_of(connection);
  if (!address) return address.error();
  settings.address = std::move(address).value();
  if (auto checked = check_pem(connection); !checked) return checked.error();
  if (settings.address.tls && connection.ca_pem.empty() && !connection.insecure_skip_tls_verify) {
    base::Result<std::string> bundle = find_bundle(connection);
    if (!bundle) return bundle.error();
    settings.bundle = std::move(bundle).value();
  }
  // libcurl before 8.0 resets every finished HTTP/2 stream, and servers end the connection after a thousand of those.
  settings.http2 = settings.address.tls && curl_version_info(CURLVERSION_NOW)->version_num >= 0x080000;
  return std::unique_ptr<Transport>(std::make_unique<CurlTransport>(std::move(settings), clock));
}

}  // namespace vmbackup::kube
