#include "kube/transport.hpp"

namespace vmbackup::kube {

std::string HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace vmbackup::kube
