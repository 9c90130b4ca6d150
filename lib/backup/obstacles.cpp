#include "backup/obstacles.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace vmbackup::backup {

namespace {

using kubevirt::VirtualMachine;

std::string start_once(const VirtualMachine& vm) { return "start the VM once: virtctl start " + vm.name + " -n " + vm.ns; }

class Judge {
 public:
  Judge(const VirtualMachine& vm, const std::string& claim, const ClaimFacts& facts, bool has_instance)
      : vm_(vm), claim_(claim), facts_(facts), has_instance_(has_instance) {}

  std::vector<Obstacle> judge() const {
    if (std::optional<Obstacle> found = of_claim()) return {std::move(*found)};
    std::vector<Obstacle> found;
    // KubeVirt asks this of a VM without an instance alone.
    if (has_instance_ || !facts_.pods) return found;
    for (const PodUse& use : *facts_.pods) found.push_back(of_pod(use));
    return found;
  }

 private:
  static Obstacle not_yet(std::string why) { return {std::move(why), true, false, {}}; }
  static Obstacle never(std::string why, std::string mend) { return {std::move(why), false, false, std::move(mend)}; }
  static Obstacle in_use(std::string why, std::string mend) { return {std::move(why), false, true, std::move(mend)}; }

  std::string look_at(const char* kind, const std::string& name) const {
    return std::string("see why with: kubectl describe ") + kind + ' ' + name + " -n " + vm_.ns;
  }
  std::string start_it() const { return start_once(vm_); }
  std::string edit_it() const { return "kubectl edit virtualmachine " + vm_.name + " -n " + vm_.ns; }

  // It is stopped, nobody is to start it, and no other pod has the claim either.
  bool lacks_consumer() const {
    return !has_instance_ && vm_.printable_status == "Stopped" && facts_.pods && facts_.pods->empty() && !facts_.scheduled;
  }

  std::optional<Obstacle> of_claim() const {
    if (facts_.state == ClaimFacts::State::unknown) return std::nullopt;
    if (facts_.state == ClaimFacts::State::missing) return of_missing();
    if (facts_.deleting) {
      return never("claim " + claim_ + " is being deleted, which cannot be taken back", "take the disk out of the VM: " + edit_it());
    }
    if (!facts_.bound) {
      if (std::optional<Obstacle> found = of_volume()) return found;
    }
    if (facts_.populated() == false) return of_data_volume();
    if (!facts_.bound) return of_unbound();
    return std::nullopt;
  }

  Obstacle of_missing() const {
    const std::string why = "claim " + claim_ + " does not exist";
    if (!facts_.data_volume.empty()) {
      if (facts_.data_volume_phase == "Failed") {
        return never(why + ": DataVolume " + claim_ + " has failed", look_at("datavolume", claim_));
      }
      return not_yet(why + " yet: DataVolume " + claim_ + " is in phase " + facts_.data_volume_phase.value_or("unknown"));
    }
    const std::vector<std::string>& made = vm_.data_volume_templates;
    if (std::find(made.begin(), made.end(), claim_) != made.end()) return not_yet(why + " yet: KubeVirt is to make it for the VM");
    if (!facts_.data_volume_phase) return not_yet(why);
    return never(why, "create it, or take the disk out of the VM: " + edit_it());
  }

  // What keeps a claim unbound, whoever is to fill it.
  std::optional<Obstacle> of_volume() const {
    const std::string why = "claim " + claim_ + " is not bound: its ";
    const std::string look = look_at("persistentvolumeclaim", claim_);
    if (facts_.lost) return never(why + "volume is lost", look);
    if (facts_.class_exists == false && !facts_.storage_class.empty() && !facts_.scheduled) {
      return never(why + "StorageClass " + facts_.storage_class + " does not exist", look);
    }
    return std::nullopt;
  }

  Obstacle of_data_volume() const {
    const std::string& filler = facts_.data_volume;
    const std::string& phase = *facts_.data_volume_phase;
    const std::string why = "claim " + claim_ + " is not populated: DataVolume " + filler;
    if (phase.empty()) return never(why + " does not exist", look_at("persistentvolumeclaim", claim_));
    if (phase == "Failed") return never(why + " has failed", look_at("datavolume", filler));
    // Between the stages of an import in several: whoever runs it has to go on.
    if (phase == "Paused") return never(why + " is paused", look_at("datavolume", filler));
    const bool waits = phase == "WaitForFirstConsumer" || phase == "PendingPopulation";
    if (waits && lacks_consumer()) return never(why + " waits for the VM's first start", start_it());
    return not_yet(why + " is in phase " + phase);
  }

  Obstacle of_unbound() const {
    const std::string why = "claim " + claim_ + " is not bound";
    if (facts_.waits_for_consumer && lacks_consumer()) return never(why + ": it waits for the VM's first start", start_it());
    return not_yet(why);
  }

  Obstacle of_pod(const PodUse& use) const {
    const std::string uses = "pod " + use.pod + " uses claim " + claim_ + " while the VM does not run";
    if (use.instance == vm_.name) return not_yet("pod " + use.pod + " of the VM's last run still has claim " + claim_);
    if (use.deleting) return not_yet(uses + ", and is being deleted");
    if (use.failed) {
      return never("pod " + use.pod + " has failed but still has claim " + claim_,
                   "remove it: kubectl delete pod " + use.pod + " -n " + vm_.ns);
    }
    if (!use.instance.empty()) {
      return in_use("VM " + use.instance + " uses claim " + claim_ + " while this VM does not run",
                    "stop that one first: virtctl stop " + use.instance + " -n " + vm_.ns);
    }
    return in_use(uses, "see what it does, and wait until it is gone: kubectl describe pod " + use.pod + " -n " + vm_.ns);
  }

  const VirtualMachine& vm_;
  const std::string& claim_;
  const ClaimFacts& facts_;
  const bool has_instance_;
};

}  // namespace

Obstacle unmade_state(const VirtualMachine& vm, bool has_instance) {
  const std::string why = "KubeVirt has not made its claim yet";
  if (has_instance || vm.printable_status != "Stopped") return {why, true, false, {}};
  return {why + ", which it does at the VM's first start", false, false, start_once(vm)};
}

std::vector<Obstacle> obstacles(const VirtualMachine& vm, const std::string& claim, const ClaimFacts& facts, bool has_instance) {
  return Judge(vm, claim, facts, has_instance).judge();
}

}  // namespace vmbackup::backup
