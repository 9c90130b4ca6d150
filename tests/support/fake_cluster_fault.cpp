#include "support/fake_cluster_fault.hpp"

#include <utility>

namespace vmbackup::test {

namespace {
constexpr std::pair<Fault::Action, const char*> k_actions[] = {
    {Fault::Action::status, "status"},           {Fault::Action::expired, "expired"}, {Fault::Action::end_watch, "end-watch"},
    {Fault::Action::cut_watch, "cut-watch"},     {Fault::Action::hang, "hang"},       {Fault::Action::delay, "delay"},
    {Fault::Action::lose_answer, "lose-answer"}, {Fault::Action::reset, "reset"},     {Fault::Action::half_body, "half-body"},
    {Fault::Action::go_away, "go-away"},         {Fault::Action::junk, "junk"},       {Fault::Action::only_v4, "only-v4"},
    {Fault::Action::endless, "endless"},
};
}  // namespace

const char* to_string(Fault::Action action) {
  for (const auto& [value, name] : k_actions) {
    if (value == action) return name;
  }
  return "";
}

std::optional<Fault::Action> fault_action(const std::string& name) {
  for (const auto& [value, text] : k_actions) {
    if (name == text) return value;
  }
  return std::nullopt;
}

std::string describe(const Fault& fault) {
  std::string text = to_string(fault.action);
  if (fault.action == Fault::Action::status) text += " " + std::to_string(fault.status);
  if (!fault.method.empty() || !fault.path.empty()) text += " on";
  if (!fault.method.empty()) text += " " + fault.method;
  if (!fault.path.empty()) text += " " + fault.path;
  return text;
}

bool is_about_watch(Fault::Action action) {
  return action == Fault::Action::expired || action == Fault::Action::end_watch || action == Fault::Action::cut_watch;
}

bool FaultBook::Entry::fits(const std::string& method, const std::string& target, bool watch) const {
  if (fault.method == "WATCH" ? !watch : fault.method.empty() ? watch && !is_about_watch(fault.action) : watch || fault.method != method) {
    return false;
  }
  return target.find(fault.path) != std::string::npos;
}

int FaultBook::add(Fault fault) {
  entries_.push_back({++last_, std::move(fault), 0});
  return last_;
}

void FaultBook::drop(int number) {
  std::erase_if(entries_, [number](const Entry& entry) { return entry.number == number; });
}

std::optional<Fault> FaultBook::take(const std::string& method, const std::string& target, bool watch) {
  for (Entry& entry : entries_) {
    if (!entry.fits(method, target, watch)) continue;
    if (entry.fault.times >= 0 && entry.seen >= entry.fault.skip + entry.fault.times) continue;
    if (entry.seen++ < entry.fault.skip) continue;
    return entry.fault;
  }
  return std::nullopt;
}

std::vector<std::string> FaultBook::unused() const {
  std::vector<std::string> result;
  for (const Entry& entry : entries_) {
    if (entry.seen <= entry.fault.skip) result.push_back(describe(entry.fault));
  }
  return result;
}

}  // namespace vmbackup::test
