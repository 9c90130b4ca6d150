// core/v1 Events: what `kubectl describe` shows of an object, and what monitoring listens to.
#pragma once

#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::kube {

struct NewEvent {
  // The object that it is about.
  std::string api_version;
  std::string kind;
  Name about;
  std::string uid;
  bool warning = false;
  std::string reason;     // one word: "SnapshotSucceeded"
  std::string message;    // at most 1024 bytes are kept [kubernetes 1.34, pkg/apis/core/validation/events.go]
  std::string component;  // who says so
  base::WallTime now{};
};

// Under a name that is fixed by object and time, so that a repeat meets itself; an event that is there already is no error. Errors as
// kube::Client::create; forbidden is common, for the role edit does not hold this right.
base::Result<void> create_event(Client& client, const NewEvent& event, const Call& call, const std::stop_token& stop);

}  // namespace vmbackup::kube
