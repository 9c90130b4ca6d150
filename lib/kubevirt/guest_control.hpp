// Freeze, unfreeze, pause and unpause of a running guest, and what their answers mean.
// [kubevirt 1.9.0, pkg/virt-api/rest/lifecycle.go, pkg/virt-handler/rest/lifecycle.go, pkg/virt-launcher/virtwrap/storage/fsfreeze.go]
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::kubevirt {

// How long virt-handler at the most waits for virt-launcher's answer to a freeze; 20 s before 1.6.4 and 1.7.2. A freeze that is not heard
// of by then does not happen any more. [pkg/virt-handler/cmd-client/client.go]
inline constexpr base::Duration k_launcher_limit = std::chrono::seconds(60);

// What an answer says about the guest. A freeze that was refused before the agent was asked leaves nothing behind; one that the agent gave
// up is over, but only a thaw shows that nothing stayed frozen; of an unclear one (time-out, lost connection, virt-api's 10 s) nothing is
// known: the guest may be frozen now, later, or never.
enum class FreezeAnswer { frozen, refused, failed, unclear };
FreezeAnswer freeze_answer(const base::Result<void>& answer);

enum class ThawAnswer {
  thawed,       // the agent was asked and its file systems are thawed
  vss_limit,    // Windows let go of the frozen file systems by itself before the thaw; the next unfreeze answers `thawed`
  not_running,  // there is no running instance of that name (404 or 409)
  paused,       // it cannot hear its agent
  refused,      // the agent was asked to thaw, which virt-launcher does not do for a guest that is known to be thawed, and failed
  unclear,      // ask again
};
ThawAnswer thaw_answer(const base::Result<void>& answer);

// A pause: `refused` when virt-api said no before any guest was asked, as for one that is paused already; `unclear` when it may have come
// all the same, or may still come. virt-api sees only the condition Paused, which virt-handler writes some time after the guest stands
// still, so that a "not paused" says nothing of a pause that is younger. [kubevirt 1.9.0, pkg/virt-api/rest/lifecycle.go,
// pkg/virt-handler/vm.go: updatePausedConditions]
enum class PauseAnswer { paused, refused, unclear };
PauseAnswer pause_answer(const base::Result<void>& answer);

enum class UnpauseAnswer {
  running,      // it runs
  not_paused,   // its status does not say Paused
  not_running,  // there is no running instance of that name (404 or 409)
  snapshot,     // refused as long as a snapshot of the VM is in progress
  unclear,      // ask again
};
UnpauseAnswer unpause_answer(const base::Result<void>& answer);

// `safety_timeout`: whole seconds, at least one (KubeVirt truncates, and 0 would mean no safety timer at all). Each is sent once.
// Freezing a guest that is frozen already answers well, and leaves the timer of the earlier freeze. Errors as kube::Client.
base::Result<void> freeze(kube::Client& client, const kube::Name& name, std::chrono::seconds safety_timeout, const kube::Call& call,
                          const std::stop_token& stop);
base::Result<void> unfreeze(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop);
// conflict: it is paused already (pause) or not paused (unpause), or a snapshot of the VM is in progress (unpause).
base::Result<void> pause(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop);
base::Result<void> unpause(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop);

// Sets one annotation of an object, or takes it away where there is no value. Errors as kube::Client::patch.
base::Result<void> annotate(kube::Client& client, const kube::Resource& resource, const kube::Name& name, const std::string& key,
                            const std::optional<std::string>& value, const kube::Call& call, const std::stop_token& stop);
// The same for an object that is still as it was at `resource_version`. conflict: it has changed.
base::Result<void> annotate_unchanged(kube::Client& client, const kube::Resource& resource, const kube::Name& name,
                                      const std::string& resource_version, const std::string& key, const std::string& value,
                                      const kube::Call& call, const std::stop_token& stop);
// Takes an annotation away where it says `value`. invalid: it says something else, or is not there.
base::Result<void> drop_annotation(kube::Client& client, const kube::Resource& resource, const kube::Name& name, const std::string& key,
                                   const std::string& value, const kube::Call& call, const std::stop_token& stop);

// One mounted file system, as the guest's agent tells it. [qemu 9.1, qga/commands-linux.c: qmp_guest_get_fsinfo,
// qga/commands-win32.c; kubevirt 1.9.0, pkg/virt-launcher/virtwrap/agent-poller/agent_parser.go]
struct FileSystem {
  std::string device;  // Linux: its kernel's name of the partition, disk or mapping: "vda1", "dm-0"; Windows: the volume's GUID path
  std::string mount_point;
  std::string type;                  // "ext4", "vfat", "NTFS"
  std::vector<std::string> serials;  // of each disk below it that the agent found, empty where it has none; may be an empty list
};

struct FileSystems {
  std::vector<FileSystem> list;
  bool whole = false;  // nothing is missing: only then it is a fact that a disk is not in it. An empty list was not asked for yet
};

// guestosinfo, as far as a freeze cares.
struct GuestInfo {
  std::string os_id;                  // "debian", "mswindows"; empty when the agent does not say
  std::string freeze_status;          // "frozen", "thawed" or empty; the agent's word as virt-launcher polled it, up to 5 s old
  std::vector<std::string> disabled;  // commands that a freeze or thaw needs and that the agent lacks or does not allow
  FileSystems file_systems;           // guestosinfo gives the first 10 at most [kubevirt 1.9.0, pkg/virt-launcher/virtwrap/manager.go]
};
// unavailable: any failure (virt-api answers 500 to all of them, [pkg/virt-api/rest/subresource.go]); forbidden.
base::Result<GuestInfo> guest_info(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop);
// All of them, as virt-launcher polled them; up to 5 minutes old. Errors as guest_info.
base::Result<FileSystems> file_systems(kube::Client& client, const kube::Name& name, const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::kubevirt
