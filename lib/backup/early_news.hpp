// What watches tell of snapshots that are being created, before the answer to the create is there.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "kube/client.hpp"

namespace vmbackup::backup {

// A watch may be faster than the answer to a create. What was told until then is kept for the few snapshots that are being created: to
// read it by name takes three requests or more for each. One thread.
class EarlyNews {
 public:
  struct News {
    std::optional<json::Value> snapshot, content;
    std::map<std::string, json::Value> volume_snapshots;  // by name
    std::string gone;                                     // the UID of one that is gone again; "": none is
  };

  // Before the create is sent, and before anything was told of it.
  void expect(const kube::Name& name);
  // Passed over unless it is of an expected snapshot; of its parts only what comes after the snapshot itself, for their names hold its UID.
  // `present`: it is there, in this state; else it is gone.
  void take_snapshot(const json::Value& object, bool present);
  void take_content(const json::Value& object, bool present);
  void take_volume_snapshot(const json::Value& object, bool present);
  // Changes may have been missed: nothing is expected any more.
  void forget();

  // What was told of it, which is no longer expected. None: it was not, or changes may have been missed.
  std::optional<News> release(const kube::Name& name);

 private:
  News* of(const std::string& uid);

  std::map<kube::Name, News> expected_;
  std::map<std::string, kube::Name> names_;  // by UID, of those that were told
};

}  // namespace vmbackup::backup
