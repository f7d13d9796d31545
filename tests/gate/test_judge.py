"""What the gate concludes, prints, excuses and remembers."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from workbench.bench.gate import history, limits, sides
from workbench.bench.gate.counters import Counted
from workbench.bench.gate.judge import Digest, Judgement
from workbench.bench.gate.limits import GateFile, LimitsError, Waiver
from workbench.bench.gate.sides import Side, SideError
from workbench.bench.gate.summary import markdown

TODAY = datetime.date(2030, 1, 10)
ROOT = Path(__file__).resolve().parents[2]


def judgement(*waivers: Waiver, head: float = 110.0, digest: str = "a", **more: object) -> Judgement:
    base, now = (Side(name, name, name, Path()) for name in ("base", "head"))
    rows = [Counted("send", "instructions", 100.0, head, 102.0), Counted("send", "system_calls", 1.0, 1.0, 1.5)]
    return Judgement(
        base,
        now,
        GateFile(waivers=waivers),
        TODAY,
        rows,
        [Digest("queue", "a", digest)],
        **more,  # type: ignore[arg-type]
    )


def waiver(finding: str, day: int) -> Waiver:
    return Waiver(finding=finding, until=datetime.date(2030, 1, day), because="it is known and being worked on")


def test_a_finding_blocks_until_it_is_excused_and_again_when_the_excuse_ends() -> None:
    assert judgement(head=101.0).outcome == "pass"
    assert judgement().blocking == ["send: instructions"]
    assert judgement(waiver("send: instructions", 10)).outcome == "pass"
    late = judgement(waiver("send: instructions", 9))
    assert late.outcome == "regression"
    assert "has ended on 2030-01-09" in markdown(late)


def test_other_numbers_of_a_simulation_are_a_finding() -> None:
    found = judgement(head=100.0, digest="b")
    assert found.blocking == ["queue: simulated numbers"]
    assert judgement(waiver("queue: simulated numbers", 20), head=100.0, digest="b").outcome == "pass"
    assert judgement(head=100.0, digest="error: it broke").outcome == "regression"


def test_what_cannot_be_measured_makes_it_inconclusive_but_hides_no_regression() -> None:
    assert judgement(head=100.0, uncounted=("no ptrace",)).outcome == "inconclusive"
    assert judgement(uncounted=("no ptrace",)).outcome == "regression"


def test_the_summary_shows_what_changed() -> None:
    text = markdown(judgement())
    assert text.startswith("### Performance: a regression\n")
    assert "**send: instructions** is a regression" in text
    assert "**100 → 110 (+10.0%)**" in text


def test_the_file_of_the_repository_says_the_defaults() -> None:
    assert limits.read(ROOT / limits.FILE).limits == limits.Limits()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits: {instruction: 0.1}", r"limits\.instruction: extra inputs"),
        ("limits: {time: 3}", r"limits\.time: input should be less than or equal to 1"),
        (
            "waivers: [{finding: x, until: soon, because: because it is so}]",
            r"waivers\.0\.until: input should be a valid date",
        ),
        ("waivers: [{finding: x, until: 2030-01-01}]", r"waivers\.0\.because: field required"),
        ("limits: {", "while parsing"),
    ],
)
def test_a_wrong_file_is_told_where_and_how(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(text)
    with pytest.raises(LimitsError, match=rf"gate\.yaml: .*{said}"):
        limits.read(file)


def test_a_commit_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(SideError, match="nonsense"):
        sides.of_commit(ROOT, "nonsense", tmp_path, lambda _: None)
    with pytest.raises(SideError, match="git"):
        sides.repository(tmp_path)


def kept(path: Path, values: list[float]) -> list[history.Step]:
    for number, value in enumerate(values):
        history.append(path, commit=f"c{number}", machine="m", figures={"send": value, "queue": 5.0})
    return history.steps(history.runs(path, "m"))


def test_a_step_in_the_history_is_found_where_it_is_and_noise_is_none(tmp_path: Path) -> None:
    noise = [1.0, 1.02, 0.99, 1.01, 0.98, 1.0, 1.01, 0.99]
    assert kept(tmp_path / "flat", noise) == []
    (step,) = kept(tmp_path / "step", [*noise, *(1.1 * value for value in noise)])
    assert (step.figure, step.commit) == ("send", "c8")
    assert step.change == pytest.approx(0.1, abs=0.01)
    # A single point is no step, however high.
    assert kept(tmp_path / "spike", [*noise, 3.0, *noise]) == []


def test_of_another_machine_and_of_a_torn_line_the_history_knows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history.append(path, commit="a", machine="other", figures={"send": 1.0})
    with path.open("a") as file:
        file.write('{"commit": "b", "mach\n')
    history.append(path, commit="c", machine="m", figures={"send": 1.0})
    assert [run["commit"] for run in history.runs(path, "m")] == ["c"]
