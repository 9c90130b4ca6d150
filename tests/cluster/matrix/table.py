"""The fault matrix: rows (moments), columns (what goes wrong), what can be right in each cell, and the cells that make no sense.

The run under test is `freeze VM... --for 5s -- COMMAND`, where COMMAND waits until it is let go on; in the last two rows it is `thaw VM`, of a guest
that somebody else has frozen.
"""
from dataclasses import dataclass, field

SAFETY = 5


@dataclass(frozen=True)
class Row:
    name: str
    text: str
    right: frozenset                              # exit codes when nothing else goes wrong
    knobs: tuple = ({},)                          # of each VM
    arguments: tuple = ()
    holds: bool = False                           # COMMAND waits until the moment is over
    like: str = ""                                # the row whose exit codes hold here too
    thaws: bool = False                           # the run under test is `thaw`
    lasting: str = "no"                           # in a round: "now" the moment lasts; "late" as well, but it comes, or the run ends, late; "no"


ROWS = {row.name: row for row in (
    Row("before", "before the freeze is sent: the tool waits for the lock, which another run holds", frozenset({0}),
        arguments=("--lock-wait", "2m"), lasting="now"),
    Row("sent", "the freeze is sent and not answered yet", frozenset({0}), knobs=({"freeze": "slow:3s"},), lasting="now"),
    Row("answered", "the freeze has just been answered", frozenset({0})),
    Row("late", "the freeze was refused after 10 s, and happens after 14 s", frozenset({1}), knobs=({"freeze": "slow:14s"},), lasting="late"),
    Row("between", "one VM of a group is frozen, the other one not yet", frozenset({0}), knobs=({}, {"freeze": "slow:3s"}), lasting="now"),
    Row("during", "the command runs", frozenset({0}), holds=True, lasting="now"),
    Row("at-thaw", "the thaw is sent and not answered yet", frozenset({0}), knobs=({"thaw": "slow:3s"},), lasting="now"),
    Row("thaw-unanswered", "the thaw got no answer within 10 s", frozenset({0}), knobs=({"thaw": "hang:13s"},), lasting="late"),
    Row("refused-twice", "the agent has refused the thaw once, and will once more", frozenset({0}), knobs=({"thaw": "fail:2"},)),
    Row("refused", "the agent refuses the thaw, for ever", frozenset({7}), knobs=({"thaw": "fail"},), lasting="late"),
    Row("thaw-sent", "`thaw`: the thaw is sent and not answered yet", frozenset({0}), knobs=({"thaw": "slow:3s"},), lasting="now",
        like="at-thaw", thaws=True),
    Row("thaw-refused", "`thaw`: the agent refuses, for ever", frozenset({7}), knobs=({"thaw": "fail"},), lasting="late", like="refused",
        thaws=True),
)}


@dataclass(frozen=True)
class Column:
    name: str
    text: str
    disturbs: bool = False                     # the whole control plane: runs in rounds, on a cluster of its own
    right: dict = field(default_factory=dict)  # row: exit codes, where they are not the row's; "*": all other rows
    also: frozenset = frozenset()              # rows in which 3 is true for another reason than the safety timer
    doubt: bool = False                        # 7 may be said of a guest that runs: it could not be asked
    deaf: bool = False                         # the tool's words are not heard
    blind: bool = False                        # an early thaw cannot be seen


def ended_by(signal):
    """A stop request: the guest is let go, then 128 + signal; 7 where it is not."""
    code = 128 + signal
    return {"*": {code}, "answered": {code, 0}, "refused": {7}}


