// Says on the VM itself what became of a snapshot, for those who look there or have monitoring that does.
#pragma once

#include <stop_token>

#include "backup/report.hpp"
#include "backup/snapshot.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

// One Event on the VirtualMachine: Normal SnapshotSucceeded, or Warning SnapshotFailed with the error. Nothing where that is not known: the
// item was not waited for, or the wait was given up (cancelled, timeout). Errors as kube::create_event; none of them is a failure of the
// snapshot, and forbidden is not worth a word.
base::Result<void> tell_on_vm(kube::Client& client, base::Clock& clock, const SnapshotPlan& plan, const SnapshotItem& item,
                              const base::Deadline& deadline, const std::stop_token& stop);

}  // namespace vmbackup::backup
