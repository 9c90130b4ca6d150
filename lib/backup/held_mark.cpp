#include "backup/held_mark.hpp"

#include <algorithm>
#include <string_view>

#include "base/backoff.hpp"
#include "base/text.hpp"
#include "kubevirt/guest_control.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::ErrorCode;
using base::Result;

constexpr std::size_t k_longest_run = 63;

// A run is a label's value as well.
bool could_be_run(std::string_view word) {
  const auto plain = [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') || letter == '-' ||
           letter == '_' || letter == '.';
  };
  return !word.empty() && word.size() <= k_longest_run && std::all_of(word.begin(), word.end(), plain);
}

}  // namespace

std::string held_mark_text(const std::string& run, base::WallTime since) { return "run " + run + " since " + base::format_time(since); }

HeldMark read_held_mark(const std::string& text) {
  HeldMark mark;
  const std::vector<std::string> words = base::split(text, ' ');
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    if (words[i] == "run" && could_be_run(words[i + 1])) mark.run = words[i + 1];
    if (words[i] != "since") continue;
    const Result<base::WallTime> since = base::parse_time(words[i + 1]);
    if (since.ok()) mark.since = *since;
  }
  return mark;
}

Result<void> drop_held_mark(kube::Client& client, base::Clock& clock, const kube::Name& vm, const std::string& text,
                            const base::Deadline& deadline, const std::stop_token& stop) {
  base::Backoff pauses(std::chrono::milliseconds(200), std::chrono::seconds(2));
  for (;;) {
    const Result<void> dropped =
        kubevirt::drop_annotation(client, kubevirt::virtual_machines(), vm, k_held_annotation, text, {.deadline = deadline}, stop);
    if (dropped.ok()) return {};
    const ErrorCode code = dropped.error().code();
    if (code == ErrorCode::not_found || code == ErrorCode::invalid) return {};
    const bool may_heal = code == ErrorCode::unavailable || code == ErrorCode::conflict;
    if (!may_heal || deadline.passed(clock)) return dropped;
    if (!clock.sleep_until(std::min(clock.now() + pauses.next(), deadline.when()), stop)) return dropped;
  }
}

}  // namespace vmbackup::backup
