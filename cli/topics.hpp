// What is no command and has a page of its own: a man page, and `help TOPIC` where no man pages are installed.
#pragma once

#include <string>
#include <vector>

#include "cli/page.hpp"

namespace vmbackup::cli {

struct Topic {
  const char* name;     // "levels": its man page is kubectl-vmbackup-levels
  int section;          // of the manual
  const char* summary;  // as a command has one
  void (*write)(Page& page);
};

const std::vector<Topic>& topics();
// Null for another name.
const Topic* find_topic(const std::string& name);

}  // namespace vmbackup::cli
