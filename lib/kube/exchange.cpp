#include "kube/exchange.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

constexpr std::size_t k_most_head_bytes = std::size_t{1} << 20;
// Of a refused stream, only a Status or an error page is of interest.
constexpr std::size_t k_most_refusal_bytes = std::size_t{1} << 20;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : static_cast<char>(c); });
  return result;
}

// "HTTP/1.1 200 OK", "HTTP/2 200"
int status_of(std::string_view line) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return 0;
  const std::string_view rest = line.substr(blank + 1);
  int status = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), status);
  return status;
}

bool good(int status) { return status >= 200 && status < 300; }

}  // namespace

Exchange::Exchange(HttpRequest request) : request_(std::move(request)), stream_(false) {}

Exchange::Exchange(HttpRequest request, StreamSink sink) : request_(std::move(request)), stream_(true), sink_(std::move(sink)) {}

bool Exchange::take_head_line(std::string_view line) {
  line = base::trim(line);
  if (line.substr(0, 5) == "HTTP/") {
    response_ = HttpResponse{};
    response_.status = status_of(line);
    http_major_ = line.size() > 5 ? line[5] - '0' : 0;
    head_bytes_ = 0;
  } else if (line.empty()) {
    answered_ = response_.status >= 200;
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    response_.headers.emplace_back(lower(base::trim(line.substr(0, colon))), std::string(base::trim(line.substr(colon + 1))));
  }
  head_bytes_ += line.size();
  too_long_ = too_long_ || head_bytes_ > k_most_head_bytes;
  return !too_long_;
}

bool Exchange::take_body(std::string_view bytes) {
  if (stream_ && good(response_.status)) {
    const std::lock_guard lock(mutex_);
    if (!given_up_ && sink_.data) sink_.data(bytes);
    return true;
  }
  if (stream_) {
    response_.body.append(bytes.substr(0, k_most_refusal_bytes - std::min(k_most_refusal_bytes, response_.body.size())));
    return true;
  }
  if (bytes.size() > request_.most_bytes - std::min(request_.most_bytes, response_.body.size())) {
    too_long_ = true;
    return false;
  }
  response_.body.append(bytes);
  return true;
}

void Exchange::finish(std::optional<base::Error> failure) {
  base::Result<HttpResponse> result =
      failure ? base::Result<HttpResponse>(*std::move(failure)) : base::Result<HttpResponse>(std::move(response_));
  const std::lock_guard lock(mutex_);
  if (stream_) {
    if (!given_up_ && sink_.end) sink_.end(std::move(result));
    given_up_ = true;
    return;
  }
  result_ = std::move(result);
  wakeup_.notify();
}

void Exchange::give_up() {
  const std::lock_guard lock(mutex_);
  given_up_ = true;
}

std::optional<base::Result<HttpResponse>> Exchange::take() {
  const std::lock_guard lock(mutex_);
  std::optional<base::Result<HttpResponse>> result = std::move(result_);
  result_.reset();
  return result;
}

}  // namespace vmbackup::kube
