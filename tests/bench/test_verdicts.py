"""The sentences, word for word, from blocks whose ratios are known."""

from __future__ import annotations

from workbench.bench.verdicts import verdicts
from workbench.results import Point, estimate
from workbench.results.result import Replication
from workbench.scenario.schema import Comparison

BLOCKS = 10
LIBRARIES = Comparison("library", "ours", ("zeromq",), ("ping:round_trip.p50",))


def measured(setting: dict[str, object], metric: str, values: list[float], again: list[float] | None = None) -> Point:
    runs = []
    for at, value in enumerate(values):
        metrics = {metric: value} | ({f"{metric}.again": again[at]} if again else {})
        runs.append(Replication(point=0, index=at, seed=1, metrics=metrics))
    return estimate.summarise(setting, runs)


def pair(ratio: float, wobble: float = 0.005, blocks: int = BLOCKS, metric: str = "ping:round_trip.p50") -> list[Point]:
    """Ours at about `ratio` times ZeroMQ's, both drifting together; the control wobbles by up to 1 %."""
    drift = [1e-5 * (1 + at / 3) for at in range(blocks)]
    shake = [1 + wobble * (at - blocks // 2) / blocks for at in range(blocks)]
    ours = [level * ratio * by for level, by in zip(drift, shake, strict=True)]
    again = [value * (1 + 0.02 * (at - blocks // 2) / blocks) for at, value in enumerate(ours)]
    return [
        measured({"library": "ours", "placement": "two-cores"}, metric, ours, again),
        measured({"library": "zeromq", "placement": "two-cores"}, metric, drift),
    ]


def test_a_smaller_round_trip_is_a_part_of_the_others() -> None:
    told, controls = verdicts(pair(0.15, wobble=0.1), LIBRARIES)
    assert [verdict.text for verdict in told] == [
        "two cores: our engine's round trip takes 0.149 of ZeroMQ's (95 % interval 0.144–0.154, 10 blocks; A/A ± 0.008)"
    ]
    assert len(controls) == 1
    # The verdict's own ratio is other over baseline, as everywhere.
    assert told[0].ratio is not None
    assert told[0].ratio.value is not None
    assert 6.4 < told[0].ratio.value < 7.0


def test_a_greater_throughput_is_so_many_times_the_others() -> None:
    comparison = Comparison("library", "ours", ("zeromq",), ("flood:throughput",))
    told, _ = verdicts(pair(5.2, metric="flood:throughput"), comparison)
    assert told[0].text.startswith(
        "two cores: our engine's throughput is 5.199 times ZeroMQ's (95 % interval 5.190–5.208, "
    )


def test_a_difference_below_the_control_is_not_claimed() -> None:
    told, _ = verdicts(pair(1.004), LIBRARIES)
    assert told[0].text.startswith(
        "two cores: our engine's round trip and ZeroMQ's cannot be told apart: a ratio of 1.00"
    )


def test_few_blocks_give_a_ratio_and_no_claim() -> None:
    told, _ = verdicts(pair(0.5, blocks=3), LIBRARIES)
    assert "takes about 0.500 of ZeroMQ's (no interval from 3 blocks; no A/A interval)" in told[0].text


def test_a_point_without_values_says_why() -> None:
    ours = pair(0.5)[0]
    nothing = estimate.summarise(
        {"library": "zeromq", "placement": "two-cores"},
        [Replication(point=1, index=0, seed=1, metrics={}, notes=["ping: ZeroMQ is not there"])],
    )
    told, _ = verdicts([ours, nothing], LIBRARIES)
    assert "cannot be compared" in told[0].text
    assert "(ping: ZeroMQ is not there)" in told[0].text


def test_only_points_that_differ_in_nothing_else_are_compared() -> None:
    points = pair(0.15)
    other = measured({"library": "zeromq", "placement": "one-core"}, "ping:round_trip.p50", [1e-5] * BLOCKS)
    told, _ = verdicts([*points, other], LIBRARIES)
    assert [verdict.other["placement"] for verdict in told] == ["two-cores"]


def test_the_workload_is_named_where_several_have_the_quantity() -> None:
    points = [
        estimate.summarise(
            {"library": library},
            [
                Replication(point=0, index=at, seed=1, metrics={"small:throughput": 2.0, "large:throughput": 1.0})
                for at in range(2)
            ],
        )
        for library in ("ours", "zeromq")
    ]
    told, _ = verdicts(points, Comparison("library", "ours", ("zeromq",), ("small:throughput",)))
    assert told[0].text.startswith("our engine's throughput (small) is about 1.00 times ZeroMQ's")


def test_another_axis_than_the_library_is_told_in_plain_words_with_its_control() -> None:
    points = [
        measured({"workloads.flood.size": "64 B"}, "flood:throughput", [2.0] * 8, [2.0] * 8),
        measured({"workloads.flood.size": "1 MB"}, "flood:throughput", [1.0] * 8),
    ]
    told, _ = verdicts(points, Comparison("workloads.flood.size", "64 B", ("1 MB",), ()))
    assert len(told) == 1
    assert told[0].text.endswith("; A/A ± 0.000")


def test_without_a_sweep_there_is_a_control_and_no_verdict() -> None:
    only = measured({}, "flood:throughput", [2.0] * 8, [2.0] * 8)
    told, controls = verdicts([only], None)
    assert not told
    assert len(controls) == 1
