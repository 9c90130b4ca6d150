#include "kube/upgrade_answer.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t k_most_bytes = std::size_t{1} << 20;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : static_cast<char>(c); });
  return result;
}

Error not_http() { return Error(ErrorCode::invalid, "the server does not speak HTTP/1.1"); }

// All of the text; nothing else counts as a number.
bool read_number(std::string_view text, int base, std::size_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<bool> UpgradeAnswer::take(std::string_view bytes) {
  buffer_.append(bytes);
  while (!head_done_) {
    const Result<bool> head = take_head();
    if (!head || !*head) return head;
    // 100 Continue and its like: the answer is still to come.
    if (response_.status >= 200 || response_.status == 101) head_done_ = true;
  }
  return response_.status == 101 ? Result<bool>(true) : take_body();
}

Result<bool> UpgradeAnswer::take_head() {
  const std::size_t end = buffer_.find("\r\n\r\n");
  const std::string_view start = std::string_view(buffer_).substr(0, 7);
  if (start != std::string_view("HTTP/1.").substr(0, start.size())) return not_http();
  if (end == std::string::npos) {
    if (buffer_.size() > k_most_bytes) return Error(ErrorCode::invalid, "the head of the server's answer is too long");
    return false;
  }
  const std::vector<std::string> lines = base::split(std::string_view(buffer_).substr(0, end), '\n');
  buffer_.erase(0, end + 4);
  response_ = HttpResponse{};
  const std::vector<std::string> words = base::split(base::trim(lines.front()), ' ');
  std::size_t status = 0;
  if (words.size() < 2 || !read_number(words[1], 10, status) || status < 100 || status > 999) return not_http();
  response_.status = static_cast<int>(status);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return not_http();
    response_.headers.emplace_back(lower(base::trim(line.substr(0, colon))), std::string(base::trim(line.substr(colon + 1))));
  }
  return true;
}

Result<bool> UpgradeAnswer::take_body() {
  if (response_.status == 204 || response_.status == 304) return true;
  if (lower(response_.header("transfer-encoding")) == "chunked") return take_chunks();
  const std::string length = response_.header("content-length");
  std::size_t wanted = k_most_bytes;
  if (!length.empty() && !read_number(length, 10, wanted)) return not_http();
  wanted = std::min(wanted, k_most_bytes);
  response_.body = buffer_.substr(0, wanted);
  return response_.body.size() == wanted;
}

// From the start each time: refusals are short, and come at once.
Result<bool> UpgradeAnswer::take_chunks() {
  response_.body.clear();
  std::string_view rest = buffer_;
  for (;;) {
    const std::size_t line = rest.find("\r\n");
    if (line == std::string_view::npos) return buffer_.size() > 2 * k_most_bytes ? Result<bool>(not_http()) : Result<bool>(false);
    std::size_t size = 0;
    if (!read_number(base::trim(rest.substr(0, std::min(line, rest.find(';')))), 16, size)) return not_http();
    rest.remove_prefix(line + 2);
    if (size == 0) return true;
    response_.body.append(rest.substr(0, std::min(size, k_most_bytes - response_.body.size())));
    if (response_.body.size() == k_most_bytes) return true;
    if (rest.size() < size || rest.size() - size < 2) return false;
    rest.remove_prefix(size + 2);
  }
}

bool UpgradeAnswer::end() {
  const bool unsized = response_.header("content-length").empty() && response_.header("transfer-encoding").empty();
  return head_done_ && response_.status != 101 && unsized;
}

}  // namespace vmbackup::kube
