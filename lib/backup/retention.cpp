#include "backup/retention.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <tuple>

#include "backup/consistency.hpp"
#include "base/duration.hpp"

namespace vmbackup::backup {

namespace {

using State = RetentionCandidate::State;
using std::chrono::days;
using std::chrono::sys_days;

sys_days day_of(base::WallTime time) { return std::chrono::floor<days>(time); }

// A number per bucket: two times are in the same bucket if it is the same.
std::int64_t hour_bucket(base::WallTime time) { return std::chrono::floor<std::chrono::hours>(time).time_since_epoch().count(); }
std::int64_t day_bucket(base::WallTime time) { return day_of(time).time_since_epoch().count(); }
// Weeks begin on Monday, as ISO 8601 has it; 1970-01-01 was a Thursday.
std::int64_t week_bucket(base::WallTime time) {
  const sys_days day = day_of(time);
  const std::chrono::weekday weekday(day);
  return (day - days((weekday.c_encoding() + 6) % 7)).time_since_epoch().count();
}
std::int64_t month_bucket(base::WallTime time) {
  const std::chrono::year_month_day date(day_of(time));
  return std::int64_t{static_cast<int>(date.year())} * 12 + static_cast<unsigned>(date.month());
}
std::int64_t year_bucket(base::WallTime time) { return static_cast<int>(std::chrono::year_month_day(day_of(time)).year()); }

struct BucketRule {
  std::optional<std::uint32_t> RetentionRules::*count;
  std::int64_t (*bucket)(base::WallTime);
  const char* name;
};
constexpr std::array<BucketRule, 5> k_bucket_rules{{{&RetentionRules::hourly, hour_bucket, "hourly"},
                                                    {&RetentionRules::daily, day_bucket, "daily"},
                                                    {&RetentionRules::weekly, week_bucket, "weekly"},
                                                    {&RetentionRules::monthly, month_bucket, "monthly"},
                                                    {&RetentionRules::yearly, year_bucket, "yearly"}}};

// The candidates of one VM. `good` holds the indexes of those that rules count, newest first.
class Group {
 public:
  Group(const std::vector<RetentionCandidate>& all, const RetentionRules& rules, base::WallTime now,
        std::vector<RetentionDecision>& decisions)
      : all_(all), rules_(rules), now_(now), decisions_(decisions) {}

  void add(std::size_t index) {
    const RetentionCandidate& one = all_[index];
    if (one.ours || rules_.all_tools) members_.push_back(index);
    if (!one.ours && !rules_.all_tools) keep(index, "not made by this tool");
  }

  void decide() {
    for (const std::size_t index : members_) {
      if (all_[index].state == State::good) good_.push_back(index);
    }
    std::sort(good_.begin(), good_.end(), [this](std::size_t left, std::size_t right) {
      return std::tie(all_[left].created, all_[left].name) > std::tie(all_[right].created, all_[right].name);
    });
    keep_last();
    for (const BucketRule& rule : k_bucket_rules) keep_buckets(rule);
    keep_within();
    keep_labels();
    keep_level();
    for (const std::size_t index : members_) keep_others(index);
    for (const std::size_t index : members_) settle(index);
  }

 private:
  void keep(std::size_t index, std::string why) {
    decisions_[index].reasons.push_back(std::move(why));
    decisions_[index].fate = Fate::keep;
  }

  void keep_last() {
    const std::size_t count = std::min<std::size_t>(good_.size(), rules_.last.value_or(0));
    for (std::size_t i = 0; i < count; ++i) keep(good_[i], "among the last");
  }

  void keep_buckets(const BucketRule& rule) {
    std::uint32_t left = (rules_.*rule.count).value_or(0);
    std::optional<std::int64_t> before;
    for (const std::size_t index : good_) {
      const std::int64_t bucket = rule.bucket(all_[index].created);
      if (before == bucket) continue;
      if (left == 0) return;
      before = bucket;
      if (left != k_keep_all) --left;
      keep(index, rule.name);
    }
  }

