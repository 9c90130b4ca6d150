#include "kube/exec_channel.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/text.hpp"
#include "kube/status_error.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr char k_stdin = 0;
constexpr char k_stdout = 1;
constexpr char k_stderr = 2;
constexpr char k_status = 3;
constexpr char k_close = '\xff';  // the next byte names the channel that ends
constexpr std::size_t k_piece = std::size_t{32} << 10;

// The exit code among the causes of a Status; nothing where there is none.
std::optional<int> exit_code_of(const json::Value& status) {
  for (const json::Value& cause : status.path({"details", "causes"}).items()) {
    if (cause.path({"reason"}).as_string() != "ExitCode") continue;
    const std::string& text = cause.path({"message"}).as_string();
    int code = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
    if (error == std::errc() && end == text.data() + text.size()) return code;
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> exec_input_messages(std::string_view input) {
  std::vector<std::string> messages;
  for (; !input.empty(); input.remove_prefix(std::min(k_piece, input.size()))) {
    messages.push_back(std::string(1, k_stdin) + std::string(input.substr(0, k_piece)));
  }
  messages.push_back({k_close, k_stdin});
  return messages;
}

Result<bool> ExecChannel::take(std::string_view message) {
  if (message.empty()) return Error(ErrorCode::invalid, what_ + ": the server sent a message without a channel");
  const char channel = message.front();
  message.remove_prefix(1);
  // The end of an output says nothing about the process.
  if (channel == k_close) return false;
  if (channel == k_status) {
    // The server greets with an empty message on the first channel that it writes.
    if (message.empty()) return false;
    if (auto taken = take_status(message); !taken) return taken.error();
    return true;
  }
  if (channel != k_stdout && channel != k_stderr)
    return Error(ErrorCode::invalid, what_ + ": the server sent on a channel that is not its own");
  if (message.size() > most_bytes_ - end_.out.size() - end_.err.size()) {
    return Error(ErrorCode::invalid, what_ + ": the command said more than " + std::to_string(most_bytes_) + " bytes");
  }
  (channel == k_stdout ? end_.out : end_.err).append(message);
  return false;
}

Result<void> ExecChannel::take_status(std::string_view text) {
  Result<json::Value> status = json::parse(text);
  if (status && !status->is_object()) status = Error(ErrorCode::invalid, "it is no object");
  if (!status) return status.error().wrap(what_ + ": the server's word on how the command ended cannot be read");
  if (status->path({"status"}).as_string() == "Success") return {};
  if (const std::optional<int> code = exit_code_of(*status)) {
    end_.exit_code = *code;
    return {};
  }
  // Here, and only here, the server leaves out what kind of object it is.
  status->set("kind", "Status");
  failure_ = error_of_status(static_cast<int>(status->path({"code"}).as_integer(500)), *status, {}, what_);
  return {};
}

Result<ExecEnd> ExecChannel::result() {
  if (failure_) return *failure_;
  return std::move(end_);
}

}  // namespace vmbackup::kube
