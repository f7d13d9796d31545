"""The engine beside pyzmq, in one table: ``python engine/benches/table.py [--blocks N] [ROW ...]``.

Each figure is the median over blocks; in each block both libraries are measured once, in random order, each by fresh
processes that are pinned. The ratio is ours to pyzmq's within a block, with the interval of its order statistics that
holds the true median in at least 95 of 100 cases (with fewer than six blocks: the extremes). Rows whose name does not
contain one of the arguments are left out.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "native"))
from compare import interval

ENDS = str(Path(__file__).parent / "ends.py")
LIBRARIES = ("ours", "pyzmq")


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

    @property
    def keys(self) -> tuple[str, ...]:
        is_rate = self.roles[0] in ("pull", "pub") or self.style.startswith("push")
        return self.figures or ("rate" if is_rate else "p50",)


NAMES = {"rate": "a second", "p50": "median", "p99": "p99", "p999": "p99.9"}
REP = ("rep", "req")
TAIL, FAR_TAIL = ("p50", "p99"), ("p50", "p99", "p999")
SAME, APART = ("0", "0"), ("0", "1")
ROWS = [
    Row("push/pull tcp 64 B", 3, 5),
    Row("push/pull tcp 64 B, many per call", 6, 10, style="many"),
    Row("push/pull tcp 1 KiB", 2, 3, size=1 << 10),
    Row("push/pull tcp 64 KiB", 1.2, 1.5, size=64 << 10),
    Row("push/pull tcp 1 MiB", 1.1, 1.1, size=1 << 20),
    *(
        # Below some KiB what is borrowed is copied, too; through a kernel there is another copy in any case.
        Row(f"push/pull tcp {name}, borrowed against copied", 0, 1, size=size << 10, library="copied")
        for name, size in (("16 KiB", 16), ("64 KiB", 64), ("1 MiB", 1 << 10))
    ),
    Row("push/pull ipc 64 B", 3, 5, transport="ipc"),
    Row("push/pull inproc 64 B", 1, 3, ("inproc",), style="push apart", cpus=("0",)),
    Row("push/pull tcp 64 B, 4 threads", 1.5, 3, style="threads", cpus=("-", "-")),
    Row("pub to 100 subs", 2, 5, ("pub", "subs"), style="100"),
    Row("pub to 1,000 subs", 2, 5, ("pub", "subs"), style="1000"),
    Row("req/rep tcp 64 B, one core", 0.5, 0.35, REP, cpus=SAME),
    Row("req/rep tcp 64 B, two cores", 0.4, 0.15, REP, cpus=APART),
    Row("req/rep tcp 64 B, two cores, against a blocking socket", 1, 1, REP, cpus=APART, library="socket"),
    Row("req/rep ipc 64 B, one core", 0.6, 0.3, REP, "ipc", cpus=SAME),
    Row("req/rep ipc 64 B, two cores", 0.6, 0.3, REP, "ipc", cpus=APART),
    Row("req/rep inproc 64 B, one core", 0.6, 0.3, ("inproc",), style="req", cpus=("0",)),
    Row("req/rep inproc 64 B, two cores", 0.6, 0.3, ("inproc",), style="req apart", cpus=("0",)),
    Row("push/pull tcp 64 B, beside a busy process", 1, 3, beside=True),
    Row("req/rep tcp 64 B, two cores, beside a busy process", 1, 0.5, REP, cpus=APART, beside=True, figures=TAIL),
    Row("a lone message after 1 s", 1, 0.5, style="lone", figures=("p50", "p99")),
    Row("a tenth of pyzmq's maximum", 1, 1, style="paced 0.1", figures=FAR_TAIL),
    Row("half of pyzmq's maximum", 1, 1, style="paced 0.5", figures=FAR_TAIL),
    Row("four fifths of pyzmq's maximum", 1, 1, style="paced 0.8", figures=FAR_TAIL),
    Row("push/pull asyncio 64 B", 4, 10, style="asyncio"),
    Row("req/rep asyncio 64 B, one core", 0.25, 0.1, REP, style="asyncio", cpus=SAME),
    Row("req/rep asyncio 64 B, two cores", 0.25, 0.1, REP, style="asyncio", cpus=APART),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine beside pyzmq.")
    parser.add_argument("rows", nargs="*", help="leave out rows whose title contains none of these")
    parser.add_argument("--blocks", type=int, default=7)
    chosen = parser.parse_args()
    rows = [row for row in ROWS if not chosen.rows or any(text in row.title for text in chosen.rows)]
    print(f"{'':64} {'ours':>11} {'theirs':>11}   {'ratio':22} {'CPU ratio':>9}   floor  aim")
    if any(row.style.startswith("paced") for row in rows):
        rows = pace(rows)
    for row in rows:
        show(row, measure(row, chosen.blocks))


def pace(rows: list[Row]) -> list[Row]:
    """Give the rows that are paced their rates: parts of what pyzmq can do here."""
    flat_out = Row("", 1, 1, style="paced 0")
    most = statistics.median(read(flat_out, "pyzmq")["rate"] for _ in range(3))
    print(f"pyzmq's maximum where each message says when it was sent: {most:,.0f}/s")
    paced = [row.style.split() for row in rows]
    return [
        replace(row, style=f"paced {most * float(style[1]):.0f}") if style[0] == "paced" else row
        for row, style in zip(rows, paced, strict=True)
    ]


def measure(row: Row, blocks: int) -> dict[str, list[dict[str, float]]]:
    against = row.library or "pyzmq"
    found: dict[str, list[dict[str, float]]] = {"ours": [], against: []}
    luck = random.Random(row.title)
    for _ in range(blocks):
        for library in luck.sample(list(found), 2):
            found[library].append(read(row, library))
    return found


def read(row: Row, library: str) -> dict[str, float]:
    """One reading, by fresh processes."""
    style = "socket" if library == "socket" else row.style
    with tempfile.TemporaryDirectory() as folder:
        address = "tcp://127.0.0.1:0" if row.transport == "tcp" else f"ipc://{folder}/end"
        processes: list[subprocess.Popen[str]] = []
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if row.beside else None
        try:
            for role, cpu in zip(row.roles, row.cpus, strict=True):
                arguments = [sys.executable, ENDS, library, role, address, str(row.size), style, cpu]
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


def show(row: Row, found: dict[str, list[dict[str, float]]]) -> None:
    ours, theirs = found.values()
    for key in row.keys:
        show_figure(row, key, ours, theirs)


def show_figure(row: Row, key: str, ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    more_is_better = key == "rate"
    ratios = sorted(mine[key] / other[key] for mine, other in zip(ours, theirs, strict=True))
    low, high = interval(ratios)
    middle = statistics.median(ratios)
    cpu = statistics.median(mine["cpu"] / other["cpu"] for mine, other in zip(ours, theirs, strict=True))
    sign = "≥" if more_is_better else "≤"
    met = middle >= row.floor if more_is_better else middle <= row.floor
    unit = "/s" if more_is_better else "µs"
    title = row.title + (f", {NAMES[key]}" if row.figures else "")
    figures = "".join(f" {statistics.median(reading[key] for reading in side):9,.4g}{unit}" for side in (ours, theirs))
    ratio = f"{middle:.2f} [{low:.2f}, {high:.2f}]"
    print(
        f"{title:64}{figures}   {ratio:22} {cpu:9.2f}   {sign} {row.floor:<4g} {sign} {row.aim:<4g}"
        f"{'' if met else '  not met'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
