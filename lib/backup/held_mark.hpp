// The mark on a VM that this tool pauses: written before the pause is sent, taken away when the VM runs again. Nothing else lets a paused
// VM go after a KILL, so that `thaw --all` has to find it.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

inline constexpr const char* k_held_annotation = "kubectl-vmbackup/held";

// Who holds it, and since when.
struct HeldMark {
  std::string run;  // empty: the mark does not say
  std::optional<base::WallTime> since;
};

// "run 20261125-030000-ab12 since 2026-11-25T03:00:00.000Z".
std::string held_mark_text(const std::string& run, base::WallTime since);
// Of an annotation that anybody may have written: what cannot be read is left out, and a run that could not be one of ours too.
HeldMark read_held_mark(const std::string& text);

// Takes the mark away where it still says `text`; whatever else stands there is somebody else's, and none of ours is left. Repeated while
// the server is away, within `deadline`. Errors as kube::Client::patch, but never not_found and never invalid.
base::Result<void> drop_held_mark(kube::Client& client, base::Clock& clock, const kube::Name& vm, const std::string& text,
                                  const base::Deadline& deadline, const std::stop_token& stop);

}  // namespace vmbackup::backup
