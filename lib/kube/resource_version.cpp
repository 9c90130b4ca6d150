#include "kube/resource_version.hpp"

namespace vmbackup::kube {

namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.front() != '0' && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

bool is_older(std::string_view version, std::string_view than) {
  if (!is_number(version) || !is_number(than)) return false;
  return version.size() != than.size() ? version.size() < than.size() : version < than;
}

}  // namespace vmbackup::kube
