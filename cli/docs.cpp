#include "cli/docs.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "cli/help.hpp"
#include "cli/page.hpp"
#include "cli/topics.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_program = "kubectl vmbackup";
constexpr std::array<FlagGroup, 4> k_flag_groups = {FlagGroup::command, FlagGroup::output, FlagGroup::connection, FlagGroup::general};

// roff takes words for the tag up to the line end, so "-o, --output FORMAT" needs no blanks in front.
std::string tag_of(const Flag& flag) {
  const std::string spelling = flag_spelling(flag);
  return std::string(base::trim(spelling));
}

std::string page_of(const Topic& topic) { return std::string("kubectl-vmbackup-") + topic.name; }

TextFile command_page(const Command& command, const std::vector<Command>& commands) {
  const std::string name = "kubectl-vmbackup-" + command.name;
  Flags flags;
  CommonOptions common;
  const Run run = bind_all(command, flags, common);
  ManPage page(name, 1, command.summary);
  page.heading("Synopsis");
  page.command_line(usage_line(command, flags, k_program));
  page.heading("Description");
  page.paragraphs(command.description.empty() ? command.summary + "." : command.description);
  if (!flags.arguments().empty()) {
    page.heading("Arguments");
    for (const Argument& argument : flags.arguments()) page.item(argument.name, argument.help);
    if (flags.rest()) page.item("-- " + flags.rest()->name, flags.rest()->help);
  }
  page.heading("Options");
  for (const FlagGroup group : k_flag_groups) {
    for (const Flag* flag : shown_flags(command, flags, group)) page.item(tag_of(*flag), flag_text(*flag));
  }
  if (!command.examples.empty()) {
    page.heading("Examples");
    for (const Example& example : command.examples) page.verbatim(example.comment, std::string(k_program) + ' ' + example.line);
  }
  if (!command.exit_codes.empty()) {
    page.heading("Exit status");
    add_exit_codes(page, command.exit_codes);
  }
  std::vector<std::string> pages = {"kubectl-vmbackup(1)"};
  for (const Command& other : commands) {
    const bool neighbour = other.group == command.group && other.name != command.name;
    if (neighbour && !other.hidden) pages.push_back("kubectl-vmbackup-" + other.name + "(1)");
  }
  pages.insert(pages.end(), {"kubectl-vmbackup-exit-codes(7)", "kubectl-vmbackup-json(7)", "kubectl-vmbackup-levels(7)"});
  page.see_also(pages);
  return {name + ".1", page.text()};
}

TextFile program_page(const std::vector<Command>& commands) {
  ManPage page("kubectl-vmbackup", 1, "snapshots of KubeVirt virtual machines that tell you what you got");
  page.heading("Synopsis");
  page.command_line(std::string(k_program) + " COMMAND [flags]");
  page.heading("Description");
  page.paragraphs(
      "Takes, follows, lists, shows and deletes snapshots of KubeVirt virtual machines, and says on the way what happens to the guest and "
      "to "
      "each disk. It is a plugin of kubectl and runs alone as well, as kubectl-vmbackup.\n"
      "\n"
      "The result is printed on stdout and nothing else is; progress, notes, warnings and errors go to stderr. Scripts build on -o json "
      "and "
      "on the exit code.");
  page.heading("Commands");
  std::vector<std::string> pages;
  for (const Command& command : commands) {
    if (command.hidden) continue;
    page.item(command.name, command.summary);
    pages.push_back("kubectl-vmbackup-" + command.name + "(1)");
  }
  page.heading("Environment");
  page.item("KUBECONFIG", "kubeconfig files, separated by colons; the first one to name a thing wins");
  page.item("HOME", "without KUBECONFIG and --kubeconfig, .kube/config is looked for below it");
  page.item("HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
            "also in lower case: the proxy for clusters whose kubeconfig has no proxy-url (http, https, socks5), "
            "and for which servers it does not count");
  page.item("SSL_CERT_FILE, SSL_CERT_DIR", "authorities to trust in place of the system's, where the kubeconfig names none");
  page.item("KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, POD_NAMESPACE",
            "in a pod: the API server, reached as the pod's service account where no kubeconfig says more, and the default namespace");
  page.item("NO_COLOR", "set and not empty: no colors");
  page.item("TERM", "unset or dumb: no live line and no colors");
  page.heading("Signals");
  page.paragraphs(
      "INT, TERM and HUP end the waiting: what was begun is left as it is, named, and the exit code is 128 and the number of the signal. A "
      "second one ends the program at once. A signal that was ignored at the start (nohup) stays ignored.\n"
      "\n"
      "While a guest is held, it is let go first, whatever the signal: a second one changes nothing, QUIT acts like TERM, and TSTP "
      "(Ctrl-Z) "
      "is refused.");
  for (const Topic& topic : topics()) pages.push_back(page_of(topic) + '(' + std::to_string(topic.section) + ')');
  pages.emplace_back("kubectl(1)");
  page.see_also(pages);
  return {"kubectl-vmbackup.1", page.text()};
}

}  // namespace

std::vector<TextFile> man_pages(const std::vector<Command>& commands) {
  std::vector<TextFile> pages = {program_page(commands)};
  for (const Command& command : commands) {
    if (!command.hidden) pages.push_back(command_page(command, commands));
  }
  for (const Topic& topic : topics()) {
    ManPage page(page_of(topic), topic.section, topic.summary);
    topic.write(page);
    pages.emplace_back(page_of(topic) + '.' + std::to_string(topic.section), page.text());
  }
  return pages;
}

}  // namespace vmbackup::cli
