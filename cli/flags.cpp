#include "cli/flags.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "backup/run_id.hpp"
#include "base/text.hpp"
#include "cli/names.hpp"
#include "kube/selector.hpp"

namespace vmbackup::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string quoted(const std::string& text) { return '"' + base::printable(text, 128) + '"'; }

Error refused(const std::string& value, const std::string& where, const Error& why) {
  return Error(ErrorCode::usage, "invalid value " + quoted(value) + " for " + where + ": " + why.message(), why.hint());
}

Result<void> check_choice(const std::string& value, const std::vector<std::string>& choices) {
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  const std::optional<std::string> near = base::nearest(value, choices);
  const std::string rule = choices.size() == 1 ? "it must be " : "it must be one of ";
  return Error(ErrorCode::usage, rule + base::join(choices, ", "), near ? "did you mean \"" + *near + "\"?" : "");
}

Result<void> give(const std::string& value, const std::string& where, const std::vector<std::string>& choices, bool empty_ok,
                  const SetText& set) {
  if (value.empty() && !empty_ok) {
    return Error(ErrorCode::usage, where + " was given an empty value", "is a shell variable unset?");
  }
  if (const Result<void> allowed = check_choice(value, choices); !allowed) return refused(value, where, allowed.error());
  if (!set) return {};
  if (const Result<void> taken = set(value); !taken) return refused(value, where, taken.error());
  return {};
}

}  // namespace

void Flags::add(Flag flag) {
  if (flag.metavar.empty()) {
    flag.implied = "true";
    flag.choices = {"true", "false"};
  }
  flags_.push_back(std::move(flag));
}

void Flags::add(Argument argument) { arguments_.push_back(std::move(argument)); }

void Flags::add(Rest rest) { rest_ = std::move(rest); }

void Flags::check(std::function<Result<void>()> check) { checks_.push_back(std::move(check)); }

