"""The report of a run as one page that needs nothing else: no script, no font, no picture from anywhere.

All text is escaped, and the page's own policy forbids a browser to run or fetch anything, whatever a name may hold.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from workbench.report import pictures, tables, worlds
from workbench.report.pictures import Picture
from workbench.report.setting import Setting, read
from workbench.report.tables import Cell, Grid
from workbench.results.manifest import Manifest
from workbench.results.result import Result
from workbench.results.store import Run, counterpart
from workbench.results.wording import failure_text, quantity_text


def write(run: Run, *, beside: Run | None = None, alone: bool = False) -> Path:
    """Makes the figures and `report.html` in the run's folder and returns the page's path.

    The newest run of the same scenario in the other world is set beside it, or the one given as `beside`; with `alone`
    none is.
    """
    other = None if alone else beside or counterpart(run)
    setting = read(run.scenario_yaml)
    drawn = pictures.pictures(run, setting)
    compared = pictures.worlds_pictures(run, other) if other is not None else []
    for picture in [*drawn, *compared]:
        run.attach(f"figures/{picture.name}.png", picture.png)
    return run.attach("report.html", page(run, setting, drawn, other, compared).encode())


def page(
    run: Run, setting: Setting, drawn: Sequence[Picture], other: Run | None = None, compared: Sequence[Picture] = ()
) -> str:
    """The page's text. `drawn` are the run's figures, `compared` those that set it beside the `other` run."""
    result = run.result
    sections = [
        _section("Verdict", _verdicts(result)),
        _section("Expectations", _expectations(result)),
        _section("Numbers", _numbers(result)),
        _section("Figures", "".join(_figure(picture) for picture in drawn) + _trace(run)),
        _section("Simulated beside measured", _beside(run, other, compared) if other is not None else ""),
        _section("Links", _links(result)),
        _section("Notes", _notes(result)),
        _section("How this was made", _facts(run.manifest)),
        _section("Run it again", _again(run.manifest)),
    ]
    world = "real" if result.world == "real" else "virtual"
    title = f"{result.scenario} · {_WORLD.get(result.world, result.world)}"
    question = f'<p class="question">{_text(setting.question)}</p>' if setting.question else ""
    badge = f'<span class="badge">{_text(_WORLD.get(result.world, result.world))}</span>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body class="{world}">
<header>
<h1>{_text(result.scenario)} {badge}</h1>
{question}
</header>
<main>
{"".join(sections)}</main>
<footer>Run {_text(result.run)}. Intervals hold the true value in 95 of 100 such experiments.</footer>
</body>
</html>
"""


def _verdicts(result: Result) -> str:
    items = []
    for verdict in result.verdicts:
        saved = verdict.variance_reduction
        # Below 1.5 the pairing is not worth a sentence.
        note = (
            f" <small>Pairing did the work of {saved:,.1f} times as many replications.</small>"
            if saved and saved >= 1.5
            else ""
        )
        # A line does not end between a number and its sign.
        said = verdict.text.replace("n = ", "n\u00a0=\u00a0").replace(" %", "\u00a0%")
        items.append(f"<li>{_text(said)}.{note}</li>")
    return (
        f'<ul class="verdicts">{"".join(items)}</ul>' if items else "<p>Nothing was compared: one setting was run.</p>"
    )


def _expectations(result: Result) -> str:
    items = [
        f'<li class="{"holds" if item.holds else "fails"}"><b>{"holds" if item.holds else "fails"}</b> '
        f"<code>{_text(item.text)}</code>{'' if item.holds else _text(f': {failure_text(item)}')}</li>"
        for item in result.expectations
    ]
    return f'<ul class="expectations">{"".join(items)}</ul>' if items else ""


