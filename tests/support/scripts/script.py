"""One script: its commands, one after the other."""

import difflib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time

from . import txtar
from .normalise import Normaliser, request_line
from .targets import Cluster, Failure, Sandbox, kubeconfig, value_at, vm_manifest

_RAW = {"stdout-has", "stderr-has", "stdout-lacks", "stderr-lacks", "fault", "hook", "await", "await-out", "sh"}  # the rest of the line as it stands
_CONDITIONS = {"on", "kubevirt", "needs", "sandbox", "alone", "limit"}


class Source:
    """A script as it stands in its file: what must be known before it runs."""

    def __init__(self, path, default_on):
        self.path = path
        self.name = os.path.join(os.path.basename(os.path.dirname(os.path.abspath(path))), os.path.basename(path)[: -len(".txtar")])
        with open(path, encoding="utf-8") as file:
            self.head, self.files = txtar.parse(file.read())
        self.on, self.versions, self.needs, self.flags, self.alone, self.limit = default_on, [], [], [], False, None
        self.commands = []
        if not self.head.startswith("# "):
            raise Failure("the first line must say, after #, which behaviour this is about")
        for number, line in enumerate(self.head.splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            verb, _, rest = line.partition(" ")
            if verb in _CONDITIONS:
                self._condition(verb, rest.split(), number)
            else:
                self.commands.append((number, verb, rest.strip()))
        if not self.commands:
            raise Failure("there is no command in it")
        for name in {"home", "tmp", "kubeconfig"} & set(self.files):
            raise Failure(f"{name} is a name of the runner's")

    def _condition(self, verb, words, number):
        if self.commands:
            raise Failure(f"line {number}: {verb} must stand before the first command")
        if verb == "on" and words in (["sandbox"], ["cluster"], ["both"]):
            self.on = {"sandbox", "cluster"} if words == ["both"] else {words[0]}
        elif verb == "kubevirt" and len(words) == 1:
            self.versions.append(words[0])
        elif verb == "needs":
            self.needs += words
        elif verb == "sandbox":
            self.flags += words
        elif verb == "alone":
            self.alone = True
        elif verb == "limit" and len(words) == 1:
            self.limit = seconds(words[0])
        else:
            raise Failure(f"line {number}: {verb} {' '.join(words)} is not understood")

    def fits(self, kind, version):
        return kind in self.on and all(version_fits(wanted, version) for wanted in self.versions)


def missing_program(needs, bin_folder):
    """Says of the first program that is needed and not there, or of no use, why; kubectl is the one of the cluster's build."""
    for name in needs:
        path = os.path.join(bin_folder, name) if name == "kubectl" else shutil.which(name)
        if path is None or not os.access(path, os.X_OK):
            return f"{name} is not installed"
        if name == "unshare" and not may_unshare(path):
            return "no mount namespaces here"
    return None


def may_unshare(path):
    """Containers often forbid it, to root as well."""
    become = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run([path, "--mount", *become, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def seconds(text):
    units = {"ms": 0.001, "s": 1, "m": 60}
    for unit in ("ms", "s", "m"):
        if text.endswith(unit) and text[: -len(unit)].replace(".", "", 1).isdigit():
            return float(text[: -len(unit)]) * units[unit]
    raise Failure(f"{text} is no duration (250ms, 10s, 2m)")


def version_fits(wanted, version):
    def numbers(text):
        return [int(part) for part in text.split(".")[:2]]

    if wanted.startswith(">="):
        return numbers(version) >= numbers(wanted[2:])
    if wanted.startswith("<"):
        return numbers(version) < numbers(wanted[1:])
    raise Failure(f"kubevirt {wanted} is not understood: >=1.9 or <1.9")


class Result:
    def __init__(self, line, code, stdout, stderr):
        self.line, self.code, self.stdout, self.stderr = line, code, stdout, stderr


class Script:
    """Runs a Source. `options`: binary, sandbox, cluster, bin (of the cluster), accept."""

    def __init__(self, source, options, folder):
        self.source, self.options, self.folder = source, options, folder
        self.target = None
        self.work = os.path.join(folder, "work")
        self.done = []      # the commands run so far
        self.result = None  # of the last run
        self.checked = True
        self.started = None
        self.kept = {}
        self.last = []      # `finally`
        self.seen = 0       # requests that were looked at
        self.used = set()   # files
        self.files = dict(source.files)
        self.limit = source.limit or (30 if options.cluster is None else 120)
        self.end = time.monotonic() + self.limit

    # --- the frame ---------------------------------------------------------------------------------------------------

    def run(self):
        """Returns None, or what went wrong."""
        os.makedirs(os.path.join(self.work, "home"))
        os.makedirs(os.path.join(self.work, "tmp"))
        problem = None
        if self.options.cluster is None:
            self.target = Sandbox(self.options.sandbox, self.folder, self.source.flags)
        else:
            self.target = Cluster(self.options.cluster, self.options.bin, self.folder)
        try:
            self._begin()
            for number, verb, rest in self.source.commands:
                self._command(number, verb, rest)
            self._must_be_checked("the end")
            bodies = {name: body for name, body in self.files.items() if name in self.used}
            unused = {name for name in self.files if name not in self.used and not any(name in body for body in bodies.values())}
            if unused:
                raise Failure(f"the file {sorted(unused)[0]} is not used")
            self._no_unused_fault()
        except Failure as failure:
            problem = str(failure)
        except Exception as defect:  # in the runner itself
            problem = f"{type(defect).__name__}: {defect}"
        finally:
            problem = self._finish(problem)
        if problem is None and self.options.accept and self.files != self.source.files:
            with open(self.source.path, "w", encoding="utf-8") as file:
                file.write(txtar.format(self.source.head, self.files))
        return problem

    def _begin(self):
        self.target.start()
        self.end = time.monotonic() + self.limit
        self.kubeconfig = os.path.join(self.work, "kubeconfig")
        with open(self.kubeconfig, "w") as file:
            file.write(kubeconfig(self.target.identity, self.target.namespace))
        self.environment = {
            "KUBECONFIG": self.kubeconfig, "HOME": os.path.join(self.work, "home"), "TMPDIR": os.path.join(self.work, "tmp"),
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8",
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.normalise = Normaliser(self.target.namespace, [(self.work, "$WORK"), (self.options.cluster, "$STATE")])
        for name, body in self.files.items():
            with open(os.path.join(self.work, name), "w") as file:
                file.write(self._filled(body))

    def _finish(self, problem):
        if self.started:
            self._kill()
        self.end = max(self.end, time.monotonic() + 30)
        for number, verb, rest in self.last:
            try:
                self.checked = True
                self._command(number, verb, rest)
                if not self.checked:
                    self.do_exit("0")
            except Failure as failure:
                problem = problem or f"finally: {failure}"
        try:
            wrong = self.target.stop()
        except Failure as failure:
            wrong = str(failure)
        return problem or wrong

    def _kill(self):
        """The one that was started is in a session of its own; nothing else is in it."""
        try:
            os.killpg(self.started.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.started.wait()
        self.started = None

    def _no_unused_fault(self):
        if self.target.kind == "sandbox":
            unused = self.target.control("fault", "--unused").strip()
            if unused:
                raise Failure(f"a fault never hit anything: {unused}")

    def _command(self, number, verb, rest):
        self.done.append(f"{number}: {verb} {rest}")
        if verb in ("run", "sh", "bg", "join"):
            self._must_be_checked(f"line {number}")
        method = getattr(self, "do_" + verb.replace("-", "_"), None)
        if method is None:
            raise Failure(f"line {number}: there is no command {verb}")
        try:
            self.used.update(name for name in self.files if "$WORK/" + name in rest)
            words = [self._expand(rest)] if verb in _RAW else [self._expand(word) for word in self._split(verb, rest)]
            method(*words)
        except TypeError as wrong:
            if "positional argument" not in str(wrong):
                raise
            raise Failure(f"line {number}: {verb} {rest}: wrong number of words") from None
        except Failure as failure:
            raise Failure(f"line {number}: {verb} {rest}\n{failure}") from None

    def _split(self, verb, rest):
        """Where the last word is a piece of JSON, or text, it is the rest of the line."""
        tail = {"json": 1, "object": 3, "patch": 2, "put": 3, "finally": 1}.get(verb)
        if tail is None:
            return shlex.split(rest)
        words = rest.split(" ")
        options = []
        while words and words[0] in ("-n", "--status"):
            size = 2 if words[0] == "-n" else 1
            options, words = options + words[:size], words[size:]
        words = [word for word in words[:tail] if word] + ([" ".join(words[tail:])] if len(words) > tail else [])
        return options + words

    def _expand(self, text):
        values = {"NS": self.target.namespace, "WORK": self.work, "BIN": self.options.binary, "SANDBOX": self.options.sandbox or "", "ROOT": self.options.root,
                  "STATE": self.options.cluster or "", "KUBECTL": os.path.join(self.options.bin, "kubectl"),
                  "KUBECONFIG": self.environment.get("KUBECONFIG", ""), "SERVER": self.target.server, **self.kept}
        for name in sorted(values, key=len, reverse=True):
            text = text.replace("$" + name, values[name])
        return text

    def _filled(self, body):
        return body.replace("$NS", self.target.namespace).replace("$WORK", self.work).replace("$SERVER", self.target.server)

    def _left(self):
        left = self.end - time.monotonic()
        if left <= 0:
            raise Failure("the time limit of the script has passed")
        return left

    def _must_be_checked(self, where):
        if not self.checked:
            raise Failure(f"{where}: the exit code of `{self.result.line}` was not looked at")

    def _body(self, name):
        if name not in self.files:
            if not (self.options.accept and name.isidentifier()):
                raise Failure(f"there is no file {name}")
            self.files[name] = ""
        self.used.add(name)
        return self.files[name]

    # --- the world ---------------------------------------------------------------------------------------------------

    def do_vm(self, name, *words):
        disks, classes, running, knobs = 1, ["rig"], True, {}
        for word in words:
            key, equals, value = word.partition("=")
            if key == "disks":
                disks = int(value)
            elif key == "class":
                classes = value.split(",")
            elif word == "stopped":
                running = False
            elif equals:
                knobs[key] = value
            else:
                raise Failure(f"{word} is not understood")
        self.target.apply(vm_manifest(self.target.namespace, name, disks, classes, running, knobs))
        agent = knobs.get("agent", "connected") == "connected"
        self.do_wait_vm(name, "stopped" if not running else "agent" if agent else "running")
        # What KubeVirt says of each disk's VolumeSnapshotClass comes when it has seen the claim, which may be before that is bound.
        for number in range(disks):
            if not running and "rig-wffc" not in classes:  # one that runs has them
                self.target.wait("pvc", f"{name}-d{number + 1}", "status.phase", "Bound", self._left())
            expected = classes[min(number, len(classes) - 1)] != "plain"
            self.target.wait("vm", name, f"status.volumeSnapshotStatuses.{number}.enabled", json.dumps(expected), self._left())

    def do_wait_vm(self, name, state):
        word = {"running": "Running", "agent": "Running", "stopped": "Stopped", "paused": "Paused"}.get(state)
        if word is None:
            raise Failure(f"{state}: running, agent, stopped or paused")
        self.target.wait("vm", name, "status.printableStatus", word, self._left())
        if state == "agent":
            self.target.wait("vmi", name, "condition.AgentConnected", "True", self._left())

    def do_apply(self, name):
        if os.path.isabs(name):  # $ROOT/...: what the project ships
            with open(name, encoding="utf-8") as file:
                text = file.read()
        else:
            text = self._body(name)
        self.target.apply(self._filled(text))

    def do_patch(self, *words):
        status = words[:1] == ("--status",)
        namespace, (kind, name, patch) = self._namespace(words[1:] if status else words)
        self.target.patch(kind, name, patch, namespace, status)

    def do_delete(self, *words):
        now = "--now" in words
        namespace, (kind, name) = self._namespace([word for word in words if word != "--now"])
        self.target.delete(kind, name, now, namespace)

    @staticmethod
    def _namespace(words):
        words = list(words)
        namespace = None
        if words[:1] == ["-n"]:
            namespace, words = words[1], words[2:]
        return namespace, words

    def do_put(self, kind, name, subresource, body=""):
        self.target.put(kind, name, subresource, body)

    def do_wait(self, kind, name, what):
        path, _, value = what.partition("=")
        self.target.wait(kind, name, path, value, self._left())

    def do_object(self, kind, name, path, value):
        self._compare(self.target.object(kind, name) or {}, path, value)

    def do_none(self, kind):
        names = self.target.names(kind)
        if names:
            raise Failure("there is " + ", ".join(names))

    def do_wait_none(self, kind):
        while names := self.target.names(kind):
            if time.monotonic() > self.end:
                raise Failure("there still is " + ", ".join(names))
            time.sleep(self.target.pause)

    def do_as(self, account):
        with open(self.kubeconfig, "w") as file:
            file.write(kubeconfig(self.target.identity, self.target.namespace, self.target.token(account)))

    def do_finally(self, verb, rest=""):
        self.last.append((0, verb, rest))

    def do_fault(self, rule):
        self.target.control("fault", rule)

    def do_hook(self, rule):
        self.target.control("hook", rule)

    def do_ctl(self, verb):
        self.target.control(verb)

    # --- the tool ----------------------------------------------------------------------------------------------------

    def do_env(self, *settings):
        for setting in settings:
            name, _, value = setting.partition("=")
            self.environment[name] = value

    def do_unset(self, *names):
        for name in names:
            self.environment.pop(name, None)

    def do_clear_env(self):
        self.environment.clear()

    def do_run(self, *args):
        self._start([self.options.binary, *args], "run " + shlex.join(args))
        self.do_join()

    def do_sh(self, line):
        self._start(["/bin/bash", "-o", "pipefail", "-c", line], "sh " + line)
        self.do_join()

    def do_bg(self, *args):
        self._start([self.options.binary, *args], "bg " + shlex.join(args))

    def _start(self, argv, line):
        if self.started is not None:
            raise Failure("one is running already")
        if self.target.kind == "sandbox":
            self.seen = len(self.target.requests())
        self.line = line
        self.out = open(os.path.join(self.folder, "stdout"), "w+b")
        self.err = open(os.path.join(self.folder, "stderr"), "w+b")
        # SIGPIPE as a shell leaves it: Python ignores it, and children inherit that.
        self.started = subprocess.Popen(argv, cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
                                        start_new_session=True, restore_signals=True)

    def do_await(self, text):
        self._await(text, self.err)

    def do_await_out(self, text):
        self._await(text, self.out)

    def _await(self, text, file):
        while True:
            if text in self._read(file):
                return
            if self.started is None or self.started.poll() is not None:
                if text in self._read(file):
                    return
                raise Failure("it ended before:\n" + self._read(file) + self._read(self.err))
            try:
                self._left()
            except Failure:
                raise Failure("the time limit of the script has passed; so far:\n" + self._read(file) + self._read(self.err)) from None
            time.sleep(0.01)

    @staticmethod
    def _read(file):
        with open(file.name, "rb") as again:
            return again.read().decode("utf-8", "backslashreplace")

    def do_signal(self, name):
        if self.started is None or self.started.poll() is not None:
            raise Failure("nothing is running")
        self.started.send_signal(getattr(signal, "SIG" + name))

    def do_join(self):
        if self.started is None:
            raise Failure("nothing is running")
        try:
            code = self.started.wait(timeout=self._left())
        except subprocess.TimeoutExpired:
            self._kill()
            raise Failure(f"`{self.line}` had no end within the time limit\n{self._read(self.out)}{self._read(self.err)}") from None
        self.started = None
        self.result = Result(self.line, 128 - code if code < 0 else code, self._read(self.out), self._read(self.err))
        self.out.close()
        self.err.close()
        self.checked = False

    # --- what it did ---------------------------------------------------------------------------------------------------

    def _last(self):
        if self.result is None:
            raise Failure("nothing was run yet")
        return self.result

    def do_exit(self, code):
        result = self._last()
        self.checked = True
        if result.code != int(code):
            raise Failure(f"exit code {result.code}\nstdout:\n{indent(result.stdout)}stderr:\n{indent(result.stderr)}")

    def do_stdout(self, name):
        self._golden(name, self._last().stdout, "stdout", "stderr:\n" + indent(self._last().stderr))

    def do_stderr(self, name):
        self._golden(name, self._last().stderr, "stderr", "")

    def _golden(self, name, text, what, more):
        found = self.normalise(text)
        if name == "empty":
            if found:
                raise Failure(f"{what} is not empty:\n{indent(found)}{more}")
            return
        expected = self._body(name)
        if found and not found.endswith("\n"):
            found += "\n\\ no newline at the end\n"
        if found == expected:
            return
        if self.options.accept:
            self.files[name] = found
            return
        diff = difflib.unified_diff(expected.splitlines(True), found.splitlines(True), f"{name} (expected)", f"{name} (found)")
        raise Failure("".join(diff) + more)

    def do_stdout_has(self, text):
        self._has(self.normalise(self._last().stdout), text, True, "stdout")

    def do_stderr_has(self, text):
        self._has(self.normalise(self._last().stderr), text, True, "stderr")

    def do_stdout_lacks(self, text):
        self._has(self.normalise(self._last().stdout), text, False, "stdout")

    def do_stderr_lacks(self, text):
        self._has(self.normalise(self._last().stderr), text, False, "stderr")

    def _has(self, found, text, wanted, what):
        if (self.normalise(text) in found) != wanted:
            raise Failure(f"{what} {'does not hold' if wanted else 'holds'} it:\n{indent(found)}")

    def do_json(self, path, value):
        try:
            document = json.loads(self._last().stdout)
        except ValueError as wrong:
            raise Failure(f"stdout is no JSON: {wrong}\n{indent(self._last().stdout)}{indent(self._last().stderr)}") from None
        self._compare(document, path, value)

    def _compare(self, document, path, value):
        there, found = value_at(document, path)
        if value in ("present", "absent"):
            if there != (value == "present"):
                raise Failure(f"{path} is {'there: ' + json.dumps(found) if there else 'not there'}")
            return
        if not there:
            raise Failure(f"{path} is not there")
        try:
            expected = json.loads(value)
        except ValueError:
            expected = value
        shown = json.loads(self.normalise(json.dumps(found)))
        if found != expected and shown != json.loads(self.normalise(json.dumps(expected))):
            raise Failure(f"{path} is {json.dumps(shown)}")

    def do_keep(self, name, path):
        there, found = value_at(json.loads(self._last().stdout), path)
        if not there or not isinstance(found, str):
            raise Failure(f"{path} is no string")
        self.kept[name] = found

    def do_requests(self, name):
        self._golden(name, self._requests()[0], "requests", "")

    def do_watches(self, name):
        # A watch is written down when the server sees its end, which may be a little after the end of the tool.
        expected = None if self.options.accept else self._body(name)
        end, text, before = time.monotonic() + 2, self._requests()[1], None
        while text != (expected if expected is not None else before) and time.monotonic() < end:
            before = text
            time.sleep(0.2)
            text = self._requests()[1]
        self._golden(name, text, "watches", "")

    def _requests(self):
        lines, watches = [], []
        for record in self.target.requests()[self.seen:]:
            method, target = record["method"], record["target"]
            watch = "watch=1" in target or "watch=true" in target
            line = request_line("WATCH" if watch else method, target, self.normalise)
            status = record.get("status")
            (watches if watch else lines).append(line + (f" {status}" if status not in (200, 201) else ""))
        return "".join(line + "\n" for line in lines), "".join(line + "\n" for line in sorted(watches))

    def do_disks(self, name, verdict):
        found = self.target.verdict(name)
        if found not in verdict.split("|"):
            raise Failure(f"the copies are {found}")

    # What a level may be claimed for: the copies must be at least that good.
    BORNE_OUT = {"application": ["clean"], "filesystem": ["clean"], "offline": ["clean", "crash"], "crash": ["clean", "crash"]}
    NEVER_WRITTEN = "empty"  # of a VM that never ran

    def do_claims(self, name, report):
        self._borne_out(name, self._report(report)["items"][0])

    def do_claims_group(self, report):
        document = self._report(report)
        for item in document["items"]:
            self._borne_out(item.get("name"), item)
        together = bool((document.get("group") or {}).get("together"))
        names = [item["name"] for item in document["items"] if item["level"] is not None]
        found = "none" if not names else "of one instant" if self.target.of_one_instant(names) else "of several instants"
        print(f"claimed {'one instant' if together else 'no instant'}, the copies are {found}, {os.path.basename(self.folder)}", flush=True)
        if together and found == "of several instants":
            raise Failure(f"claimed to be of one instant, and the copies are not: {json.dumps(document, indent=1)}")

    def do_one_instant(self, verdict, *names):
        if self.target.of_one_instant(names) != {"yes": True, "no": False}[verdict]:
            raise Failure(f"the copies are {'not ' if verdict == 'yes' else ''}of one instant")

    @staticmethod
    def _report(name):
        with open(name, encoding="utf-8") as file:
            text = file.read()
        return json.loads(text) if text else {"items": [{"level": None, "outcome": "failed"}]}

    def _borne_out(self, name, item):
        level = item["level"]
        if level is None and item["outcome"] == "done":
            raise Failure("a snapshot that is done has no level")
        found = self.target.verdict(name) if level is not None else "none"
        print(f"claimed {level}, the copies are {found}, {os.path.basename(self.folder)}", flush=True)
        if level in self.BORNE_OUT and found not in [*self.BORNE_OUT[level], self.NEVER_WRITTEN]:
            raise Failure(f"claimed {level}, and the copies are {found}: {json.dumps(item, indent=1)}")

    def clean_up(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def indent(text):
    return "".join("    " + line + "\n" for line in text.splitlines())