const Flag* Flags::find(const std::string& name) const {
  for (const Flag& flag : flags_) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

Result<void> Flags::apply(const Given& given) const {
  for (const GivenFlag& one : given.flags) {
    const Flag* flag = find(one.name);
    if (flag == nullptr) return Error(ErrorCode::internal, "flag --" + one.name + " is not known");
    const std::string where = "--" + flag->name;
    if (one.values.size() > 1 && !flag->repeats) return Error(ErrorCode::usage, where + " was given more than once");
    for (const GivenFlag& other : given.flags) {
      if (std::find(flag->excludes.begin(), flag->excludes.end(), other.name) != flag->excludes.end()) {
        return Error(ErrorCode::usage, where + " and --" + other.name + " exclude each other");
      }
    }
    for (const std::string& value : one.values) {
      if (Result<void> done = give(value, where, flag->choices, flag->empty_ok, flag->set); !done) return done;
    }
  }
  if (given.problem) return *given.problem;
  std::size_t next = 0;
  for (const Argument& argument : arguments_) {
    if (next >= given.arguments.size() && argument.required) {
      return Error(ErrorCode::usage, "the argument " + argument.name + " is missing");
    }
    while (next < given.arguments.size()) {
      if (Result<void> done = give(given.arguments[next], argument.name, argument.choices, false, argument.add); !done) return done;
      ++next;
      if (!argument.many) break;
    }
  }
  if (next < given.arguments.size()) {
    return Error(ErrorCode::usage, "unexpected argument " + quoted(given.arguments[next]));
  }
  if (rest_ && given.rest) {
    if (given.rest->empty()) return Error(ErrorCode::usage, "there is no command after \"--\"", "write it behind: -- COMMAND [ARG...]");
    *rest_->target = *given.rest;
  }
  for (const std::function<Result<void>()>& check : checks_) {
    if (Result<void> good = check(); !good) return good;
  }
  return {};
}

SetText text_into(std::string& target) {
  return [&target](const std::string& text) -> Result<void> {
    target = text;
    return {};
  };
}

SetText switch_into(bool& target) {
  return [&target](const std::string& text) -> Result<void> {
    target = text == "true";
    return {};
  };
}

SetText count_into(std::size_t& target, std::size_t least, std::size_t most) {
  return [&target, least, most](const std::string& text) -> Result<void> {
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || end != text.data() + text.size() || count < least || count > most) {
      return Error(ErrorCode::usage, "not a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    target = count;
    return {};
  };
}

SetText selector_into(std::string& target) {
  return [&target](const std::string& text) -> Result<void> {
    target = text;
    return kube::check_label_selector(text);
  };
}

SetText duration_into(base::Duration& target, DurationRule rule) {
  return [&target, rule = std::move(rule)](const std::string& text) -> Result<void> {
    const bool digits = !text.empty() && text != "0" && text.find_first_not_of("0123456789") == std::string::npos;
    if (digits) return Error(ErrorCode::usage, "a duration needs a unit", "write " + text + "s for seconds, or " + text + "m for minutes");
    const Result<base::Duration> parsed = base::parse_duration(text);
    if (!parsed) return Error(ErrorCode::usage, "not a duration", "write a number with a unit: 90s, 5m, 1h30m");
    if (*parsed < base::Duration::zero()) return Error(ErrorCode::usage, "a duration here cannot be negative");
    if (*parsed == base::Duration::zero()) return Error(ErrorCode::usage, rule.why_not_zero);
    if (*parsed < rule.least) return Error(ErrorCode::usage, rule.why_not_below);
    target = *parsed;
    return {};
  };
}

void bind_selection(Flags& flags, backup::Selection& target, const std::string& help) {
  flags.add(Argument{.name = "VM",
                     .help = help + ", as NAME or vm/NAME",
                     .required = false,
                     .many = true,
                     .names = Names::virtual_machine,
                     .add = names_into(target.names, Names::virtual_machine)});
  flags.add(Flag{.name = "selector",
                 .letter = 'l',
                 .metavar = "SELECTOR",
                 .help = "the VMs with these labels: app=db,tier!=test",
                 .excludes = {"all"},
                 .set = selector_into(target.label_selector)});
  flags.add(Flag{.name = "all", .help = "all VMs of the namespace", .set = switch_into(target.all)});
  bind_all_namespaces(flags, target.all_namespaces);
  flags.add(Flag{.name = "exclude",
                 .metavar = "VM",
                 .help = "leave this VM out; may be given more than once",
                 .names = Names::virtual_machine,
                 .repeats = true,
                 .set = names_into(target.exclude, Names::virtual_machine)});
  flags.add(Flag{.name = "ignore-not-found",
                 .help = "a VM that does not exist, or a selector that matches nothing, is no error",
                 .set = switch_into(target.ignore_not_found)});
  flags.check([&target]() -> Result<void> {
    const bool wide = target.all || !target.label_selector.empty();
    if (target.names.empty() && !wide) {
      return Error(ErrorCode::usage, "no VM was named", "name VMs, or choose them with -l SELECTOR or --all");
    }
    if (!target.names.empty() && wide) {
      return Error(ErrorCode::usage, std::string("VMs were named, and ") + (target.all ? "--all" : "-l") + " was given too",
                   "give one or the other");
    }
    if (target.all_namespaces && !wide) {
      return Error(ErrorCode::usage, "a VM cannot be named for all namespaces", "give -n NAMESPACE, or -A together with -l or --all");
    }
    return {};
  });
}

void bind_labels(Flags& flags, std::vector<std::pair<std::string, std::string>>& target) {
  flags.add(Flag{.name = "label",
                 .metavar = "KEY=VALUE",
                 .help = "a label for the snapshot, as forget --keep-label looks at; may be repeated",
                 .repeats = true,
                 .set = [&target](const std::string& text) -> Result<void> {
                   const std::size_t equals = text.find('=');
                   if (equals == std::string::npos) return Error(ErrorCode::usage, "not a label", "write KEY=VALUE");
                   const std::string key = text.substr(0, equals);
                   const std::string value = text.substr(equals + 1);
                   if (Result<void> good = kube::check_label(key, value); !good) return good;
                   if (backup::is_own_label(key)) {
                     return Error(ErrorCode::usage, "this tool sets the label " + key + " itself", "choose another key");
                   }
                   for (const auto& given : target) {
                     if (given.first == key) return Error(ErrorCode::usage, "the label " + key + " was given already");
                   }
                   target.emplace_back(key, value);
                   return {};
                 }});
}

void bind_lock(Flags& flags, backup::LockOptions& target) {
  flags.add(Flag{.name = "lock-wait",
                 .metavar = "DURATION",
                 .help = "how long to wait for another run of this tool that holds a VM; a run that has died is always waited out",
                 .fallback = "not at all",
                 .set = [&target](const std::string& text) {
                   base::Duration length{};
                   Result<void> taken = duration_into(length, {.why_not_zero = "leave it out in order not to wait"})(text);
                   if (taken) target.wait = length;
                   return taken;
                 }});
  flags.add(Flag{.name = "break-lock",
                 .help = "take a VM's lock from the run that holds it; that run then lets its guest go",
                 .excludes = {"lock-wait", "no-lock"},
                 .set = switch_into(target.break_lock)});
  flags.add(Flag{.name = "no-lock",
                 .help = "take no lock; needs no right to write leases",
                 .excludes = {"lock-wait"},
                 .set = [&target](const std::string& text) -> Result<void> {
                   target.use = text != "true";
                   return {};
                 }});
}

}  // namespace vmbackup::cli
