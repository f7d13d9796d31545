"""The judgement as Markdown, for a pull request and for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

from workbench.bench.gate.counters import COUNTERS, Counted
from workbench.bench.gate.judge import Judgement
from workbench.bench.gate.trials import Timed

SENTENCES = {
    "pass": "no regression",
    "regression": "a regression",
    "inconclusive": "inconclusive: something could not be measured well enough; this blocks nothing",
}


def markdown(found: Judgement) -> str:
    """The whole judgement."""
    lines = [
        f"### Performance: {SENTENCES[found.outcome]}",
        "",
        f"{found.head.label} against {found.base.label}"
        + (" (the sources are the same)" if found.head.digest == found.base.digest else ""),
        "",
    ]
    for finding in found.found:
        waiver = found.waiver(finding)
        lines.append(
            f"- **{finding}** is a regression"
            if waiver is None
            else f"- {finding} is excused until {waiver.until}: {waiver.because}"
        )
    lines += [f"- not measured: {reason}" for reason in found.uncounted]
    lines += [
        f"- the waiver of '{one.finding}' has ended on {one.until}; remove it"
        for one in found.file.expired(found.today)
    ]
    lines += [f"- over many runs: {step}" for step in found.steps]
    if found.counted:
        lines += ["", *_counted(found.counted)]
    if found.digests:
        changed = [digest.scenario for digest in found.digests if digest.changed]
        same = sum(digest.comparable and not digest.changed for digest in found.digests)
        left = [digest for digest in found.digests if not digest.comparable and not digest.changed]
        lines += ["", f"Simulated with the same seed: {same} scenarios give the same numbers, to the last bit."]
        if changed:
            lines += [f"Other numbers: {', '.join(changed)}. If that is meant, say so in a waiver."]
        lines += [f"Not simulated: {one.scenario} ({one.head.removeprefix('error: ')[:120]})." for one in left]
    if found.timed:
        lines += ["", *_timed(found.timed)]
    return "\n".join(lines) + "\n"


def _counted(rows: Iterable[Counted]) -> list[str]:
    titles = {"instructions": "instructions", "allocations": "allocations", "system_calls": "system calls"}
    shown = ("instructions", "allocations", "system_calls", "bytes", "events")
    table: dict[str, dict[str, Counted]] = {}
    for row in rows:
        table.setdefault(row.probe, {})[row.counter] = row
    lines = [
        "Counted for one operation, base → head:",
        "",
        "| | " + " | ".join(titles.get(name, name) for name in shown) + " |",
        "|---|" + "---:|" * len(shown),
    ]
    for probe, cells in table.items():
        lines.append(f"| {probe} | " + " | ".join(_cell(cells.get(name)) for name in COUNTERS) + " |")
    return lines


def _cell(row: Counted | None) -> str:
    if row is None:
        return ""
    if f"{row.base:.4g}" == f"{row.head:.4g}":
        return f"{row.head:,.4g}"
    change = f" ({row.ratio - 1.0:+.1%})" if row.ratio is not None else ""
    text = f"{row.base:,.4g} → {row.head:,.4g}{change}"
    return f"**{text}**" if row.regressed else text


def _timed(rows: Iterable[Timed]) -> list[str]:
    lines = [
        "Timed in pairs, head over base:",
        "",
        "| | ns | ratio | 95 % interval | pairs | base against itself | margin | found from | |",
        "|---|---:|---:|---|---:|---|---:|---:|---|",
    ]
    for row in rows:
        ratio, control = row.ratio, row.control
        detectable = f"{row.detectable:.1%}" if row.detectable < math.inf else "–"
        base = sorted(block.base for block in row.blocks)[len(row.blocks) // 2]
        lines.append(
            f"| {row.probe} | {base:,.0f} | {_number(ratio.value)} | {_number(ratio.low)}–{_number(ratio.high)} "
            f"| {ratio.n} | {_number(control.low)}–{_number(control.high)} | {row.margin:.1%} | {detectable} "
            f"| {'**slower**' if row.verdict == 'slower' else row.verdict} |"
        )
    lines += [
        "",
        "*Found from*: the smallest slow-down that would be found in nine of ten cases; a smaller one may have passed.",
    ]
    return lines


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
