"""The engine beside pyzmq, in one table: ``python engine/benches/table.py [--quick] [--blocks N] [ROW ...]``.

In each block a row's two libraries are measured, ours twice, in random order, each time by fresh processes that are
pinned. The ratio is ours to theirs within a block; beside it stands what the same arithmetic makes of ours against
itself, where the truth is 1 (A/A). Both are medians over the blocks with the interval of their order statistics that
holds the true median in at least 95 of 100 cases; six blocks are the least that have one. A ratio that differs from 1
by no more than the A/A interval does is no claim: its row says "no difference shown". The same holds for the
processor time of a message. Rows whose name does not contain one of the arguments are left out; `--quick` measures the
rows that matter most, in shorter windows.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.results import Estimate
from workbench.results.compare import ratio_of
from workbench.results.control import Control, claimable

ENDS = str(Path(__file__).parent / "ends.py")
AGAIN = "again"
"""Ours, measured a second time as if it were something else."""
QUICK = 0.4
"""How long windows are, as a share, for a first look."""
Found = dict[str, list[dict[str, float]]]
"""For ours, ours again and the other: one reading for each block."""


@dataclass(frozen=True)
class Row:
    """One line of the table. `floor` and `aim` bound the ratio: from below for a rate, from above for a time."""

    title: str
    floor: float
    aim: float
    roles: tuple[str, ...] = ("pull", "push")
    transport: str = "tcp"
    size: int = 64
    style: str = "one"
    cpus: tuple[str, ...] = ("0", "1")
    library: str | None = None
    """Against what, if not pyzmq."""
    figures: tuple[str, ...] = ()
    """What is compared, if not messages a second or the median of a time."""
    beside: bool = False
    """Another program keeps a processor busy, wherever the kernel puts it."""
    quick: bool = False
    """Whether it is part of a first look."""

    @property
    def keys(self) -> tuple[str, ...]:
        is_rate = self.roles[0] in ("pull", "pub") or self.style.startswith("push")
        return self.figures or ("rate" if is_rate else "p50",)


NAMES = {"rate": "a second", "p50": "median", "p90": "p90", "p99": "p99", "p999": "p99.9"}
REP = ("rep", "req")
TAIL, FAR_TAIL = ("p50", "p99"), ("p50", "p99", "p999")
SAME, APART = ("0", "0"), ("0", "1")
ROWS = [
    Row("push/pull tcp 64 B", 3, 5, quick=True),
    Row("push/pull tcp 64 B, many per call", 6, 10, style="many"),
    Row("push/pull tcp 1 KiB", 2, 3, size=1 << 10),
    Row("push/pull tcp 64 KiB", 1.2, 1.5, size=64 << 10, quick=True),
    Row("push/pull tcp 1 MiB", 1.1, 1.1, size=1 << 20),
    *(
        # Below some KiB what is borrowed is copied, too; through a kernel there is another copy in any case.
        Row(f"push/pull tcp {name}, borrowed against copied", 0, 1, size=size << 10, library="copied")
        for name, size in (("16 KiB", 16), ("64 KiB", 64), ("1 MiB", 1 << 10))
    ),
    Row("push/pull ipc 64 B", 3, 5, transport="ipc", quick=True),
    Row("push/pull inproc 64 B", 1, 3, ("inproc",), style="push apart", cpus=("0",)),
    Row("push/pull tcp 64 B, 4 threads", 1.5, 3, style="threads", cpus=("-", "-")),
    Row("pub to 100 subs", 2, 5, ("pub", "subs"), style="100"),
    Row("pub to 1,000 subs", 2, 5, ("pub", "subs"), style="1000"),
    Row("req/rep tcp 64 B, one core", 0.5, 0.35, REP, cpus=SAME, quick=True),
    Row("req/rep tcp 64 B, two cores", 0.4, 0.15, REP, cpus=APART, quick=True),
    Row("req/rep tcp 64 B, two cores, against a blocking socket", 1, 1, REP, cpus=APART, library="socket"),
    Row("req/rep ipc 64 B, one core", 0.6, 0.3, REP, "ipc", cpus=SAME),
    Row("req/rep ipc 64 B, two cores", 0.6, 0.3, REP, "ipc", cpus=APART),
    Row("req/rep inproc 64 B, one core", 0.6, 0.3, ("inproc",), style="req", cpus=("0",)),
    Row("req/rep inproc 64 B, two cores", 0.6, 0.3, ("inproc",), style="req apart", cpus=("0",)),
    Row("push/pull tcp 64 B, beside a busy process", 1, 3, beside=True),
    Row("req/rep tcp 64 B, two cores, beside a busy process", 1, 0.5, REP, cpus=APART, beside=True, figures=TAIL),
    Row("a lone message after 1 s", 1, 0.5, style="lone", figures=("p50", "p90")),
    Row("a tenth of pyzmq's maximum", 1, 1, style="paced 0.1", figures=FAR_TAIL),
    Row("half of pyzmq's maximum", 1, 1, style="paced 0.5", figures=FAR_TAIL, quick=True),
    Row("four fifths of pyzmq's maximum", 1, 1, style="paced 0.8", figures=FAR_TAIL),
    Row("push/pull asyncio 64 B", 4, 10, style="asyncio", quick=True),
    Row("req/rep asyncio 64 B, one core", 0.25, 0.1, REP, style="asyncio", cpus=SAME),
    Row("req/rep asyncio 64 B, two cores", 0.25, 0.1, REP, style="asyncio", cpus=APART),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine beside pyzmq.")
    parser.add_argument("rows", nargs="*", help="leave out rows whose title contains none of these")
    parser.add_argument("--blocks", type=int, default=6, help="how often each row is measured; 6 are the least")
    parser.add_argument("--quick", action="store_true", help="the rows that matter most, in shorter windows")
    chosen = parser.parse_args()
    rows = [row for row in ROWS if not chosen.rows or any(text in row.title for text in chosen.rows)]
    if chosen.quick and not chosen.rows:
        rows = [row for row in rows if row.quick]
    scale, began = QUICK if chosen.quick else 1.0, time.monotonic()
    print(f"{'':57} {'ours':>11} {'theirs':>11}   {'ratio':20} {'A/A':20} {'':20}{'CPU':>6} {'':14}   floor  aim")
    if any(row.style.startswith("paced") for row in rows):
        rows = pace(rows, scale)
    for row in rows:
        show(row, measure(row, chosen.blocks, scale))
    print(f"{chosen.blocks} blocks of fresh processes in {time.monotonic() - began:.0f} s")


def pace(rows: list[Row], scale: float) -> list[Row]:
    """Give the rows that are paced their rates: parts of what pyzmq can do here."""
    flat_out = Row("", 1, 1, style="paced 0")
    most = statistics.median(read(flat_out, "pyzmq", scale)["rate"] for _ in range(3))
    print(f"pyzmq's maximum where each message says when it was sent: {most:,.0f}/s")
    paced = [row.style.split() for row in rows]
    return [
        replace(row, style=f"paced {most * float(style[1]):.0f}") if style[0] == "paced" else row
        for row, style in zip(rows, paced, strict=True)
    ]


def measure(row: Row, blocks: int, scale: float) -> Found:
    against = row.library or "pyzmq"
    found: Found = {"ours": [], AGAIN: [], against: []}
    luck = random.Random(row.title)
    for _ in range(blocks):
        for library in luck.sample(list(found), 3):
            found[library].append(read(row, "ours" if library == AGAIN else library, scale))
    return found


def read(row: Row, library: str, scale: float) -> dict[str, float]:
    """One reading, by fresh processes."""
    style = "socket" if library == "socket" else row.style
    with tempfile.TemporaryDirectory() as folder:
        address = "tcp://127.0.0.1:0" if row.transport == "tcp" else f"ipc://{folder}/end"
        processes: list[subprocess.Popen[str]] = []
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if row.beside else None
        try:
            for role, cpu in zip(row.roles, row.cpus, strict=True):
                arguments = [sys.executable, ENDS, library, role, address, str(row.size), style, cpu, str(scale)]
                process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                processes.append(process)
                if len(processes) == 1:
                    address = hear(process)["address"]
            first, last = processes[0], processes[-1]
            if row.roles[0] == "pub":
                hear(last)
                assert first.stdin is not None
                first.stdin.write("go\n")
                first.stdin.flush()
            if row.roles[0] != "pull":
                return hear(last)
            reading = hear(first)
            if row.style in ("one", "many"):
                reading["cpu"] += hear(last)["cpu"]
            return reading
        finally:
            if busy:
                busy.kill()
                busy.wait()
            for process in processes:
                process.kill()
                process.wait()


def hear(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{' '.join(map(str, process.args[1:]))} ended without a word")  # type: ignore[index]
    return json.loads(line)


def show(row: Row, found: Found) -> None:
    for key in row.keys:
        title = row.title + (f", {NAMES[key]}" if row.figures else "")
        if all(key in reading for side in found.values() for reading in side):
            print(f"{title:57}{figures(row, key, found)}", flush=True)
        else:
            print(f"{title:57} not told: too few samples", flush=True)


def figures(row: Row, key: str, found: Found) -> str:
    """Both figures, their ratio with its control and what may be claimed; the same of processor time; floor and aim."""
    ours, _, theirs = found.values()
    unit, sign = ("/s", "≥") if key == "rate" else ("µs", "≤")
    both = "".join(f" {statistics.median(reading[key] for reading in side):9,.4g}{unit}" for side in (ours, theirs))
    ratio, control = compared(found, key)
    cpu, cpu_control = compared(found, "cpu")
    used = f"{cpu.value:.2f}" if claimable(cpu, cpu_control) else "?"
    middle = ratio.value or 0.0
    met = middle >= row.floor if key == "rate" else middle <= row.floor
    return (
        f"{both}   {interval(ratio):20} {interval(control.ratio):20} {said(key, ratio, control):20}"
        f"{used:>6} ({cpu_control})   {sign} {row.floor:<4g} {sign} {row.aim:<4g}{'' if met else '  not met'}"
    )


def compared(found: Found, key: str) -> tuple[Estimate, Control]:
    """The ratio of ours to theirs, and of ours to itself."""
    ours, again, theirs = ([reading[key] for reading in side] for side in found.values())
    ratio, control = ratio_of(theirs, ours), ratio_of(ours, again)
    assert ratio is not None
    assert control is not None
    return ratio, Control(key, {}, control)


def interval(ratio: Estimate) -> str:
    between = "" if ratio.low is None or ratio.high is None else f" [{ratio.low:.2f}, {ratio.high:.2f}]"
    return f"{ratio.value:.2f}{between}"


def said(key: str, ratio: Estimate, control: Control) -> str:
    """What may be claimed."""
    claim = claimable(ratio, control)
    if claim is None:
        return "too few blocks"
    more = (ratio.value or 0.0) > 1.0
    return "no difference shown" if not claim else "faster" if more == (key == "rate") else "slower"


if __name__ == "__main__":
    main()
