#include "cli/freeze_view.hpp"

#include <algorithm>
#include <set>

#include "base/text.hpp"
#include "cli/error_view.hpp"
#include "cli/printers.hpp"
#include "cli/result.hpp"
#include "cli/table.hpp"

namespace vmbackup::cli {
namespace {

using backup::FreezeItem;
using backup::FreezeReport;
using json::Value;

Value item_value(const FreezeItem& item) {
  return Value::object({{"namespace", item.ns},
                        {"vm", item.vm},
                        {"outcome", backup::to_string(item.outcome)},
                        {"state", item.state},
                        {"mayBeHeld", item.held},
                        {"by", item.by},
                        {"frozenSince", time_value(item.confirmed)},
                        {"sentTime", time_value(item.sent)},
                        {"confirmedTime", time_value(item.confirmed)},
                        {"thawConfirmedTime", time_value(item.thaw_confirmed)},
                        {"thawedBy", item.thawed_by},
                        {"windowSeconds", item.window_seconds ? Value(*item.window_seconds) : Value()},
                        {"safetyTimeoutSeconds", base::to_seconds(item.safety_timeout)},
                        {"safetyUntil", time_value(item.safety_until)},
                        {"reasons", strings_value(item.reasons)},
                        {"assumptions", strings_value(item.assumptions)},
                        {"warnings", strings_value(item.warnings)},
                        {"error", item.error ? error_value(*item.error) : Value()}});
}

Value command_value(const backup::CommandReport& command) {
  return Value::object({{"program", command.program},
                        {"exitCode", command.exit_code ? Value(*command.exit_code) : Value()},
                        {"endedByUs", command.given_up},
                        {"why", command.why_given_up},
                        {"durationSeconds", command.seconds}});
}

std::string time_text(const std::optional<base::WallTime>& time) { return time ? base::format_time(*time) : std::string(); }

struct Column {
  const char* title;
  bool always;
  std::string (*cell)(const FreezeItem&);
};

// Errors are told in full on stderr.
std::string remark(const FreezeItem& item) { return item.error ? std::string() : base::join(item.reasons, "; "); }

const std::vector<Column>& columns() {
  static const std::vector<Column> all = {
      {"VM", true, [](const FreezeItem& item) { return item.vm; }},
      {"STATE", true, [](const FreezeItem& item) { return item.state; }},
      {"FROZEN", false, [](const FreezeItem& item) { return time_text(item.confirmed); }},
      {"SAFETY-TIMER", false, [](const FreezeItem& item) { return item.state == "frozen" ? time_text(item.safety_until) : std::string(); }},
      {"THAWED", false, [](const FreezeItem& item) { return time_text(item.thaw_confirmed); }},
      {"WINDOW", false, [](const FreezeItem& item) { return item.window_seconds ? short_seconds(*item.window_seconds) : std::string(); }},
      {"HELD-BY", false, [](const FreezeItem& item) { return item.by; }},
      {"REASON", false, remark},
  };
  return all;
}

bool many_namespaces(const FreezeReport& report) {
  std::set<std::string> spaces;
  for (const FreezeItem& item : report.items) spaces.insert(item.ns);
  return spaces.size() > 1;
}

std::string title(const FreezeItem& item) { return base::printable(item.ns + '/' + item.vm, 256); }

}  // namespace

Value freeze_report_value(const FreezeReport& report, ExitCode exit_code) {
  json::Array items;
  for (const FreezeItem& item : report.items) items.push_back(item_value(item));
  return Value::object({{"apiVersion", "vmbackup/v1"},
                        {"kind", "FreezeReport"},
                        {"run", report.run},
                        {"dryRun", report.dry_run},
                        {"startTime", base::format_time(report.start_time)},
                        {"completionTime", time_value(report.completion_time)},
                        {"exitCode", static_cast<int>(exit_code)},
                        {"items", std::move(items)},
                        {"command", report.command ? command_value(*report.command) : Value()}});
}

const std::vector<FieldText>& freeze_field_texts() {
  static const std::vector<FieldText> texts = {
      {"namespace, vm", "the VM"},
      {"outcome", "done, failed, skipped (passed over, see reasons), or planned (dry run)"},
      {"state", "frozen, thawed, paused, running (not frozen), stopped (no running instance) or unknown"},
      {"mayBeHeld", "true: the guest may still be frozen or paused and should not be; exit code 7"},
      {"by", "who holds it, as far as that can be known"},
      {"frozenSince, confirmedTime", "when the freeze was answered, by our clock; null where it was not"},
      {"sentTime", "when it was sent"},
      {"thawConfirmedTime, thawedBy", "when the thaw was confirmed, and by what"},
      {"windowSeconds", "from the freeze sent to the thaw confirmed"},
      {"safetyTimeoutSeconds, safetyUntil", "after how long, and when at the earliest, the guest thaws by itself"},
      {"reasons[]", "why it cannot be said that the guest stood still all the time, or why it was passed over"},
      {"assumptions[]", "what could not be seen and is taken to be so"},
      {"warnings[]", "what was found before the freeze"},
      {"error", "null, or code, message, hint, reason (the server's word) and causes[]"},
  };
  return texts;
}

std::string freeze_report_text(const FreezeReport& report, bool wide) {
  if (report.items.empty()) return {};
  std::vector<const Column*> shown;
  for (const Column& column : columns()) {
    const bool used =
        std::any_of(report.items.begin(), report.items.end(), [&](const FreezeItem& item) { return !column.cell(item).empty(); });
    if (column.always || used || (wide && std::string(column.title) != "REASON")) shown.push_back(&column);
  }
  const bool spaces = wide || many_namespaces(report);
  std::vector<std::string> titles;
  if (spaces) titles.emplace_back("NAMESPACE");
  for (const Column* column : shown) titles.emplace_back(column->title);
  Table table(titles);
  for (const FreezeItem& item : report.items) {
    std::vector<std::string> cells;
    if (spaces) cells.push_back(item.ns);
    for (const Column* column : shown) cells.push_back(column->cell(item));
    table.add(cells);
  }
  return table.text();
}

std::string freeze_names_text(const FreezeReport& report) {
  std::string out;
  for (const FreezeItem& item : report.items) {
    if (!item.error && item.outcome != backup::Outcome::skipped) out += "virtualmachine.kubevirt.io/" + base::printable(item.vm) + '\n';
  }
  return out;
}

namespace {

void tell_end(Context& context, const FreezeReport& report) {
  Console& console = context.console();
  for (const FreezeItem& item : report.items) {
    if (item.error) {
      console.block(error_text(*item.error, console.colors()));
    } else if (item.outcome == backup::Outcome::done) {
      for (const std::string& reason : item.reasons) {
        console.warning(title(item) + " cannot be said to have stood still all the time: " + reason);
      }
    }
  }
  if (!report.command) return;
  const backup::CommandReport& command = *report.command;
  if (command.given_up) {
    console.warning("the command " + command.program + " was ended: " + command.why_given_up);
  } else if (command.exit_code && *command.exit_code != 0) {
    console.warning("the command " + command.program + " failed with exit code " + std::to_string(*command.exit_code));
  }
}

}  // namespace

ExitCode finish(Context& context, const FreezeReport& report, ExitCode code, OutputFormat format, bool output_is_taken) {
  if (output_is_taken && (format == OutputFormat::table || format == OutputFormat::wide)) {
    context.console().block(freeze_report_text(report, format == OutputFormat::wide));
  } else {
    print_result(context, format,
                 {.document = [&] { return freeze_report_value(report, code); },
                  .text = [&](bool wide) { return freeze_report_text(report, wide); },
                  .names = [&] { return freeze_names_text(report); }});
  }
  tell_end(context, report);
  context.console().result(freeze_report_value(report, code), static_cast<int>(code));
  return code;
}

}  // namespace vmbackup::cli
