#include "cli/parse.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/text.hpp"

namespace vmbackup::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

bool is_flag(const std::string& word) { return word.size() > 1 && word.front() == '-'; }

bool takes_word(const Flag& flag) { return flag.implied.empty(); }

const Flag* find_letter(const Flags& flags, char letter) {
  for (const Flag& flag : flags.flags()) {
    if (flag.letter == letter) return &flag;
  }
  return nullptr;
}

// A word that begins with '-', taken apart: which flag wants a value, and the value if it is in the same word.
struct Head {
  const Flag* wants = nullptr;       // null: none of ours, or a switch
  std::optional<std::string> value;  // the value in the same word
  std::string spelled;               // the flag as typed, without the value: "--name", "-vn"
};

Head take_apart(const std::string& word, const Flags& flags) {
  Head head;
  if (word.rfind("--", 0) == 0) {
    const std::size_t equals = word.find('=');
    head.spelled = word.substr(0, equals);
    const Flag* flag = flags.find(head.spelled.substr(2));
    if (flag != nullptr && takes_word(*flag)) head.wants = flag;
    if (equals != std::string::npos) head.value = word.substr(equals + 1);
    return head;
  }
  // Letters: switches until one wants a value, which is the rest of the word.
  for (std::size_t at = 1; at < word.size(); ++at) {
    const Flag* flag = find_letter(flags, word[at]);
    if (flag == nullptr) break;
    if (!takes_word(*flag)) continue;
    head.wants = flag;
    head.spelled = word.substr(0, at + 1);
    if (at + 1 < word.size()) head.value = word.substr(word[at + 1] == '=' ? at + 2 : at + 1);
    return head;
  }
  head.spelled = word;
  return head;
}

// CLI11 2.1 takes the next word for the value of "--name=" and keeps the '=' of "-n=x". So flag and value become two words each.
std::vector<std::string> in_two_words(const std::vector<std::string>& words, const Flags& flags) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (!is_flag(words[at])) {
      out.push_back(words[at]);
      continue;
    }
    const Head head = take_apart(words[at], flags);
    if (head.wants == nullptr) {
      out.push_back(words[at]);
      continue;
    }
    out.push_back(head.spelled);
    if (head.value) {
      out.push_back(*head.value);
    } else if (at + 1 < words.size()) {
      out.push_back(words[++at]);
    }
  }
  return out;
}

std::string dashed(const Flag& flag) { return flag.letter == 0 ? "--" + flag.name : std::string("-") + flag.letter + ",--" + flag.name; }

Error unknown_flag(const std::string& word, const Flags& flags) {
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> known;
  for (const Flag& flag : flags.flags()) {
    if (!flag.hidden) known.push_back("--" + flag.name);
  }
  const std::optional<std::string> near = name.rfind("--", 0) == 0 ? base::nearest(name, known) : std::nullopt;
  return Error(ErrorCode::usage, "unknown flag " + base::printable(name, 128), near ? "did you mean " + *near + "?" : "");
}

}  // namespace

Words split_words(std::vector<std::string> words) {
  Words split;
  const std::vector<std::string>::iterator mark = std::find(words.begin(), words.end(), "--");
  if (mark != words.end()) split.after = std::vector<std::string>(mark + 1, words.end());
  words.erase(mark, words.end());
  split.before = std::move(words);
  return split;
}

std::string take_command(std::vector<std::string>& words, const Flags& flags) {
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (is_flag(words[at])) {
      const Head head = take_apart(words[at], flags);
      if (head.wants != nullptr && !head.value) ++at;
      continue;
    }
    std::string command = words[at];
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(at));
    return command;
  }
  return {};
}

Result<Given> parse(const std::vector<std::string>& words, const Flags& flags) {
  for (const std::string& word : words) {
    // To CLI11 "--dry-run=" is "--dry-run".
    if (word.rfind("--", 0) == 0 && word.size() > 3 && word.find('=') == word.size() - 1) {
      const Flag* flag = flags.find(word.substr(2, word.size() - 3));
      if (flag != nullptr && !takes_word(*flag)) return Error(ErrorCode::usage, "--" + flag->name + " was given an empty value");
    }
  }
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::pair<const Flag*, CLI::Option*>> options;
  for (const Flag& flag : flags.flags()) {
    CLI::Option* option = takes_word(flag) ? app.add_option(dashed(flag)) : app.add_flag(dashed(flag));
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    options.emplace_back(&flag, option);
  }
  std::vector<std::string> reversed = in_two_words(words, flags);
  std::reverse(reversed.begin(), reversed.end());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ArgumentMismatch&) {
    // Only the last word can lack its value.
    return Error(ErrorCode::usage, "flag " + base::printable(words.back(), 128) + " wants a value");
  } catch (const CLI::Error& error) {
    return Error(ErrorCode::usage, base::printable(error.what()));
  }
  Given given;
  for (const std::pair<const Flag*, CLI::Option*>& option : options) {
    if (option.second->count() == 0) continue;
    GivenFlag one{option.first->name, option.second->results()};
    // A flag without its value is "true" to CLI11.
    if (!takes_word(*option.first) && option.first->implied != "true") {
      for (std::string& value : one.values) {
        if (value == "true") value = option.first->implied;
      }
    }
    given.flags.push_back(std::move(one));
  }
  for (const std::string& word : app.remaining()) {
    if (!is_flag(word)) {
      given.arguments.push_back(word);
    } else if (!given.problem) {
      given.problem = unknown_flag(word, flags);
    }
  }
  return given;
}

}  // namespace vmbackup::cli
