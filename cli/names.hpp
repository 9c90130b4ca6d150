// How objects are named on the command line: NAME or TYPE/NAME.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/flags.hpp"

namespace vmbackup::cli {

// "db-0" from "db-0", "vm/db-0", "virtualmachine.kubevirt.io/db-0" and what else kubectl accepts for the kind that is meant.
// usage: another type, or a name that no object can have; says what would be right.
base::Result<std::string> name_of(const std::string& text, Names kind);

// What stands before the name: "vm/" of "vm/db", "" where no type is written. None: the type of another kind.
std::optional<std::string> typed_prefix(const std::string& text, Names kind);

// DNS label (at most 63) and DNS subdomain (at most 253), as the API server checks them. usage: why not.
base::Result<void> check_dns_label(const std::string& text);
base::Result<void> check_dns_subdomain(const std::string& text);

SetText name_into(std::string& target, Names kind);
SetText names_into(std::vector<std::string>& target, Names kind);  // adds; a repeated name counts once
SetText namespace_into(std::string& target);                       // empty: none given

// "virtualmachinesnapshot.snapshot.kubevirt.io/<name>", as -o name prints it.
std::string typed_snapshot_name(const std::string& name);

}  // namespace vmbackup::cli
