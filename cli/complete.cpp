#include "cli/complete.hpp"

#include <algorithm>

#include "cli/names.hpp"
#include "cli/parse.hpp"
#include "cli/topics.hpp"

namespace vmbackup::cli {
namespace {

using base::Result;

void offer(Completion& completion, const std::string& word, const std::string& help, const std::string& last) {
  if (word.compare(0, last.size(), last) == 0) completion.candidates.push_back({word, help});
}

void offer_values(Completion& completion, const Flag& flag, const std::string& before, const std::string& last) {
  // The three that are called FILE take one.
  if (flag.metavar == "FILE") completion.files = true;
  completion.names = {.kind = flag.names, .before = before, .typed = last.substr(before.size()), .taken = {}, .options = {}};
  for (const std::string& value : flag.choices) offer(completion, before + value, "", last);
}

bool given(const std::vector<std::string>& words, const Flag& flag) {
  const std::string name = "--" + flag.name;
  const std::string letter = flag.letter == 0 ? "" : std::string("-") + flag.letter;
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return word == name || word.compare(0, name.size() + 1, name + '=') == 0 || (!letter.empty() && word == letter);
  });
}

void offer_flags(Completion& completion, const std::vector<std::string>& words, const Flags& flags, const std::string& last) {
  for (const Flag& flag : flags.flags()) {
    if (!flag.hidden && (flag.repeats || !given(words, flag))) offer(completion, "--" + flag.name, flag.help, last);
  }
}

// The flag whose value is the next word, or null.
const Flag* open_flag(const std::vector<std::string>& words, const Flags& flags) {
  if (words.empty()) return nullptr;
  const std::string& word = words.back();
  for (const Flag& flag : flags.flags()) {
    if (!flag.implied.empty()) continue;
    if (word == "--" + flag.name || (flag.letter != 0 && word == std::string("-") + flag.letter)) return &flag;
  }
  return nullptr;
}

void offer_commands(Completion& completion, const std::vector<Command>& commands, const std::string& last) {
  for (const Command& command : commands) {
    if (!command.hidden) offer(completion, command.name, command.summary, last);
  }
}

void offer_arguments(Completion& completion, const std::vector<Command>& commands, const Flags& flags, std::size_t place,
                     const std::string& last) {
  const std::vector<Argument>& arguments = flags.arguments();
  if (arguments.empty()) return;
  const bool beyond = place >= arguments.size();
  if (beyond && !arguments.back().many) return;
  const Argument& argument = beyond ? arguments.back() : arguments[place];
  if (argument.names == Names::command) {
    offer_commands(completion, commands, last);
    for (const Topic& topic : topics()) offer(completion, topic.name, topic.summary, last);
  }
  for (const std::string& word : argument.choices) offer(completion, word, "", last);
  if (argument.names != Names::virtual_machine && argument.names != Names::snapshot) return;
  const std::optional<std::string> prefix = typed_prefix(last, argument.names);
  if (prefix)
    completion.names = {.kind = argument.names, .before = *prefix, .typed = last.substr(prefix->size()), .taken = {}, .options = {}};
}

// How many of the words are arguments.
std::size_t count_arguments(const std::vector<std::string>& words, const Flags& flags) {
  std::vector<std::string> rest = words;
  std::size_t count = 0;
  while (!take_command(rest, flags).empty()) ++count;
  return count;
}

// What `words` say of the connection. False: they cannot be understood, so that any name would be a guess.
bool read_connection(const std::vector<std::string>& words, const Flags& flags, std::vector<std::string>& arguments) {
  const Result<Given> given = parse(words, flags);
  if (!given || given->problem) return false;
  for (const GivenFlag& one : given->flags) {
    const Flag* flag = flags.find(one.name);
    if (flag == nullptr || flag->group != FlagGroup::connection) continue;
    for (const std::string& value : one.values) {
      if (!flag->set(value)) return false;
    }
  }
  arguments = given->arguments;
  return true;
}

void complete_names(Completion& completion, std::vector<std::string> words, const Flag* open, const Flags& flags,
                    const CommonOptions& common) {
  if (completion.names.kind == Names::none) return;
  if (open != nullptr) words.pop_back();
  if (!read_connection(words, flags, completion.names.taken)) completion.names.kind = Names::none;
  completion.names.options = common;
}

// Letters, digits and marks that mean nothing to a shell.
bool is_plain_word(const std::string& text) {
  return !text.empty() && text.front() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string("._:/@+,=-").find(c) != std::string::npos;
  });
}

}  // namespace

Completion complete(const std::vector<Command>& commands, std::vector<std::string> words, const std::string& last) {
  Completion completion;
  if (std::find(words.begin(), words.end(), "--") != words.end()) return completion;
  CommonOptions common;
  Flags flags;
  bind_common(flags, common);
  const Flag* open = open_flag(words, flags);
  const std::string name = take_command(words, flags);
  const Command* command = find_command(commands, name);
  if (name.empty() && open == nullptr && (last.empty() || last.front() != '-')) {
    offer_commands(completion, commands, last);
    return completion;
  }
  if (!name.empty() && command == nullptr) return completion;
  Flags all;
  const Run run = command != nullptr ? bind_all(*command, all, common) : Run{};
  const Flags& known = command != nullptr ? all : flags;
  if (command != nullptr) open = open_flag(words, known);
  const std::size_t equals = last.find('=');
  if (open != nullptr) {
    offer_values(completion, *open, "", last);
  } else if (last.rfind("--", 0) == 0 && equals != std::string::npos) {
    const Flag* flag = known.find(last.substr(2, equals - 2));
    if (flag != nullptr) offer_values(completion, *flag, last.substr(0, equals + 1), last);
  } else if (!last.empty() && last.front() == '-') {
    offer_flags(completion, words, known, last);
  } else {
    offer_arguments(completion, commands, known, count_arguments(words, known), last);
  }
  complete_names(completion, words, open, known, common);
  return completion;
}

void add_names(Completion& completion, const std::vector<std::string>& names) {
  const WantedNames& wanted = completion.names;
  const bool of_cluster = wanted.kind == Names::virtual_machine || wanted.kind == Names::snapshot || wanted.kind == Names::ns;
  for (const std::string& name : names) {
    if (of_cluster ? !check_dns_subdomain(name) : !is_plain_word(name)) continue;
    const bool taken = std::any_of(wanted.taken.begin(), wanted.taken.end(),
                                   [&](const std::string& word) { return word.substr(word.find('/') + 1) == name; });
    if (!taken) offer(completion, wanted.before + name, "", wanted.before + wanted.typed);
  }
}

std::string completion_text(const Completion& completion) {
  std::string out;
  for (const Candidate& candidate : completion.candidates) {
    out += candidate.word + (candidate.help.empty() ? "" : '\t' + candidate.help) + '\n';
  }
  return out + (completion.files ? ":0\n" : ":4\n");
}

}  // namespace vmbackup::cli
