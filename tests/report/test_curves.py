"""Curves over a swept number, and stories: what they draw is what was found."""

import json

import pytest

from workbench.report import curves, stories
from workbench.results import Replication, estimate
from workbench.results.result import Result
from workbench.scenario import parse
from workbench.sim import story


def found(values: list[tuple[dict[str, object], list[float]]], metric: str = "latency.mean") -> Result:
    points = [
        estimate.summarise(
            setting, [Replication(place, index, 1, {metric: value}) for index, value in enumerate(samples)]
        )
        for place, (setting, samples) in enumerate(values)
    ]
    return Result("curves", "virtual", "", points)


def test_a_line_for_each_other_setting_with_theory_over_it() -> None:
    sweep = [
        ({"deadline": f"{span} ms", "routing": policy}, [span / 1e3, span / 1e3 + 1e-3])
        for span in (10, 20, 40)
        for policy in ("one", "two")
    ]
    theory = [{"latency.mean": 0.01}] * len(sweep)
    figure = curves.curves(found(sweep), ["latency.mean"], theory)
    assert figure is not None
    (panel,) = figure.axes
    assert panel.get_xlabel() == "deadline (ms)"
    assert panel.get_ylabel() == "mean latency\n(ms)"
    lines = {line.get_label(): list(line.get_ydata()) for line in panel.lines}
    assert lines["one"] == pytest.approx([10.5, 20.5, 40.5])
    assert lines["theory"] == pytest.approx([10, 10, 10])


def test_numbers_that_are_far_apart_have_a_logarithmic_axis_and_columns_share_theirs() -> None:
    sweep = [
        ({"topics": topics, "index": index, "keys": keys}, [topics * 1e-9, topics * 2e-9])
        for topics in (100, 10_000, 1_000_000)
        for index in ("radix", "list")
        for keys in ("random", "hierarchical")
    ]
    figure = curves.curves(found(sweep), ["latency.mean"])
    assert figure is not None
    assert [panel.get_xscale() for panel in figure.axes] == ["log", "log"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_there_is_no_curve_over_words_or_two_numbers() -> None:
    assert curves.curves(found([({"routing": name}, [1.0]) for name in "abc"]), ["latency.mean"]) is None
    assert curves.curves(found([({"workers": name}, [1.0]) for name in (1, 2)]), ["latency.mean"]) is None


STORY = """\
version: 1
name: story
sites: {a: , b: }
links: [{between: [a, b], rtt: 20 ms}]
services: {foo: {at: {a: 1, b: 1}, time: 1 ms}}
workloads: {users: {at: a, to: foo, load: poisson 100/s}}
faults: [{at: 1 s, for: 500 ms, kill: foo@b}]
run: {duration: 3 s}
"""


def test_a_story_is_a_trace_in_which_every_arrow_has_two_ends() -> None:
    trace = story.trace(*story.told(parse(STORY), seed=1))
    events = json.loads(trace)["traceEvents"]
    begun = {event["id"]: event for event in events if event["ph"] == "s"}
    ended = {event["id"]: event for event in events if event["ph"] == "f"}
    assert len(ended) > 100
    assert ended.keys() <= begun.keys()
    for number, end in ended.items():
        took = end["ts"] - begun[number]["ts"]
        assert took >= 9_999 if end["pid"] != begun[number]["pid"] else 49 <= took < 1_000
    assert {event["args"]["name"] for event in events if event["name"] == "process_name"} == {"a", "b"}
    assert any(event["ph"] == "i" and event["name"] == "killed" for event in events)
    assert max(event.get("ts", 0) for event in events) <= 1.25e6, "it ends soon after the fault"
    figure = stories.space_time(trace)
    assert figure is not None
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()][-1] == "service/foo/b/0"


def test_without_messages_there_is_no_diagram() -> None:
    assert stories.space_time(b'{"traceEvents": []}') is None
