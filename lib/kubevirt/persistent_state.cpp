#include "kubevirt/persistent_state.hpp"

#include "base/text.hpp"

namespace vmbackup::kubevirt {

namespace {

constexpr std::size_t k_longest_name = 63;
constexpr std::size_t k_hash_and_dash = 9;

}  // namespace

// [openshift/library-go, pkg/build/naming/namer.go GetName, as KubeVirt 1.9.0 has it]
std::string state_volume_of(const std::string& vm) {
  const std::string base = k_state_label;
  const std::string whole = base + "-" + vm;
  if (whole.size() <= k_longest_name) return whole;
  if (k_longest_name <= k_hash_and_dash + 1 + vm.size()) return base + "-" + base::short_hash(whole);
  return base.substr(0, k_longest_name - k_hash_and_dash - 1 - vm.size()) + "-" + base::short_hash(base) + "-" + vm;
}

bool has_persistent_state(const json::Reader& template_spec) {
  const json::Reader domain = template_spec.member("domain");
  const json::Reader tpm = domain.member("devices").member("tpm");
  const bool keeps_tpm = tpm.present() && tpm.optional_bool("enabled").value_or(true) && tpm.optional_bool("persistent").value_or(false);
  return keeps_tpm || domain.member("firmware").member("bootloader").member("efi").optional_bool("persistent").value_or(false);
}

}  // namespace vmbackup::kubevirt
