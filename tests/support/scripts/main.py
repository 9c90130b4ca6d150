"""The command line: which scripts, where, and what came of it."""

import argparse
import concurrent.futures
import fnmatch
import os
import signal
import sys
import tempfile
import threading
import time

from .script import Script, Source, indent, missing_program
from .targets import Cluster, Failure

_TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_ROOT = os.path.dirname(_TESTS)
_SKIPPED = 77  # the exit code by which ctest knows that nothing was to be done


def options_of(argv):
    parser = argparse.ArgumentParser(prog="run-scripts", description="Runs test scripts. One line each; the last line is "
                                     "`N passed, N failed[, N skipped]`. Exit: 0 all passed, 1 one failed, 2 wrong usage, 77 none applies here.")
    parser.add_argument("scripts", nargs="*", metavar="FILE|FOLDER", help="default: tests/cli and tests/contract; with --cluster tests/contract")
    parser.add_argument("--binary", required=True, metavar="FILE", help="the tool under test")
    parser.add_argument("--sandbox", metavar="FILE", help="vmbackup-sandbox: each script gets one of its own")
    parser.add_argument("--cluster", metavar="STATE", help="folder of a running cluster (tests/cluster/up): each script gets a namespace of its own")
    parser.add_argument("--bin", metavar="FOLDER", default=os.path.join(_ROOT, "build/cluster/bin"), help="kubectl and node (default: build/cluster/bin)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="scripts at a time (default: %(default)s)")
    parser.add_argument("--only", default="*", metavar="GLOB", help="only scripts whose folder/name fits")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all scripts, not only of those that fail")
    options = parser.parse_args(argv)
    if (options.sandbox is None) == (options.cluster is None):
        parser.error("one of --sandbox and --cluster is needed")
    for name in ("binary", "sandbox", "cluster"):
        path = getattr(options, name)
        if path is not None:
            setattr(options, name, os.path.abspath(path))
            if not os.path.exists(path):
                parser.error(f"--{name}: {path} does not exist")
    options.bin = os.path.abspath(options.bin)
    options.root = _ROOT
    options.accept = os.environ.get("VMBACKUP_TEST_ACCEPT") == "1"
    return options


def find(paths, on_cluster):
    paths = paths or [os.path.join(_TESTS, folder) for folder in (["contract"] if on_cluster else ["cli", "contract"])]
    found = []
    for path in paths:
        if os.path.isdir(path):
            found += sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".txtar"))
        else:
            found.append(path)
    return found


class Tally:
    """Prints a line for each script, from any thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0

    def ok(self, name, took):
        with self.lock:
            self.passed += 1
            print(f"ok {name} {took:.1f}s", flush=True)

    def fail(self, name, took, text):
        with self.lock:
            self.failed += 1
            print(f"FAIL {name} {took:.1f}s\n{indent(text)}", end="", flush=True)

    def last_line(self):
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def run_one(source, options, tally, base):
    begin = time.monotonic()
    folder = tempfile.mkdtemp(prefix=source.name.replace("/", "-") + ".", dir=base)
    script = Script(source, options, folder)
    problem = script.run()
    took = time.monotonic() - begin
    if problem is None:
        tally.ok(source.name, took)
        if not options.keep:
            script.clean_up()
        return
    so_far = "".join(f"  {line}\n" for line in script.done)
    tally.fail(source.name, took, f"{problem.rstrip()}\ncommands so far:\n{so_far}folder: {folder}")


def heed_signals():
    """What our caller ignores (nohup, a shell's `&`), the tool under test would inherit as ignored, and rightly ignore."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTSTP):
        if signal.getsignal(number) == signal.SIG_IGN:
            # Anything but SIG_IGN and SIG_DFL: a handler becomes SIG_DFL in a child.
            signal.signal(number, lambda *_: None)


def main(argv):
    options = options_of(argv)
    heed_signals()
    tally = Tally()
    on_cluster = options.cluster is not None
    kind = "cluster" if on_cluster else "sandbox"
    version = Cluster(options.cluster, options.bin, "").version() if on_cluster else "1.9.0"
    chosen = []
    for path in find(options.scripts, on_cluster):
        everywhere = os.path.basename(os.path.dirname(os.path.abspath(path))) == "contract"
        try:
            source = Source(path, {"sandbox", "cluster"} if everywhere else {"sandbox"})
        except (Failure, ValueError, OSError) as wrong:
            tally.fail(path, 0, str(wrong))
            continue
        if not fnmatch.fnmatch(source.name, options.only):
            continue
        missing = missing_program(source.needs, options.bin)
        if source.fits(kind, version) and missing:
            tally.skipped += 1
            print(f"skipped {source.name}: {missing}", flush=True)
        elif source.fits(kind, version):
            chosen.append(source)
        elif kind in source.on or path in options.scripts:
            tally.skipped += 1
            print(f"skipped {source.name}", flush=True)
    base = tempfile.mkdtemp(prefix="scripts.")
    together = [source for source in chosen if not (on_cluster and source.alone)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, options.jobs)) as pool:
        for done in [pool.submit(run_one, source, options, tally, base) for source in together]:
            done.result()
    for source in chosen:
        if source not in together:
            run_one(source, options, tally, base)
    if not os.listdir(base):
        os.rmdir(base)
    print(tally.last_line())
    sys.stdout.flush()
    if tally.failed:
        return 1
    if tally.passed == 0:
        return _SKIPPED if tally.skipped else 1
    return 0
