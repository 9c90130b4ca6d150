#include "backup/run_id.hpp"

#include "base/text.hpp"

namespace vmbackup::backup {

namespace {
constexpr std::size_t k_most_of_vm_name = 36;
}

std::string make_run_id(base::WallTime now, unsigned random) {
  const std::string time = base::format_time(now);  // 2026-01-02T03:04:05.678Z
  std::string id =
      time.substr(0, 4) + time.substr(5, 2) + time.substr(8, 2) + "-" + time.substr(11, 2) + time.substr(14, 2) + time.substr(17, 2) + "-";
  constexpr char k_letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (int i = 0; i < 4; ++i) {
    id += k_letters[random % 36];
    random /= 36;
  }
  return id;
}

bool is_run_id(const std::string& text) {
  const std::string form = "00000000-000000-xxxx";
  if (text.size() != form.size()) return false;
  for (std::size_t i = 0; i < form.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    const bool fits = form[i] == '-' ? text[i] == '-' : digit || (form[i] == 'x' && text[i] >= 'a' && text[i] <= 'z');
    if (!fits) return false;
  }
  return true;
}

std::string snapshot_name(const std::string& vm, const std::string& run) {
  if (vm.size() <= k_most_of_vm_name) return vm + "-" + run;
  // Room for "-" and the hash inside the same 36 characters; a cut that ends in "-" or "." would still be a valid name with what follows,
  // but "." before "-" is not: labels of a DNS subdomain begin and end with a letter or digit.
  std::string cut = vm.substr(0, k_most_of_vm_name - 9);
  while (!cut.empty() && (cut.back() == '-' || cut.back() == '.')) cut.pop_back();
  return cut + "-" + base::short_hash(vm) + "-" + run;
}

bool is_own_label(std::string_view key) { return key == k_managed_by_label || key.starts_with("kubectl-vmbackup/"); }

const char* tool_version() { return "0.1.0"; }

}  // namespace vmbackup::backup