def _numbers(result: Result) -> str:
    main, everything = tables.main_metrics(result), tables.all_metrics(result)
    rest = [name for name in everything if name not in main]
    more = ""
    if rest:
        more = f"<details><summary>Every workload by itself</summary>{_table(tables.grid(result, rest))}</details>"
    return _table(tables.grid(result, main)) + more


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    caption = _text(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _trace(run: Run) -> str:
    if not (run.path / pictures.TRACE).is_file():
        return ""
    return (
        f'<p>A short piece of the run, message by message: <a href="{pictures.TRACE}">{pictures.TRACE}</a>, to be '
        "opened in ui.perfetto.dev or chrome://tracing.</p>"
    )


def _beside(run: Run, other: Run, compared: Sequence[Picture]) -> str:
    both = worlds.beside(run.result, other.result)
    what = "simulated" if other.manifest.world == "virtual" else "measured"
    intro = (
        f"<p>The {what} run is <code>{_text(other.manifest.scenario)}/{_text(other.name)}</code>. Differences are "
        "measured minus simulated, with Welch's 95 % interval.</p>"
    )
    apart = (
        "<p>How far the distributions lie apart: the greatest gap between their distribution functions, the mean "
        "distance between equally ranked answers, and the shift of single percentiles.</p>"
        + _table(worlds.distance_grid(both))
    )
    figures = "".join(_figure(picture) for picture in compared)
    return intro + figures + _table(worlds.grid(both)) + (apart if both.distances else "")


def _links(result: Result) -> str:
    rows = tuple((Cell(link.name), Cell(link.state)) for link in result.links)
    return _table(Grid(("link", "state"), rows)) if rows else ""


def _notes(result: Result) -> str:
    notes = dict.fromkeys(note for point in result.points for run in point.replications for note in run.notes)
    return f"<ul>{''.join(f'<li>{_text(note)}</li>' for note in notes)}</ul>" if notes else ""


def _facts(manifest: Manifest) -> str:
    machine = manifest.machine
    memory = machine.get("memory_bytes")
    code = manifest.code
    facts = [
        ("World", _WORLD.get(manifest.world, manifest.world)),
        ("Seed", str(manifest.seed)),
        (
            "Replications",
            f"{manifest.replications:,} over {manifest.points:,} {'point' if manifest.points == 1 else 'points'}",
        ),
        ("Events", f"{manifest.events:,}"),
        (
            "Wall time",
            quantity_text(manifest.wall_s, "s") + (", resumed after an interruption" if manifest.resumed else ""),
        ),
        ("Started", manifest.started),
        ("Stopped", manifest.stopped),
        ("Commit", (code.commit or "not under version control") + (", with local changes" if code.dirty else "")),
        ("Scenario", f"sha256 {manifest.scenario_sha256}"),
        (
            "Processor",
            f"{machine.get('cpu')}, {machine.get('cores')} cores, governor {machine.get('governor') or 'unknown'}",
        ),
        ("Memory", f"{memory / 2**30:.1f} GiB" if isinstance(memory, int) else "unknown"),
        ("System", f"{machine.get('kernel')}, {machine.get('python')}"),
        ("Load average", _sequence(machine.get("load_average"))),
        ("Stolen CPU time", quantity_text(machine.get("steal"), "1")),
        ("Versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        *((name, value if isinstance(value, str) else json.dumps(value)) for name, value in manifest.facts.items()),
    ]
    return f"<dl>{''.join(f'<dt>{_text(name)}</dt><dd>{_text(value)}</dd>' for name, value in facts)}</dl>"


def _again(manifest: Manifest) -> str:
    lines = [shlex.join(manifest.command)] if manifest.command else []
    if manifest.code.commit is not None:
        lines.insert(0, f"git checkout {manifest.code.commit[:12]}")
    warning = "<p>The code had local changes that no commit holds.</p>" if manifest.code.dirty else ""
    return f"<pre>{_text(chr(10).join(lines))}</pre>{warning}" if lines else ""


def _table(content: Grid) -> str:
    heads = "".join(f'<th scope="col">{_text(head)}</th>' for head in content.heads)
    rows = "".join(
        f'<tr><th scope="row">{_text(str(row[0]))}</th>{"".join(_cell(cell) for cell in row[1:])}</tr>'
        for row in content.rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(cell: Cell) -> str:
    interval = f" <small>{_text(cell.interval)}</small>" if cell.interval else ""
    return f"<td>{_text(cell.value)}{interval}</td>"


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{_text(title)}</h2>\n{content}\n</section>\n" if content else ""


def _text(value: str) -> str:
    return html.escape(value, quote=True)


def _sequence(values: object) -> str:
    return ", ".join(f"{value:.2f}" for value in values) if isinstance(values, Iterable) else "unknown"


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


_WORLD = {"virtual": "simulated", "real": "measured"}
_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --faint: #5f6368; --line: #dadce0; --page: #ffffff; --soft: #f5f6f8;
  --virtual: #0072B2; --real: #B84E00; --good: #00694B; --bad: #B3261E; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --faint: #a6abb1; --line: #3c4043; --page: #17181b;
  --soft: #212327; --virtual: #6CB8E8; --real: #F0934D; --good: #4FC79B; --bad: #F28B82; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 62rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
.question { font-size: 1.15rem; margin: 0; color: var(--faint); max-width: 46rem; }
.badge { font-size: .85rem; font-weight: 600; vertical-align: middle; white-space: nowrap; padding: .1rem .55rem;
  color: var(--accent); border: 1.5px solid; border-radius: 1rem; }
.virtual { --accent: var(--virtual); } .real { --accent: var(--real); }
ul { padding-left: 1.2rem; } li { margin: .35rem 0; }
.verdicts { list-style: none; padding: 0; }
.verdicts li { background: var(--soft); border-left: 4px solid var(--accent); padding: .6rem .9rem; margin: .5rem 0; }
.verdicts small { color: var(--faint); }
.expectations { list-style: none; padding: 0; }
.holds b { color: var(--good); } .holds b::before { content: "✓ "; }
.fails b { color: var(--bad); } .fails b::before { content: "✗ "; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 60%; }
th, td { padding: .35rem 0 .35rem 1.6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; padding-left: 0; } tbody th { font-weight: 400; } thead th { font-weight: 600; }
td small { color: var(--faint); font-size: .85em; }
figure { margin: 1.2rem 0 1.8rem; }
figure img { display: block; width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { color: var(--faint); font-size: .92rem; margin-top: .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; margin: 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .92em; }
code { overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .8rem 1rem; overflow-x: auto; margin: .5rem 0; }
summary { cursor: pointer; color: var(--faint); }
footer { margin-top: 2.5rem; color: var(--faint); font-size: .9rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) { body { padding: 1rem .9rem 2rem; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; } td small { display: block; } th:first-child { white-space: normal; }
  th, td { padding-left: .8rem; } h1 { font-size: 1.4rem; } .question { font-size: 1.05rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; color: #000; background: #fff; }
  figure img { max-height: 21cm; object-fit: contain; }
  figure, .verdicts li, tr { break-inside: avoid; } h2 { break-after: avoid; } .scroll { overflow: visible; }
  th, td { white-space: normal; } }
"""
