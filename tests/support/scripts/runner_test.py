#!/usr/bin/env python3
"""Tests of the script runner, above all that it fails where it must. The sandbox and the tool are small stand-ins."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from scripts import txtar  # noqa: E402
from scripts.normalise import Normaliser, request_line  # noqa: E402
from scripts.script import seconds, version_fits  # noqa: E402
from scripts.targets import Failure, field, kubeconfig, value_at  # noqa: E402

SANDBOX = '''\
#!/usr/bin/env python3
import json, os, sys
args = sys.argv[1:]
if args[0] == "--state":
    os.makedirs(args[1])
    open(args[3], "w").write('{"method":"GET","target":"/a?limit=500","status":200}\\\\n')
    with open(args[1] + "/kubeconfig", "w") as file:
        file.write("clusters:\\\\n- cluster:\\\\n    server: https://127.0.0.1:4711\\\\n    certificate-authority-data: QUJD\\\\n")
    print("kubeconfig: " + args[1] + "/kubeconfig", flush=True)
    sys.stdin.read()
    sys.exit(3 if "--ill" in args else 0)
folder = os.path.dirname(args[args.index("--kubeconfig") + 1])
if args[0] == "fault" and args[-1] == "--unused":
    print(open(folder + "/faults").read() if os.path.exists(folder + "/faults") else "")
elif args[0] == "fault":
    open(folder + "/faults", "w").write(args[-1])
elif args[0] == "apply":
    sys.stdin.read()
elif args[0] == "get" and "-o" in args and args[-1] == "name":
    print("vm/left" if "vm" in args else "")
elif args[0] == "get":
    print(json.dumps({"status": {"phase": "Ready"}}))
'''

TOOL = '''\
#!/bin/sh
case "$1" in
  say) shift; echo "$@" ;;
  warn) shift; echo "$@" >&2 ;;
  fail) exit "$2" ;;
  json) echo '{"items":[{"phase":"Succeeded","list":["a","b"],"id":"0f0f0f0f-0000-4000-8000-00000000000a"}]}' ;;
  env) echo "[$KUBECONFIG][$HOME][$X]" ;;
  cat) cat "$2" ;;
  hang) trap 'exit 130' INT; trap 'exit 129' HUP; trap 'exit 143' TERM; trap 'exit 131' QUIT; echo begun >&2; while :; do sleep 0.05; done ;;
esac
'''


def write(path, text, executable=False):
    with open(path, "w") as file:
        file.write(text)
    if executable:
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)


class Run(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for folder in ("cli", "tmp"):
            os.mkdir(os.path.join(self.folder.name, folder))
        self.tool = os.path.join(self.folder.name, "tool")
        self.sandbox = os.path.join(self.folder.name, "sandbox")
        write(self.tool, TOOL, True)
        write(self.sandbox, SANDBOX.replace("\\\\n", "\\n"), True)

    def script(self, text, name="x"):
        path = os.path.join(self.folder.name, "cli", name + ".txtar")
        write(path, textwrap.dedent(text))
        return path

    def run_all(self, *args, accept=False, before=None):
        environment = dict(os.environ, TMPDIR=os.path.join(self.folder.name, "tmp"), VMBACKUP_TEST_ACCEPT="1" if accept else "0")
        done = subprocess.run([os.path.join(os.path.dirname(HERE), "run-scripts"), "--binary", self.tool, "--sandbox", self.sandbox, *args],
                              capture_output=True, text=True, env=environment, timeout=60, preexec_fn=before)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def passes(self, text):
        code, out = self.run_all(self.script(text))
        self.assertEqual((code, out.splitlines()[-1]), (0, "1 passed, 0 failed"), out)
        self.assertEqual(os.listdir(os.path.join(self.folder.name, "tmp")), [])

    def fails(self, text, why):
        code, out = self.run_all(self.script(text))
        self.assertEqual((code, out.splitlines()[-1]), (1, "0 passed, 1 failed"), out)
        self.assertIn("FAIL", out)
        self.assertIn(why, out)
        return out

    def test_what_holds_passes(self):
        self.passes("""\
            # Everything at once.
            run say hello $NS
            exit 0
            stdout hello
            stderr empty
            stdout-has lo pro
            stdout-lacks bye
            run warn 'two  words'
            exit 0
            stderr-has two  words
            run fail 7
            exit 7
            sh $BIN say a | tr a b
            exit 0
            stdout-has b
            run json
            exit 0
            json items.0.phase Succeeded
            json items.0.list ["a","b"]
            json items.0.nothing absent
            keep ID items.0.id
            run say $ID
            exit 0
            stdout-has 00000000-0000-0000-0000-000000000001
            env X=1
            run env
            exit 0
            stdout env
            clear-env
            run env
            exit 0
            stdout-has [][][]
            wait vm db-0 status.phase=Ready
            object vm db-0 status.phase Ready
            none vmsnapshot
            -- hello --
            hello prod
            -- env --
            [$WORK/kubeconfig][$WORK/home][1]
            """)

    def test_signals(self):
        self.passes("# A signal.\nbg hang\nawait begun\nsignal INT\njoin\nexit 130\n")
        self.fails("# It ends before.\nbg say x\nawait begun\n", "it ended before")

    def test_signals_that_the_caller_ignores(self):
        def ignore():
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
                signal.signal(number, signal.SIG_IGN)

        for word, code in (("INT", 130), ("HUP", 129), ("TERM", 143), ("QUIT", 131)):
            script = self.script(f"# A signal.\nlimit 5s\nbg hang\nawait begun\nsignal {word}\njoin\nexit {code}\n", "ignored-" + word.lower())
            self.assertEqual(self.run_all(script, before=ignore)[0], 0, word)

    def test_requests(self):
        self.passes("# Requests.\nrequests sent\n-- sent --\nGET /a?limit=500\n")
        self.passes("# Watches.\nwatches sent\nrequests other\n-- sent --\n-- other --\nGET /a?limit=500\n")
        self.fails("# Requests.\nrequests sent\n-- sent --\nPOST /a\n", "+GET /a?limit=500")

    def test_what_does_not_hold_fails(self):
        out = self.fails("# Exit.\nrun fail 3\nexit 0\n", "exit code 3")
        self.assertIn("2: run fail 3", out)
        folder = out.split("folder: ")[1].splitlines()[0].strip()
        self.assertTrue(os.path.isdir(os.path.join(folder, "work")))
        self.fails("# Text.\nrun say a\nexit 0\nstdout f\n-- f --\nb\n", "-b\n    +a")
        self.fails("# Newline.\nsh printf a\nexit 0\nstdout f\n-- f --\na\n", "no newline at the end")
        self.fails("# Not empty.\nrun say a\nexit 0\nstdout empty\n", "stdout is not empty")
        self.fails("# Has.\nrun say a\nexit 0\nstdout-has b\n", "does not hold")
        self.fails("# Lacks.\nrun say a\nexit 0\nstdout-lacks a\n", "holds it")
        self.fails("# JSON.\nrun json\nexit 0\njson items.0.phase Failed\n", 'items.0.phase is "Succeeded"')
        self.fails("# JSON.\nrun json\nexit 0\njson items.1.phase Failed\n", "items.1.phase is not there")
        self.fails("# JSON.\nrun say no\nexit 0\njson items.1.phase Failed\n", "stdout is no JSON")
        self.fails("# Object.\nobject vm x status.phase Failed\n", 'status.phase is "Ready"')
        self.fails("# Left over.\nnone vm\n", "there is vm/left")

    def test_sloppy_scripts_fail(self):
        self.fails("# Not looked at.\nrun say a\nrun say b\nexit 0\n", "was not looked at")
        self.fails("# Not looked at.\nrun say a\n", "was not looked at")
        self.fails("# Unused.\nrun say a\nexit 0\n-- f --\n", "the file f is not used")
        self.fails("# Unknown.\nruns say a\n", "there is no command runs")
        self.fails("# Words.\nwait vm\n", "wrong number of words")
        self.fails("# No file.\nrun say a\nexit 0\nstdout f\n", "there is no file f")
        self.fails("run say a\nexit 0\n", "the first line must say")
        self.fails("# Nothing.\n", "there is no command")
        self.fails("# Late.\nrun say a\nexit 0\non sandbox\n", "must stand before the first command")
        self.fails("# Twice.\nrun say a\nexit 0\n-- f --\n-- f --\n", "is there twice")
        self.fails("# Ours.\nrun say a\nexit 0\n-- home --\n", "home is a name of the runner's")
        self.fails("# Nothing ran.\nexit 0\n", "nothing was run yet")

    def test_an_unused_fault_fails(self):
        self.fails('# Fault.\nfault {"action":"reset"}\nrun say a\nexit 0\n', "a fault never hit anything")

    def test_the_time_limit(self):
        self.fails("# Hangs.\nlimit 2s\nrun hang\nexit 0\n", "had no end within the time limit")
        self.fails("# Never.\nlimit 3s\nwait vm x status.phase=Never\n", "was not reached")

    def test_the_sandbox_fails(self):
        self.fails("# Ill.\nsandbox --ill\nrun say a\nexit 0\n", "the sandbox ended with 3")

    def test_accept_writes_what_was_found(self):
        path = self.script("# Text.\nrun say it is 2026-01-02T03:04:05Z\nexit 0\nstdout new\n-- new --\nold\n")
        self.assertEqual(self.run_all(path, accept=True)[0], 0)
        with open(path) as file:
            self.assertTrue(file.read().endswith("stdout new\n-- new --\nit is YYYY-MM-DDThh:mm:ssZ\n"))
        self.assertEqual(self.run_all(path)[0], 0)

    def test_accept_writes_nothing_when_it_fails(self):
        text = "# Text.\nrun say a\nexit 0\nstdout new\nrun fail 1\nexit 0\n-- new --\nold\n"
        path = self.script(text)
        self.assertEqual(self.run_all(path, accept=True)[0], 1)
        with open(path) as file:
            self.assertEqual(file.read(), text)

    def test_choice(self):
        self.script("# a\nrun say a\nexit 0\n", "a")
        self.script("# b\non cluster\nrun say a\nexit 0\n", "b")
        self.script("# c\nrun fail 1\nexit 0\n", "c")
        folder = os.path.join(self.folder.name, "cli")
        code, out = self.run_all(folder)
        self.assertEqual((code, out.splitlines()[-1]), (1, "1 passed, 1 failed"))
        code, out = self.run_all(folder, "--only", "cli/a")
        self.assertEqual((code, out.splitlines()[-1]), (0, "1 passed, 0 failed"))
        code, out = self.run_all(folder, "--only", "nothing")
        self.assertEqual((code, out), (1, "0 passed, 0 failed\n"))
        code, out = self.run_all(os.path.join(folder, "b.txtar"))
        self.assertEqual((code, out), (77, "skipped cli/b\n0 passed, 0 failed, 1 skipped\n"))

    def test_a_missing_program_is_said(self):
        self.script("# a\nneeds bash no-such-program\nrun say a\nexit 0\n", "a")
        self.script("# b\nneeds bash\nrun say b\nexit 0\n", "b")
        code, out = self.run_all(os.path.join(self.folder.name, "cli"))
        self.assertEqual((code, out.splitlines()[0]), (0, "skipped cli/a: no-such-program is not installed"))
        self.assertEqual(out.splitlines()[-1], "1 passed, 0 failed, 1 skipped")


class Parts(unittest.TestCase):
    def test_txtar(self):
        text = "head\n-- a --\n1\n-- b --\n"
        head, files = txtar.parse(text)
        self.assertEqual((head, files), ("head\n", {"a": "1\n", "b": ""}))
        self.assertEqual(txtar.format(head, files), text)

    def test_normaliser(self):
        n = Normaliser("qxzk", [("/tmp/w", "$WORK")])
        self.assertEqual(n("at 2026-11-21T08:01:48.123Z in qxzk/db-0-20261121-080148-ab12 (qxzkk)"),
                         "at YYYY-MM-DDThh:mm:ss.fffZ in prod/db-0-yyyymmdd-hhmmss-rrrr (qxzkk)")
        one, two = "0f0f0f0f-0000-4000-8000-00000000000a", "1f0f0f0f-0000-4000-8000-00000000000a"
        self.assertEqual(n(f"{one} vmsnapshot-content-{two} {one}"),
                         "00000000-0000-0000-0000-000000000001 vmsnapshot-content-00000000-0000-0000-0000-000000000002 "
                         "00000000-0000-0000-0000-000000000001")
        self.assertEqual(n("https://127.0.0.1:39211/x /tmp/w/f 0.3s 1m20s"), "https://127.0.0.1:PORT/x $WORK/f 0.0s 0.0s")
        self.assertEqual(n('"durationSeconds": 0.123,'), '"durationSeconds": 0.0,')
        # Not durations that somebody chose.
        self.assertEqual(n("deadline 300s, 5m, 1h, \"0.5s\""), "deadline 300s, 5m, 1h, \"0.5s\"")

    def test_run_ids_in_yaml(self):
        normalise = Normaliser("n", [])
        for text in ("run: 20261125-215530-a362", 'run: "20261125-215530-4362"'):
            self.assertEqual(normalise(text + "\n"), "run: yyyymmdd-hhmmss-rrrr\n")
        self.assertEqual(normalise('"run": "20261125-215530-4362",'), '"run": "yyyymmdd-hhmmss-rrrr",')

    def test_request_line(self):
        n = Normaliser("prod", [])
        self.assertEqual(request_line("GET", "/apis/x?fieldSelector=metadata.name%3Da&resourceVersion=123&watch=1", n),
                         "GET /apis/x?fieldSelector=metadata.name=a&resourceVersion=N&watch=1")

    def test_values(self):
        document = {"a": [{"b": 1}], "labels": {"x.y/z": "v"}, "status": {"conditions": [{"type": "T", "status": "True"}]}}
        self.assertEqual(value_at(document, "a.0.b"), (True, 1))
        self.assertEqual(value_at(document, "a.1.b"), (False, None))
        self.assertEqual(value_at(document, "labels.x.y/z"), (True, "v"))
        self.assertEqual(value_at(document, "condition.T"), (True, "True"))
        self.assertEqual(value_at(document, "condition.U"), (False, None))

    def test_words(self):
        self.assertEqual((seconds("250ms"), seconds("2m")), (0.25, 120))
        self.assertRaises(Failure, seconds, "5")
        self.assertTrue(version_fits(">=1.9", "1.10.0"))
        self.assertFalse(version_fits(">=1.9", "1.8.2"))
        self.assertTrue(version_fits("<1.9", "1.8.2"))

    def test_kubeconfig(self):
        source = 'clusters:\n- cluster:\n    certificate-authority-data: QQ==\n    server: "https://h:1"\nusers:\n- user:\n    token: abc\n'
        self.assertEqual(field(source, "server"), "https://h:1")
        self.assertIn('"token": "abc"', kubeconfig(source, "ns"))
        self.assertIn('"token": "other"', kubeconfig(source, "ns", "other"))
        self.assertRaises(Failure, kubeconfig, "kind: Config\n", "ns")


if __name__ == "__main__":
    unittest.main()
