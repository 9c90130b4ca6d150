// A kube::Transport that ends in a FakeCluster's memory, so that its clients are real rest clients.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kube/transport.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

// Requests come from `user`; no user is answered 401. `world` must outlive the transport and its streams. A broken connection is
// `unavailable`.
std::unique_ptr<kube::Transport> make_memory_transport(World& world, std::optional<std::string> user, std::vector<std::string> groups);

}  // namespace vmbackup::test
