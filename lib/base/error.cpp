#include "base/error.hpp"

#include <utility>

namespace vmbackup::base {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::invalid:
      return "invalid";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::already_exists:
      return "already_exists";
    case ErrorCode::unauthenticated:
      return "unauthenticated";
    case ErrorCode::forbidden:
      return "forbidden";
    case ErrorCode::conflict:
      return "conflict";
    case ErrorCode::precondition:
      return "precondition";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::internal:
      return "internal";
  }
  return "internal";
}

Error::Error(ErrorCode code, std::string message, std::string hint) : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

Error Error::wrap(const std::string& clause) const {
  Error copy = *this;
  copy.message_ = clause + ": " + message_;
  return copy;
}

Error Error::with_code(ErrorCode code) const {
  Error copy = *this;
  copy.code_ = code;
  return copy;
}

Error Error::with_hint(std::string hint) const {
  Error copy = *this;
  copy.hint_ = std::move(hint);
  return copy;
}

Error Error::with_reason(std::string reason) const {
  Error copy = *this;
  copy.reason_ = std::move(reason);
  return copy;
}

Error Error::with_causes(std::vector<std::string> causes) const {
  Error copy = *this;
  copy.causes_ = std::move(causes);
  return copy;
}

}  // namespace vmbackup::base
