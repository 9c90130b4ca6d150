#include "kubevirt/recipe.hpp"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "base/text.hpp"
#include "json/yaml.hpp"
#include "kube/kubeconfig_files.hpp"
#include "kube/selector.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::kubevirt {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using Keys = std::initializer_list<std::string_view>;

constexpr std::size_t k_most_steps = 32;
constexpr std::size_t k_most_words = 100;
constexpr int k_most_retries = 1000;
constexpr base::Duration k_most_timeout = std::chrono::hours(1);
constexpr base::Duration k_least_interval = std::chrono::milliseconds(100);
constexpr base::Duration k_most_interval = std::chrono::minutes(10);
constexpr const char* k_hint = "the fields of a recipe: kubectl vmbackup help recipe";

const char* kind_of(const json::Value& value) {
  if (value.is_null()) return "nothing";
  if (value.is_bool()) return "a boolean";
  if (value.is_number()) return "a number";
  if (value.is_string()) return "text";
  return value.is_array() ? "a list" : "a map";
}

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  const auto also = [letter](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 256 && letter(name.front()) && std::all_of(name.begin(), name.end(), also);
}

// A DNS label, as the API server has it.
bool is_label(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 63 && plain(name.front()) && plain(name.back()) &&
         std::all_of(name.begin(), name.end(), [plain](char c) { return plain(c) || c == '-'; });
}

bool is_object_name(std::string_view name) {
  const std::vector<std::string> labels = base::split(name, '.');
  return name.size() <= 253 && std::all_of(labels.begin(), labels.end(), [](const std::string& label) { return is_label(label); });
}

// Values of a document with their paths. The first failure is kept; what is read after it is empty.
class Node {
 public:
  Node(const json::Value& value, std::string path, std::optional<Error>& error) : value_(value), path_(std::move(path)), error_(error) {}

  const json::Value& value() const { return value_; }
  bool failed() const { return error_.has_value(); }
  void fail(const std::string& why) const {
    if (!error_) error_ = Error(ErrorCode::invalid, (path_.empty() ? "" : path_ + ": ") + why, k_hint);
  }
  void expect(const char* wanted) const {
    std::string why = std::string("expected ") + wanted + ", found " + kind_of(value_);
    if (std::string_view(wanted) == "text" && (value_.is_bool() || value_.is_number())) why += ": put it in quotes";
    fail(why);
  }
  Node at(std::string_view key) const {
    static const json::Value nothing;
    const json::Value* found = value_.find(key);
    return {found == nullptr ? nothing : *found, path_.empty() ? std::string(key) : path_ + "." + std::string(key), error_};
  }
  Node at(std::size_t index) const { return {value_.items()[index], path_ + "[" + std::to_string(index) + "]", error_}; }
  bool has(std::string_view key) const { return value_.find(key) != nullptr; }

  // A map with no other members than these.
  bool map_of(Keys keys) const {
    if (!value_.is_object()) expect("a map");
    const std::vector<std::string> known(keys.begin(), keys.end());
    for (const json::Member& member : value_.members()) {
      if (std::find(known.begin(), known.end(), member.first) != known.end()) continue;
      const std::optional<std::string> near = base::nearest(member.first, known);
      fail("unknown field \"" + base::printable(member.first, 64) + "\"" + (near ? ", did you mean " + *near + "?" : ""));
    }
    return !failed();
  }
  std::string text() const {
    if (!value_.is_string()) {
      if (value_.is_null()) {
        fail("is missing");
      } else {
        expect("text");
      }
      return {};
    }
    const std::string& text = value_.as_string();
    if (text.find('\0') != std::string::npos) fail("holds a zero byte");
    return text;
  }
  std::string text_or(std::string_view key, const std::string& fallback) const { return has(key) ? at(key).text() : fallback; }
  bool flag(std::string_view key) const {
    if (!has(key)) return false;
    const Node node = at(key);
    if (!node.value().is_bool()) node.expect("true or false");
    return node.value().as_bool();
  }
  std::vector<std::string> texts(std::string_view key) const {
    std::vector<std::string> words;
    if (!has(key)) return words;
    const Node list = at(key);
    if (!list.value().is_array()) list.expect("a list");
    if (list.value().items().size() > k_most_words) list.fail("has more than " + std::to_string(k_most_words) + " entries");
    for (std::size_t i = 0; i < list.value().items().size() && !failed(); ++i) words.push_back(list.at(i).text());
    return words;
  }
  base::Duration duration(std::string_view key, base::Duration fallback, base::Duration least, base::Duration most) const {
    if (!has(key)) return fallback;
    const Node node = at(key);
    if (node.value().is_number()) node.fail("a duration needs a unit, as in 30s");
    const Result<base::Duration> length = base::parse_duration(node.text());
    if (!length) {
      node.fail(length.error().message());
    } else if (*length < least || *length > most) {
      node.fail("must be " + base::format_duration(least) + " to " + base::format_duration(most));
    }
    return length ? *length : fallback;
  }

