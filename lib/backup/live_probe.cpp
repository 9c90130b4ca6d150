#include "backup/live_probe.hpp"

#include <utility>

#include "base/parallel.hpp"
#include "kubevirt/freeze_probe.hpp"

namespace vmbackup::backup {

namespace {

using base::Result;
using kubevirt::FreezeState;

constexpr std::size_t k_at_once = 4;
constexpr base::Duration k_pause = std::chrono::seconds(1);
// libvirt gives an agent that does not answer up after 5 s.
constexpr base::Duration k_answer_limit = std::chrono::seconds(8);

}  // namespace

LiveProbe::LiveProbe(kube::Client& client, base::Clock& clock, const std::vector<HoldTarget>& guests)
    : client_(client), clock_(clock), pods_(guests.size()), words_(guests.size()) {
  for (const HoldTarget& guest : guests) {
    kubevirt::VirtualMachineInstance instance;
    instance.ns = guest.vm.ns;
    instance.name = guest.vm.name;
    instance.uid = guest.vmi_uid;
    instance.node = guest.node;
    guests_.push_back(std::move(instance));
  }
}

LiveProbe::~LiveProbe() = default;

std::vector<Result<void>> LiveProbe::prepare(const base::Deadline& deadline, const std::stop_token& stop) {
  std::vector<Result<void>> found(guests_.size());
  base::for_each_parallel(guests_.size(), k_at_once, [&](std::size_t i) {
    const Result<kube::Name> pod = kubevirt::find_launcher_pod(client_, guests_[i], {.deadline = deadline}, stop);
    if (pod.ok()) {
      pods_[i] = *pod;
    } else {
      found[i] = pod.error();
    }
  });
  return found;
}

void LiveProbe::ask_one(std::size_t i, const std::stop_token& stop) {
  const base::TimePoint sent = clock_.now();
  const kube::Call call{.deadline = base::Deadline::after(clock_, k_answer_limit), .repeat = false};
  const Result<FreezeState> state = kubevirt::probe_freeze_state(client_, guests_[i], pods_[i], call, stop);
  if (stop.stop_requested()) return;
  const std::lock_guard lock(mutex_);
  LiveWord& word = words_[i];
  word.unknown.reset();
  if (!state.ok()) {
    word.unknown = state.error();
  } else if (*state == FreezeState::frozen) {
    word.frozen = sent;
  } else if (!word.thawed) {
    word.thawed = clock_.now();
  }
}

void LiveProbe::ask_all(const std::stop_token& stop) {
  base::for_each_parallel(guests_.size(), k_at_once, [&](std::size_t i) {
    if (!stop.stop_requested()) ask_one(i, stop);
  });
}

void LiveProbe::ask() { ask_all({}); }

void LiveProbe::begin() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (clock_.sleep_until(clock_.now() + k_pause, stop)) ask_all(stop);
  });
}

void LiveProbe::end() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

LiveWord LiveProbe::word(std::size_t i) const {
  const std::lock_guard lock(mutex_);
  return words_[i];
}

}  // namespace vmbackup::backup
