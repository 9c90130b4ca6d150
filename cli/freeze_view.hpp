// What freeze and thaw report: as a JSON document, as a table, as messages.
#pragma once

#include <string>
#include <vector>

#include "backup/report.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"
#include "cli/view.hpp"
#include "json/value.hpp"

namespace vmbackup::cli {

// kind FreezeReport.
json::Value freeze_report_value(const backup::FreezeReport& report, ExitCode exit_code);
const std::vector<FieldText>& freeze_field_texts();

// One row per guest; columns that would be empty for all are left out, unless `wide`. Empty without guests.
std::string freeze_report_text(const backup::FreezeReport& report, bool wide);
// "virtualmachine.kubevirt.io/NAME" for those that were dealt with well.
std::string freeze_names_text(const backup::FreezeReport& report);

// The end of freeze and thaw: the report on stdout, or as a table on stderr where stdout is the command's (`output_is_taken`); then on
// stderr what went wrong and what is weaker than asked. Returns `code`.
ExitCode finish(Context& context, const backup::FreezeReport& report, ExitCode code, OutputFormat format, bool output_is_taken);

}  // namespace vmbackup::cli
