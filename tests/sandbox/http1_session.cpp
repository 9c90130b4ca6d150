#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/text.hpp"
#include "http_session.hpp"

namespace vmbackup::sandbox {

namespace {

using Break = test::Answer::Break;

constexpr std::size_t k_most_head = 64 * 1024;
constexpr std::size_t k_most_body = 4 * 1024 * 1024;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

const char* phrase_of(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

std::string hex(std::size_t number) {
  char text[32];
  const std::to_chars_result end = std::to_chars(text, text + sizeof text, number, 16);
  return std::string(text, end.ptr);
}

// One request at a time; what comes before its answer is out waits in the buffer.
class Http1Session final : public HttpSession {
 public:
  Http1Session(Front& front, Identity identity) : front_(front), identity_(std::move(identity)) {}
  ~Http1Session() override { let_go(); }

  bool take(std::string_view bytes) override {
    if (response_ && response_->upgraded()) {
      response_->take(bytes);
      return true;
    }
    buffer_.append(bytes);
    return next_request();
  }

  void fill(std::string& out) override {
    out += extra_;
    extra_.clear();
    if (!response_ || !response_->begun() || cut_) return;
    const Break broken = response_->broken();
    if (!head_sent_ && (broken == Break::lose || broken == Break::reset)) {
      cut_ = true;
      return;
    }
    if (!std::exchange(head_sent_, true)) out += head();
    std::string body;
    body.swap(response_->body());
    if (response_->streaming() && !body.empty()) {
      out += hex(body.size()) + "\r\n" + body + "\r\n";
    } else {
      out += body;
    }
    if (!response_->ended()) return;
    if (broken == Break::half || broken == Break::reset) {
      cut_ = true;
      return;
    }
    if (response_->streaming()) out += "0\r\n\r\n";
    if (response_->upgraded()) {
      cut_ = true;
      return;
    }
    closing_ = closing_ || broken == Break::go_away;
    let_go();
    cut_ = cut_ || !next_request();
  }

  bool over() const override { return cut_ || (closing_ && !response_); }
  void go_away() override { closing_ = true; }

 private:
  std::string head() const {
    std::string text = "HTTP/1.1 " + std::to_string(response_->status()) + " " + phrase_of(response_->status()) + "\r\n";
    for (const auto& [name, value] : response_->headers()) text += name + ": " + value + "\r\n";
    if (response_->streaming()) text += "transfer-encoding: chunked\r\n";
    if (closing_ || response_->broken() == Break::go_away) text += "connection: close\r\n";
    return text + "\r\n";
  }

  void let_go() {
    if (response_) response_->changed = nullptr;
    response_.reset();
    if (cancel_) std::exchange(cancel_, nullptr)();
  }

  // False: not HTTP. True also while the request is not whole yet.
  bool next_request() {
    if (response_ || closing_) return true;
    const std::size_t end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) return buffer_.size() <= k_most_head;
    Incoming incoming;
    if (!read_head(buffer_.substr(0, end), incoming)) return false;
    std::size_t length = 0;
    const std::string given = incoming.header("content-length");
    std::from_chars(given.data(), given.data() + given.size(), length);
    if (length > k_most_body || lower(incoming.header("transfer-encoding")).find("chunked") != std::string::npos) return false;
    if (buffer_.size() - end - 4 < length) {
      if (lower(incoming.header("expect")) == "100-continue" && !std::exchange(continued_, true)) extra_ += "HTTP/1.1 100 Continue\r\n\r\n";
      return true;
    }
    incoming.body = buffer_.substr(end + 4, length);
    buffer_.erase(0, end + 4 + length);
    continued_ = head_sent_ = false;
    closing_ = lower(incoming.header("connection")) == "close";
    response_ = std::make_shared<Response>();
    cancel_ = front_.handle(incoming, identity_, response_);
    return true;
  }

  static bool read_head(const std::string& text, Incoming& incoming) {
    const std::vector<std::string> lines = base::split(text, '\n');
    const std::vector<std::string> first = base::split(base::trim(lines.front()), ' ');
    if (first.size() != 3 || !first[2].starts_with("HTTP/1.")) return false;
    incoming.method = first[0];
    incoming.target = first[1];
    incoming.protocol = "http/1.1";
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const std::size_t colon = lines[i].find(':');
      if (colon == std::string::npos) return false;
      incoming.headers.emplace_back(lower(lines[i].substr(0, colon)),
                                    std::string(base::trim(std::string_view(lines[i]).substr(colon + 1))));
    }
    return true;
  }

  Front& front_;
  const Identity identity_;
  std::string buffer_;
  std::string extra_;  // 100 Continue
  std::shared_ptr<Response> response_;
  std::function<void()> cancel_;
  bool head_sent_ = false;
  bool continued_ = false;
  bool closing_ = false;
  bool cut_ = false;
};

}  // namespace

std::unique_ptr<HttpSession> make_http1_session(Front& front, Identity identity) {
  return std::make_unique<Http1Session>(front, std::move(identity));
}

}  // namespace vmbackup::sandbox
