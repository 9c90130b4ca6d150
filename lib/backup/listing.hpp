// The snapshots that exist: once, and as they change.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "backup/assemble.hpp"
#include "backup/report.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kube/wait.hpp"

namespace vmbackup::backup {

// age: the oldest first. vm: by namespace and VM. name. level: the strongest first. size: the largest first, those whose size is not known
// last. Among equals the oldest first, then by namespace and name.
enum class SortBy { age, vm, name, level, size };

struct ListRequest {
  std::string ns;                // "" = all namespaces
  std::string vm;                // "" = of all VMs
  bool ignore_recorded = false;  // levels from the objects alone
  bool all_tools = true;         // false: only what this tool made
  bool sizes = false;            // restore sizes too, for one more list: that of the VolumeSnapshots
  SortBy sort_by = SortBy::age;
};

// What the reason begins with that an item has whose size was asked for and could not be read.
inline constexpr const char* k_no_sizes = "sizes are not known: ";

// Two lists for all, three with sizes: snapshots, their contents and VolumeSnapshots, where these may be read (else completeness or size is
// not known, and reasons say so). No snapshots is an empty list.
// precondition: no snapshot API. Where there is none, a VM or a namespace that does not exist is not_found.
base::Result<std::vector<SnapshotItem>> list_snapshots(kube::Client& client, const ListRequest& request, const base::Deadline& deadline,
                                                       const std::stop_token& stop);

// This tool made it, as its labels say.
bool is_ours(const std::vector<std::pair<std::string, std::string>>& labels);

// What the VolumeSnapshots say. `unreadable`: why they say nothing.
struct RestoreSizes {
  std::map<kube::Name, std::optional<std::uint64_t>> bytes;
  std::string unreadable;
};

struct ListChange {
  enum class Kind { added, changed, gone };
  Kind kind = Kind::changed;
  SnapshotItem item;  // gone: as it was last seen
};

// The list, and then each change of it. The objects come by kube::Follower: a server that is away is waited for, and after a gap only what
// is different is told. One thread. Client and clock must outlive it.
class ListWatch {
 public:
  ListWatch(kube::Client& client, base::Clock& clock, ListRequest request);

  // What is there, in the order asked for. Once, before next(). The errors of list_snapshots, and timeout and cancelled as below.
  base::Result<std::vector<SnapshotItem>> begin(const base::Deadline& deadline, const std::stop_token& stop);
  // What is there now, as far as next() has told.
  std::vector<SnapshotItem> items() const;
  // Blocks until something changed. What changed need not show: an item may look as before. A snapshot that was replaced under its name is
  // gone, and the new one added.
  // timeout: the deadline passed (causes: what is out of reach, if anything); cancelled: stop was requested; else why snapshots cannot be
  // followed any more.
  base::Result<ListChange> next(const base::Deadline& deadline, const std::stop_token& stop);

 private:
  enum class Part { snapshots, contents, volume_snapshots };
  using Key = std::pair<std::string, std::string>;  // namespace and UID of the snapshot
  struct Entry {
    SnapshotParts parts;
    bool seen = false;    // the snapshot itself; its content may be known before
    bool wanted = false;  // asked for: of that VM, made by that tool
    bool told = false;
    bool listed() const { return seen && wanted; }
  };

  // Each gives the entry to which something happened, or nullptr.
  base::Result<Entry*> take(const kube::Change& change);
  base::Result<Entry*> take_snapshot(const kube::Change& change);
  base::Result<Entry*> take_content(const kube::Change& change);
  base::Result<Entry*> take_volume_snapshot(const kube::Change& change);
  void follow(Part part, const kube::Resource& resource);

  kube::Client& client_;
  ListRequest request_;
  kube::Follower follower_;
  std::map<int, Part> sources_;  // by the follower's number
  std::set<int> unread_;         // sources that were not told whole yet
  std::map<Key, Entry> entries_;
  RestoreSizes sizes_;
};

}  // namespace vmbackup::backup
