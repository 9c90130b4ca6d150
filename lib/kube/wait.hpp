// Following objects of several kinds as they change: list, watch, bookmarks, relist on 410, identity by UID.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "kube/client.hpp"

namespace vmbackup::kube {

// One change of one object, as the follower saw it.
struct Change {
  enum class Type {
    present,  // it is there: listed at the start, added, modified, or found changed after a gap
    gone,     // it is not there any more; of `object` only its metadata's namespace, name and uid count
    synced,   // a list of this source (the first, or the one after a gap) was told whole: what was not `present` by now does not exist; no
              // object
    gap,      // events of this source may have been missed (relisted after 410); no object. Evidence that needs an unbroken watch ends here
    lost,     // an optional source cannot be followed; `error` says why. No more changes of it come
    woken,    // wake() was called; of no source
  };
  Type type = Type::present;
  int source = 0;  // as returned by follow()
  json::Value object;
  std::optional<base::Error> error;
};

// One watch per followed kind, for any number of objects. An object that was deleted and made again under the same name gives `gone` (old
// UID) and then `present` (new UID). A watch that ends, or is silent for longer than bookmarks allow, is begun again where it stopped;
// while the server is away it is tried again, with growing pauses, until the caller's deadline. Of each object only its identity is kept,
// and lists are read page by page as the changes are taken, so the memory is that of one page and not that of all objects. Not thread-safe:
// one thread uses it. Destroying it ends all its watches.
class Follower {
 public:
  Follower(Client& client, base::Clock& clock);
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  struct Options {
    std::string label_selector;
    std::string field_selector;
    // When the list or watch is refused (403, 404): false fails next(), true gives one `lost` and goes on with the rest.
    bool optional = false;
    int page_size = 500;  // of the lists: how many objects are held at once
  };
  // Adds a source; nothing is sent before the next call of next(). Returns its number.
  int follow(const Resource& resource, const std::string& ns, const Options& options);
  // Ends one source; its pending changes are dropped.
  void unfollow(int source);
  // True once next() has returned `synced` for the source.
  bool synced(int source) const;
  // Was told as present, or is about to be, and is there as far as is known.
  bool knows(int source, const Name& name) const;
  // Those of them in `ns` whose names begin with `prefix`.
  std::vector<Name> known(int source, const std::string& ns, const std::string& prefix) const;

  // Blocks until the next change. timeout: the deadline passed (causes: what is out of reach, if anything). cancelled: stop was requested.
  // Else the error of a required source that will not heal (unauthenticated, forbidden, not_found, invalid).
  base::Result<Change> next(const base::Deadline& deadline, const std::stop_token& stop);
  // From any thread: next() returns `woken`, now or when it is called next.
  void wake();

 private:
  struct Source;
  Change take_pending();
  std::optional<base::Error> advance(Source& source, const base::Deadline& deadline, const std::stop_token& stop);
  std::optional<base::Error> take(WatchEvent event);
  base::Error overdue() const;

  Client& client_;
  base::Clock& clock_;
  std::shared_ptr<WatchQueue> queue_;
  std::map<int, std::unique_ptr<Source>> sources_;
  std::deque<Change> pending_;
  int last_source_ = 0;
};

}  // namespace vmbackup::kube
