#!/usr/bin/env python3
"""Tests of the judging: judge_test.py. No cluster."""
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import judge  # noqa: E402
import table  # noqa: E402


def event(name, time, vm="a", **more):
    return {"event": name, "mono": int(time * 1e9), "vm": vm, **more}


def frozen(start, end=None, vm="a"):
    events = [event("freeze-request", start - 0.1, vm, seconds=5), event("frozen", start, vm)]
    return events + ([event("thawed", end, vm)] if end else [])


def item(vm="a", **more):
    return {"vm": vm, "reasons": [], "assumptions": [], "error": None, **more}


def error(message="VM p/a was not frozen", hint="let it go with: kubectl vmbackup thaw a -n p"):
    return {"message": message, "hint": hint}


def verdict(code, events, end, window=None, items=(), **more):
    told = judge.Told(code, end, {"items": list(items)})
    rules = {"vms": ["a"], "ns": "p", "allowed": {code}, "window": window, "doubt": False, "blind": False, "deaf": False} | more
    return judge.judge(told, events, **rules)


class Intervals(unittest.TestCase):
    def test_ends(self):
        for name in ("thawed", "stopped", "boot"):
            found = judge.intervals(frozen(1) + [event(name, 4)])
            self.assertEqual([(i.start, i.end, i.safety) for i in found], [(1, 4, 5)])

    def test_open_and_refused(self):
        found = judge.intervals(frozen(1) + [event("thaw-failed", 2)])
        self.assertTrue(found[0].end is None and found[0].refused)

    def test_guests_apart(self):
        found = judge.intervals(frozen(1, vm="a") + frozen(2, 3, vm="b"))
        self.assertEqual([(i.vm, i.end) for i in found], [("a", None), ("b", 3)])

    def test_overdue(self):
        interval = judge.intervals(frozen(10))[0]
        self.assertLess(judge.overdue(interval, 24.9, []), 0)
        self.assertGreater(judge.overdue(interval, 25.1, []), 0)

    def test_excuses(self):
        interval = judge.intervals(frozen(10))[0]
        self.assertLess(judge.overdue(interval, 34.9, [[12, 22]]), 0)
        self.assertGreater(judge.overdue(interval, 35.1, [[12, 22]]), 0)
        self.assertLess(judge.overdue(interval, 34.9, [[0, 20]]), 0)
        self.assertLess(judge.overdue(interval, 100, [[12, None]]), 0)

    def test_pauses(self):
        events = [event("pause", 1), event("unpause", 3), event("pause", 5), event("pause", 6, "b"), event("stopped", 8)]
        self.assertEqual(judge.pauses(events, "a"), [[1, 3], [5, 8]])

    def test_unanswered(self):
        self.assertEqual(judge.unanswered_freezes([event("freeze-request", 1, seconds=5)]), {"a"})
        for name in ("frozen", "freeze-failed", "freeze-again", "stopped"):
            self.assertEqual(judge.unanswered_freezes([event("freeze-request", 1, seconds=5), event(name, 2)]), set())
        twice = [event("freeze-request", 1, seconds=5), event("freeze-request", 2, seconds=5), event("frozen", 3)]
        self.assertEqual(judge.unanswered_freezes(twice), {"a"})


