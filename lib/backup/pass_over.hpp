// Chosen VMs that a run of snapshots leaves to others, or need not take.
#pragma once

#include <stop_token>

#include "backup/select.hpp"
#include "backup/snapshot.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

// Moves the VMs that are not in the request's shard, and those whose last good snapshot is new enough, to those that are passed over.
// Errors: those of list_snapshots and server_time; none without `skip_if_newer`.
base::Result<void> pass_over(kube::Client& client, const SnapshotRequest& request, Selected& selected, const kube::Call& call,
                             const std::stop_token& stop);

}  // namespace vmbackup::backup
