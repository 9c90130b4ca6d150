#include "cli/names.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.hpp"

namespace vmbackup::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

struct Kind {
  Names names;
  const char* group;
  const char* shown;  // what a hint writes
  std::array<const char*, 4> words;
};
constexpr std::array<Kind, 2> k_kinds = {{
    {Names::virtual_machine, ".kubevirt.io", "vm", {"vm", "vms", "virtualmachine", "virtualmachines"}},
    {Names::snapshot,
     ".snapshot.kubevirt.io",
     "vmsnapshot",
     {"vmsnapshot", "vmsnapshots", "virtualmachinesnapshot", "virtualmachinesnapshots"}},
}};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool spells(const Kind& kind, const std::string& type) {
  return std::any_of(kind.words.begin(), kind.words.end(),
                     [&](const char* word) { return type == word || type == std::string(word) + kind.group; });
}

Result<void> check_part(const std::string& part, const std::string& rule) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool good = !part.empty() && alphanumeric(part.front()) && alphanumeric(part.back()) &&
                    std::all_of(part.begin(), part.end(), [&](char c) { return alphanumeric(c) || c == '-'; });
  if (good) return {};
  return Error(ErrorCode::usage, rule);
}

Error with_lower_case_hint(const Error& error, const std::string& text, Result<void> (*check)(const std::string&)) {
  const std::string small = lower(text);
  return small != text && check(small) ? error.with_hint("did you mean \"" + small + "\"?") : error;
}

// A name of the other kind is no name of this one: the hint is how to get from one to the other.
Error wrong_type(const Kind& wanted, const std::string& type, const std::string& name) {
  const bool other = std::any_of(k_kinds.begin(), k_kinds.end(), [&](const Kind& each) { return spells(each, type); });
  if (!other)
    return Error(ErrorCode::usage, "unknown type",
                 std::string("write ") + wanted.shown + "/" + (name.empty() ? "NAME" : base::printable(name, 128)));
  std::string hint = std::string("write ") + wanted.shown + "/NAME";
  if (check_dns_subdomain(name)) {
    hint = wanted.names == Names::snapshot ? "what snapshots there are of it: kubectl vmbackup list " + name
                                           : "which VM it is of: kubectl vmbackup show " + name;
  }
  return Error(ErrorCode::usage, std::string("this command works on a ") + wanted.shown, hint);
}

}  // namespace

Result<void> check_dns_label(const std::string& text) {
  if (text.size() > 63) return Error(ErrorCode::usage, "it is longer than 63 characters");
  const Result<void> good = check_part(text, "it must be lowercase letters, digits and '-', with a letter or digit at both ends");
  return good ? good : with_lower_case_hint(good.error(), text, check_dns_label);
}

Result<void> check_dns_subdomain(const std::string& text) {
  if (text.size() > 253) return Error(ErrorCode::usage, "it is longer than 253 characters");
  for (const std::string& part : base::split(text, '.')) {
    const Result<void> good = check_part(part, "it must be lowercase letters, digits, '-' and '.', with a letter or digit at both ends");
    if (!good) return with_lower_case_hint(good.error(), text, check_dns_subdomain);
  }
  return {};
}

std::optional<std::string> typed_prefix(const std::string& text, Names kind) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return std::string();
  if (!spells(k_kinds[kind == Names::virtual_machine ? 0 : 1], lower(text.substr(0, slash)))) return std::nullopt;
  return text.substr(0, slash + 1);
}

Result<std::string> name_of(const std::string& text, Names kind) {
  std::string name = text;
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const std::string type = lower(text.substr(0, slash));
    name = text.substr(slash + 1);
    const Kind& wanted = k_kinds[kind == Names::virtual_machine ? 0 : 1];
    if (!spells(wanted, type)) return wrong_type(wanted, type, name);
  }
  if (const Result<void> good = check_dns_subdomain(name); !good) return good.error();
  return name;
}

SetText name_into(std::string& target, Names kind) {
  return [&target, kind](const std::string& text) -> Result<void> {
    Result<std::string> name = name_of(text, kind);
    if (!name) return name.error();
    target = *name;
    return {};
  };
}

SetText names_into(std::vector<std::string>& target, Names kind) {
  return [&target, kind](const std::string& text) -> Result<void> {
    Result<std::string> name = name_of(text, kind);
    if (!name) return name.error();
    if (std::find(target.begin(), target.end(), *name) == target.end()) target.push_back(*name);
    return {};
  };
}

SetText namespace_into(std::string& target) {
  return [&target](const std::string& text) -> Result<void> {
    if (!text.empty()) {
      if (Result<void> good = check_dns_label(text); !good) return good;
    }
    target = text;
    return {};
  };
}

std::string typed_snapshot_name(const std::string& name) { return "virtualmachinesnapshot.snapshot.kubevirt.io/" + name; }

}  // namespace vmbackup::cli
