// Which VMs a command line means: names, -l, --all, -A, --exclude; the same for every command.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

struct Selection {
  std::string ns;                  // of the names, and of the rest unless `all_namespaces`
  std::vector<std::string> names;  // excludes label_selector and all
  std::string label_selector;
  bool all = false;
  bool all_namespaces = false;
  std::vector<kube::Name> exactly;   // these, as far as they exist; all else does not count
  std::vector<std::string> exclude;  // names; in any namespace
  bool ignore_not_found = false;     // a name or a selector that matches nothing is no error
};

struct PassedOver {
  kube::Name name;
  std::string reason;    // one clause: "excluded"
  bool stopped = false;  // it has no running instance
};

struct Selected {
  std::vector<kubevirt::VirtualMachine> vms;  // by namespace and name
  std::vector<PassedOver> passed_over;        // the same order
};

// A few names are read one by one, all else by one list.
// not_found: a name (with "did you mean") or a selector that matches nothing, or a namespace that does not exist; else `all` of nothing is
// good and empty.
base::Result<Selected> select_vms(kube::Client& client, const Selection& selection, const kube::Call& call, const std::stop_token& stop);

// The running instances of the VMs, in their order; nothing where there is none. One read for one VM, else one list per namespace.
base::Result<std::vector<std::optional<kubevirt::VirtualMachineInstance>>> instances_of(kube::Client& client,
                                                                                        const std::vector<kubevirt::VirtualMachine>& vms,
                                                                                        const kube::Call& call,
                                                                                        const std::stop_token& stop);

}  // namespace vmbackup::backup