COLUMNS = {column.name: column for column in (
    Column("INT", "SIGINT", right=ended_by(2)),
    Column("TERM", "SIGTERM", right=ended_by(15)),
    Column("HUP", "SIGHUP", right=ended_by(1)),
    Column("QUIT", "SIGQUIT: as TERM while a guest is held, else it ends at once", right=ended_by(15) | {"before": {-3}, "answered": {143, 0, -3}}),
    Column("TSTP", "SIGTSTP: refused while a guest is held; CONT where it stopped"),
    Column("KILL", "SIGKILL", right={"*": {-9}, "answered": {-9, 0}}),
    Column("INT-INT", "SIGINT twice", right=ended_by(2)),
    Column("closed", "standard output and standard error closed by their reader", deaf=True),
    Column("api-20s", "the API server stands still for 20 s", disturbs=True,
           right={"sent": {1}, "between": {1}, "before": {0, 1}}, doubt=False),
    Column("api-gone", "the API server stands still until the tool has ended", disturbs=True, right={"*": {7}, "before": {1, 6}, "thaw-sent": {1, 7}}, doubt=True),
    Column("virt-api", "virt-api is killed and starts again", disturbs=True, right={"before": {0, 1}, "sent": {1}, "between": {1}}),
    Column("node-15s", "the node stands still for 15 s", disturbs=True, right={"before": {0, 1}, "sent": {1}, "between": {1}}),
    Column("401", "the credentials run out, the plugin gives new ones"),
    Column("deleted", "the VM is deleted", right={"before": {1}, "sent": {1}, "refused": {0}},
           also=frozenset({"answered", "between", "during"})),
    Column("stopped", "the VM is stopped", right={"before": {1}, "sent": {1}, "refused": {0}},
           also=frozenset({"answered", "between", "during"})),
    Column("paused", "somebody pauses the VM, and lets it run again once a thaw has failed", right={"before": {1}, "sent": {1}}),
    Column("paused-on", "somebody pauses the VM, and leaves it so until the tool has ended", right={"*": {7}, "before": {1}, "answered": {0, 7}, "thaw-sent": {1, 7}}, doubt=True),
    Column("early", "another tool thaws it", blind=True),
    Column("second", "another run of this tool on the same VM"),
    Column("migration", "the VM migrates, as its status says",
           right={"before": {8}, "sent": {3}, "between": {3}, "during": {3}, "answered": {0, 3}},
           also=frozenset({"sent", "answered", "between", "during"})),
)}

# The columns that disturb, in the order in which their rounds begin.
LONGEST_FIRST = ("api-gone", "node-15s", "api-20s", "virt-api")

# Cells that make no sense, and why.
NONSENSE = {
    ("before", "early"): "nothing is frozen yet that another tool could thaw",
    ("answered", "401"): "a certificate ends at a whole second, which cannot be aimed at so short a moment; see between and at-thaw",
    ("refused-twice", "401"): "as above",
    ("thaw-sent", "401"): "nothing is sent after the answer that is awaited; see at-thaw and thaw-refused",
}
for _row in ("thaw-sent", "thaw-refused"):
    NONSENSE[(_row, "second")] = "no run of ours holds the guest"
    NONSENSE[(_row, "migration")] = "a thaw judges no window"
for _row in ("at-thaw", "thaw-unanswered", "refused-twice"):
    NONSENSE[(_row, "migration")] = "the window is over; what a migration does to it has been judged at row `during`"

# At least one of each row and each column; those in which a guest or an exit code was lost by somebody, here or elsewhere.
NAMED = """
before:INT before:QUIT before:TSTP before:401 before:paused before:paused-on before:migration
sent:INT sent:KILL sent:stopped sent:node-15s
answered:HUP answered:closed
late:TERM late:KILL
between:INT between:KILL between:401
during:INT-INT during:KILL during:QUIT during:TSTP during:401 during:deleted during:early during:migration during:second during:api-20s
during:api-gone during:virt-api during:node-15s
at-thaw:KILL at-thaw:api-20s at-thaw:virt-api
thaw-unanswered:INT
refused-twice:KILL
refused:INT refused:KILL
thaw-sent:INT thaw-refused:KILL
""".split()


def right(row, column):
    """Exit codes that can be right."""
    table = column.right
    return frozenset(table.get(row.name, table.get(row.like, table.get("*", row.right))))


def all_cells():
    return [(row, column) for row in ROWS for column in COLUMNS if (row, column) not in NONSENSE]


def named_cells():
    return [tuple(cell.split(":")) for cell in NAMED]
