"""A running test cluster: its API, its processes, what its node and its audit log tell."""
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path

CLUSTER = Path(__file__).resolve().parents[1]
CONTROLLER = "system:serviceaccount:kubevirt:kubevirt-controller"


class Refused(Exception):
    """An answer of the API server that was no success."""

    def __init__(self, method, path, status, text):
        super().__init__(f"{method} {path}: {status} {text[:300]}")
        self.status = status


def now():
    """CLOCK_MONOTONIC, the clock of the node's events."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Journal:
    """Lines that arrive; whoever waits is woken by each. Thread-safe."""

    def __init__(self):
        self.lines, self.ticks = [], 0
        self.changed = threading.Condition()

    def add(self, line):
        with self.changed:
            self.lines.append(line)
            self.ticks += 1
            self.changed.notify_all()

    def wake(self):
        with self.changed:
            self.ticks += 1
            self.changed.notify_all()

    def until(self, condition, limit):
        """Asks condition, without a lock held, again after each change. False: it did not hold within `limit` seconds."""
        end = now() + limit
        while True:
            with self.changed:
                seen = self.ticks
            if condition():
                return True
            left = end - now()
            if left <= 0:
                return False
            with self.changed:
                if self.ticks == seen:
                    self.changed.wait(min(left, 0.5))

    def so_far(self):
        with self.changed:
            return list(self.lines)


class Tail(threading.Thread):
    """Follows a file of JSON lines and hands each to a function."""

    def __init__(self, path, take):
        super().__init__(daemon=True)
        self.path, self.take, self.stopped, self.position = path, take, threading.Event(), 0
        self.start()

    def run(self):
        rest = b""
        with open(self.path, "rb") as file:
            while not self.stopped.is_set():
                data = file.read(1 << 20)
                if not data:
                    self.stopped.wait(0.01)
                    continue
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self.take(json.loads(line))
                self.position += len(data)

    def catch_up(self):
        """Returns when all has been handed on that stood in the file at the call."""
        size = os.path.getsize(self.path)
        while self.position < size:
            time.sleep(0.005)


class Cluster:
    def __init__(self, state, ours):
        self.state, self.ours = Path(state), ours
        text = (self.state / "kubeconfig").read_text()
        self.address = re.search(r"server: https://(\S+)", text).group(1)
        pki = self.state / "pki"
        self.tls = ssl.create_default_context(cafile=pki / "ca.crt")
        self.tls.load_cert_chain(pki / "rig.crt", pki / "rig.key")
        self.journals = {}  # namespace: Journal of node events
        self.lock = threading.Lock()
        self.halted = []  # [start, end] in which the node was stopped
        for path in ("node-events.jsonl", "audit.jsonl"):
            (self.state / path).touch()
        self.tails = [Tail(self.state / "node-events.jsonl", self.node_event), Tail(self.state / "audit.jsonl", self.audit_event)]

    @classmethod
    def start(cls, state, kubevirt):
        done = subprocess.run([CLUSTER / "up", "--state", state, "--parent", str(os.getpid()), "--kubevirt", kubevirt, "--no-build"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the cluster did not start:\n{done.stdout}")
        return cls(state, True)

    def stop(self, keep):
        for tail in self.tails:
            tail.stopped.set()
        if self.ours:
            subprocess.run([CLUSTER / "down", "--state", self.state, *(["--keep"] if keep else [])], check=False)

    # --- what it tells
    def watch(self, namespace):
        with self.lock:
            self.journals[namespace] = Journal()
            return self.journals[namespace]

    def node_event(self, event):
        with self.lock:
            journal = self.journals.get(event.get("namespace"))
        if journal:
            journal.add(event)

    def catch_up(self):
        """What the node had written is known now: it writes before it answers."""
        self.tails[0].catch_up()

    def audit_event(self, event):
        thing = event.get("objectRef") or {}
        with self.lock:
            journal = self.journals.get(thing.get("namespace"))
        if journal and event.get("user", {}).get("username") == "admin":
            journal.add({"verb": event["verb"], "resource": thing.get("resource"), "subresource": thing.get("subresource", ""),
                         "code": (event.get("responseStatus") or {}).get("code")})

    # --- its API
    def call(self, method, path, body=None, kind="application/json", timeout=30, as_user=None):
        headers = {"Accept": "application/json, */*"}
        if as_user:
            headers |= {"Impersonate-User": as_user, "Impersonate-Group": "system:serviceaccounts"}
        if body is not None:
            headers["Content-Type"] = kind
        connection = http.client.HTTPSConnection(self.address, context=self.tls, timeout=timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status >= 300:
            raise Refused(method, path, answer.status, text)
        return json.loads(text) if text.startswith("{") else None

    # --- its processes
    def pid(self, name):
        """The process of kube-apiserver, virt-api or node."""
        wanted = {"kube-apiserver": lambda a: a[1:2] == ["kube-apiserver"], "virt-api": lambda a: a[0].endswith("/virt-api"),
                  "node": lambda a: a[0].endswith("/node") and a[1:2] == ["run"]}[name]
        supervisor = (self.state / "supervisor.pid").read_text().strip()
        for children in Path(f"/proc/{supervisor}/task").glob("*/children"):
            for child in children.read_text().split():
                try:
                    arguments = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
                except OSError:
                    continue
                if wanted(arguments):
                    return int(child)
        raise RuntimeError(f"no process {name} of {self.state}")

    def halt(self, name):
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        while state_of(pid) != "T":
            time.sleep(0.005)
        if name == "node":
            self.halted.append([now(), None])
        return pid

    def go_on(self, name):
        os.kill(self.pid(name), signal.SIGCONT)
        if name == "node":
            self.halted[-1][1] = now()

    def serves(self):
        """virt-api answers through the API server."""
        try:
            self.call("GET", "/apis/subresources.kubevirt.io/v1/healthz", timeout=5)
            return True
        except (Refused, OSError, http.client.HTTPException):
            return False


def state_of(pid):
    """The letter of /proc: R, S, T (stopped), Z ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# --- objects
def vms_path(namespace, name=""):
    return f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines" + (f"/{name}" if name else "")


def instance_path(namespace, name):
    return f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}"


def act_path(namespace, name, what, kind="virtualmachineinstances"):
    return f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/{kind}/{name}/{what}"


def lease_path(namespace, name=""):
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases" + (f"/{name}" if name else "")


def machine(name, knobs):
    """A VM without disks: what is looked at is whether its guest stands still."""
    annotations = {f"guest.vmbackup.test/{key}": value for key, value in knobs.items()}
    return {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name},
            "spec": {"runStrategy": "Always", "template": {
                "metadata": {"annotations": annotations},
                "spec": {"terminationGracePeriodSeconds": 8, "domain": {"memory": {"guest": "64Mi"}, "devices": {}}}}}}
