"""How often the gate finds what was planted, and what was not: ``python tests/gate/confusion.py --runs 10``.

Each plant is a change of the sources, made in a clone of this repository's newest commit and judged against that commit
by `workbench check` as anybody calls it. What came of each run is a line in a file, so one can stop and go on;
`--table` prints what the file holds and runs nothing. Counting does not mind a busy machine; timing (`--tier 2`) wants
a quiet one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).parent / "confusion.jsonl"


@dataclass(frozen=True)
class Plant:
    """A change: in a file, a text before which another is put."""

    title: str
    file: str = "README.md"
    before: str = ""
    text: str = ""
    probes: tuple[str, ...] = ()
    """What to look at; all if empty."""


PLANTS = {
    "nothing": Plant("nothing"),
    "built-anew": Plant("a comment, so that all is built anew", "engine/proto/src/lib.rs", "", "// Nothing.\n"),
    "send": Plant(
        "about 10 % more time for a send",
        "engine/python/src/real_socket.rs",
        "        let body = match socket.try_send_quietly(context, outgoing(data)?) {",
        "        for turn in 0..std::hint::black_box(43_u32) {\n            std::hint::black_box(turn);\n        }\n",
        ("send", "send-burst"),
    ),
    "system-call": Plant(
        "a system call more for each send",
        "engine/python/src/real_socket.rs",
        "        let body = match socket.try_send_quietly(context, outgoing(data)?) {",
        "        std::thread::yield_now();\n",
        ("send", "send-burst"),
    ),
    "simulator": Plant(
        "5 % more instructions for an event of the simulator's core",
        "engine/virtual/src/agenda.rs",
        "        loop {\n            if self.near.is_empty() && !self.draw() {",
        "        for turn in 0..std::hint::black_box(9_u32) {\n            std::hint::black_box(turn);\n        }\n",
        ("simulator", "queue"),
    ),
}


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tier", type=int, choices=(1, 2), action="append", help="only this tier; may be repeated")
    parser.add_argument("--plant", choices=PLANTS, action="append", help="only this; may be repeated")
    parser.add_argument("--runs", type=int, default=10, help="how many runs of each there should be")
    parser.add_argument("--kept", type=Path, default=KEPT, help="the file of what came of each run")
    parser.add_argument("--cache", type=Path, help="where versions are built, if not where the gate builds them")
    parser.add_argument("--table", action="store_true", help="print what there is and run nothing")
    given = parser.parse_args()
    if not given.table:
        with tempfile.TemporaryDirectory() as folder:
            for name in given.plant or PLANTS:
                for tier in given.tier or (1, 2):
                    fill(Path(folder), name, tier, given)
    print(table(lines(given.kept)))


def fill(folder: Path, name: str, tier: int, given: argparse.Namespace) -> None:
    """Make as many runs as are missing."""
    there = sum(line["plant"] == name and line["tier"] == tier for line in lines(given.kept))
    for run in range(there, given.runs):
        clone = planted(folder, name)
        words = ["check", "--base", "HEAD", "--tier", str(tier), "--seed", str(run + 1), "--json"]
        words += [word for probe in PLANTS[name].probes for word in ("--probe", probe)]
        if given.cache is not None:
            words += ["--cache", str(given.cache.resolve())]
        # The gate that judges is this one, whatever the clone holds.
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-P", "-m", "workbench", *words]
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
        if done.returncode not in (0, 1, 3):
            raise SystemExit(f"{name}, tier {tier}: {done.stderr.strip()}")
        found = json.loads(done.stdout)
        kept = {key: found[key] for key in ("outcome", "regressions", "unsure", "timed")}
        kept["counted"] = [row for row in found["counted"] if abs(row["head"] - row["base"]) > 0.005 * row["base"]]
        line = {"plant": name, "tier": tier, "run": run, "base": found["base"], **kept}
        with given.kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{name}, tier {tier}, run {run + 1}: {found['outcome']} {', '.join(found['regressions'])}", flush=True)


def planted(folder: Path, name: str) -> Path:
    """A clone with the change in it."""
    clone, plant = folder / name, PLANTS[name]
    if clone.exists():
        return clone
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(clone)], check=True)
    if plant.text:
        file = clone / plant.file
        source = file.read_text(encoding="utf-8")
        if source.count(plant.before) != 1 and plant.before:
            raise SystemExit(f"{plant.file} is not what it was when '{name}' was thought of")
        changed = source.replace(plant.before, plant.text + plant.before) if plant.before else source + plant.text
        file.write_text(changed, encoding="utf-8")
    return clone


def lines(kept: Path) -> list[dict[str, Any]]:
    """What came of each run."""
    return [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []


def table(found: list[dict[str, Any]]) -> str:
    """In Markdown: what was planted, and how often each tier said what."""
    rows = [
        "| planted | tier | runs | regression | inconclusive | pass | found by |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for line in found:
        groups[line["plant"], line["tier"]].append(line)
    for name, plant in PLANTS.items():
        for tier, title in ((1, "counted"), (2, "timed")):
            group = groups.get((name, tier), [])
            if group:
                outcomes = [line["outcome"] for line in group]
                counts = " | ".join(str(outcomes.count(each)) for each in ("regression", "inconclusive", "pass"))
                by = sorted({finding for line in group for finding in line["regressions"]})
                told = ", ".join(by[:4]) + (" …" if len(by) > 4 else "")
                rows.append(f"| {plant.title} | {title} | {len(group)} | {counts} | {told} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
