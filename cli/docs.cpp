#include "cli/docs.hpp"

#include <algorithm>
#include <array>

#include "backup/run_id.hpp"
#include "base/text.hpp"
#include "cli/freeze_view.hpp"
#include "cli/help.hpp"
#include "cli/level_texts.hpp"
#include "cli/metrics.hpp"
#include "cli/recipe_view.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_program = "kubectl vmbackup";
constexpr std::array<FlagGroup, 4> k_flag_groups = {FlagGroup::command, FlagGroup::output, FlagGroup::connection, FlagGroup::general};

// Text as roff takes it: nothing in it is a request or an escape.
std::string roff(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

// One page as it grows.
class Page {
 public:
  Page(const std::string& name, int section) {
    std::string upper = name;
    std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    const std::string heading = section == 1 ? "User Commands" : section == 5 ? "File Formats" : "Miscellaneous";
    text_ = ".\\\" Generated, do not edit.\n.TH \"" + roff(upper) + "\" " + std::to_string(section) + " \"\" \"kubectl\\-vmbackup " +
            backup::tool_version() + "\" \"" + heading + "\"\n.nh\n.ad l\n";
  }
  void heading(const std::string& title) {
    after_item_ = false;
    text_ += ".SH " + title + '\n';
  }
  void line(const std::string& content) { text_ += roff(content) + '\n'; }
  void command_line(const std::string& content) { text_ += ".B " + roff(content) + '\n'; }
  void line_break() { text_ += ".br\n"; }
  void paragraphs(const std::string& content) {
    bool first = !after_item_;
    after_item_ = false;
    for (const std::string& paragraph : base::split(content, '\n')) {
      if (paragraph.empty()) continue;
      if (!first) text_ += ".PP\n";
      first = false;
      line(paragraph);
    }
  }
  void item(const std::string& tag, const std::string& content) {
    after_item_ = true;
    text_ += ".TP\n.B " + roff(tag) + '\n' + roff(content) + '\n';
  }
  void example(const std::string& comment, const std::string& command) {
    text_ += ".PP\n" + roff(comment) + ":\n.PP\n.RS 4\n.nf\n" + roff(command) + "\n.fi\n.RE\n";
  }
  // Text whose lines and blanks stay as they are.
  void verbatim(const std::string& comment, const std::string& content) {
    text_ += ".PP\n" + roff(comment) + ":\n.PP\n.RS 4\n.nf\n";
    for (const std::string& each : base::split(content, '\n')) text_ += roff(each) + '\n';
    text_ += ".fi\n.RE\n";
  }
  void see_also(const std::vector<std::string>& pages) {
    heading("SEE ALSO");
    std::vector<std::string> links;
    for (const std::string& page : pages) {
      const std::size_t bracket = page.find('(');
      links.push_back(".BR " + roff(page.substr(0, bracket)) + ' ' + page.substr(bracket));
    }
    text_ += base::join(links, " ,\n") + '\n';
  }
  std::string text() const { return text_; }

 private:
  std::string text_;
  bool after_item_ = false;  // a paragraph that follows would be taken for more of the item
};

// roff takes words for the tag up to the line end, so "-o, --output FORMAT" needs no blanks in front.
std::string tag_of(const Flag& flag) {
  const std::string spelling = flag_spelling(flag);
  return std::string(base::trim(spelling));
}

void add_exit_codes(Page& page, const std::vector<ExitCode>& codes) {
  for (const ExitCodeText& text : exit_code_texts()) {
    if (codes.empty() || std::find(codes.begin(), codes.end(), text.code) != codes.end()) {
      page.item(std::to_string(static_cast<int>(text.code)), text.meaning);
    }
  }
}

TextFile command_page(const Command& command, const std::vector<Command>& commands) {
  const std::string name = "kubectl-vmbackup-" + command.name;
  Flags flags;
  CommonOptions common;
  const Run run = bind_all(command, flags, common);
  Page page(name, 1);
  page.heading("NAME");
  std::string summary = command.summary;
  page.line(name + " - " + summary);
  page.heading("SYNOPSIS");
  page.command_line(usage_line(command, flags, k_program));
  page.heading("DESCRIPTION");
  page.paragraphs(command.description.empty() ? command.summary + "." : command.description);
  if (!flags.arguments().empty()) {
    page.heading("ARGUMENTS");
    for (const Argument& argument : flags.arguments()) page.item(argument.name, argument.help);
    if (flags.rest()) page.item("-- " + flags.rest()->name, flags.rest()->help);
  }
  page.heading("OPTIONS");
  for (const FlagGroup group : k_flag_groups) {
    for (const Flag* flag : shown_flags(command, flags, group)) page.item(tag_of(*flag), flag_text(*flag));
  }
  if (!command.examples.empty()) {
    page.heading("EXAMPLES");
    for (const Example& example : command.examples) page.example(example.comment, std::string(k_program) + ' ' + example.line);
  }
  if (!command.exit_codes.empty()) {
    page.heading("\"EXIT STATUS\"");
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
  Page page("kubectl-vmbackup", 1);
  page.heading("NAME");
  page.line("kubectl-vmbackup - snapshots of KubeVirt virtual machines that tell you what you got");
  page.heading("SYNOPSIS");
  page.command_line(std::string(k_program) + " COMMAND [flags]");
  page.heading("DESCRIPTION");
  page.paragraphs(
      "Takes, follows, lists, shows and deletes snapshots of KubeVirt virtual machines, and says on the way what happens to the guest and "
      "to "
      "each disk. It is a plugin of kubectl and runs alone as well, as kubectl-vmbackup.\n"
      "\n"
      "The result is printed on stdout and nothing else is; progress, notes, warnings and errors go to stderr. Scripts build on -o json "
      "and "
      "on the exit code.");
  page.heading("COMMANDS");
  std::vector<std::string> pages;
  for (const Command& command : commands) {
    if (command.hidden) continue;
    page.item(command.name, command.summary);
    pages.push_back("kubectl-vmbackup-" + command.name + "(1)");
  }
  page.heading("ENVIRONMENT");
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
  page.heading("SIGNALS");
  page.paragraphs(
      "INT, TERM and HUP end the waiting: what was begun is left as it is, named, and the exit code is 128 and the number of the signal. A "
      "second one ends the program at once. A signal that was ignored at the start (nohup) stays ignored.\n"
      "\n"
      "While a guest is held, it is let go first, whatever the signal: a second one changes nothing, QUIT acts like TERM, and TSTP "
      "(Ctrl-Z) "
      "is refused.");
  pages.insert(pages.end(), {"kubectl-vmbackup-recipe(5)", "kubectl-vmbackup-exit-codes(7)", "kubectl-vmbackup-json(7)",
                             "kubectl-vmbackup-levels(7)", "kubectl-vmbackup-metrics(7)", "kubectl(1)"});
  page.see_also(pages);
  return {"kubectl-vmbackup.1", page.text()};
}

TextFile exit_codes_page() {
  Page page("kubectl-vmbackup-exit-codes", 7);
  page.heading("NAME");
  page.line("kubectl-vmbackup-exit-codes - what the exit codes of kubectl vmbackup mean");
  page.heading("DESCRIPTION");
  page.paragraphs(
      "The set is closed and only ever grows. A code that a script does not know is to be read as failure. Codes that no command of this "
      "version can end with are kept for later ones.");
  page.heading("CODES");
  add_exit_codes(page, {});
  page.heading("\"SEVERAL ITEMS\"");
  page.paragraphs(
      "Each item has its own code. All equal give that code; some failed (1, 6, 8) and some not (0, 3) give 4; else the worst counts, in "
      "the "
      "order 1, 6, 8, 5, 3. The code of a signal that cut an item short beats all of these, and 7 beats all.");
  page.see_also({"kubectl-vmbackup(1)"});
  return {"kubectl-vmbackup-exit-codes.7", page.text()};
}

TextFile json_page() {
  Page page("kubectl-vmbackup-json", 7);
  page.heading("NAME");
  page.line("kubectl-vmbackup-json - the documents that kubectl vmbackup prints with -o json and -o yaml");
  page.heading("DESCRIPTION");
  page.paragraphs(
      "One document per run on stdout. Fields are only ever added. Every field of a document is always there: what is not known is null, "
      "an "
      "empty string or an empty list. Times are RFC 3339 in UTC with milliseconds, lengths of time are seconds. A run of snapshot, wait or "
      "delete that fails prints its document all the same, with the error in its item; wrong usage prints none, and neither do list and "
      "show "
      "when they fail.");
  page.heading("\"THE DOCUMENT\"");
  for (const FieldText& field : report_field_texts()) page.item(field.path, field.meaning);
  page.heading("\"A SNAPSHOT\"");
  for (const FieldText& field : item_field_texts()) page.item(field.path, field.meaning);
  page.heading("\"A GUEST, OF FREEZE AND THAW\"");
  for (const FieldText& field : freeze_field_texts()) page.item(field.path, field.meaning);
  page.heading("\"THE COMMAND OF FREEZE\"");
  page.item("command", "null, or program, exitCode (null: it was not started), endedByUs, why and durationSeconds");
  page.heading("\"PROGRESS AS JSON\"");
  page.paragraphs(
      "With --progress json every line on stderr is one object with type and time. The type is event (event, namespace, vm, object, disk, "
      "text, eventTime), request, note, warning (message), and last either result (exitCode, report: the document) or error (exitCode, "
      "error).");
  page.see_also({"kubectl-vmbackup(1)", "kubectl-vmbackup-exit-codes(7)"});
  return {"kubectl-vmbackup-json.7", page.text()};
}

TextFile levels_page() {
  Page page("kubectl-vmbackup-levels", 7);
  page.heading("NAME");
  page.line("kubectl-vmbackup-levels - the levels of consistency of a snapshot, and what each one needs");
  page.heading("DESCRIPTION");
  page.paragraphs(
      "A level says what the disks in a snapshot hold, seen as one. It is computed from evidence: what was seen while the snapshot was "
      "taken, with times on one clock that cannot jump. It is never read from a word in a status: KubeVirt says Succeeded, ready and "
      "GuestAgent over torn disks too, when its freeze was skipped or ended early. What cannot be shown is unknown, and what must be taken "
      "on trust is listed as an assumption.\n"
      "\n"
      "The level speaks of the disks that are in the snapshot. Whether all are in it is a field of its own, complete: a disk that the VM "
      "can write and that is not in the snapshot makes it incomplete, whatever its level.");
  page.heading("LEVELS");
  page.paragraphs("From strong to weak:");
  for (const LevelText& text : level_texts()) page.item(text.name, text.meaning);
  page.paragraphs(
      "offline is as good as filesystem wherever a level is asked for; it is as good as application only where a clean stop was seen.");
  page.heading("\"WHAT LOWERS A LEVEL\"");
  page.item("a shared claim", "a claim that another running VM mounts as well: per-disk at best, for the other VM goes on writing");
  page.item("a disk without a file system",
            "a freeze does not reach a disk on which the guest agent lists no file system (a raw database, swap), so there is no "
            "filesystem and no application, unless it was accepted by name. A pause reaches it: crash stays crash");
  page.heading("\"WHEN A FREEZE IS PROVEN\"");
  page.paragraphs(
      "t0 is when our freeze was sent or, where KubeVirt's controller freezes, when the create of the snapshot was sent. The last cut "
      "counts from when it was seen, so the true window is shorter. All of these are needed:");
  for (const LevelText& text : freeze_clause_texts()) page.item(text.name, text.meaning);
  page.paragraphs(
      "A clause that was seen to be otherwise means that no freeze is proven: one disk, or a VM paused through every cut, is then crash, "
      "several disks are per-disk. A clause about which nothing was recorded, a gap in the watch, or facts that exclude each other mean "
      "unknown.");
  page.heading("\"WHO HOLDS THE GUEST\"");
  page.item("controller",
            "KubeVirt's controller freezes whenever it sees a guest agent and no pause, and thaws at the last cut it sees. "
            "There is no way to keep it from that");
  page.item("freeze", "the guest is frozen first and the snapshot created at once; the controller's own freeze then changes nothing");
  page.item("freeze+pause",
            "frozen, then paused, then cut, let go in the opposite order. Nobody can thaw early, and all disks are cut at one "
            "instant; the guest stands still for it");
  page.item("pause", "nothing is flushed, but all disks are cut at one instant: crash, with any number of disks and without an agent");
  page.heading("GROUPS");
  page.paragraphs(
      "With --group all VMs are held before the first snapshot is created, and each stands still from that instant until its own last cut "
      "(with a pause: until the last cut of all), so that all snapshots are of that instant. The report says so only where each VM is "
      "shown to have stood still for so long: offline, application, filesystem, or crash by a pause of ours. One disk alone is of an "
      "instant of its own: it is crash, and yet the group is not shown to be of one instant where its guest was not seen to stand still.");
  page.heading("\"RECORDED AND INFERRED\"");
  page.paragraphs(
      "Evidence is kept in the annotation kubectl-vmbackup/evidence of the VirtualMachineSnapshot: facts, never a level; every command "
      "that "
      "shows a level computes it anew. It must fit the objects: the UIDs of snapshot, content and VM, each disk with claim, "
      "VolumeSnapshot and time of its cut, and the indications. Whatever differs (a copy made by a backup tool, by GitOps or by hand) "
      "gives "
      "unknown, and so does a record that cannot be read. It is unsigned: whoever may change the annotation may write another. "
      "--ignore-recorded leaves it out.\n"
      "\n"
      "A snapshot without a record is judged by its objects alone, and its level is said to be inferred. These hold the times of servers "
      "in "
      "whole seconds, of clocks that nobody compared, so little follows: one disk is crash; several disks of a VM that KubeVirt saw "
      "running are per-disk; several disks without the indication Online are unknown, not offline, for KubeVirt clears its indications "
      "when a VM stops in the middle of a snapshot. That no other running VM had mounted a claim is then an assumption.");
  page.heading("\"HOW TO GET A STRONGER LEVEL\"");
  page.paragraphs(
      "show lists under Stronger needs what was missing. In short: stop the VM for offline; install the guest agent for filesystem; put "
      "all data on one disk, or pause the VM, for crash.");
  page.see_also({"kubectl-vmbackup(1)", "kubectl-vmbackup-show(1)", "kubectl-vmbackup-list(1)", "kubectl-vmbackup-json(7)"});
  return {"kubectl-vmbackup-levels.7", page.text()};
}

TextFile metrics_page() {
  Page page("kubectl-vmbackup-metrics", 7);
  page.heading("NAME");
  page.line("kubectl-vmbackup-metrics - what snapshot --metrics-file tells Prometheus");
  page.heading("DESCRIPTION");
  page.paragraphs(
      "The file is for the textfile collector of Prometheus' node exporter (its name has to end with .prom), or for any other reader of "
      "that "
      "format. Each run replaces it as a whole: it is written beside itself, flushed and renamed, so nobody reads half of it. What it "
      "holds of "
      "VMs that the run did not try stays, so several runs may share one file, even at the same time. Use one file per cluster: the "
      "series name namespace and VM, not the cluster. Of a VM that is gone the series stay too; remove the file to be rid of them, the "
      "next "
      "runs write it again.\n"
      "\n"
      "A file whose folder does not exist or cannot be written, and one that is there and was not written by this tool, is refused with "
      "exit "
      "code 2 before anything is sent. If it cannot be written at the end, that is a warning, and the exit code stays. A dry run writes "
      "none.");
  page.heading("METRICS");
  page.paragraphs(
      "All are gauges. Those that begin with vmbackup_snapshot_ have the labels namespace and vm, and vmbackup_snapshot_level has level. A "
      "try "
      "that took no snapshot leaves what is said of the last one that was taken.");
  for (const MetricText& text : metric_texts()) page.item(text.name, text.help);
  page.heading("\"WHAT TO WATCH FOR\"");
  page.item("time() - vmbackup_snapshot_last_success_timestamp_seconds > 26 * 3600",
            "no good snapshot of a VM for 26 hours, of nightly ones");
  page.item("vmbackup_snapshot_last_attempt_timestamp_seconds unless on (namespace, vm) vmbackup_snapshot_last_success_timestamp_seconds",
            "tried, and never with success");
  page.item("time() - vmbackup_run_timestamp_seconds > 26 * 3600 or absent(vmbackup_run_timestamp_seconds)", "the job does not run at all");
  page.item("vmbackup_run_exit_code != 0", "the last run failed, or gave less than was asked");
  page.item("vmbackup_snapshot_level{level=~\"per-disk|unknown\"} == 1", "a database on several disks may not come up from it");
  page.see_also({"kubectl-vmbackup-snapshot(1)", "kubectl-vmbackup-exit-codes(7)", "kubectl-vmbackup-levels(7)"});
  return {"kubectl-vmbackup-metrics.7", page.text()};
}

TextFile recipe_page() {
  Page page("kubectl-vmbackup-recipe", 5);
  page.heading("NAME");
  page.line("kubectl-vmbackup-recipe - the steps that quiesce an application around a snapshot");
  page.heading("SYNOPSIS");
  page.command_line("kubectl vmbackup snapshot VM --recipe FILE");
  page.line_break();
  page.command_line("kubectl vmbackup snapshot VM --recipe-from-cluster");
  page.heading("DESCRIPTION");
  page.paragraphs(
      "A freeze makes the file systems of a guest whole. What an application needs beyond that, only its owner knows: a recipe says it. It "
      "is a YAML (or JSON) document of at most 64 KiB with an ordered list of steps. Each step has a command that quiesces and, if it "
      "needs "
      "them, one that checks and one that releases; they run in the guest, in a pod, or on this machine.\n"
      "\n"
      "The order: all steps are quiesced and checked; the guest is frozen; the disks are cut; the guest is thawed; it is looked whether "
      "each step is still in force; the steps are released, last first. A snapshot whose steps were all ready before the freeze and found "
      "in force after the last cut, and whose freeze is proven, has the level application: kubectl-vmbackup-levels(7).\n"
      "\n"
      "The document is read strictly. A field that is not known, a number where a text belongs, or a duration without a unit is refused "
      "with its place, as in steps[1].check.command, and nothing is sent. A JSON Schema for editors is "
      "share/kubectl-vmbackup/recipe.schema.json.");
  page.heading("FIELDS");
  for (const FieldText& field : recipe_field_texts()) page.item(field.path, field.meaning);
  page.heading("\"WHERE STEPS RUN\"");
  page.item("guest",
            "The agent must allow guest-exec and guest-exec-status; many distributions switch them off (block-rpcs, allow-rpcs or "
            "FILTER_RPC_ARGS of qemu-ga), and such a guest is refused before anything is begun. It is asked through virsh in the VM's "
            "virt-launcher pod, so the rights to list pods and to get (from Kubernetes 1.35 on also create) pods/exec are needed. A frozen "
            "agent answers nothing, so these steps are never asked between freeze and thaw. A process in the guest cannot be ended from "
            "outside: what holds must be ended by release. A command that leaves something behind which keeps its outputs open does not "
            "count as ended");
  page.item("pod", "The command runs in a container that is there already, by the same rights. It can get a secret by stdin-from alone");
  page.item("local",
            "The command gets PATH, HOME, USER, LOGNAME, LANG, LC_ALL, TZ, TMPDIR and KUBECONFIG of your environment and what env and "
            "env-from name, no terminal, and is ended (TERM, 5s later KILL) when its time is up");
  page.heading("ENVIRONMENT");
  page.paragraphs(
      "Commands on this machine and in a guest get these as well. In a guest, what an agent is given replaces all that the command would "
      "have otherwise: it gets these, what env and env-from name, and a usual PATH where they name none. In a guest that is Windows, or "
      "whose system is not known, only commands with env or env-from are given anything; the others get what the agent itself has.");
  page.item("VMBACKUP_VM, VMBACKUP_NAMESPACE", "the VM");
  page.item("VMBACKUP_RUN", "the id of the run");
  page.item("VMBACKUP_STEP, VMBACKUP_ACTION", "the step's name, and quiesce, check or release");
  page.item("VMBACKUP_HELD_PID", "in the guest, for check and release of a step with hold: the process that holds");
  page.heading("\"RECIPES IN THE CLUSTER\"");
  page.paragraphs(
      "The annotation kubectl-vmbackup/recipe of a VirtualMachine names a ConfigMap of its namespace, whose key recipe.yaml holds a "
      "recipe. "
      "It is used with --recipe-from-cluster alone, and may hold steps in the guest of that VM only, without env-from and stdin-from: "
      "whoever may write a ConfigMap must not be able to run programs on this machine or in other pods, or to read your environment.");
  page.heading("\"WHEN SOMETHING FAILS\"");
  page.paragraphs(
      "A step that fails ends the quiescing (unless on-error says continue); all steps that were begun are released, and no snapshot is "
      "taken. INT, TERM and HUP do the same; a second signal does not hurry the releases. After KILL or a power failure nobody releases, "
      "so "
      "a command that holds should end by itself after a while.\n"
      "\n"
      "A release in a guest or pod from which no exit code comes is tried again every two seconds until its timeout. One that ends with "
      "another code than 0 is not. What did not release is named, and the exit code is 1.\n"
      "\n"
      "The report keeps of each command its exit code and how many bytes it said, never what: -v shows that on stderr.\n"
      "\n"
      "Velero runs the hooks in a pod's annotations in its own backups. Where such annotations are on a pod of a recipe as well, the plan "
      "says so: KubeVirt gives every virt-launcher pod a pair that freezes and thaws.");
  page.heading("EXAMPLES");
  for (const RecipeExample& example : recipe_examples()) page.verbatim(example.comment, example.text);
  page.see_also({"kubectl-vmbackup(1)", "kubectl-vmbackup-snapshot(1)", "kubectl-vmbackup-levels(7)", "kubectl-vmbackup-json(7)"});
  return {"kubectl-vmbackup-recipe.5", page.text()};
}

}  // namespace

std::vector<TextFile> man_pages(const std::vector<Command>& commands) {
  std::vector<TextFile> pages = {program_page(commands)};
  for (const Command& command : commands) {
    if (!command.hidden) pages.push_back(command_page(command, commands));
  }
  pages.push_back(exit_codes_page());
  pages.push_back(json_page());
  pages.push_back(recipe_page());
  pages.push_back(levels_page());
  pages.push_back(metrics_page());
  return pages;
}

}  // namespace vmbackup::cli
