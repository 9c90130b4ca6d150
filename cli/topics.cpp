#include "cli/topics.hpp"

#include <algorithm>

#include "cli/freeze_view.hpp"
#include "cli/level_texts.hpp"
#include "cli/metrics.hpp"
#include "cli/recipe_view.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

void write_exit_codes(Page& page) {
  page.heading("Description");
  page.paragraphs(
      "The set is closed and only ever grows. A code that a script does not know is to be read as failure. Codes that no command of this "
      "version can end with are kept for later ones.");
  page.heading("Codes");
  add_exit_codes(page, {});
  page.heading("Several items");
  page.paragraphs(
      "Each item has its own code. All equal give that code; some failed (1, 6, 8) and some not (0, 3) give 4; else the worst counts, in "
      "the "
      "order 1, 6, 8, 5, 3. The code of a signal that cut an item short beats all of these, and 7 beats all.");
  page.see_also({"kubectl-vmbackup(1)"});
}

void write_json(Page& page) {
  page.heading("Description");
  page.paragraphs(
      "One document per run on stdout. Fields are only ever added. Every field of a document is always there: what is not known is null, "
      "an "
      "empty string or an empty list. Times are RFC 3339 in UTC with milliseconds, lengths of time are seconds. A run of snapshot, wait or "
      "delete that fails prints its document all the same, with the error in its item; wrong usage prints none, and neither do list and "
      "show "
      "when they fail.");
  page.heading("The document");
  for (const FieldText& field : report_field_texts()) page.item(field.path, field.meaning);
  page.heading("A snapshot");
  for (const FieldText& field : item_field_texts()) page.item(field.path, field.meaning);
  page.heading("A guest, of freeze and thaw");
  for (const FieldText& field : freeze_field_texts()) page.item(field.path, field.meaning);
  page.heading("The command of freeze");
  page.item("command", "null, or program, exitCode (null: it was not started), endedByUs, why and durationSeconds");
  page.heading("Progress as JSON");
  page.paragraphs(
      "With --progress json every line on stderr is one object with type and time. The type is event (event, namespace, vm, object, disk, "
      "text, eventTime), request, note, warning (message), and last either result (exitCode, report: the document) or error (exitCode, "
      "error).");
  page.see_also({"kubectl-vmbackup(1)", "kubectl-vmbackup-exit-codes(7)"});
}

void write_levels(Page& page) {
  page.heading("Description");
  page.paragraphs(
      "A level says what the disks in a snapshot hold, seen as one. It is computed from evidence: what was seen while the snapshot was "
      "taken, with times on one clock that cannot jump. It is never read from a word in a status: KubeVirt says Succeeded, ready and "
      "GuestAgent over torn disks too, when its freeze was skipped or ended early. What cannot be shown is unknown, and what must be taken "
      "on trust is listed as an assumption.\n"
      "\n"
      "The level speaks of the disks that are in the snapshot. Whether all are in it is a field of its own, complete: a disk that the VM "
      "can write and that is not in the snapshot makes it incomplete, whatever its level.");
  page.heading("Levels");
  page.paragraphs("From strong to weak:");
  for (const LevelText& text : level_texts()) page.item(text.name, text.meaning);
  page.paragraphs(
      "offline is as good as filesystem wherever a level is asked for; it is as good as application only where a clean stop was seen.");
  page.heading("What lowers a level");
  page.item("a shared claim", "a claim that another running VM mounts as well: per-disk at best, for the other VM goes on writing");
  page.item("a disk without a file system",
            "a freeze does not reach a disk on which the guest agent lists no file system (a raw database, swap), so there is no "
            "filesystem and no application, unless it was accepted by name. A pause reaches it: crash stays crash");
  page.item("the state of TPM and firmware",
            "of a VM with a persistent TPM or persistent EFI variables KubeVirt keeps them in a claim of its own, persistent-state-for-VM. "
            "It is a disk like the others: a snapshot without it is not complete, for what is encrypted with that TPM could not be opened. "
            "No freeze reaches it, a pause does; --accept-raw persistent-state-for-this-vm accepts it, whatever the VM is called. KubeVirt "
            "leaves it out without a word where the TPM comes from the VM's preference alone: the VM's own definition has to name it too");
  page.heading("When a freeze is proven");
  page.paragraphs(
      "t0 is when our freeze was sent or, where KubeVirt's controller freezes, when the create of the snapshot was sent. The last cut "
      "counts from when it was seen, so the true window is shorter. All of these are needed:");
  for (const LevelText& text : freeze_clause_texts()) page.item(text.name, text.meaning);
  page.paragraphs(
      "A clause that was seen to be otherwise means that no freeze is proven: one disk, or a VM paused through every cut, is then crash, "
      "several disks are per-disk. A clause about which nothing was recorded, a gap in the watch, or facts that exclude each other mean "
      "unknown.");
  page.heading("Who holds the guest");
  page.item("controller",
            "KubeVirt's controller freezes whenever it sees a guest agent and no pause, and thaws at the last cut it sees. "
            "There is no way to keep it from that");
  page.item("freeze", "the guest is frozen first and the snapshot created at once; the controller's own freeze then changes nothing");
  page.item("freeze+pause",
            "frozen, then paused, then cut, let go in the opposite order. Nobody can thaw early, and all disks are cut at one "
            "instant; the guest stands still for it");
  page.item("pause", "nothing is flushed, but all disks are cut at one instant: crash, with any number of disks and without an agent");
  page.heading("Groups");
  page.paragraphs(
      "With --group all VMs are held before the first snapshot is created, and each stands still from that instant until its own last cut "
      "(with a pause: until the last cut of all), so that all snapshots are of that instant. The report says so only where each VM is "
      "shown to have stood still for so long: offline, application, filesystem, or crash by a pause of ours. One disk alone is of an "
      "instant of its own: it is crash, and yet the group is not shown to be of one instant where its guest was not seen to stand still.");
  page.heading("Recorded and inferred");
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
  page.heading("How to get a stronger level");
  page.paragraphs(
      "show lists under Stronger needs what was missing. In short: stop the VM for offline; install the guest agent for filesystem; put "
      "all data on one disk, or pause the VM, for crash.");
  page.see_also({"kubectl-vmbackup(1)", "kubectl-vmbackup-show(1)", "kubectl-vmbackup-list(1)", "kubectl-vmbackup-json(7)"});
}

