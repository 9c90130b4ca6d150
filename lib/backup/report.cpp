#include "backup/report.hpp"

namespace vmbackup::backup {

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::done:
      return "done";
    case Outcome::failed:
      return "failed";
    case Outcome::skipped:
      return "skipped";
    case Outcome::planned:
      return "planned";
  }
  return "failed";
}

}  // namespace vmbackup::backup
