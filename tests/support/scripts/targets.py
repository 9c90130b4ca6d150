"""Where a script runs: a sandbox of its own, or a namespace of a real control plane."""

import json
import math
import os
import random
import re
import subprocess
import time


class Failure(Exception):
    """What a script says of itself; the message is for people."""


def field(text, key):
    """The value of `key: value` in a kubeconfig, wherever it stands first."""
    match = re.search(rf'(?m)^[\s-]*"?{re.escape(key)}"?:\s*"?([^"\s,]+)"?,?\s*$', text)
    return match.group(1) if match else None


def kubeconfig(source, namespace, token=None):
    """A kubeconfig with context `test`, made of the address and identity in another one. JSON, which is YAML too."""
    cluster = {"server": field(source, "server"), "certificate-authority-data": field(source, "certificate-authority-data")}
    user = {"token": token} if token else {k: field(source, k) for k in ("client-certificate-data", "client-key-data", "token") if field(source, k)}
    if not cluster["server"]:
        raise Failure("the target's kubeconfig names no server")
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
    }, indent=2)


def value_at(document, path):
    """(found, value) of a dotted path; numbers index lists, condition.TYPE is status of that condition."""
    at = document
    parts = path.split(".") if path else []
    if parts[:1] == ["condition"]:
        for condition in (document.get("status") or {}).get("conditions") or []:
            if condition.get("type") == parts[1]:
                return True, condition.get("status")
        return False, None
    for number, part in enumerate(parts):
        if isinstance(at, list) and re.fullmatch(r"-?\d+", part) and -len(at) <= int(part) < len(at):
            at = at[int(part)]
        elif isinstance(at, dict) and part in at:
            at = at[part]
        elif isinstance(at, dict) and ".".join(parts[number:]) in at:  # keys with dots: labels, annotations
            return True, at[".".join(parts[number:])]
        else:
            return False, None
    return True, at


def vm_manifest(namespace, name, disks, storage_class, running, knobs):
    documents, disk_list, volumes = [], [], []
    for number in range(1, disks + 1):
        claim = f"{name}-d{number}"
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
        if storage_class[min(number, len(storage_class)) - 1]:
            spec["storageClassName"] = storage_class[min(number, len(storage_class)) - 1]
        documents.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim, "namespace": namespace}, "spec": spec})
        disk_list.append({"name": f"d{number}", "disk": {"bus": "virtio"}})
        volumes.append({"name": f"d{number}", "persistentVolumeClaim": {"claimName": claim}})
    documents.append({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name, "namespace": namespace},
        "spec": {"runStrategy": "Always" if running else "Halted", "template": {
            "metadata": {"annotations": {f"guest.vmbackup.test/{key}": value for key, value in knobs.items()}},
            "spec": {"domain": {"memory": {"guest": "128Mi"}, "devices": {"disks": disk_list}}, "volumes": volumes}}}})
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents)


