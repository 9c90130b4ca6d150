#include "cli/metrics.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "backup/level.hpp"
#include "base/atomic_file.hpp"
#include "base/text.hpp"

namespace vmbackup::cli {
namespace {

using backup::SnapshotItem;

// The first words say that the file is ours to replace.
constexpr std::string_view k_ours = "# Written by kubectl-vmbackup";
constexpr const char* k_first_line = "# Written by kubectl-vmbackup snapshot --metrics-file; each run replaces it.\n";
// Ten thousand VMs.
constexpr std::size_t k_most_bytes = std::size_t{32} << 20;

enum class Metric {
  run_end,
  run_code,
  success,
  attempt,
  attempt_success,
  attempt_code,
  attempt_seconds,
  level,
  complete,
  included,
  left_out,
  window
};

// What a later run does with the series of a VM that it has tried.
enum class Kept { never, until_success, until_taken, run };

struct Family {
  Metric metric;
  const char* name;
  Kept kept;
  const char* help;
};

constexpr std::array<Family, 12> k_families = {{
    {Metric::run_end, "vmbackup_run_timestamp_seconds", Kept::run, "When the last run ended, by the clock of the machine it ran on."},
    {Metric::run_code, "vmbackup_run_exit_code", Kept::run, "The exit code of the last run, also of one that found no VM."},
    {Metric::success, "vmbackup_snapshot_last_success_timestamp_seconds", Kept::until_success,
     "When the disks of the last snapshot that was as good as asked (exit code 0) were cut, by the cluster's clock."},
    {Metric::attempt, "vmbackup_snapshot_last_attempt_timestamp_seconds", Kept::never,
     "When the last run that tried ended, by the clock of the machine it ran on."},
    {Metric::attempt_success, "vmbackup_snapshot_last_attempt_success", Kept::never,
     "1 if the last try gave a snapshot as good as asked, else 0. A snapshot that was not waited for is none."},
    {Metric::attempt_code, "vmbackup_snapshot_last_attempt_exit_code", Kept::never, "The exit code of the last try."},
    {Metric::attempt_seconds, "vmbackup_snapshot_last_attempt_duration_seconds", Kept::never,
     "How long the last try took, from the create to the end of the wait."},
    {Metric::level, "vmbackup_snapshot_level", Kept::until_taken,
     "1 for the level of consistency of the last snapshot that was taken, 0 for the other levels."},
    {Metric::complete, "vmbackup_snapshot_complete", Kept::until_taken,
     "1 if every disk that the VM can write is in the last snapshot that was taken, else 0."},
    {Metric::included, "vmbackup_snapshot_disks_included", Kept::until_taken, "How many disks are in the last snapshot that was taken."},
    {Metric::left_out, "vmbackup_snapshot_disks_left_out", Kept::until_taken,
     "How many disks that the VM can write are not in the last snapshot that was taken."},
    {Metric::window, "vmbackup_snapshot_freeze_window_seconds", Kept::until_taken,
     "How long the guest was frozen for the last snapshot that was taken, where that is known."},
}};

const Family& family_of(Metric metric) { return k_families[static_cast<std::size_t>(metric)]; }

struct Series {
  Metric metric{};
  std::string ns;
  std::string vm;
  std::string level;
  friend auto operator<=>(const Series&, const Series&) = default;
};
using Values = std::map<Series, std::string>;

// ---- numbers ----

std::string number(double value) {
  char text[64];
  const std::to_chars_result end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed);
  return end.ec == std::errc() ? std::string(text, end.ptr) : "NaN";
}

std::string seconds_of(base::WallTime time) {
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  return number(static_cast<double>(whole.count()) / 1000);
}

bool is_number(std::string_view text) {
  double value = 0;
  const std::from_chars_result end = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && end.ec == std::errc() && end.ptr == text.data() + text.size();
}

// ---- reading what an earlier run wrote ----

// The text of a label's value in quotes, which stand at the beginning of `rest`; takes them away.
std::optional<std::string> take_quoted(std::string_view& rest) {
  if (!rest.starts_with('"')) return std::nullopt;
  std::string value;
  for (std::size_t at = 1; at < rest.size(); ++at) {
    if (rest[at] == '"') {
      rest.remove_prefix(at + 1);
      return value;
    }
    if (rest[at] == '\\' && ++at < rest.size()) {
      value += rest[at] == 'n' ? '\n' : rest[at];
    } else if (at < rest.size()) {
      value += rest[at];
    }
  }
  return std::nullopt;
}

bool take_labels(std::string_view& rest, Series& series) {
  if (!rest.starts_with('{')) return true;
  rest.remove_prefix(1);
  while (!rest.starts_with('}')) {
    const std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view name = rest.substr(0, equals);
    rest.remove_prefix(equals + 1);
    std::optional<std::string> value = take_quoted(rest);
    if (!value) return false;
    if (name == "namespace")
      series.ns = std::move(*value);
    else if (name == "vm")
      series.vm = std::move(*value);
    else if (name == "level")
      series.level = std::move(*value);
    else
      return false;
    if (rest.starts_with(',')) rest.remove_prefix(1);
  }
  rest.remove_prefix(1);
  return true;
}

void read_line(std::string_view line, Values& values) {
  const std::string_view name = line.substr(0, line.find_first_of("{ "));
  const auto family = std::find_if(k_families.begin(), k_families.end(), [name](const Family& each) { return name == each.name; });
  if (family == k_families.end()) return;
  Series series;
  series.metric = family->metric;
  std::string_view rest = line.substr(name.size());
  if (!take_labels(rest, series)) return;
  const bool of_vm = !series.ns.empty() && !series.vm.empty();
  const bool fits = of_vm == (family->kept != Kept::run) && series.level.empty() == (family->metric != Metric::level);
  const std::string_view value = base::trim(rest);
  if (fits && is_number(value)) values[series] = value;
}

// ---- what the run adds ----

bool is_taken(const SnapshotItem& item) { return !item.uid.empty() && item.phase == "Succeeded"; }

// How long the guest stood still, as far as the item knows.
std::optional<double> freeze_window(const SnapshotItem& item) {
  if (item.freeze && item.freeze->window_seconds) return item.freeze->window_seconds;
  if (!item.judged || item.judged->source != backup::EvidenceSource::recorded) return std::nullopt;
  const kubevirt::Evidence& evidence = item.judged->evidence;
  if (!evidence.thaw || !evidence.thaw->confirmed) return std::nullopt;
  return base::to_seconds(*evidence.thaw->confirmed);
}

void add_facts(const SnapshotItem& item, Values& values) {
  const auto set = [&](Metric metric, const std::string& value) { values[{metric, item.ns, item.vm, ""}] = value; };
  if (item.judged) {
    for (const backup::Level level : backup::all_levels()) {
      values[{Metric::level, item.ns, item.vm, to_string(level)}] = level == item.judged->verdict.level ? "1" : "0";
    }
  }
  const auto is_left_out = [](const backup::DiskReport& disk) { return !disk.included && disk.counts; };
  const auto is_included = [](const backup::DiskReport& disk) { return disk.included; };
  set(Metric::complete, item.complete ? "1" : "0");
  set(Metric::included, std::to_string(std::count_if(item.disks.begin(), item.disks.end(), is_included)));
  set(Metric::left_out, std::to_string(std::count_if(item.disks.begin(), item.disks.end(), is_left_out)));
  if (const std::optional<double> window = freeze_window(item)) set(Metric::window, number(*window));
}

void add_item(const SnapshotItem& item, ExitCode code, base::WallTime end, Values& values) {
  // Passed over, or of no VM that could be named.
  if (item.outcome == backup::Outcome::skipped || item.ns.empty() || item.vm.empty()) return;
  const bool taken = is_taken(item);
  const bool success = taken && code == ExitCode::done;
  std::erase_if(values, [&](const Values::value_type& each) {
    const Kept kept = family_of(each.first.metric).kept;
    const bool goes = kept == Kept::never || (kept == Kept::until_taken && taken) || (kept == Kept::until_success && success);
    return goes && each.first.ns == item.ns && each.first.vm == item.vm;
  });
  const auto set = [&](Metric metric, const std::string& value) { values[{metric, item.ns, item.vm, ""}] = value; };
  set(Metric::attempt, seconds_of(end));
  set(Metric::attempt_success, success ? "1" : "0");
  set(Metric::attempt_code, std::to_string(static_cast<int>(code)));
  if (item.seconds) set(Metric::attempt_seconds, number(*item.seconds));
  if (success) set(Metric::success, seconds_of(item.creation_time.value_or(end)));
  if (taken) add_facts(item, values);
}

// ---- writing ----

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string labels_of(const Series& series) {
  if (series.vm.empty()) return {};
  const std::string level = series.level.empty() ? "" : ",level=" + quoted(series.level);
  return "{namespace=" + quoted(series.ns) + ",vm=" + quoted(series.vm) + level + '}';
}

std::string text_of(const Values& values) {
  std::string out = k_first_line;
  const char* last = nullptr;
  for (const auto& [series, value] : values) {
    const Family& family = family_of(series.metric);
    if (last != family.name) {
      out += std::string("# HELP ") + family.name + ' ' + family.help + "\n# TYPE " + family.name + " gauge\n";
      last = family.name;
    }
    out += family.name + labels_of(series) + ' ' + value + '\n';
  }
  return out;
}

// Nobody's configuration is lost to a slip of the keyboard.
base::Result<void> check_ours(const std::string& text) {
  if (text.empty() || text.starts_with(k_ours)) return {};
  return base::Error(base::ErrorCode::usage, "it exists and was not written by this tool", "name a file of its own, such as vmbackup.prom");
}

}  // namespace

