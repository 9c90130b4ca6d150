// One command in a pod over an upgraded connection, from its input to its end. Private to the rest client.
#pragma once

#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

// Sends the input, gathers both outputs, answers pings, and sends some: a server that says nothing for a minute is lost, as to kubectl.
// Errors as Client::exec, each begun with `what`; the connection may be closed after all of them.
base::Result<ExecEnd> run_exec_session(Duplex& bytes, const ExecCommand& command, const std::string& what, base::Clock& clock,
                                       const base::Deadline& deadline, const std::stop_token& stop);

}  // namespace vmbackup::kube
