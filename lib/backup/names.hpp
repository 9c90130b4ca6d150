// Names of what exists, for the completion of a command line.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

enum class NamedKind { virtual_machine, snapshot, ns };

// As the server has them, unchecked. `ns` does not count for namespaces. Nothing is repeated: one failure ends it. Errors as kube::Client.
base::Result<std::vector<std::string>> names_of(kube::Client& client, NamedKind kind, const std::string& ns, const base::Deadline& deadline,
                                                const std::stop_token& stop);

}  // namespace vmbackup::backup