void bind_metrics_file(Flags& flags, std::string& target) {
  flags.add(Flag{.name = "metrics-file",
                 .metavar = "FILE",
                 .help =
                     "write the outcome for Prometheus there, as the textfile collector of the node exporter reads it; what it holds of "
                     "other VMs stays: kubectl-vmbackup-metrics(7)",
                 .set = text_into(target)});
}

base::Result<void> check_metrics_file(const std::string& path) {
  if (path.empty()) return {};
  const std::string where = "--metrics-file " + path;
  if (const base::Result<void> can = base::check_replaceable(path); !can) return can.error().wrap(where);
  const base::Result<std::string> text = base::read_small_file(path, k_most_bytes);
  if (!text) return text.error().with_code(base::ErrorCode::usage).wrap(where);
  if (const base::Result<void> ours = check_ours(*text); !ours) return ours.error().wrap(where);
  return {};
}

std::string metrics_text(const std::string& before, const backup::SnapshotReport& report, const std::vector<ExitCode>& codes,
                         ExitCode code) {
  Values values;
  std::string_view rest = before;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    read_line(rest.substr(0, end), values);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const base::WallTime end = report.completion_time.value_or(report.start_time);
  values[{Metric::run_end, "", "", ""}] = seconds_of(end);
  values[{Metric::run_code, "", "", ""}] = std::to_string(static_cast<int>(code));
  for (std::size_t i = 0; i < report.items.size(); ++i) add_item(report.items[i], codes.at(i), end, values);
  return text_of(values);
}

void write_metrics(Context& context, const std::string& path, const backup::SnapshotReport& report, const std::vector<ExitCode>& codes,
                   ExitCode code) {
  if (path.empty() || report.dry_run) return;
  const base::Result<void> written =
      base::update_file(path, k_most_bytes, context.clock(), [&](const std::string& before) -> base::Result<std::string> {
        if (const base::Result<void> ours = check_ours(before); !ours) return ours.error();
        return metrics_text(before, report, codes, code);
      });
  if (!written) context.console().warning("no metrics were written to " + path + ": " + written.error().message());
}

std::vector<MetricText> metric_texts() {
  std::vector<MetricText> texts;
  for (const Family& family : k_families) texts.push_back({family.name, family.help});
  return texts;
}

}  // namespace vmbackup::cli