 private:
  const json::Value& value_;
  const std::string path_;
  std::optional<Error>& error_;
};

class Decoder {
 public:
  explicit Decoder(RecipeOrigin origin) : origin_(origin) {}

  Result<Recipe> decode(const json::Value& document) {
    const Node root(document, "", error_);
    Recipe recipe;
    if (root.map_of({"apiVersion", "kind", "steps"})) read(root, recipe);
    if (error_) return *error_;
    return recipe;
  }

 private:
  void read(const Node& root, Recipe& recipe) {
    word(root.at("apiVersion"), {"vmbackup/v1"});
    word(root.at("kind"), {"Recipe"});
    const Node steps = root.at("steps");
    const std::size_t count = steps.value().items().size();
    if (!steps.value().is_array() || count == 0) return steps.fail("a recipe needs a list of steps");
    if (count > k_most_steps) return steps.fail("a recipe has at most " + std::to_string(k_most_steps) + " steps");
    std::set<std::string> names;
    for (std::size_t i = 0; i < count && !error_; ++i) {
      recipe.steps.push_back(step(steps.at(i)));
      if (!names.insert(recipe.steps.back().name).second) steps.at(i).at("name").fail("there is another step of that name");
    }
  }

  // One of the words; the index of it.
  std::size_t word(const Node& node, const std::vector<std::string>& words) {
    const std::string text = node.text();
    const auto found = std::find(words.begin(), words.end(), text);
    if (found == words.end()) node.fail("must be " + base::join(words, " or ") + ", not \"" + base::printable(text, 64) + "\"");
    return found == words.end() ? 0 : static_cast<std::size_t>(found - words.begin());
  }

  RecipeStep step(const Node& node) {
    RecipeStep step;
    if (!node.map_of({"name", "in", "pod", "hold", "on-error", "quiesce", "check", "release"})) return step;
    step.name = node.at("name").text();
    if (!is_label(step.name)) node.at("name").fail("must be lower case letters, digits and \"-\", at most 63");
    step.place = static_cast<StepPlace>(word(node.at("in"), {"guest", "pod", "local"}));
    if (origin_ == RecipeOrigin::cluster && step.place != StepPlace::guest) {
      node.at("in").fail("a recipe from the cluster may hold steps in the guest alone; give this one with --recipe");
    }
    pod(node, step);
    step.hold = node.flag("hold");
    if (node.has("on-error")) step.may_fail = word(node.at("on-error"), {"fail", "continue"}) == 1;
    step.quiesce = command(node.at("quiesce"), step.place, std::chrono::seconds(30), {});
    if (node.has("check")) step.check = check(node.at("check"), step);
    if (node.has("release")) step.release = command(node.at("release"), step.place, std::chrono::seconds(60), {});
    if (step.hold && !step.check) node.at("check").fail("is missing: a step with hold is ready when its check passes");
    if (step.hold && !step.release) node.at("release").fail("is missing: a step with hold goes on until its release ends it");
    return step;
  }

