"""Subscriptions measured: keys that are what they are said to be, readings that are right, memory that suffices."""

import numpy as np
import pytest

from workbench.bench import subscriptions
from workbench.scenario import parse, points
from workbench.scenario.schema import KeysName, Subscriptions

KINDS: list[KeysName] = ["random", "hierarchical", "pathological"]


@pytest.mark.parametrize("keys", KINDS)
def test_topics_are_all_different_and_the_same_for_a_seed(keys: KeysName) -> None:
    drawn = subscriptions.draw(keys, 5_000, np.random.default_rng(1))
    assert drawn.shape == (5_000, subscriptions.WIDTHS[keys])
    assert len({row.tobytes() for row in drawn}) == 5_000
    assert (drawn == subscriptions.draw(keys, 5_000, np.random.default_rng(1))).all()


def test_hierarchical_topics_read_as_such() -> None:
    drawn = subscriptions.draw("hierarchical", 100_000, np.random.default_rng(1))
    assert b"region-1/rack-0031/host-39/open-files" in {row.tobytes() for row in drawn}


@pytest.mark.parametrize("keys", KINDS)
@pytest.mark.parametrize("index", ["radix", "trie", "list"])
def test_a_reading_has_room_and_times(index: str, keys: KeysName) -> None:
    wanted = Subscriptions(topics=500, keys=keys, index=index)
    found = subscriptions.reading(wanted, np.random.default_rng(1))
    assert found["subscription.bytes"] < subscriptions.ROOM[wanted.index][keys] * 1.5
    assert all(0 < found[f"subscription.{what}_time"] < 1e-3 for what in ("match", "add", "remove"))
    assert ("subscription.zeromq" in found) == (index != "list")


def test_random_topics_take_what_was_reported_for_libzmq() -> None:
    room = {
        index: subscriptions.reading(
            Subscriptions(topics=10_000, keys="random", index=index), np.random.default_rng(1)
        )["subscription.zeromq"]
        for index in ("trie", "radix")
    }
    assert room["radix"] / room["trie"] == pytest.approx(0.098, rel=0.02)


def test_an_index_that_memory_is_too_small_for_is_left_out_with_the_estimate() -> None:
    wanted = Subscriptions(topics=10_000_000, keys="random", index="trie")
    refused = subscriptions.too_large(wanted, free=4 << 30)
    assert refused is not None
    assert "a trie of 10,000,000 random topics was left out: it would take about 7.2 GB" in refused
    assert subscriptions.too_large(wanted, free=64 << 30) is None


def test_every_point_is_measured_in_every_block() -> None:
    text = "{version: 1, kind: subscriptions, name: few, topics: [10], keys: [random], blocks: 2}"
    scenario = parse(text)
    runs = subscriptions.measure(scenario, points(scenario), 2)
    assert [(run.point, run.index) for run in runs] == [(point, block) for point in range(3) for block in range(2)]
    assert all(run.metrics["subscription.match_time"] > 0 for run in runs)
    # Room is counted, not measured: of a list it is the same whatever the topics.
    assert len({run.metrics["subscription.bytes"] for run in runs if run.point == 2}) == 1