class Target:
    """Common ways; subclasses say how."""

    kind = ""
    namespace = ""
    kubeconfig = ""  # file of an administrator
    server = ""

    def _command(self, argv, stdin=None, timeout=60):
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{' '.join(argv[:1] + argv[3:])}: no end after {timeout:.0f}s") from None
        if done.returncode != 0:
            raise Failure(f"{' '.join(argv[:1] + argv[3:])}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def object(self, kind, name, namespace=None):
        """The object, or None."""
        raise NotImplementedError

    def wait(self, kind, name, path, value, timeout):
        """Asks again and again; nothing here counts on how long a thing takes."""
        end = time.monotonic() + timeout
        while True:
            found = self.object(kind, name)
            if path == "gone":
                if found is None:
                    return
                state = "still there"
            else:
                there, state = value_at(found or {}, path)
                if there and (state == value or json.dumps(state) == value):
                    return
                state = json.dumps(state) if there else "not there"
            if time.monotonic() > end:
                raise Failure(f"{kind} {name}: {path}{'=' + value if value else ''} was not reached after {timeout:.0f}s, it is {state}")
            time.sleep(self.pause)

    pause = 0.02

    def stands(self, name):
        """For each copy of the snapshot, from when until when its guest stood as the copy shows it: monotonic nanoseconds. Where the
        guest does not tell, an end before the beginning."""
        raise NotImplementedError

    def of_one_instant(self, names):
        begins, ends = zip(*(stand for name in names for stand in self.stands(name)))
        return max(begins) <= min(ends)


class Sandbox(Target):
    kind = "sandbox"

    def __init__(self, program, folder, flags):
        self.program, self.folder, self.flags = program, folder, flags
        self.namespace = "prod"
        self.log = os.path.join(folder, "requests.log")
        self.events = os.path.join(folder, "events.log")
        self.process = None

    def start(self):
        state = os.path.join(self.folder, "sandbox")
        self.output = open(os.path.join(self.folder, "sandbox.log"), "wb")
        self.process = subprocess.Popen(
            [self.program, "--state", state, "--log", self.log, "--events", self.events, *self.flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.output)
        line = self.process.stdout.readline().decode()
        if not line.startswith("kubeconfig: "):
            raise Failure(f"the sandbox did not start: {line!r}, see sandbox.log")
        self.kubeconfig = line.split(": ", 1)[1].strip()
        with open(self.kubeconfig) as file:
            self.identity = file.read()
        self.server = field(self.identity, "server")
        self._act("apply", "-", stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {self.namespace}}}\n")

    def _act(self, verb, *args, stdin=None):
        return self._command([self.program, verb, "--kubeconfig", self.kubeconfig, *args], stdin)

    def _in(self, namespace):
        return ["-n", namespace or self.namespace]

    def apply(self, text):
        self._act("apply", *self._in(None), "-", stdin=text)

    def patch(self, kind, name, patch, namespace=None, status=False):
        self._act("patch", *self._in(namespace), kind, name + ("/status" if status else ""), patch)

    def delete(self, kind, name, now=False, namespace=None):
        self._act("delete", *self._in(namespace), *(["--now"] if now else []), kind, name)

    def put(self, kind, name, subresource, body):
        self._act("put", *self._in(None), kind, name, subresource, *([body] if body else []))

    def object(self, kind, name, namespace=None):
        try:
            return json.loads(self._act("get", *self._in(namespace), kind, name, "-o", "json"))
        except Failure as failure:
            if "not found" in str(failure):
                return None
            raise

    def names(self, kind):
        return self._act("get", *self._in(None), kind, "-o", "name").split()

    def token(self, account):
        return self._act("token", *self._in(None), account).strip()

    def control(self, verb, *args):
        return self._act(verb, *args)

    def requests(self):
        try:
            with open(self.log) as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def happened(self):
        try:
            with open(self.events) as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def _cuts(self, name):
        """The cut of each of the snapshot's claims, None for one that was not cut; and the VM."""
        snapshot = self.object("vmsnapshot", name) or {}
        content = self.object("vmsnapshotcontent", (snapshot.get("status") or {}).get("virtualMachineSnapshotContentName", "")) or {}
        claims = [b["persistentVolumeClaim"]["metadata"]["name"] for b in content.get("spec", {}).get("volumeBackups", [])]
        last = {event.get("claim"): event for event in self.happened() if event["event"] == "cut"}
        return [last.get(claim) for claim in claims], (snapshot.get("spec") or {}).get("source", {}).get("name")

    def verdict(self, name):
        """From the guest's true state at each cut of the snapshot's claims."""
        states = [cut and cut.get("detail") for cut in self._cuts(name)[0]]
        if not states or None in states:
            return "empty"
        if set(states) in ({"frozen"}, {"stopped"}):
            return "clean"
        return "crash" if set(states) == {"paused"} or len(states) == 1 else "torn"

    def stands(self, name):
        cuts, vm = self._cuts(name)
        events = [e for e in self.happened() if e.get("vm") == vm and e["event"] in self._CHANGES]
        found = []
        for cut in cuts:
            begin, end, still, state = -math.inf, math.inf, True, {"off": True}
            for event in events:
                state.update(self._CHANGES[event["event"]])
                if any(state.values()) == still:
                    continue
                if event["mono"] > cut["mono"]:
                    end = event["mono"]
                    break
                begin, still = event["mono"], not still
            found.append((begin, end) if still else (cut["mono"], cut["mono"]))
        return found

    # What makes a guest stand still, or write again.
    _CHANGES = {"boot": {"off": False, "frozen": False, "paused": False}, "stopped": {"off": True}, "frozen": {"frozen": True},
                "thawed": {"frozen": False}, "writes-resumed": {"frozen": False}, "pause": {"paused": True}, "unpause": {"paused": False}}

    def stop(self):
        """Returns what went wrong, or None."""
        if self.process is None:
            return None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "the sandbox did not end when its stdin did"
        finally:
            self.process.stdout.close()
            self.output.close()
        if self.process.returncode != 0:
            return f"the sandbox ended with {self.process.returncode}, see sandbox.log"
        return None


class Cluster(Target):
    kind = "cluster"
    pause = 0.3
    _letters = "ghjkmnpqrstvwxz"  # none of them in a UID

    def __init__(self, state, bin_folder, folder):
        self.state, self.bin, self.folder = state, bin_folder, folder
        self.kubectl = os.path.join(bin_folder, "kubectl")
        self.namespace = "".join(random.SystemRandom().choices(self._letters, k=4))
        self.kubeconfig = os.path.join(state, "kubeconfig")
        self.started = False

    def start(self):
        with open(self.kubeconfig) as file:
            self.identity = file.read()
        self.server = field(self.identity, "server")
        self._kubectl("create", "namespace", self.namespace)
        self.started = True

    def _kubectl(self, *args, stdin=None, timeout=100):
        return self._command([self.kubectl, "--kubeconfig", self.kubeconfig, *args], stdin, timeout)

    def _in(self, namespace):
        return ["-n", namespace or self.namespace]

    def apply(self, text):
        self._kubectl("apply", *self._in(None), "-f", "-", stdin=text)

    def patch(self, kind, name, patch, namespace=None, status=False):
        self._kubectl("patch", *self._in(namespace), kind, name, *(["--subresource=status"] if status else []), "--type=merge", "-p", patch)

    def delete(self, kind, name, now=False, namespace=None):
        if now:
            self._kubectl("patch", *self._in(namespace), kind, name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        self._kubectl("delete", *self._in(namespace), kind, name, "--ignore-not-found")

    def put(self, kind, name, subresource, body):
        plural = {"vmi": "virtualmachineinstances", "vm": "virtualmachines"}[kind]
        path = f"/apis/subresources.kubevirt.io/v1/namespaces/{self.namespace}/{plural}/{name}/{subresource}"
        self._kubectl("replace", "--raw", path, "-f", "-", stdin=body or "{}")

    def object(self, kind, name, namespace=None):
        text = self._kubectl("get", *self._in(namespace), kind, name, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def names(self, kind):
        return self._kubectl("get", *self._in(None), kind, "-o", "name").split()

    def token(self, account):
        return self._kubectl("create", "token", *self._in(None), account).strip()

    def _checked(self, name):
        return json.loads(self._command([os.path.join(self.bin, "node"), "check-snapshot", "--state", self.state, self.namespace, name]))

    def verdict(self, name):
        return self._checked(name)["verdict"]

    def stands(self, name):
        """The copies hold the guest's last record, and its log tells from when until when that was the last one."""
        copies = self._checked(name)
        if copies["verdict"] == "empty":  # nothing was ever written
            return [(-math.inf, math.inf)]
        vm = self.object("vmsnapshot", name)["spec"]["source"]["name"]
        with open(os.path.join(self.state, "node-events.jsonl"), encoding="utf-8") as file:
            events = [json.loads(line) for line in file if line.endswith("\n")]
        events = [e for e in events if "n" in e and (e.get("namespace"), e.get("vm")) == (self.namespace, vm)]
        found = []
        # Of a guest that was only paused, the first disk alone holds each record.
        for record in copies["last"][:1] if copies["verdict"] == "crash" else copies["last"]:
            at = [e["mono"] for e in events if e["n"] == record]
            off = events[-1]["n"] == record and events[-1]["event"] == "stopped"
            # A record that no event tells of was written by a guest that ran.
            found.append((at[0], math.inf if off else at[-1]) if at else (math.inf, -math.inf))
        return found

    def version(self):
        items = json.loads(self._kubectl("get", "kubevirt", "-A", "-o", "json"))["items"]
        return (items[0].get("status") or {}).get("observedKubeVirtVersion", "").lstrip("v")

    def stop(self):
        if self.started:
            self._kubectl("delete", "namespace", self.namespace, "--wait=false")
        return None
