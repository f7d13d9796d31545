"""What notebooks are made of: runs that are kept with the repository, and the parts of a run as a reader sees them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.report import pictures, setting, tables
from workbench.results import Result, Run, open_run
from workbench.results.wording import estimate_text, failure_text, interval_text

if TYPE_CHECKING:
    from workbench.scenario import Scenario


@dataclass(frozen=True)
class Kept:
    """A run with the scenario that it is of. Its methods show, in a notebook, one part each."""

    run: Run
    scenario: Scenario

    @property
    def result(self) -> Result:
        """What the run found."""
        return self.run.result

    def question(self) -> None:
        """The question, and what asks it anew."""
        world = " --world real" if self.result.world == "real" else ""
        _markdown(f"> {self.scenario.question}\n\n`workbench run scenarios/{self.scenario.name}.yaml{world}`")

    def model(self) -> None:
        """What the scenario declares, as a list."""
        scenario = self.scenario
        lines = [
            f"link {' – '.join(link.between)}: {link.one_way * 2e3:g} ms there and back, "
            f"jitter {link.jitter * 1e3:g} ms on average"
            for link in scenario.links
        ]
        for name, service in scenario.services.items():
            where = ", ".join(f"{count} in {site}" for site, count in service.at.items())
            lines.append(f"{name} ({service.pattern}): {where}; {service.time} for a message")
        lines += [f"{name}: {load.load}, to {load.to}" for name, load in scenario.workloads.items()]
        run = scenario.run
        lines.append(f"a run takes {run.duration:g} s, the first {run.measured_from:g} s not measured")
        lines.append(f"{len(self.result.points[0].replications)} runs for each point, with the same luck")
        for key, values in scenario.sweep.items():
            lines.append(f"swept: `{key}` over {', '.join(str(value) for value in values)}")
        _markdown("\n".join(f"- {line}" for line in lines))

    def picture(self, name: str) -> None:
        """A figure of the run, with its caption: `curves`, `latency`, `answers-over-time`, `metrics`, `libraries`."""
        from IPython.display import Image, display

        asked = setting.read(self.run.scenario_yaml)
        found = {picture.name: picture for picture in pictures.pictures(self.run, asked)}
        if name not in found:
            raise KeyError(f"this run has no figure {name!r}; it has {', '.join(found)}")
        display(Image(found[name].png))  # type: ignore[no-untyped-call]
        _markdown(f"*{found[name].caption}*")

    def table(self, *metrics: str) -> None:
        """These metrics of every point, with their intervals; without names the main ones."""
        print(tables.text(tables.grid(self.result, list(metrics) or None)))

    def verdicts(self) -> None:
        """What comparing the points says."""
        _markdown("\n".join(f"- {verdict.text}" for verdict in self.result.verdicts))

    def expected(self) -> None:
        """Whether what the scenario expects holds."""
        found = [f"{'holds' if it.holds else failure_text(it)}: {it.text}" for it in self.result.expectations]
        _markdown("\n".join(f"- {line}" for line in found))

    def told(self, metric: str, **where: Any) -> str:
        """A value with its interval, at the first point that was set so; `_` stands for `.` and `-` in keys."""
        for point in self.result.points:
            given = {key.rsplit(".", 1)[-1].replace("-", "_"): value for key, value in point.set.items()}
            if all(str(given.get(key)) == str(value) for key, value in where.items()):
                estimate = point.metrics[metric]
                return f"{estimate_text(estimate)} {interval_text(estimate)}".strip()
        raise KeyError(f"no point was set to {where}")


def kept(name: str) -> Kept:
    """A run of the reference results, by scenario and world: ``kept("survey-deadline/simulated")``."""
    return opened(open_run(name, root=home() / "results" / "reference"))


def opened(run: Run) -> Kept:
    """Any run."""
    from workbench.scenario import parse

    return Kept(run, parse(run.scenario_yaml, name="scenario.yaml"))


def home() -> Path:
    """The repository that the notebook is in."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "results" / "reference").is_dir():
            return folder
    raise FileNotFoundError(f"there is no results/reference in {here} or above; start the notebook in the repository")


def say(text: str) -> None:
    """Text with values in it."""
    _markdown(text)


def _markdown(text: str) -> None:
    from IPython.display import Markdown, display

    display(Markdown(text))  # type: ignore[no-untyped-call]
