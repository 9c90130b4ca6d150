// Asks the agents of held guests, once a second, whether they are frozen: what KubeVirt's status says five seconds late.
#pragma once

#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "backup/ground.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

// What one agent said. Times on our steady clock.
struct LiveWord {
  std::optional<base::TimePoint> frozen;  // when the last question was sent that it answered with frozen
  std::optional<base::TimePoint> thawed;  // when it first answered with thawed
  std::optional<base::Error> unknown;     // why the last question had no answer
};

// Use: prepare(), freeze, ask(), begin() ... end(), ask(), thaw. word() at any time; all else from one thread. A frozen agent answers this
// question, and one that is asked while it thaws may hold the thaw up, so end() comes before the thaw.
class LiveProbe {
 public:
  // `client` and `clock` must outlive it.
  LiveProbe(kube::Client& client, base::Clock& clock, const std::vector<HoldTarget>& guests);
  ~LiveProbe();
  LiveProbe(const LiveProbe&) = delete;
  LiveProbe& operator=(const LiveProbe&) = delete;

  // Finds the pods that run the guests; one result per guest. forbidden: pods may not be listed; else as kubevirt::find_launcher_pod.
  std::vector<base::Result<void>> prepare(const base::Deadline& deadline, const std::stop_token& stop);
  // Asks each guest once, a few at a time; 8 s at the most for each.
  void ask();
  // Asks again every second, on a thread of its own, until end().
  void begin();
  void end();
  LiveWord word(std::size_t i) const;

 private:
  void ask_one(std::size_t i, const std::stop_token& stop);
  void ask_all(const std::stop_token& stop);

  kube::Client& client_;
  base::Clock& clock_;
  std::vector<kubevirt::VirtualMachineInstance> guests_;  // of each: ns, name, uid and node
  std::vector<kube::Name> pods_;
  mutable std::mutex mutex_;  // guards words_
  std::vector<LiveWord> words_;
  std::jthread thread_;
};

}  // namespace vmbackup::backup
