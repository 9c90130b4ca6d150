// Flags and arguments as data: one definition carries parsing, help, man page, completion and the values that are allowed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backup/lock.hpp"
#include "backup/select.hpp"
#include "base/duration.hpp"
#include "base/result.hpp"

namespace vmbackup::cli {

// Takes the text of one value; usage: why it is refused ("no unit"), without naming flag or value again.
using SetText = std::function<base::Result<void>(const std::string&)>;

// What a completion may offer: words of ours, or names that are looked up in the cluster or in the kubeconfig.
enum class Names { none, command, virtual_machine, snapshot, ns, context, cluster, user };

// Headings in help, in this order.
enum class FlagGroup { command, output, connection, general };

struct Flag {
  std::string name{};                   // without dashes: "timeout"
  char letter = 0;                      // 'o' for -o
  std::string metavar{};                // what the value is called: "DURATION"; empty for a switch
  std::string help{};                   // one sentence, no capital, no full stop
  std::string fallback{};               // the default, as help shows it; empty: none worth showing
  std::vector<std::string> choices{};   // the only values allowed; empty: any that `set` takes
  std::string implied{};                // not empty: the value may be left out, means this, and binds only with '='
  std::vector<std::string> excludes{};  // names of flags that cannot be given together with this one
  FlagGroup group = FlagGroup::command;
  Names names = Names::none;
  bool repeats = false;   // may be given more than once
  bool empty_ok = false;  // an empty value is allowed
  bool hidden = false;
  SetText set{};
};

struct Argument {
  std::string name{};  // "VM"
  std::string help{};
  bool required = true;
  bool many = false;
  std::vector<std::string> choices{};
  Names names = Names::none;
  SetText add{};
};

// All words after the first "--", taken as they are: a command of the user's.
struct Rest {
  std::string name{};  // "COMMAND [ARG...]"
  std::string help{};
  std::vector<std::string>* target = nullptr;
};

// What one command line gave, word by word.
struct GivenFlag {
  std::string name;
  std::vector<std::string> values;
};
struct Given {
  std::vector<GivenFlag> flags;
  std::vector<std::string> arguments;
  std::optional<std::vector<std::string>> rest{};  // for a command that takes one, if there was a "--"
  std::optional<base::Error> problem{};  // the first word that is none of ours; told after all values, so that --progress json holds for it
};

// The flags and arguments of one command. Filling it has no side effect; apply() writes the values into the options of the command.
class Flags {
 public:
  void add(Flag flag);
  void add(Argument argument);
  void add(Rest rest);
  // Runs after all values are in: for what several flags say together. Error code usage.
  void check(std::function<base::Result<void>()> check);

  const std::vector<Flag>& flags() const { return flags_; }
  const std::vector<Argument>& arguments() const { return arguments_; }
  // None: words after a "--" are arguments like any other.
  const std::optional<Rest>& rest() const { return rest_; }
  const Flag* find(const std::string& name) const;

  // Gives every value to its flag or argument. usage: the first one that is refused, given twice, excluded, missing or too many.
  base::Result<void> apply(const Given& given) const;

 private:
  std::vector<Flag> flags_;
  std::vector<Argument> arguments_;
  std::optional<Rest> rest_;
  std::vector<std::function<base::Result<void>()>> checks_;
};

// The word a choice stands for, and its value.
template <typename T>
using Choices = std::vector<std::pair<std::string, T>>;

SetText text_into(std::string& target);
SetText switch_into(bool& target);
// A label selector, checked here so that a wrong one is never sent.
SetText selector_into(std::string& target);

// A whole number from `least` to `most`.
SetText count_into(std::size_t& target, std::size_t least, std::size_t most);

struct DurationRule {
  base::Duration least = base::Duration(1);
  std::string why_not_zero{};   // said for zero
  std::string why_not_below{};  // said for anything else below `least`
};
SetText duration_into(base::Duration& target, DurationRule rule);

// Sets the words as choices of `flag`, and the value of the word given into `target`.
template <typename T>
Flag choice(Flag flag, T& target, Choices<T> words) {
  for (const std::pair<std::string, T>& word : words) flag.choices.push_back(word.first);
  flag.set = [&target, words = std::move(words)](const std::string& text) -> base::Result<void> {
    for (const std::pair<std::string, T>& word : words) {
      if (word.first == text) target = word.second;
    }
    return {};
  };
  return flag;
}

enum class OutputFormat { table, wide, json, yaml, name };
enum class ProgressKind { automatic, plain, json, none };
enum class DryRun { none, client, server };

// kubectl's connection flags. Empty or false: not given.
struct ConnectionOptions {
  std::string cluster;
  std::string user;
  std::string server;
  std::string token;
  std::string as;
  std::vector<std::string> as_groups;
  std::string as_uid;
  std::string certificate_authority;
  std::string client_certificate;
  std::string client_key;
  std::string tls_server_name;
  bool insecure_skip_tls_verify = false;
  bool disable_compression = false;
  base::Duration request_timeout{};
};

// What every command takes.
struct CommonOptions {
  bool completing = false;  // no flag: for a completion nobody may be asked for anything
  std::string kubeconfig;
  std::string context;
  std::string ns;
  ConnectionOptions connection{};
  int verbosity = 0;
  bool quiet = false;
  bool no_color = false;
  bool help = false;
  ProgressKind progress = ProgressKind::automatic;
};

// One function per meaning, so that a flag means the same everywhere. `target` must outlive the Flags.
void bind_common(Flags& flags, CommonOptions& target);
void bind_connection(Flags& flags, CommonOptions& target);  // part of bind_common
void bind_output(Flags& flags, OutputFormat& target, const std::vector<OutputFormat>& allowed);
// The default is what `target` holds. `given`, where it is not nullptr, becomes true when the flag is there.
void bind_timeout(Flags& flags, base::Duration& target, bool* given = nullptr);
void bind_dry_run(Flags& flags, DryRun& target, bool server);
void bind_yes(Flags& flags, bool& target);
void bind_all_namespaces(Flags& flags, bool& target);
void bind_ignore_recorded(Flags& flags, bool& target);
void bind_allow_partial(Flags& flags, bool& target);
// --wait-on-error.
void bind_wait_on_error(Flags& flags, bool& target);
// Which VMs: names, -l, --all, -A, --exclude, --ignore-not-found. The namespace is filled in by the command.
void bind_selection(Flags& flags, backup::Selection& target, const std::string& help);
// --lock-wait, --break-lock, --no-lock.
void bind_lock(Flags& flags, backup::LockOptions& target);
// --label KEY=VALUE, for what is created; keys of ours are refused.
void bind_labels(Flags& flags, std::vector<std::pair<std::string, std::string>>& target);
void bind_failure_deadline(Flags& flags, std::optional<base::Duration>& target);

}  // namespace vmbackup::cli
