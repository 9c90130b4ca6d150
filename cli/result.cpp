#include "cli/result.hpp"

#include <optional>

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

void tell_end(Context& context, const backup::SnapshotItem& item, ExitCode code) {
  if (item.error) {
    tell_error(context, *item.error, item.left);
  } else if (code == ExitCode::weaker) {
    const bool planned = item.outcome == backup::Outcome::planned;
    const std::string what = planned ? "the snapshot of " : "snapshot " + item.name + " of ";
    context.console().warning(what + item_title(item) + (planned ? " would be" : " is") +
                              " incomplete: a disk that the VM can write is not in it; --allow-partial accepts that");
  }
}

void tell_end(Context& context, const backup::DeleteItem& item) {
  if (item.error) tell_error(context, *item.error, {});
}

std::string item_title(const backup::SnapshotItem& item) { return item.ns + '/' + (item.vm.empty() ? item.name : item.vm); }

}  // namespace vmbackup::cli
