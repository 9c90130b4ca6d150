#include "cli/result.hpp"

#include <optional>

#include "base/text.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

void tell_error(Context& context, const base::Error& error, const std::vector<std::string>& left) {
  std::vector<std::string> causes = error.causes();
  for (const std::string& object : left) causes.push_back("left in the cluster: " + object);
  // In JSON the result holds it.
  context.console().block(error_text(error.with_causes(causes), context.console().colors()));
}

}  // namespace

void print_result(Context& context, OutputFormat format, const ResultViews& views) {
  switch (format) {
    case OutputFormat::json:
      context.out().write(json_text(views.document()));
      break;
    case OutputFormat::yaml:
      context.out().write(yaml_text(views.document()));
      break;
    case OutputFormat::name:
      context.out().write(views.names());
      break;
    case OutputFormat::table:
    case OutputFormat::wide:
      context.out().write(views.text(format == OutputFormat::wide));
      break;
  }
}

void tell_end(Context& context, const backup::SnapshotItem& item, ExitCode code, const std::optional<backup::Level>& require) {
  if (item.error) {
    tell_error(context, *item.error, item.left);
  } else if (code == ExitCode::weaker) {
    const bool planned = item.outcome == backup::Outcome::planned;
    const std::string what = (planned ? "the snapshot of " : "snapshot " + item.name + " of ") + item_title(item);
    if (!item.complete) {
      context.console().warning(what + (planned ? " would be" : " is") +
                                " incomplete: a disk that the VM can write is not in it; --allow-partial accepts that");
    }
    if (!require) return;
    if (planned) {
      context.console().warning(what + " would be weaker than --require " + to_string(*require));
    } else if (item.judged && item.judged->verdict.level != *require) {
      const std::vector<std::string>& why = item.judged->verdict.reasons;
      context.console().warning(what + " is " + to_string(item.judged->verdict.level) + ", not " + to_string(*require) +
                                (why.empty() ? "" : ": " + base::join(why, "; ")) + (item.uid.empty() ? "; it was deleted again" : ""));
    }
  }
}

void tell_end(Context& context, const backup::DeleteItem& item) {
  if (item.error) tell_error(context, *item.error, {});
}

std::string item_title(const backup::SnapshotItem& item) { return item.ns + '/' + (item.vm.empty() ? item.name : item.vm); }

}  // namespace vmbackup::cli
