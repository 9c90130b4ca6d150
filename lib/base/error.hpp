// What went wrong, in a form that a caller can act on and a person can read.
#pragma once

#include <string>
#include <vector>

namespace vmbackup::base {

// Codes exist so that a caller can act; they say nothing about who is at fault.
enum class ErrorCode {
  usage,            // the caller of the program asked for something that makes no sense; nothing was sent
  invalid,          // the other side, or a file, holds something that is not valid
  not_found,        // the named thing is not there
  already_exists,   // a thing of that name is there already
  unauthenticated,  // the other side does not know who we are
  forbidden,        // it knows, and refuses
  conflict,         // the thing changed under us, or another operation holds it
  precondition,     // a condition that the caller set is not met
  unavailable,      // no answer, or "not now"; the same call may succeed later
  timeout,          // the deadline passed
  cancelled,        // the stop token was triggered
  internal,         // a defect, here or on the other side
};

// "usage", "not_found", ... as they are written in JSON output. Never fails.
const char* to_string(ErrorCode code);

// One failure: built once where it is known, given one clause of context by each layer that has something to add, printed once.
// A value type; safe to copy and to move between threads.
class Error {
 public:
  // `message`: lowercase, no full stop, names what was attempted and on which object.
  // `hint`: what to do next, a command where there is one; may be empty.
  Error(ErrorCode code, std::string message, std::string hint = {});

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  // The other side's own word for it ("Forbidden", "Expired"), empty where there is none.
  const std::string& reason() const { return reason_; }
  // Single causes, shown as bullets below the message.
  const std::vector<std::string>& causes() const { return causes_; }

  // Puts "clause: " in front of the message. All else stays.
  Error wrap(const std::string& clause) const;
  Error with_code(ErrorCode code) const;
  Error with_hint(std::string hint) const;
  Error with_reason(std::string reason) const;
  Error with_causes(std::vector<std::string> causes) const;

 private:
  ErrorCode code_;
  std::string message_;
  std::string hint_;
  std::string reason_;
  std::vector<std::string> causes_;
};

}  // namespace vmbackup::base