  // Back from the newest, not from now: where snapshots have stopped coming, the old ones stay. A newest of the future (the server's clock
  // was wrong once) must not push the others out.
  void keep_within() {
    if (!rules_.within || good_.empty()) return;
    const base::WallTime from = std::min(all_[good_.front()].created, now_);
    for (const std::size_t index : good_) {
      if (from - all_[index].created <= *rules_.within) keep(index, "within " + base::format_duration(*rules_.within));
    }
  }

  void keep_labels() {
    for (const std::size_t index : good_) {
      for (const std::pair<std::string, std::string>& wanted : rules_.labels) {
        const std::string& key = wanted.first;
        const std::string& value = wanted.second;
        const auto fits = [&](const std::pair<std::string, std::string>& label) {
          return label.first == key && (value.empty() || label.second == value);
        };
        const std::vector<std::pair<std::string, std::string>>& labels = all_[index].labels;
        if (std::any_of(labels.begin(), labels.end(), fits)) keep(index, "label " + key + (value.empty() ? "" : "=" + value));
      }
    }
  }

  void keep_level() {
    if (good_.empty()) return;
    Level strongest = Level::unknown;
    for (const std::size_t index : good_) strongest = stronger(all_[index].level, strongest) ? all_[index].level : strongest;
    Level level = rules_.level.value_or(strongest);
    const auto enough = [&](std::size_t index) { return meets(all_[index].level, level, all_[index].clean_stop); };
    if (std::none_of(good_.begin(), good_.end(), enough)) level = strongest;
    const auto newest = std::find_if(good_.begin(), good_.end(), enough);
    const auto complete =
        std::find_if(good_.begin(), good_.end(), [&](std::size_t index) { return enough(index) && all_[index].complete; });
    const std::string words = std::string(" at level ") + to_string(level) + " or stronger";
    if (newest != good_.end()) keep(*newest, "the last" + words);
    if (complete != good_.end() && complete != newest) keep(*complete, "the last complete one" + words);
  }

  void keep_others(std::size_t index) {
    const RetentionCandidate& one = all_[index];
    for (const std::string& user : one.users) keep(index, user);
    if (one.vm_gone && !rules_.vm_gone) keep(index, "its VM is gone");
    if (one.state == State::deleting) keep(index, "being deleted already");
    if (one.state == State::unfinished) keep(index, "not finished or not ready to use");
    if (one.state != State::failed) return;
    if (!rules_.failed_older_than) return keep(index, "failed; --failed-older-than was not given");
    if (now_ - one.created <= *rules_.failed_older_than)
      keep(index, "failed less than " + base::format_duration(*rules_.failed_older_than) + " ago");
  }

  void settle(std::size_t index) {
    if (!decisions_[index].reasons.empty()) return;
    const bool failed = all_[index].state == State::failed;
    decisions_[index] = {
        Fate::forget,
        {failed ? "failed more than " + base::format_duration(*rules_.failed_older_than) + " ago" : std::string("no rule keeps it")}};
  }

  const std::vector<RetentionCandidate>& all_;
  const RetentionRules& rules_;
  const base::WallTime now_;
  std::vector<RetentionDecision>& decisions_;
  std::vector<std::size_t> members_;
  std::vector<std::size_t> good_;
};

}  // namespace

bool RetentionRules::any_keep() const { return last || hourly || daily || weekly || monthly || yearly || within || !labels.empty(); }

const char* to_string(Fate fate) { return fate == Fate::keep ? "keep" : "forget"; }

std::vector<RetentionDecision> decide_retention(const std::vector<RetentionCandidate>& candidates, const RetentionRules& rules,
                                                base::WallTime now) {
  std::vector<RetentionDecision> decisions(candidates.size());
  std::map<std::pair<std::string, std::string>, Group> groups;
  for (std::size_t index = 0; index < candidates.size(); ++index) {
    const RetentionCandidate& one = candidates[index];
    // No UID is a name that no UID looks like.
    const std::string whose = one.vm_uid.empty() ? "/" + one.vm : one.vm_uid;
    groups.try_emplace({one.ns, whose}, candidates, rules, now, decisions).first->second.add(index);
  }
  for (auto& [key, group] : groups) group.decide();
  return decisions;
}

}  // namespace vmbackup::backup
