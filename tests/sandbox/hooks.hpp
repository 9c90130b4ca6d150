// Acts of the sandbox that a script asked for: when an object is in a state, and somebody watches its kind, it is deleted, or replaced
// under the same name.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "json/value.hpp"
#include "support/fake_cluster.hpp"
#include "support/fake_cluster_kinds.hpp"

namespace vmbackup::sandbox {

class Hooks {
 public:
  explicit Hooks(test::FakeCluster& cluster);
  // The message of what is wrong with the rule, or nothing.
  std::optional<std::string> add(const json::Value& rule);
  // Looks at all objects that a hook is about; called after each round of the server.
  void check();

 private:
  struct Hook {
    const test::Kind* kind = nullptr;
    kube::Name name;                                        // empty parts: any
    std::vector<std::pair<std::string, std::string>> when;  // path, value
    std::string act;
    bool watched = true;  // wait until somebody watches the kind
    bool done = false;
    kube::Resource resource() const;
  };
  static bool fits(const Hook& hook, const json::Value& object);
  void act(const Hook& hook, const json::Value& object);
  test::FakeCluster& cluster_;
  std::vector<Hook> hooks_;
};

// A fault as a script writes it; the message of what is wrong with it goes to `error`.
std::optional<test::Fault> fault_of(const json::Value& rule, std::string& error);

// The text of the field at "status.phase"; conditions as "condition.Ready". Empty where there is none.
std::string text_at(const json::Value& object, const std::string& path);

}  // namespace vmbackup::sandbox
