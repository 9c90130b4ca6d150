// What is true of a guest that was to stand still, from all that was seen of it.
#pragma once

#include <string>
#include <vector>

#include "backup/freeze_guard.hpp"
#include "backup/guest_watch.hpp"
#include "base/clock.hpp"

namespace vmbackup::backup {

// Windows' VSS lets go of frozen file systems 10 s after the freeze, whatever the safety timer says.
inline constexpr base::Duration k_vss_limit = std::chrono::seconds(10);
// The poll of virt-launcher (5 s), twice: by then a frozen guest has been called frozen.
inline constexpr base::Duration k_status_lag = std::chrono::seconds(10);

// After so long the status that a guest shows is newer than what was done to it before: the poll, and its way to the VMI.
inline constexpr base::Duration k_status_fresh = std::chrono::seconds(7);

// An unknown OS counts as Windows. `os_id` is guestOSInfo.id. [kubevirt 1.9.0, api/core/v1/types.go VirtualMachineInstanceGuestOSInfo]
bool may_be_windows(const std::string& os_id);

// One window: what was done, what was seen until `needed_until`, the last moment at which the guest had to stand still.
struct Window {
  FreezeRecord record;  // confirmed
  Sight sight;          // looked at before the thaw was sent: after it, its end is ours
  base::TimePoint needed_until;
  bool windows = false;
};

// Whether it stood still for all of the window.
//
// | source                          | says                                      | what follows
// |---------------------------------|-------------------------------------------|------------------------------------------------
// | answer of the freeze            | 200                                       | frozen at that moment
// | our clock                       | needed longer than the safety timeout     | the timer may have thawed it: reason
// |                                 | Windows, needed longer than 10 s          | VSS may have let go: reason
// | answer of the unfreeze          | VSS limit                                 | VSS has let go: reason
// | VMI status (poll of 5 s)        | frozen, then not, before our thaw         | somebody, or the timer, thawed it early: reason
// |                                 | not frozen in a window of more than 10 s  | not shown to have stood still: reason
// |                                 | not (yet) frozen in a shorter one         | nothing; nobody else thawed it: assumption
// | agent, asked live               | thawed, before our thaw                   | somebody, or the timer, thawed it early: reason
// |                                 | frozen, after the need had ended          | nobody thawed it: no assumption
// |                                 | no answer                                 | as if it had not been asked: assumption
// | VMI                             | ended, replaced                           | the end of the window lies there: reason
// |                                 | other node, migration                     | the safety timer and the freeze may be lost: reason
// |                                 | agent gone                                | its word is old: assumption
// |                                 | paused by someone                         | nothing ran in it: assumption
// | VM, VMI                         | snapshot, restore or backup of others     | its end thaws the guest: reason
// | the watch                       | a gap, or no right to watch               | an early thaw would not have been seen: assumption
struct WindowVerdict {
  std::vector<std::string> reasons;      // why it cannot be said that it stood still, one sentence each; empty: it did
  std::vector<std::string> assumptions;  // what that rests on
};
WindowVerdict judge(const Window& window);

}  // namespace vmbackup::backup