class Codes(unittest.TestCase):
    def test_good(self):
        self.assertEqual(verdict(0, frozen(1, 3), 4, (1.5, 2), [item()]), [])

    def test_not_allowed(self):
        self.assertEqual(len(verdict(0, frozen(1, 3), 4, (1.5, 2), [item()], allowed={130})), 1)

    def test_lie_about_a_frozen_guest(self):
        self.assertIn("stood still", verdict(130, frozen(1), 4, (1.5, None), [item(error=error())])[0])
        self.assertIn("stood still", verdict(0, frozen(1), 4, (1.5, 2), [item()])[0])

    def test_false_alarm(self):
        bad = verdict(7, frozen(1, 3), 4, (1.5, 2), [item(error=error("VM p/a"))])
        self.assertIn("no guest stood still", bad[0])
        self.assertEqual(verdict(7, frozen(1, 3), 4, (1.5, 2), [item(error=error("VM p/a"))], doubt=True), [])

    def test_held_and_said(self):
        self.assertEqual(verdict(7, frozen(1), 4, (1.5, 2), [item(error=error("guest of VM p/a"))]), [])
        self.assertIn("hint", verdict(7, frozen(1), 4, (1.5, 2), [item(error=error("guest of VM p/a", ""))])[0])
        self.assertIn("VM", verdict(7, frozen(1), 4, (1.5, 2), [item(error=error("it is frozen"))])[0])

    def test_zero_needs_the_whole_window(self):
        self.assertIn("for all of the command", verdict(0, frozen(1, 1.7), 4, (1.5, 2), [item()])[0])
        self.assertIn("did not run", verdict(0, frozen(1, 3), 4, None, [item()])[0])
        self.assertIn("did not run", verdict(0, frozen(1, 3), 4, (1.5, None), [item()])[0])

    def test_zero_of_a_group_needs_all(self):
        events = frozen(1, 3, "a") + frozen(1, 1.7, "b")
        self.assertEqual(len(verdict(0, events, 4, (1.5, 2), [item("a"), item("b")], vms=["a", "b"])), 1)

    def test_blind_needs_the_assumption(self):
        self.assertEqual(len(verdict(0, frozen(1, 1.7), 4, (1.5, 2), [item()], blind=True)), 1)
        self.assertEqual(verdict(0, frozen(1, 1.7), 4, (1.5, 2), [item(assumptions=["nobody else"])], blind=True), [])

    def test_three_needs_a_true_reason(self):
        said = [item(reasons=["too long"])]
        self.assertIn("3 though", verdict(3, frozen(1, 3), 4, (1.5, 2), said)[0])
        self.assertEqual(verdict(3, frozen(1, 1.7), 4, (1.5, 2), said), [])
        self.assertEqual(verdict(3, frozen(1, 3), 4, (1.5, 2), said, others=("migration",)), [])
        self.assertIn("without a reason", verdict(3, frozen(1, 1.7), 4, (1.5, 2), [item()])[0])

    def test_three_instead_of_zero_only_when_late(self):
        said = [item(reasons=["longer than the safety timer"])]
        self.assertEqual(verdict(3, frozen(1, 6), 8, (1.5, 7), said, allowed={0}), [])
        self.assertTrue(verdict(3, frozen(1, 3), 4, (1.5, 2), said, allowed={0}))

    def test_thaw_has_no_command(self):
        self.assertEqual(verdict(0, frozen(1, 3), 4, None, [item()], thaws=True), [])
        self.assertIn("stood still", verdict(0, frozen(1), 4, None, [item()], thaws=True)[0])

    def test_thaw_that_could_not_ask(self):
        said = [item(error=error("the guest of VM p/a may still be frozen: paused"))]
        self.assertEqual(verdict(1, frozen(1), 4, None, said, thaws=True, doubt=True), [])
        self.assertIn("stood still", verdict(1, frozen(1), 4, None, said, thaws=True)[0])
        self.assertIn("stood still", verdict(1, frozen(1), 4, None, [item(error=error("VM p/a"))], thaws=True, doubt=True)[0])

    def test_words(self):
        self.assertIn("without a message", verdict(1, frozen(1, 3), 4, (1.5, 2), [item()])[0])
        self.assertEqual(verdict(1, frozen(1, 3), 4, (1.5, 2), [item(error=error())]), [])
        self.assertEqual(verdict(1, frozen(1, 3), 4, (1.5, 2), [item()], deaf=True), [])


class Table(unittest.TestCase):
    def test_named_covers(self):
        named = table.named_cells()
        self.assertEqual(len(named), 40)
        self.assertEqual(len(set(named)), 40)
        self.assertEqual({row for row, _ in named}, set(table.ROWS))
        self.assertEqual({column for _, column in named}, set(table.COLUMNS))
        self.assertTrue(set(named) <= set(table.all_cells()))

    def test_nonsense_is_known(self):
        for row, column in table.NONSENSE:
            self.assertTrue(row in table.ROWS and column in table.COLUMNS)

    def test_all_that_disturb_have_a_turn(self):
        self.assertEqual(set(table.LONGEST_FIRST), {name for name, column in table.COLUMNS.items() if column.disturbs})

    def test_right_of_each(self):
        for row, column in table.all_cells():
            self.assertTrue(table.right(table.ROWS[row], table.COLUMNS[column]))


if __name__ == "__main__":
    unittest.main()