  void pod(const Node& node, RecipeStep& step) {
    if (step.place != StepPlace::pod) {
      if (node.has("pod")) node.at("pod").fail("is for steps with \"in: pod\"");
      return;
    }
    const Node pod = node.at("pod");
    if (!node.has("pod")) return pod.fail("is missing: say which, by name or selector");
    if (!pod.map_of({"name", "selector", "namespace", "container"})) return;
    step.pod = {pod.text_or("namespace", ""), pod.text_or("name", ""), pod.text_or("selector", ""), pod.text_or("container", "")};
    if (step.pod.name.empty() == step.pod.selector.empty()) pod.fail("needs either a name or a selector");
    if (!step.pod.selector.empty()) {
      const Result<void> selector = kube::check_label_selector(step.pod.selector);
      if (!selector) pod.at("selector").fail(selector.error().message());
    }
    if (!step.pod.name.empty() && !is_object_name(step.pod.name)) pod.at("name").fail("is no name of a pod");
    if (!step.pod.ns.empty() && !is_label(step.pod.ns)) pod.at("namespace").fail("is no name of a namespace");
    if (!step.pod.container.empty() && !is_label(step.pod.container)) pod.at("container").fail("is no name of a container");
  }

  RecipeCommand command(const Node& node, StepPlace place, base::Duration timeout, const std::vector<std::string_view>& more) {
    RecipeCommand command;
    if (node.value().is_null()) node.fail("is missing");
    if (more.empty() && !node.map_of({"command", "env", "env-from", "stdin-from", "timeout"})) return command;
    command.argv = node.texts("command");
    if (command.argv.empty() || command.argv.front().empty()) node.at("command").fail("names no program");
    command.timeout = node.duration("timeout", timeout, std::chrono::milliseconds(1), k_most_timeout);
    environment(node, place, command);
    return command;
  }

  void environment(const Node& node, StepPlace place, RecipeCommand& command) {
    for (const char* key : {"env", "env-from"}) {
      if (place == StepPlace::pod && node.has(key)) node.at(key).fail("a command in a pod has no environment of its own; see stdin-from");
    }
    for (const char* key : {"env-from", "stdin-from"}) {
      if (origin_ == RecipeOrigin::cluster && node.has(key)) {
        node.at(key).fail("a recipe from the cluster gets nothing of your environment; give this one with --recipe");
      }
    }
    if (place == StepPlace::local && node.has("stdin-from")) node.at("stdin-from").fail("is not for local steps; see env-from");
    const Node env = node.at("env");
    if (node.has("env") && !env.value().is_object()) env.expect("a map");
    if (env.value().members().size() > k_most_words) env.fail("has more than " + std::to_string(k_most_words) + " entries");
    for (const json::Member& member : env.value().members()) {
      variable(env, member.first);
      if (!error_) command.env.emplace_back(member.first, env.at(member.first).text());
    }
    command.env_from = node.texts("env-from");
    for (std::size_t i = 0; i < command.env_from.size(); ++i) variable(node.at("env-from").at(i), command.env_from[i]);
    command.stdin_from = node.text_or("stdin-from", "");
    if (node.has("stdin-from")) variable(node.at("stdin-from"), command.stdin_from);
  }

  static void variable(const Node& node, const std::string& name) {
    if (!is_variable_name(name)) node.fail("\"" + base::printable(name, 64) + "\" is no name of a variable");
    if (name.rfind("VMBACKUP_", 0) == 0) node.fail("names that begin with VMBACKUP_ are ours");
  }

  RecipeCheck check(const Node& node, const RecipeStep& step) {
    RecipeCheck check;
    if (!node.map_of({"command", "env", "env-from", "stdin-from", "timeout", "retries", "interval"})) return check;
    check.command = command(node, step.place, std::chrono::seconds(10), {"retries", "interval"});
    check.interval = node.duration("interval", std::chrono::seconds(1), k_least_interval, k_most_interval);
    if (!node.has("retries")) return check;
    const Node retries = node.at("retries");
    if (!retries.value().is_integer()) retries.expect("a whole number");
    const std::int64_t count = retries.value().as_integer();
    if (count < 0 || count > k_most_retries) retries.fail("must be 0 to " + std::to_string(k_most_retries));
    if (!error_) check.retries = static_cast<int>(count);
    return check;
  }

  const RecipeOrigin origin_;
  std::optional<Error> error_;
};

}  // namespace

const char* to_string(StepPlace place) {
  switch (place) {
    case StepPlace::guest:
      return "guest";
    case StepPlace::pod:
      return "pod";
    case StepPlace::local:
      break;
  }
  return "local";
}

bool Recipe::any(StepPlace place) const {
  return std::any_of(steps.begin(), steps.end(), [place](const RecipeStep& step) { return step.place == place; });
}

