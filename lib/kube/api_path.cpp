#include "kube/api_path.hpp"

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

// apimachinery/pkg/api/validation/path/name.go: IsValidPathSegmentName.
base::Result<void> check_segment(std::string_view text, const char* what) {
  if (text.empty() || text == "." || text == ".." || text.find_first_of("/%") != std::string_view::npos) {
    return base::Error(base::ErrorCode::usage, "\"" + base::printable(text, 253) + "\" is no " + what);
  }
  return {};
}

}  // namespace

std::string escape(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    if (is_plain(c)) {
      result += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return result;
}

Query& Query::add(std::string_view key, std::string_view value) { return value.empty() ? *this : add_always(key, value); }

Query& Query::add_always(std::string_view key, std::string_view value) {
  text_ += text_.empty() ? '?' : '&';
  text_ += escape(key) + "=" + escape(value);
  return *this;
}

base::Result<std::string> collection_path(const Resource& resource, const std::string& ns) {
  std::string path = resource.group.empty() ? "/api/" : "/apis/" + escape(resource.group) + "/";
  path += escape(resource.version);
  if (resource.namespaced && !ns.empty()) {
    if (auto checked = check_segment(ns, "namespace"); !checked) return checked.error();
    path += "/namespaces/" + escape(ns);
  }
  return path + "/" + escape(resource.plural);
}

base::Result<std::string> object_path(const Resource& resource, const Name& name, const std::string& subresource) {
  if (auto checked = check_segment(name.name, "name"); !checked) return checked.error();
  if (resource.namespaced && name.ns.empty()) {
    return base::Error(base::ErrorCode::usage, object_label(resource, name) + ": a namespace is needed");
  }
  base::Result<std::string> path = collection_path(resource, name.ns);
  if (!path) return path;
  *path += "/" + escape(name.name);
  if (!subresource.empty()) {
    for (const std::string& part : base::split(subresource, '/')) *path += "/" + escape(part);
  }
  return path;
}

std::string object_label(const Resource& resource, const Name& name) {
  const std::string place = resource.namespaced && !name.ns.empty() ? name.ns + "/" : "";
  return resource.kind + " " + base::printable(place + name.name, 600);
}

std::string collection_label(const Resource& resource, const std::string& ns) {
  if (!resource.namespaced) return resource.plural;
  return resource.plural + (ns.empty() ? " in all namespaces" : " in namespace " + base::printable(ns, 253));
}

}  // namespace vmbackup::kube
