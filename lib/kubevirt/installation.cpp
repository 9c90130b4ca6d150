#include "kubevirt/installation.hpp"

#include "json/reader.hpp"
#include "kubevirt/decode.hpp"

namespace vmbackup::kubevirt {

using base::Result;

namespace {

Result<std::string> observed(const json::Value& object, const char* kind, const char* field) {
  const json::Reader reader(object, what_of(object, kind));
  std::string version = reader.member("status").string(field);
  if (const std::optional<base::Error> error = reader.error()) return *error;
  return version;
}

}  // namespace

Result<std::string> observed_kubevirt_version(const json::Value& object) { return observed(object, "KubeVirt", "observedKubeVirtVersion"); }

Result<std::string> observed_cdi_version(const json::Value& object) { return observed(object, "CDI", "observedVersion"); }

Result<std::string> virt_api_version(kube::Client& client, const kube::Call& call, const std::stop_token& stop) {
  const Result<json::Value> answer = client.get_document("/apis/subresources.kubevirt.io/v1/version", call, stop);
  if (!answer) return answer.error();
  const json::Reader reader(*answer, "the version that KubeVirt's API answers");
  std::string version = reader.required_string("gitVersion");
  if (const std::optional<base::Error> error = reader.error()) return *error;
  return version;
}

}  // namespace vmbackup::kubevirt
