#include "cli/level_texts.hpp"

namespace vmbackup::cli {

const std::vector<LevelText>& level_texts() {
  static const std::vector<LevelText> texts = {
      {"offline",
       "nothing ran: no instance of the VM, or a finished one, from before the first cut until the last was seen. How it had stopped is "
       "said: clean, killed, or unknown"},
      {"application",
       "the applications were quiesced by the steps of a recipe, each ready before the freeze and still in force at the last cut, and all "
       "that filesystem needs. An agent's freeze alone is never application: on Windows it notifies the VSS writers, and that is noted"},
      {"filesystem", "all file systems were frozen through every cut, as proven below"},
      {"crash",
       "all disks are of one instant, nothing was flushed: a single disk, or a VM paused through every cut. As after a power failure"},
      {"per-disk", "each disk is of an instant of its own: several disks of a running VM without a proven freeze"},
      {"unknown", "cannot be shown: evidence is missing, contradicts itself, or does not fit the objects. The reasons are listed"},
  };
  return texts;
}

const std::vector<LevelText>& freeze_clause_texts() {
  static const std::vector<LevelText> texts = {
      {"agent", "the guest agent was connected at t0 and never away until the last cut"},
      {"instance", "the same instance on the same node in the same pod, no migration, in a watch without a break from t0 to the last cut"},
      {"pause", "the VM was not paused, except by our own freeze+pause, and then from the create until the last cut"},
      {"indications",
       "KubeVirt says none of NoGuestAgent, QuiesceTimeout, QuiesceFailed, Paused (but for our own), and no word that this version does "
       "not know; where its controller froze it says GuestAgent"},
      {"timers",
       "the last cut was seen before the guest's safety timer could end the freeze, on Windows within 10 seconds. A guest whose system is "
       "not known counts as Windows. No answer said that VSS had given up"},
      {"our freeze",
       "with freeze and freeze+pause: it was confirmed before the snapshot was created, our thaw came after the last cut, and no other "
       "snapshot of the VM was under way in between, for KubeVirt thaws at the end of each"},
      {"the controller's freeze",
       "with controller: no other snapshot of the VM was under way, this one had the VM's lock at once, the guest's cached status "
       "(fsFreezeStatus, up to 5 seconds old) was empty at that moment, and nobody was seen to thaw in the 10 seconds before. Otherwise "
       "KubeVirt may have skipped its freeze without a word"},
      {"no early thaw",
       "that status, or the agent when asked itself, never went back from frozen before the last cut; in a window of more than 10 seconds "
       "one of them must have said frozen. What stays unseen is the assumption that nobody else thawed for so many seconds. freeze+pause "
       "needs none of this"},
      {"file systems", "the agent lists a file system on every disk in the snapshot, or the disk was accepted without one"},
  };
  return texts;
}

}  // namespace vmbackup::cli
