// One guest being let go, try after try: what is common to a thaw and to the end of a pause. Private to freeze_guard.cpp and
// pause_guard.cpp.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "backup/events.hpp"
#include "backup/freeze_guard.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

// virt-api gives virt-handler 10 s; what comes later is no answer.
inline constexpr base::Duration k_answer_limit = std::chrono::seconds(15);
inline constexpr base::Duration k_look_limit = std::chrono::seconds(5);
// In which a guest has to be let go, beyond what holds it by itself.
inline constexpr base::Duration k_extra = std::chrono::seconds(75);

// One thread. All references must outlive it.
class LettingGo {
 public:
  LettingGo(kube::Client& client, base::Clock& clock, Observer& observer, const GuardTarget& target, Event::Kind again)
      : client_(client), clock_(clock), observer_(observer), target_(target), again_(again) {}

  // Calls `attempt` until it says that it is done, with growing pauses up to 2 s; after settle_later() always 2 s. False: `deadline`
  // passed.
  bool persist(const base::Deadline& deadline, const std::function<bool()>& attempt);
  // Whether what was sent may still come about.
  void settle_later(bool later) { later_ = later; }

  // Why it was not enough; told when it changes.
  void again(const std::string& why);
  // The same of an answer that is none. That of a request which was cut short by the end of our patience is no news.
  void unclear(const base::Error& answer, const base::Deadline& deadline);
  const std::string& last() const { return last_; }
  void tell(Event::Kind kind, const std::string& text) const;

  base::Deadline answer_until(const base::Deadline& deadline) const {
    return base::Deadline::after(clock_, k_answer_limit).sooner(deadline);
  }
  // The instance as it is now. None: it has ended, or another one stands in its place. An error: it cannot be said.
  base::Result<std::optional<kubevirt::VirtualMachineInstance>> instance() const;

 private:
  kube::Client& client_;
  base::Clock& clock_;
  Observer& observer_;
  const GuardTarget& target_;
  const Event::Kind again_;
  std::string last_;
  bool later_ = false;
};

// Whether it is the instance that the guard is for; with no UID any that has not ended.
bool is_target(const kubevirt::VirtualMachineInstance& vmi, const GuardTarget& target);

}  // namespace vmbackup::backup
