"""One process of the tool: its lines as they come, its end."""
import json
import os
import resource
import select
import signal
import subprocess
import threading

from world import now


def begin_alone():
    """No core files; and a process group of its own, whose leader's parent is in another one: in an orphaned group nothing stops by TSTP."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setpgid(0, 0)


class Tool:
    """Runs argv. Lines of standard error go to `journal` as {"tool": RECORD, "by": self}, RECORD being {"text": ...} where a line is no JSON."""

    def __init__(self, argv, env, journal):
        self.journal, self.closing = journal, threading.Event()
        self.code = self.end = None
        self.output = b""
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=begin_alone)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        threading.Thread(target=self.wait, daemon=True).start()

    @property
    def pid(self):
        return self.process.pid

    def read(self):
        out, err = self.process.stdout.fileno(), self.process.stderr.fileno()
        rest, open_ = b"", {out, err}
        while open_ and not self.closing.is_set():
            for descriptor in select.select(list(open_), [], [], 0.02)[0]:
                data = os.read(descriptor, 1 << 16)
                if not data:
                    open_.discard(descriptor)
                elif descriptor == out:
                    self.output += data
                else:
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self.journal.add({"tool": record_of(line), "by": self})
        self.process.stdout.close()
        self.process.stderr.close()

    def close_outputs(self):
        self.closing.set()
        self.reader.join()

    def wait(self):
        code = self.process.wait()
        end = now()
        if not self.closing.is_set():
            self.reader.join(5)
        self.code, self.end = code, end
        self.journal.wake()

    def send(self, number):
        if self.code is None:
            os.kill(self.pid, number)

    def records(self):
        return [line["tool"] for line in self.journal.so_far() if line.get("by") is self]

    def report(self):
        for record in self.records():
            if record.get("type") == "result":
                return record["report"]
        return None

    def errors(self):
        return [record["error"] for record in self.records() if record.get("type") == "error"]

    def kill(self):
        if self.code is None:
            self.process.kill()


def record_of(line):
    try:
        record = json.loads(line)
        return record if isinstance(record, dict) else {"text": line.decode(errors="replace")}
    except ValueError:
        return {"text": line.decode(errors="replace")}


def pending(pid, number):
    """Whether a signal was sent and not taken yet."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("ShdPnd:"):
                return bool(int(line.split()[1], 16) & (1 << (number - 1)))
    return False


SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP, "QUIT": signal.SIGQUIT, "KILL": signal.SIGKILL}
