"""What a cell came to, from the node's events and from what the tool said. Pure functions: no clock, no files.

Times are CLOCK_MONOTONIC in seconds, as the node writes them (in nanoseconds).
"""
from dataclasses import dataclass, field
from typing import Optional

GRACE = 10.0  # a guest may stand still this long beyond its safety timer: the issue's own measure


@dataclass
class Interval:
    """A guest stood still from start to end; None: it still does."""
    vm: str
    start: float
    safety: float
    end: Optional[float] = None
    refused: bool = False  # its agent refused a thaw meanwhile, so that its timer was gone

    def at(self, time):
        return self.start <= time and (self.end is None or time < self.end)


@dataclass
class Told:
    """What the tool said and when it ended."""
    code: int                     # exit code; -N: ended by signal N
    end: float
    report: Optional[dict] = None  # the FreezeReport
    errors: list = field(default_factory=list)  # of errors that came without a report


def seconds(event):
    return event["mono"] / 1e9


def intervals(events):
    """Frozen intervals of all guests, in order. A guest that ends stands still no more."""
    found, open_, asked = [], {}, {}
    for event in events:
        name, vm, time = event["event"], event.get("vm"), seconds(event)
        if name == "freeze-request":
            asked[vm] = float(event["seconds"])
        elif name == "frozen":
            open_[vm] = Interval(vm, time, asked.get(vm, 0.0))
            found.append(open_[vm])
        elif name == "thaw-failed" and vm in open_:
            open_[vm].refused = True
        elif name in ("thawed", "stopped", "boot") and vm in open_:
            open_.pop(vm).end = time
    return found


def pauses(events, vm):
    """[(start, end or None)] in which nothing in the guest could run."""
    found = []
    for event in events:
        if event.get("vm") != vm:
            continue
        if event["event"] == "pause":
            found.append([seconds(event), None])
        elif event["event"] in ("unpause", "stopped") and found and found[-1][1] is None:
            found[-1][1] = seconds(event)
    return found


def overlap(start, end, spans):
    total = 0.0
    for begin, stop in spans:
        total += max(0.0, min(end, end if stop is None else stop) - max(start, begin))
    return total


def overdue(interval, now, excuses):
    """Seconds beyond safety timer and GRACE. `excuses`: spans in which nobody could have thawed it (paused, its node stopped)."""
    end = now if interval.end is None else interval.end
    return end - interval.start - overlap(interval.start, end, excuses) - interval.safety - GRACE


def unanswered_freezes(events):
    """VMs that may still freeze: a freeze was asked for, and its end is not in the log."""
    waiting = {}
    for event in events:
        name, vm = event["event"], event.get("vm")
        if name == "freeze-request":
            waiting[vm] = waiting.get(vm, 0) + 1
        elif name in ("frozen", "freeze-failed", "freeze-again") and waiting.get(vm):
            waiting[vm] -= 1
        elif name == "stopped":
            waiting.pop(vm, None)
    return {vm for vm, count in waiting.items() if count}


def stood_still(found, vms, start, end):
    """Whether each guest stood still from start to end. """
    return all(any(i.vm == vm and i.start <= start and (i.end is None or i.end >= end) for i in found) for vm in vms)


def texts(told):
    """(message, hint) of every error that the tool has told."""
    errors = list(told.errors)
    for item in (told.report or {}).get("items", []):
        if item.get("error"):
            errors.append(item["error"])
    return [(error.get("message", ""), error.get("hint") or "") for error in errors]


def judge(told, events, *, vms, ns, allowed, window, doubt, blind, deaf, others=(), thaws=False):
    """What is wrong, one sentence each; empty: nothing.

    allowed  exit codes that can be right in this cell
    window   (start, end) of the command; end None: it did not end by itself; None: it did not run
    doubt    7 may be said although the guest stands still no more: nobody can tell. And `thaw` may say 1 if it says that it may be frozen: nobody
             had called that guest frozen yet
    blind    an early thaw by somebody else cannot be seen: 0 is right if the report says that it rests on that
    deaf     the tool's outputs were closed, so that its words are not judged
    thaws    the run was `thaw`, which has no command
    others   names of further reasons for 3 that are true: the instance ended, moved, ...
    """
    wrong, found = [], intervals(events)
    code, items = told.code, {item["vm"]: item for item in (told.report or {}).get("items", [])}
    frozen = sorted({i.vm for i in found if i.at(told.end)})
    asked = [e for e in events if e["event"] == "freeze-request"]
    late = bool(asked and window and window[1] and window[1] - min(map(seconds, asked)) > 0.99 * float(asked[0]["seconds"]))
    if code not in allowed and not (code == 3 and 0 in allowed and late):
        wrong.append(f"exit code {code}, which cannot be right here (right: {sorted(allowed)})")
    unseen = thaws and doubt and code == 1 and any("may still be frozen" in message for message, _ in texts(told))
    if code >= 0 and code != 7 and frozen and not unseen:
        wrong.append(f"exit code {code} while {', '.join(frozen)} stood still")
    if code == 7 and not frozen and not doubt:
        wrong.append("exit code 7 though no guest stood still, and that could be known")
    if code == 0 and not thaws:
        if window is None or window[1] is None:
            wrong.append("exit code 0 though the command did not run to its end")
        elif not stood_still(found, vms, *window):
            said = all((items.get(vm, {}).get("assumptions") or deaf) for vm in vms)
            if not (blind and said):
                wrong.append("exit code 0 though a guest did not stand still for all of the command")
    if code == 3 and not deaf and not thaws:
        broken = window is None or window[1] is None or not stood_still(found, vms, *window)
        if not broken and not late and not others:
            wrong.append("exit code 3 though every guest stood still, within its safety timer")
        if not any(item.get("reasons") for item in items.values()):
            wrong.append("exit code 3 without a reason")
    if code > 0 and code != 3 and not deaf:
        wrong += words(told, code, vms, ns, frozen)
    return wrong


def words(told, code, vms, ns, frozen):
    """Whether the messages name the VM, and the command that helps."""
    said = texts(told)
    if not said:
        # A signal that came when all was done has nothing to say but what the report says.
        return [] if code >= 128 and told.report else [f"exit code {code} without a message"]
    wrong = []
    if not any(f"{ns}/{vm}" in message for message, _ in said for vm in vms):
        wrong.append(f"no message names the VM: {said[0][0]!r}")
    if code == 7:
        for vm in frozen or vms[:1]:
            if not any(f"kubectl vmbackup thaw {vm} -n {ns}" in hint for _, hint in said):
                wrong.append(f"no hint names the command that thaws {vm}: {said}")
    return wrong
