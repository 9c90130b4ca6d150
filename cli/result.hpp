// How a command ends: its report on stdout, what went wrong on stderr.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/report.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"
#include "json/value.hpp"

namespace vmbackup::cli {

// The views of one report; only the one that is asked for is made.
struct ResultViews {
  std::function<json::Value()> document;
  std::function<std::string(bool wide)> text;
  std::function<std::string()> names;
};
void print_result(Context& context, OutputFormat format, const ResultViews& views);

// Says on stderr what a script finds in the item: its error with what was left behind, or why it is weaker than asked.
void tell_end(Context& context, const backup::SnapshotItem& item, ExitCode code, const std::optional<backup::Level>& require = {});
void tell_end(Context& context, const backup::DeleteItem& item);

// The namespace and name as they stand in messages: "prod/db-0".
std::string item_title(const backup::SnapshotItem& item);

}  // namespace vmbackup::cli
