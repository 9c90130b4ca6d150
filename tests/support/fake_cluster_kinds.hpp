// The kinds that a FakeCluster serves. [fixtures: CRDs of kubevirt 1.9.0, external-snapshotter 8.6.0, containerized-data-importer-api 1.64]
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json/value.hpp"

namespace vmbackup::test {

struct Kind {
  std::string group;
  std::vector<std::string> versions;  // preferred first; all have one schema
  std::string plural;
  std::string singular;
  std::string kind;
  std::vector<std::string> short_names;
  bool namespaced = true;
  bool status_subresource = false;
  bool custom = true;  // from a CRD: answers differ in small things from those of built-in kinds

  // "virtualmachines.kubevirt.io", or "pods" for the core group.
  std::string resource() const;
  std::string api_version(std::string_view version) const;
  std::string api_version() const { return api_version(versions.front()); }
};

// All kinds, in the order of discovery. Pointers into it are the identity of a kind and stay valid.
const std::vector<Kind>& all_kinds();
// nullptr where there is none.
const Kind* find_kind(std::string_view group, std::string_view plural);
const Kind* find_kind_of(const json::Value& object);  // by apiVersion and kind
// By what a person types: plural, singular, short name or Kind, with or without ".group".
const Kind* find_kind_by_word(std::string_view word);
// The kind with that Kind name; for the fixed names used in this folder. Never nullptr there.
const Kind& kind(std::string_view kind_name);

}  // namespace vmbackup::test
