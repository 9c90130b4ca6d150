#include "cli/names.hpp"

#include <doctest/doctest.h>

using namespace vmbackup;
using cli::Names;

namespace {

std::string told(const base::Result<std::string>& result) {
  if (result) return *result;
  CHECK(result.error().code() == base::ErrorCode::usage);
  return result.error().message() + " | " + result.error().hint();
}

}  // namespace

TEST_CASE("kubectl's spellings of a type") {
  for (const char* type : {"vm", "vms", "virtualmachine", "virtualmachines", "VirtualMachine", "virtualmachine.kubevirt.io"}) {
    CHECK(told(cli::name_of(std::string(type) + "/db-0", Names::virtual_machine)) == "db-0");
  }
  for (const char* type : {"vmsnapshot", "vmsnapshots", "virtualmachinesnapshot", "virtualmachinesnapshots.snapshot.kubevirt.io"}) {
    CHECK(told(cli::name_of(std::string(type) + "/s", Names::snapshot)) == "s");
  }
  CHECK(told(cli::name_of(cli::typed_snapshot_name("s"), Names::snapshot)) == "s");
}

TEST_CASE("a wrong type says what would be right") {
  CHECK(told(cli::name_of("vmsnapshot/x", Names::virtual_machine)) ==
        "this command works on a vm | which VM it is of: kubectl vmbackup show x");
  CHECK(told(cli::name_of("vm/x", Names::snapshot)) ==
        "this command works on a vmsnapshot | what snapshots there are of it: kubectl vmbackup list x");
  CHECK(told(cli::name_of("vm/X_", Names::snapshot)) == "this command works on a vmsnapshot | write vmsnapshot/NAME");
  CHECK(told(cli::name_of("vmi/x", Names::virtual_machine)) == "unknown type | write vm/x");
  CHECK(told(cli::name_of("pod/x", Names::snapshot)) == "unknown type | write vmsnapshot/x");
  CHECK(told(cli::name_of("vm.snapshot.kubevirt.io/x", Names::virtual_machine)) == "unknown type | write vm/x");
}

TEST_CASE("names that no object can have") {
  CHECK(cli::check_dns_subdomain("a.b-c.0").ok());
  for (const char* bad : {"", "-a", "a-", "a..b", "a/b", "a_b", "a b", "\xc3\xa4"}) {
    CAPTURE(bad);
    CHECK_FALSE(cli::check_dns_subdomain(bad).ok());
  }
  CHECK(cli::check_dns_subdomain(std::string(253, 'a')).ok());
  CHECK_FALSE(cli::check_dns_subdomain(std::string(254, 'a')).ok());
  CHECK_FALSE(cli::check_dns_label("a.b").ok());
  CHECK_FALSE(cli::check_dns_label(std::string(64, 'a')).ok());
  CHECK(cli::check_dns_subdomain("Db-0").error().hint() == "did you mean \"db-0\"?");
}

TEST_CASE("the same name twice counts once") {
  std::vector<std::string> names;
  const cli::SetText add = cli::names_into(names, Names::snapshot);
  CHECK(add("a").ok());
  CHECK(add("vmsnapshot/a").ok());
  CHECK(add("b").ok());
  CHECK(names == std::vector<std::string>{"a", "b"});
}
