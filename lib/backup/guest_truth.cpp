#include "backup/guest_truth.hpp"

#include "base/duration.hpp"

namespace vmbackup::backup {

namespace {

std::string seconds(base::Duration length) { return base::format_duration(std::chrono::ceil<std::chrono::milliseconds>(length)); }

}  // namespace

bool may_be_windows(const std::string& os_id) {
  return os_id.empty() || os_id == "mswindows" || os_id.find("windows") != std::string::npos;
}

WindowVerdict judge(const Window& window) {
  WindowVerdict verdict;
  const FreezeRecord& record = window.record;
  const Sight& sight = window.sight;
  const base::Duration needed = window.needed_until - *record.sent;
  const auto reason = [&](std::string text) { verdict.reasons.push_back(std::move(text)); };
  const auto assume = [&](std::string text) { verdict.assumptions.push_back(std::move(text)); };

  if (needed >= record.safety_timeout) {
    reason("it was needed frozen for " + seconds(needed) + ", and its safety timer thaws it after " +
           base::format_duration(record.safety_timeout));
  }
  if (record.vss_limit) {
    reason("Windows let go of its file systems before the thaw (VSS holds them for 10s at the most)");
  } else if (window.windows && needed > k_vss_limit) {
    reason("it was needed frozen for " + seconds(needed) + ", and Windows (VSS) lets go after 10s; an unknown guest OS counts as Windows");
  }
  if (sight.instance_ended) reason("its instance ended or was replaced meanwhile");
  if (sight.moved) reason("it was migrated meanwhile, which can lose the freeze and its safety timer");
  if (!sight.other_work.empty()) reason(sight.other_work + " meanwhile, and the end of that thaws the guest");
  const bool shown_live = sight.live && sight.live->frozen && *sight.live->frozen >= window.needed_until;
  if (sight.live && sight.live->thawed) {
    reason("its agent said that it was thawed before we thawed it: the safety timer or somebody else did");
  } else if (shown_live) {
    // Frozen at the end: nobody thawed it in between, unless it was frozen anew as well.
  } else if (sight.thawed_seen && *sight.thawed_seen <= window.needed_until) {
    reason("its status went from frozen to thawed before we thawed it: the safety timer or somebody else did");
  } else if (!sight.frozen_seen && sight.unbroken && !sight.agent_lost && needed > k_status_lag) {
    reason("its status never said frozen in " + seconds(needed));
  }
  if (shown_live) {
    // The agent's own word at the end says more than any watch.
  } else if (!sight.unbroken) {
    assume("nobody else thawed it within " + seconds(needed) + ": it could not be watched all the time" +
           (sight.unseen ? " (" + sight.unseen->message() + ")" : ""));
  } else if (verdict.reasons.empty()) {
    assume("nobody else thawed it within " + seconds(needed) + ": KubeVirt shows a thaw up to 5s late");
  }
  if (sight.live && sight.live->unknown) assume("its agent did not answer at the end: " + sight.live->unknown->message());
  if (sight.agent_lost && !shown_live) assume("the agent's connection was lost meanwhile, so that the status may be an old word");
  if (sight.paused) assume("it was paused by someone meanwhile");
  return verdict;
}

}  // namespace vmbackup::backup
