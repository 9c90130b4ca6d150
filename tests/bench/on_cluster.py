"""Twenty VMs on the real control plane: how long each stands still and how long all take, against one VM alone and KubeVirt left alone."""
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from scripts.targets import Cluster, vm_manifest

VMS = 20
WINDOW_RATIO = 2
TOTAL_RATIO = 1.5
ROUNDS = 3
ALONE = 5  # snapshots of one VM alone, for their median
API = "snapshot.kubevirt.io/v1beta1"


def standstills(lines):
    """Microseconds from frozen to thawed, of each guest in the events of a sandbox or a cluster, as they end."""
    frozen = {}
    for event in map(json.loads, lines):
        if event["event"] not in ("frozen", "thawed"):
            continue
        guest = (event["namespace"], event["vm"])
        if event["event"] == "frozen":
            frozen[guest] = event["mono"]
        elif guest in frozen:
            yield guest, (event["mono"] - frozen.pop(guest)) / 1000


class Fleet:
    """VMs of two disks in a namespace of their own."""

    def __init__(self, ours, kubectl, state):
        self.ours, self.folder = ours, tempfile.TemporaryDirectory()
        self.cluster = Cluster(str(state), str(kubectl.parent), self.folder.name)
        self.names = [f"vm-{number:02}" for number in range(VMS)]
        self.events = Path(state, "node-events.jsonl")
        self.taken = 0

    def __enter__(self):
        self.cluster.start()
        self.cluster.apply("\n---\n".join(vm_manifest(self.cluster.namespace, name, 2, ["rig"], True, {}) for name in self.names))
        self.await_all("vmi", VMS, lambda vmi: any(c["type"] == "AgentConnected" for c in vmi.get("status", {}).get("conditions", [])))
        self.await_all("vm", VMS, lambda vm: [v["enabled"] for v in vm["status"].get("volumeSnapshotStatuses", [])] == [True, True])
        return self

    def __exit__(self, *_):
        self.cluster.stop()
        self.folder.cleanup()

    def await_all(self, kind, count, fits):
        end = time.monotonic() + 120
        while True:
            items = json.loads(self.cluster._kubectl("get", "-n", self.cluster.namespace, kind, "-o", "json"))["items"]
            if len(items) == count and all(fits(item) for item in items):
                return
            if time.monotonic() > end:
                states = json.dumps([item.get("status") for item in items])
                raise SystemExit(f"error: not every {kind} of the fleet has come so far: {states[:2000]}")
            time.sleep(self.cluster.pause)

    def settle(self):
        """Until nothing is left of what was done before: a status that still says frozen would hold the next snapshot up."""
        self.await_all("vmi", VMS, lambda vmi: not vmi["status"].get("fsFreezeStatus"))
        self.await_all("vm", VMS, lambda vm: not vm["status"].get("snapshotInProgress"))

    def by_us(self, names, *flags):
        """Seconds from start to exit, and from the freeze sent to the thaw confirmed of each VM."""
        self.settle()
        begin = time.monotonic()
        command = [self.ours, "--kubeconfig", self.cluster.kubeconfig, "snapshot", "-n", self.cluster.namespace, *names]
        done = subprocess.run([*command, "--hold", "freeze", "--quiet", "-o", "json", *flags], capture_output=True, text=True, check=False)
        took = time.monotonic() - begin
        if done.returncode != 0:
            raise SystemExit(f"error: snapshots of {len(names)} VMs: exit code {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return took, [item["freeze"]["windowSeconds"] for item in json.loads(done.stdout)["items"]]

    def by_kubevirt(self, names):
        """All created at once and left to the controller. Seconds until all are ready to use, and from frozen to thawed of each guest."""
        self.settle()
        self.taken += 1
        snapshots = [f"left-alone-{self.taken}-{name}" for name in names]
        text = "\n---\n".join(json.dumps({
            "apiVersion": API, "kind": "VirtualMachineSnapshot", "metadata": {"name": snapshot, "namespace": self.cluster.namespace},
            "spec": {"source": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": name}}}) for snapshot, name in zip(snapshots, names))
        before = self.events.stat().st_size
        begin = time.monotonic()
        self.cluster.apply(text)
        self.cluster._kubectl("wait", "-n", self.cluster.namespace, "--timeout", "90s", "--for=jsonpath={.status.readyToUse}=true",
                              *[f"virtualmachinesnapshot/{snapshot}" for snapshot in snapshots])
        took = time.monotonic() - begin
        self.settle()
        with self.events.open(encoding="utf-8") as file:
            file.seek(before)
            windows = [window / 1e6 for (ns, _), window in standstills(file.read().splitlines()) if ns == self.cluster.namespace]
        if len(windows) != len(names):
            raise SystemExit(f"error: {len(windows)} guests of {len(names)} were frozen and thawed by KubeVirt")
        return took, windows


def measure(bench, state):
    with Fleet(bench.ours, bench.kubectl, state) as fleet:
        fleet.by_us(fleet.names[:1])  # what is slow only once
        for _ in range(ROUNDS):
            one = statistics.median(window for _ in range(ALONE) for window in fleet.by_us(fleet.names[:1])[1])
            took, windows = fleet.by_us(fleet.names)
            his, his_windows = fleet.by_kubevirt(fleet.names)
            window, his_window = statistics.median(windows), statistics.median(his_windows)
            kept = window <= WINDOW_RATIO * one and took <= TOTAL_RATIO * his
            if kept:
                break
    bench.row(f"median freeze of {VMS} VMs / of one alone, cluster", f"{window:.2f} s", f"{one:.2f} s", f"{window / one:.1f}", f"{WINDOW_RATIO}",
              window <= WINDOW_RATIO * one)
    bench.row(f"the same / KubeVirt left alone, all {VMS} at once", f"{window:.2f} s", f"{his_window:.2f} s", f"{window / his_window:.2f}", "1",
              window <= his_window)
    bench.row(f"{VMS} VMs until all are ready / KubeVirt left alone", f"{took:.1f} s", f"{his:.1f} s", f"{took / his:.1f}", f"{TOTAL_RATIO}",
              took <= TOTAL_RATIO * his)
