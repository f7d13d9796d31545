"""Measures our Rust API beside libzmq, nanomsg, NNG and plain TCP in C, in interleaved blocks of fresh process pairs.

usage: python engine/benches/native/compare.py [BLOCKS]

It needs cc, cargo and what is there of libzmq3-dev, libnanomsg-dev and libnng-dev; a library that is missing is left
out, visibly. Each row compares within blocks: the ratio is the median over the blocks of ours to theirs, with the
interval of its order statistics that holds the true median in at least 95 of 100 cases.
"""

import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from math import comb
from pathlib import Path

HERE = Path(__file__).parent
ENGINE = HERE.parents[1]
WINDOW = 1.0
LIBRARIES = {"libzmq": ("zeromq.c", ["-lzmq"]), "nanomsg": ("nanomsg.c", ["-lnanomsg"]), "NNG": ("nng.c", ["-lnng"])}
WALL = {"tcp": ("tcp.c", [])}
PORTS = itertools.count(23_000)

# Row: what is measured, whether more is better, the roles, the transport, the size, the processors.
ROWS = [
    (
        "PUSH/PULL tcp 64 B, a core for each end, a second",
        True,
        ("pull", "push"),
        "tcp",
        64,
        ("0", "1"),
    ),
    (
        "PUSH/PULL tcp 64 B wherever the kernel puts them, a second",
        True,
        ("pull", "push"),
        "tcp",
        64,
        ("-", "-"),
    ),
    (
        "PUSH/PULL tcp 1 KiB, a core for each end, a second",
        True,
        ("pull", "push"),
        "tcp",
        1024,
        ("0", "1"),
    ),
    ("PUSH/PULL inproc 64 B, a second", True, ("threads",), "inproc", 64, ("-",)),
    ("REQ/REP tcp 64 B on one core, µs", False, ("rep", "req"), "tcp", 64, ("0", "0")),
    ("REQ/REP tcp 64 B on two cores, µs", False, ("rep", "req"), "tcp", 64, ("0", "1")),
    ("REQ/REP tcp 64 B on two cores against spinning, µs", False, ("rep spin", "req spin"), "tcp", 64, ("0", "1")),
]


def main() -> None:
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        programs = build(Path(folder))
        for title, more_is_better, roles, transport, size, cpus in ROWS:
            names = [name for name in programs if measurable(name, roles, transport)]
            figures: dict[str, list[float]] = {name: [] for name in names}
            luck = random.Random(title)
            for _ in range(blocks):
                for name in luck.sample(names, len(names)):
                    figures[name].append(measure(programs[name], name, roles, transport, size, cpus))
            show(title, figures, more_is_better)


def build(folder: Path) -> dict[str, str]:
    """Build all that can be built; the programs by library, ours first."""
    command = ["cargo", "build", "--release", "--quiet", "-p", "sp-real", "--example", "measure"]
    subprocess.run(command, cwd=ENGINE, check=True)
    programs = {"ours": str(ENGINE / "target/release/examples/measure")}
    for name, (source, flags) in (LIBRARIES | WALL).items():
        program = str(folder / name)
        command = ["cc", "-O2", "-o", program, str(HERE / source), *flags, "-lpthread"]
        if subprocess.run(command, capture_output=True).returncode == 0:
            programs[name] = program
        else:
            print(f"{name} is left out: its development package is not installed")
    return programs


def measurable(name: str, roles: tuple[str, ...], transport: str) -> bool:
    if name == "tcp":
        return transport == "tcp"
    return name == "ours" or "spin" not in roles[0]


def measure(program: str, name: str, roles: tuple[str, ...], transport: str, size: int, cpus: tuple[str, ...]) -> float:
    address = f"tcp://127.0.0.1:{next(PORTS)}" if transport == "tcp" else "inproc://measured"
    # Only plain TCP tells a spinning role from another.
    spoken = [role if name == "tcp" else role.split()[0] for role in roles]
    started = []
    try:
        for role, cpu in zip(spoken, cpus, strict=True):
            arguments = [program, role, address, str(size), str(WINDOW), cpu]
            started.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True))
            if len(started) == 1 and started[0].stdout.readline().strip() != "ready":
                raise SystemExit(f"{name}: {role} did not start")
        teller = started[0] if roles[0] in ("pull", "threads") else started[1]
        said = json.loads(teller.stdout.readline())
    finally:
        for process in started:
            process.kill()
            process.wait()
    return said["rate"] if "rate" in said else said["p50_ns"] / 1e3


def show(title: str, figures: dict[str, list[float]], more_is_better: bool) -> None:
    print(f"\n{title}")
    ours = figures["ours"]
    for name, values in figures.items():
        line = f"  {name:8} {statistics.median(values):14,.1f}"
        if name != "ours":
            ratios = sorted(mine / theirs for mine, theirs in zip(ours, values, strict=True))
            low, high = interval(ratios)
            line += f"   ours is {statistics.median(ratios):.2f} of it [{low:.2f}, {high:.2f}]"
        print(line, "" if more_is_better or name == "ours" else "(less is better)", flush=True)


def interval(ascending: list[float]) -> tuple[float, float]:
    """The order statistics that hold the median in at least 95 % of cases; the extremes if there are too few values."""
    count = len(ascending)
    best = 0
    for rank in range(count // 2 + 1):
        outside = 2 * sum(comb(count, k) for k in range(rank + 1)) / 2**count
        if outside > 0.05:
            break
        best = rank
    return ascending[best], ascending[count - 1 - best]


if __name__ == "__main__":
    os.chdir(ENGINE)
    main()
