#include "kube/access_review.hpp"

namespace vmbackup::kube {

base::Result<bool> may(Client& client, const Access& access, const Call& call, const std::stop_token& stop) {
  const Resource reviews{"authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false};
  json::Value asked = json::Value::object({{"verb", access.verb}, {"group", access.group}, {"resource", access.plural}});
  if (!access.subresource.empty()) asked.set("subresource", access.subresource);
  if (!access.ns.empty()) asked.set("namespace", access.ns);
  const json::Value review = json::Value::object({{"apiVersion", "authorization.k8s.io/v1"},
                                                  {"kind", "SelfSubjectAccessReview"},
                                                  {"spec", json::Value::object({{"resourceAttributes", std::move(asked)}})}});
  const base::Result<json::Value> answer = client.create(reviews, {}, review, call, stop);
  if (!answer) return answer.error().wrap("asking whether we may " + describe(access));
  return answer->path({"status", "allowed"}).as_bool();
}

std::string describe(const Access& access) {
  std::string what = access.verb + " " + access.plural;
  if (!access.subresource.empty()) what += "/" + access.subresource;
  if (!access.group.empty()) what += " in " + access.group;
  return what;
}

}  // namespace vmbackup::kube
