"""The matrix of what is exchanged with foreign programs, and the page that shows it."""

from collections.abc import Mapping
from dataclasses import dataclass

PATTERNS = {
    "req": "rep",
    "rep": "req",
    "push": "pull",
    "pull": "push",
    "pub": "sub",
    "sub": "pub",
    "surveyor": "respondent",
    "respondent": "surveyor",
    "bus": "bus",
    "pair": "pair",
    "pair1": "pair1",
}
"""Our role, and theirs."""

TRANSPORTS = ("tcp", "ipc", "ws", "tls+tcp", "wss")
MIB = 1 << 20
SIZES = (0, 1, 125, 126, 65_535, 65_536, MIB)
"""In bytes: nothing, and both sides of each step in the lengths that WebSocket frames announce."""

HEADED = ("req", "rep", "surveyor", "respondent")
"""The roles whose messages carry four bytes in front."""


@dataclass(frozen=True, eq=False)
class Program:
    """A foreign program, and what it does not speak: by role or transport, the sentence that says why."""

    name: str
    about: str
    lacks: Mapping[str, str]
    limit: int | None = None
    """The largest message that it receives, in bytes with what is in front of it; None: larger than any here."""
    limit_note: str | None = None


PROGRAMS = (
    Program(
        "nanocat",
        "The command line of nanomsg",
        {
            "pair1": "nanomsg knows only the older PAIR.",
            "tls+tcp": "nanomsg has no TLS.",
            "wss": "nanomsg has no TLS.",
        },
        limit=MIB,
        limit_note=(
            "The largest message to them has 1,048,572 bytes: nanomsg hangs up at more than 1 MiB, the four bytes in"
            " front of such a message included, and `nanocat` cannot tell it otherwise."
        ),
    ),
    Program("pynng", "NNG in Python", {}),
    Program("nngcat", "The command line of NNG", {}),
)


@dataclass(frozen=True)
class Cell:
    """One role of ours with one program over one transport, one side listening."""

    program: Program
    ours: str
    transport: str
    we_listen: bool

    @property
    def theirs(self) -> str:
        """Their role."""
        return PATTERNS[self.ours]

    @property
    def lacking(self) -> str | None:
        """Why it cannot be, or None if it can."""
        return self.program.lacks.get(self.ours) or self.program.lacks.get(self.transport)

    @property
    def largest(self) -> int:
        """The largest message to them that is tried, in bytes."""
        limit = self.program.limit
        return MIB if limit is None else min(MIB, limit - 4 * (self.ours in HEADED))

    def __str__(self) -> str:
        side = "we" if self.we_listen else "they"
        return f"{self.program.name}-{self.ours}-{self.transport}-{side}-listen"


CELLS = [
    Cell(program, ours, transport, we_listen)
    for program in PROGRAMS
    for ours in PATTERNS
    for transport in TRANSPORTS
    for we_listen in (True, False)
]
POSSIBLE = [cell for cell in CELLS if cell.lacking is None]

HEAD = """\
# Interoperability

`make interop` exchanges messages with foreign programs and writes this page. A mark stands for messages of 0, 1, 125,
126, 65,535, 65,536 and 1,048,576 bytes, in every direction that the pattern has. The first mark of a field: we listen
and they dial. The second: they listen and we dial. `workbench cat` is tried with `nanocat` and `nngcat`, too.

✓ all arrived as they were sent · ✗ some did not · – it cannot be, and the note says why
"""


REMARKS = (
    "nanomsg dials WebSocket addresses with a path, but cannot listen at one.",
    "`nanocat` aborts at an empty file; an empty message is given to it as `--data ''`.",
    "NNG refuses WebSocket frames of more than 1 MiB, however large a message may be: it gets larger ones in pieces.",
    "`nngcat` 1.5 compares the names in a certificate, no addresses: it dials `localhost`, not `127.0.0.1`.",
    "An NNG listener at a WebSocket address answers only to the host that it was told to listen at.",
    "pynng's `recv` cannot return an empty message; its `recv_msg` can.",
    "NNG 1.11 may abort when whoever dialled it over wss leaves, another NNG too: each pynng has a process of its own.",
    "`nngcat` 1.5 may lock itself up when it surveys at the moment when its survey before ends, after a second.",
)


def page(passed: Mapping[Cell, bool], versions: Mapping[str, str]) -> str:
    """The page that shows which cells passed; `versions` are those of the programs."""
    notes: list[str] = []
    tables = [table(program, passed, notes) for program in PROGRAMS]
    parts = [HEAD]
    for program, rows in zip(PROGRAMS, tables, strict=True):
        parts.append(f"## {program.name}\n\n{program.about}: {versions[program.name]}\n\n{rows}\n")
    remarks = [f"{number}. {note}" for number, note in enumerate(notes, start=1)] + [
        f"- {remark}" for remark in REMARKS
    ]
    parts.append("## Notes\n\n" + "\n".join(remarks) + "\n")
    return "\n".join(parts)


def table(program: Program, passed: Mapping[Cell, bool], notes: list[str]) -> str:
    """The rows of one program; new notes are added to `notes`."""
    lines = ["| ours → theirs | " + " | ".join(TRANSPORTS) + " |", "|---" * (len(TRANSPORTS) + 1) + "|"]
    for ours, theirs in PATTERNS.items():
        shown = [mark(program, ours, transport, passed, notes) for transport in TRANSPORTS]
        lines.append(f"| {ours.upper()} → {theirs.upper()} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def mark(program: Program, ours: str, transport: str, passed: Mapping[Cell, bool], notes: list[str]) -> str:
    """What stands in one field of a table: a mark for each side that may listen, and perhaps the number of a note."""
    both = [Cell(program, ours, transport, we_listen) for we_listen in (True, False)]
    note = both[0].lacking
    text = "–" if note else " ".join("✓" if passed[cell] else "✗" for cell in both)
    if note is None and both[0].largest < MIB:
        note = program.limit_note
    if note is None:
        return text
    if note not in notes:
        notes.append(note)
    return f"{text} ({notes.index(note) + 1})"
