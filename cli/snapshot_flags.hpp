// What the command line of `snapshot` says.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "backup/snapshot.hpp"
#include "base/duration.hpp"
#include "base/result.hpp"
#include "cli/flags.hpp"

namespace vmbackup::cli {

struct SnapshotOptions {
  backup::SnapshotRequest request;
  backup::TakeOptions take;
  std::size_t retries = 0;
  base::Duration timeout = std::chrono::minutes(30);
  bool allow_partial = false;
  bool yes = false;
  std::string recipe_file;
  std::string metrics_file;
  DryRun dry_run = DryRun::none;
  OutputFormat output = OutputFormat::table;
};

// `options` must outlive the flags.
void bind_snapshot(Flags& flags, SnapshotOptions& options);
// What several flags say together. usage.
base::Result<void> check(const SnapshotOptions& options);

}  // namespace vmbackup::cli