Result<Recipe> decode_recipe(const json::Value& document, RecipeOrigin origin) { return Decoder(origin).decode(document); }

Result<Recipe> parse_recipe(std::string_view text, RecipeOrigin origin, const std::string& what) {
  const Result<json::Value> document = json::parse_yaml(text, k_most_recipe_bytes);
  if (!document) return document.error().wrap(what);
  Result<Recipe> recipe = decode_recipe(*document, origin);
  if (!recipe) return recipe.error().wrap(what);
  return recipe;
}

Result<Recipe> load_recipe(const std::string& path) {
  const Result<std::string> text = kube::read_file(path == "-" ? "/dev/stdin" : path, "recipe ");
  if (!text) return text.error();
  return parse_recipe(*text, RecipeOrigin::file, "recipe " + base::printable(path, 256));
}

Result<std::optional<Recipe>> recipe_of(kube::Client& client, const VirtualMachine& vm, const kube::Call& call,
                                        const std::stop_token& stop) {
  const std::string map = vm.annotation(k_recipe_annotation);
  if (map.empty()) return std::optional<Recipe>();
  const std::string what = "the recipe of VM " + vm.ns + "/" + vm.name;
  if (!is_object_name(map)) {
    return Error(ErrorCode::invalid,
                 what + ": its annotation " + k_recipe_annotation + " names no ConfigMap: \"" + base::printable(map, 64) + "\"");
  }
  const kube::Resource config_maps{"", "v1", "configmaps", "ConfigMap", true};
  const Result<json::Value> object = client.get(config_maps, {vm.ns, map}, call, stop);
  if (!object) return object.error().wrap(what);
  const json::Value& text = object->path({"data", k_recipe_key});
  const std::string where = what + ", ConfigMap " + vm.ns + "/" + map;
  if (!text.is_string()) return Error(ErrorCode::not_found, where + ": it has no key " + k_recipe_key);
  const Result<Recipe> recipe = parse_recipe(text.as_string(), RecipeOrigin::cluster, where);
  if (!recipe) return recipe.error();
  return std::optional<Recipe>(*recipe);
}

Result<RecipePod> find_recipe_pod(kube::Client& client, const RecipePod& wanted, const std::string& vm_ns, const kube::Call& call,
                                  const std::stop_token& stop) {
  const kube::Resource pods{"", "v1", "pods", "Pod", true};
  RecipePod found{wanted.ns.empty() ? vm_ns : wanted.ns, wanted.name, {}, wanted.container};
  const std::string what =
      wanted.name.empty() ? "pod with " + wanted.selector + " in namespace " + found.ns : "pod " + found.ns + "/" + wanted.name;
  std::vector<json::Value> running;
  if (!wanted.name.empty()) {
    const Result<json::Value> pod = client.get(pods, {found.ns, wanted.name}, call, stop);
    if (!pod) return pod.error();
    running.push_back(*pod);
  } else {
    kube::ListOptions options;
    options.label_selector = wanted.selector;
    const Result<kube::ObjectList> list = client.list(pods, found.ns, options, call, stop);
    if (!list) return list.error();
    running = list->items;
  }
  running.erase(
      std::remove_if(
          running.begin(), running.end(),
          [](const json::Value& pod) {
            return pod.path({"status", "phase"}).as_string() != "Running" || !pod.path({"metadata", "deletionTimestamp"}).is_null();
          }),
      running.end());
  if (running.empty()) return Error(ErrorCode::not_found, "no " + what + " is running");
  if (running.size() > 1) return Error(ErrorCode::precondition, "more than one " + what + " is running: " + std::to_string(running.size()));
  const json::Value& pod = running.front();
  found.name = pod.path({"metadata", "name"}).as_string();
  if (!found.container.empty()) return found;
  const json::Array& containers = pod.path({"spec", "containers"}).items();
  found.container = pod.path({"metadata", "annotations", "kubectl.kubernetes.io/default-container"}).as_string();
  if (found.container.empty() && containers.size() == 1) found.container = containers.front().path({"name"}).as_string();
  if (found.container.empty())
    return Error(ErrorCode::precondition, what + " has several containers: name one in the step's pod.container");
  return found;
}

}  // namespace vmbackup::kubevirt
