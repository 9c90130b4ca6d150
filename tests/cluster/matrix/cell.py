"""One cell: guests in a namespace of its own, the tool, the moment, what goes wrong, and what came of it."""
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import credentials
import judge
from table import SAFETY, right
from tool import SIGNALS, Tool, pending
from world import CONTROLLER, Refused, act_path, instance_path, lease_path, machine, now, state_of, vms_path

PATIENCE = 180  # seconds until a step that never comes is given up
FOREIGN = "20250101-000000-aaaa"


class Missed(Exception):
    """The moment was not there, or over, when it was to be used; no fault of the tool."""


class Wrong(Exception):
    """The cell cannot go on; said as its verdict."""


class Cell:
    def __init__(self, cluster, row, column, binary, folder, in_round=False, attempt=0):
        self.cluster, self.row, self.column, self.binary = cluster, row, column, binary
        self.name = f"{row.name}:{column.name}"
        self.ns = f"m{os.getpid()}-{row.name}-{column.name}-{attempt}".lower()
        self.vms = [f"db-{n}" for n in range(len(row.knobs))]
        self.folder = Path(folder) / self.ns
        self.attempt, self.in_round = attempt, in_round
        self.journal = None
        self.tool = self.second = None
        self.lease_gone = threading.Event()
        self.wrong, self.notes = [], []
        self.went_on = False
        self.after_act = 0

    # --- what has been seen
    def node(self):
        return [line for line in self.journal.so_far() if "mono" in line]

    def count(self, event, vm=None):
        return sum(1 for e in self.node() if e["event"] == event and vm in (None, e["vm"]))

    def told(self, event, vm=None):
        return any(r.get("event") == event and vm in (None, r.get("vm")) for r in self.tool.records())

    def locked_out(self):
        return sum(1 for line in self.journal.so_far()
                   if line.get("verb") == "create" and line.get("resource") == "leases" and line.get("code") == 409)

    def until(self, condition, limit=PATIENCE, what=""):
        """Waits for lines until condition() holds. Never longer than `limit`."""
        if not self.journal.until(condition, limit):
            raise Wrong(f"waited {limit} s in vain for {what}")

    # --- the guests
    def prepare(self):
        self.folder.mkdir(parents=True)
        self.journal = self.cluster.watch(self.ns)
        self.cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.ns}})
        for vm, knobs in zip(self.vms, self.row.knobs):
            if self.in_round:  # the moment has to last until all others have come to theirs
                knobs = {key: value.replace("slow:3s", "slow:8s") for key, value in knobs.items()}
            self.cluster.call("POST", vms_path(self.ns), machine(vm, knobs))
        for vm in self.vms:
            self.until(lambda vm=vm: any(e["event"] == "agent" and e["vm"] == vm for e in self.node()), what=f"the agent of {vm}")
            for _ in self.asking(60):
                if any(c["type"] == "AgentConnected" for c in self.instance(vm).get("status", {}).get("conditions", [])):
                    break

    def asking(self, limit):
        """Paces a question that has to be asked again and again."""
        end = now() + limit
        while now() < end:
            yield
            time.sleep(0.1)
        raise Wrong(f"an object did not come to what was wanted within {limit} s")

    def instance(self, vm):
        return self.cluster.call("GET", instance_path(self.ns, vm))

    def set_knob(self, vm, key, value):
        change = {"metadata": {"annotations": {f"guest.vmbackup.test/{key}": value}}}
        self.cluster.call("PATCH", instance_path(self.ns, vm), change, "application/merge-patch+json")

    # --- the tool
    def kubeconfig(self):
        text = (self.cluster.state / "kubeconfig-admin-token").read_text()
        authority = re.search(r"certificate-authority-data: (\S+)", text).group(1)
        user = {"token": re.search(r"token: (\S+)", text).group(1)}
        if self.column.name == "401":
            lasts = {"late": 11.0, "thaw-unanswered": 11.0}.get(self.row.name, 1.2 + 0.4 * self.attempt)
            user, self.ends = credentials.plugin(self.cluster.state / "pki", self.folder / "plugin", lasts)
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "m",
            "clusters": [{"name": "m", "cluster": {"server": f"https://{self.cluster.address}", "certificate-authority-data": authority}}],
            "users": [{"name": "m", "user": user}],
            "contexts": [{"name": "m", "context": {"cluster": "m", "user": "m", "namespace": self.ns}}]}))
        return path

    def run(self, words, command=()):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder), "KUBECONFIG": str(self.config)}
        return Tool([self.binary, *words, "--progress", "json", *(["--", *command] if command else [])], env, self.journal)

    def freeze(self, command, *flags):
        return self.run(["freeze", *self.vms, "--for", f"{SAFETY}s", "--timeout", "60s", *flags], command)

    def start(self):
        if self.row.name == "before":
            self.hold_lock()
        self.config = self.kubeconfig()
        if self.row.thaws:
            self.cluster.call("PUT", act_path(self.ns, self.vms[0], "freeze"), {"unfreezeTimeout": f"{SAFETY}s"})
        go = self.folder / "go"
        os.mkfifo(go)
        self.go = os.open(go, os.O_RDWR)
        if not self.row.holds:
            self.release_command()
        # A pipe whose reader is gone must not end the command: what is looked at is the tool.
        script = (f'trap "" PIPE; date +%s%N >"{self.folder}/s"; mv "{self.folder}/s" "{self.folder}/start"; '
                  f'echo "window start" >&2 2>/dev/null; read -r line <"{go}"; '
                  f'date +%s%N >"{self.folder}/e"; mv "{self.folder}/e" "{self.folder}/end"')
        self.tool = self.run(["thaw", *self.vms]) if self.row.thaws else self.freeze(["sh", "-c", script], *self.row.arguments)

    def release_command(self):
        if not self.went_on:
            self.went_on = True
            os.write(self.go, b"\n")

    def hold_lock(self):
        """Another run holds the lock, and renews it: played by writing its Lease."""
        def lease():
            time_ = time.time()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_)) + f".{int(time_ % 1 * 1e6):06}Z"
            return {"holderIdentity": FOREIGN + "@elsewhere", "leaseDurationSeconds": 60, "renewTime": stamp}
        labels = {"app.kubernetes.io/managed-by": "kubectl-vmbackup", "kubectl-vmbackup/run": FOREIGN}
        self.cluster.call("POST", lease_path(self.ns), {"metadata": {"name": "vmbackup-db-0", "labels": labels}, "spec": lease()})
        path = lease_path(self.ns, "vmbackup-db-0")

        def keep():
            given_back = False
            while not given_back:
                given_back = self.lease_gone.wait(1)
                try:
                    if given_back:
                        self.cluster.call("DELETE", path)
                    else:
                        self.cluster.call("PATCH", path, {"spec": lease()}, "application/merge-patch+json", timeout=5)
                except (OSError, Refused) as error:  # the API server may be away
                    if not (isinstance(error, Refused) and error.status == 404):
                        given_back = False
        threading.Thread(target=keep, daemon=True).start()

    # --- the moment
    def arm(self):
        row = self.row.name
        moment = {
            "before": lambda: self.locked_out() > 0,
            "sent": lambda: self.count("freeze-request") > 0,
            "answered": lambda: self.told("frozen"),
            "late": lambda: self.told("thawing"),
            "between": lambda: self.told("frozen", self.vms[0]) and self.count("freeze-request", self.vms[-1]) > 0,
            "during": lambda: any(r.get("text") == "window start" for r in self.tool.records()),
            "at-thaw": lambda: self.count("thaw-request") > 0,
            "thaw-sent": lambda: self.count("thaw-request") > 0,
            "thaw-refused": lambda: self.count("thaw-failed") > 0,
            "thaw-unanswered": lambda: self.told("thawAgain"),
            "refused-twice": lambda: self.count("thaw-failed") > 0,
            "refused": lambda: self.count("thaw-failed") > 0,
        }[row]
        self.until(lambda: moment() or self.tool.code is not None, what="the moment")
        if not moment():
            raise Missed(f"the tool ended with {self.tool.code} before the moment: {self.tool.errors() or self.tool.report()}")
        self.check_moment()

    def check_moment(self):
        """Asked before and after what goes wrong: it went wrong while the moment lasted."""
        over = {
            "sent": lambda: self.count("frozen") > 0,
            "late": lambda: self.count("frozen") > 0,
            "between": lambda: self.count("frozen", self.vms[-1]) > 0,
            "at-thaw": lambda: self.count("thawed") > 0,
            "thaw-sent": lambda: self.count("thawed") > 0,
            "thaw-unanswered": lambda: self.count("thawed") > 0,
            "refused-twice": lambda: self.count("thaw-failed") > 1,
        }.get(self.row.name)
        self.cluster.catch_up()
        if over and over():
            raise Missed("the moment was over too soon")

    # --- what goes wrong
    def act(self):
        if self.column.name in SIGNALS:
            self.tool.send(SIGNALS[self.column.name])
        else:
            {"INT-INT": self.interrupt_twice, "TSTP": self.suspend, "closed": self.tool.close_outputs, "401": self.run_out,
             "deleted": self.delete, "stopped": self.stop, "paused": self.pause, "paused-on": self.pause, "early": self.thaw_early,
             "second": self.run_second,
             "migration": self.migrate}[self.column.name]()

    def interrupt_twice(self):
        self.tool.send(signal.SIGINT)
        for _ in self.asking(30):
            if self.tool.code is not None or not pending(self.tool.pid, signal.SIGINT):
                break
        self.tool.send(signal.SIGINT)

    def suspend(self):
        holding = self.row.name not in ("before", "answered")
        self.tool.send(signal.SIGTSTP)
        for _ in self.asking(30):
            if self.tool.code is not None:
                return
            if state_of(self.tool.pid) == "T":
                if holding:
                    self.wrong.append("TSTP stopped it while a guest was held")
                self.tool.send(signal.SIGCONT)
                return
            if any(r.get("type") == "warning" and r.get("message", "").startswith("not stopped") for r in self.tool.records()):
                return

    def run_out(self):
        left = self.ends - time.time()
        if left < 0:
            raise Missed("the credentials had run out before the moment")
        time.sleep(left)

    def delete(self):
        self.cluster.call("DELETE", vms_path(self.ns, self.vms[0]), {"propagationPolicy": "Background"})

    def stop(self):
        self.cluster.call("PUT", act_path(self.ns, self.vms[0], "stop", "virtualmachines"), {})

    def put(self, vm, what):
        try:
            self.cluster.call("PUT", act_path(self.ns, vm, what), {}, timeout=60)
        except (Refused, OSError) as error:
            self.notes.append(f"{what}: {str(error).splitlines()[0]}")

    def pause(self):
        vm, asked = self.vms[0], len(self.node())
        self.cluster.call("PUT", act_path(self.ns, vm, "pause"), {})
        self.until(lambda: self.count("pause", vm), what="the pause")

        failed = () if self.column.name == "paused-on" else ("safety-timer", "thaw-failed", "freeze-failed")

        def let_run():
            self.until(lambda: self.tool.code is not None or any(e["event"] in failed and e["vm"] == vm for e in self.node()[asked:]))
            self.put(vm, "unpause")
        threading.Thread(target=let_run, daemon=True).start()

    def thaw_early(self):
        before = self.count("thaw-request", self.vms[0])
        threading.Thread(target=self.put, args=(self.vms[0], "unfreeze"), daemon=True).start()
        self.until(lambda: self.count("thaw-request", self.vms[0]) > before, what="the other tool's thaw")
        if self.row.name in ("during", "between", "answered"):
            self.until(lambda: self.count("thawed", self.vms[0]), what="the guest to be thawed by the other tool")

    def run_second(self):
        before = self.locked_out()
        self.second = self.freeze(["true"])
        self.until(lambda: self.second.code is not None or self.locked_out() > before, what="the second run to meet the lock")

    def migrate(self):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        state = {"startTimestamp": stamp, "sourceNode": "node01", "targetNode": "node02", "migrationUid": "11111111-2222-3333-4444-555555555555"}
        for _ in self.asking(30):
            vmi = self.instance(self.vms[0])
            vmi["status"]["migrationState"] = state
            try:
                self.cluster.call("PUT", instance_path(self.ns, self.vms[0]), vmi, as_user=CONTROLLER)
                break
            except Refused as refused:
                if refused.status != 409:
                    raise
        time.sleep(1.0)  # so that the tool's watch tells it: what has not been heard of is not judged

    # --- afterwards
    def go_on(self):
        """The moment is over: whoever was made to wait for it goes on."""
        self.lease_gone.set()
        if self.row.holds:
            self.release_command()

    def window(self):
        """(start, end) of the command on the monotonic clock; end None: it did not come to its end. None: it did not start."""
        shift = time.time_ns() / 1e9 - now()

        def at(name):
            file = self.folder / name
            return int(file.read_text()) / 1e9 - shift if file.exists() else None
        return (at("start"), at("end")) if at("start") else None

    def excuses(self, vm):
        return judge.pauses(self.node(), vm) + self.cluster.halted

    def settled(self):
        """Nothing can change any more: no guest stands still, or it does so for too long."""
        time_ = now()
        self.cluster.catch_up()
        events = self.node()
        if judge.unanswered_freezes(events):
            return False
        return all(i.end is not None or judge.overdue(i, time_, self.excuses(i.vm)) > 0 for i in judge.intervals(events))

    def await_end(self):
        self.until(lambda: self.tool.code is not None, what="the tool's end")
        if self.second:
            self.until(lambda: self.second.code is not None, what="the second run's end")

    def finish(self):
        self.await_end()
        self.until(self.settled, what="the guests")
        code, column = self.tool.code, self.column
        told = judge.Told(code, self.tool.end, self.tool.report(), self.tool.errors())
        window = self.window()
        events = self.node()
        if self.second:
            self.judge_second(events)
            events = [e for e in events if seconds_before(e, self.second_from)]
        blind = column.blind and self.row.name in ("sent", "answered", "between", "during")
        # A second INT after the guest was let go ends the tool at once, without another word.
        deaf = column.deaf or (column.name == "INT-INT" and told.report is None and self.told("thawed"))
        others = (column.name,) if self.row.name in column.also else ()
        self.wrong += judge.judge(told, events, vms=self.vms, ns=self.ns, allowed=right(self.row, column), window=window,
                                  doubt=column.doubt, blind=blind, deaf=deaf, others=others, thaws=self.row.thaws)
        if column.name == "401" and not credentials.was_renewed(self.folder / "plugin"):
            self.wrong.append("the plugin was not asked again")
        self.judge_intervals(code)

    def judge_second(self, events):
        """Refused, or after the first one; never both at once."""
        code, began = self.second.code, [r for r in self.second.records() if r.get("event") == "freezing"]
        self.second_from = None
        if code == 8 and not began:
            return
        if code not in (0, 3):
            self.wrong.append(f"the second run ended with {code}: {self.second.errors() or self.second.report()}")
        requests = [judge.seconds(e) for e in events if e["event"] == "freeze-request"]
        if len(requests) < 2:
            return
        self.second_from = requests[len(self.vms)]
        if any(i.start < self.second_from and i.at(self.second_from) for i in judge.intervals(events)):
            self.wrong.append("the second run froze a guest that the first one held")

    def judge_intervals(self, code):
        found, sweep = judge.intervals(self.node()), False
        for interval in found:
            over = judge.overdue(interval, now(), self.excuses(interval.vm))
            if over <= 0:
                continue
            # Without its timer it stands still until the tool gets through to it: the API server may be away.
            let_go = interval.end is not None and interval.end <= self.tool.end
            if interval.refused and (code in (7, -9) or let_go):
                sweep = sweep or interval.end is None
            else:
                self.wrong.append(f"{interval.vm} stood still {over + judge.GRACE:.1f} s beyond its safety timer")
        if code == 7 and any(i.end is None for i in found):
            sweep = True
        if sweep:
            self.sweep()
        longest = max((((i.end or now()) - i.start) for i in found), default=0.0)
        self.notes.append(f"exit {code}, frozen {longest:.1f} s" + (", then found by thaw" if sweep else ""))

    def sweep(self):
        """What nobody lets go any more, `thaw --all` finds; what somebody else has frozen, `thaw` by name."""
        if self.row.knobs[0].get("thaw") == "fail":
            self.set_knob(self.vms[0], "thaw", "ok")
        for _ in self.asking(30):
            if self.instance(self.vms[0]).get("status", {}).get("fsFreezeStatus") == "frozen":
                break
        sweeper = self.run(["thaw", *(self.vms if self.row.thaws else ["--all"])])
        self.until(lambda: sweeper.code is not None, what="the sweeper")
        states = {item["vm"]: item["state"] for item in (sweeper.report() or {}).get("items", [])}
        if sweeper.code != 0 or states.get(self.vms[0]) != "thawed":
            self.wrong.append(f"the sweeper ended with {sweeper.code} and said {states}")
        self.until(lambda: all(i.end for i in judge.intervals(self.node())), 10, "the guest to be let go by the sweeper")

    def clean(self):
        for tool in (self.tool, self.second):
            if tool:
                tool.send(signal.SIGCONT)
                tool.kill()
        self.lease_gone.set()
        if self.tool:
            self.release_command()
            os.close(self.go)
        if self.folder.exists() and self.wrong:
            lines = [{"tool": line["tool"], "second": line["by"] is self.second} if "tool" in line else line for line in self.journal.so_far()]
            (self.folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for vm in self.vms:
            try:
                self.cluster.call("DELETE", vms_path(self.ns, vm), {"propagationPolicy": "Background"}, timeout=5)
            except (Refused, OSError):
                pass


def seconds_before(event, limit):
    return limit is None or judge.seconds(event) < limit