void write_metrics(Page& page) {
  page.heading("Description");
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
  page.heading("Metrics");
  page.paragraphs(
      "All are gauges. Those that begin with vmbackup_snapshot_ have the labels namespace and vm, and vmbackup_snapshot_level has level. A "
      "try "
      "that took no snapshot leaves what is said of the last one that was taken.");
  for (const MetricText& text : metric_texts()) page.item(text.name, text.help);
  page.heading("What to watch for");
  page.item("time() - vmbackup_snapshot_last_success_timestamp_seconds > 26 * 3600",
            "no good snapshot of a VM for 26 hours, of nightly ones");
  page.item("vmbackup_snapshot_last_attempt_timestamp_seconds unless on (namespace, vm) vmbackup_snapshot_last_success_timestamp_seconds",
            "tried, and never with success");
  page.item("time() - vmbackup_run_timestamp_seconds > 26 * 3600 or absent(vmbackup_run_timestamp_seconds)", "the job does not run at all");
  page.item("vmbackup_run_exit_code != 0", "the last run failed, or gave less than was asked");
  page.item("vmbackup_snapshot_level{level=~\"per-disk|unknown\"} == 1", "a database on several disks may not come up from it");
  page.see_also({"kubectl-vmbackup-snapshot(1)", "kubectl-vmbackup-exit-codes(7)", "kubectl-vmbackup-levels(7)"});
}

void write_recipe(Page& page) {
  page.heading("Synopsis");
  page.command_line("kubectl vmbackup snapshot VM --recipe FILE");
  page.command_line("kubectl vmbackup snapshot VM --recipe-from-cluster");
  page.heading("Description");
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
  page.heading("Fields");
  for (const FieldText& field : recipe_field_texts()) page.item(field.path, field.meaning);
  page.heading("Where steps run");
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
  page.heading("Environment");
  page.paragraphs(
      "Commands on this machine and in a guest get these as well. In a guest, what an agent is given replaces all that the command would "
      "have otherwise: it gets these, what env and env-from name, and a usual PATH where they name none. In a guest that is Windows, or "
      "whose system is not known, only commands with env or env-from are given anything; the others get what the agent itself has.");
  page.item("VMBACKUP_VM, VMBACKUP_NAMESPACE", "the VM");
  page.item("VMBACKUP_RUN", "the id of the run");
  page.item("VMBACKUP_STEP, VMBACKUP_ACTION", "the step's name, and quiesce, check or release");
  page.item("VMBACKUP_HELD_PID", "in the guest, for check and release of a step with hold: the process that holds");
  page.heading("Recipes in the cluster");
  page.paragraphs(
      "The annotation kubectl-vmbackup/recipe of a VirtualMachine names a ConfigMap of its namespace, whose key recipe.yaml holds a "
      "recipe. "
      "It is used with --recipe-from-cluster alone, and may hold steps in the guest of that VM only, without env-from and stdin-from: "
      "whoever may write a ConfigMap must not be able to run programs on this machine or in other pods, or to read your environment.");
  page.heading("When something fails");
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
  page.heading("Examples");
  for (const RecipeExample& example : recipe_examples()) page.verbatim(example.comment, example.text);
  page.see_also({"kubectl-vmbackup(1)", "kubectl-vmbackup-snapshot(1)", "kubectl-vmbackup-levels(7)", "kubectl-vmbackup-json(7)"});
}

}  // namespace

const std::vector<Topic>& topics() {
  static const std::vector<Topic> all = {
      {"levels", 7, "The levels of consistency of a snapshot, and what each one needs", write_levels},
      {"recipe", 5, "The steps that quiesce an application around a snapshot", write_recipe},
      {"metrics", 7, "What snapshot --metrics-file tells Prometheus", write_metrics},
      {"json", 7, "The documents that kubectl vmbackup prints with -o json and -o yaml", write_json},
      {"exit-codes", 7, "What the exit codes of kubectl vmbackup mean", write_exit_codes},
  };
  return all;
}

const Topic* find_topic(const std::string& name) {
  const auto found = std::find_if(topics().begin(), topics().end(), [&](const Topic& topic) { return topic.name == name; });
  return found == topics().end() ? nullptr : &*found;
}

}  // namespace vmbackup::cli
