"""From what two ends said to metrics, with numbers that can be checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.bench.readings import SpoiltError, closed, coarse, enough, flood, quantile, supported
from workbench.bench.ring import Ring, Tracker

END = {"seconds": 2.0, "messages": 1000, "cpu_s": 0.5, "voluntary": 7, "involuntary": 2}


def test_throughput_is_the_receivers_and_processor_time_is_of_both() -> None:
    sender = END | {"seconds": 1.0, "messages": 100, "cpu_s": 0.2}
    found = flood(END, sender, {"received": 1500, "breaks": 0}, {"sent": 1500})
    assert found.metrics == {"throughput": 500.0, "cpu_per_message": pytest.approx(0.0025)}
    assert found.counts == {
        "sent": 1500,
        "received": 1500,
        "lost": 0,
        "out_of_turn": 0,
        "switches_voluntary": 14,
        "switches_involuntary": 4,
    }
    assert not found.notes


def test_lost_messages_are_counted_and_told() -> None:
    found = flood(END, END, {"received": 1490, "breaks": 3}, {"sent": 1500})
    assert found.counts["lost"] == 10
    assert found.notes == ("of 1,500 messages 10 were lost and 3 came out of turn",)


def test_a_window_without_messages_is_no_reading() -> None:
    with pytest.raises(SpoiltError, match="not a single message"):
        flood(END | {"messages": 0}, END, {"received": 0, "breaks": 0}, {"sent": 0})


def asker(took: list[int]) -> dict[str, Any]:
    return END | {"messages": len(took), "round_trips_ns": took}


def test_percentiles_are_samples_that_were_seen() -> None:
    found = closed(END, asker(list(range(10_000, 0, -1))), {"sent": 12_000, "wrong": 0})
    assert found.metrics["round_trip.p50"] == 5000e-9
    assert found.metrics["round_trip.p90"] == 9000e-9
    assert found.metrics["round_trip.p99"] == 9900e-9
    assert found.events == 12_000


def test_a_percentile_that_the_sample_does_not_support_is_left_out_and_told() -> None:
    found = closed(END, asker([1000] * 299), {"sent": 300, "wrong": 0})
    assert set(found.metrics) == {"round_trip.p50", "cpu_per_message"}
    assert len(found.notes) == 2
    assert supported(3000, 0.99)
    assert enough() == 3000
    assert not supported(2999, 0.99)


def test_an_answer_to_another_request_spoils_the_reading() -> None:
    with pytest.raises(SpoiltError, match="2 of 300 answers"):
        closed(END, asker([1000] * 299), {"sent": 300, "wrong": 2})


def test_the_kept_histogram_has_three_digits_and_all_samples() -> None:
    kept = coarse(np.array([1, 999, 1004, 1006, 123_456, 123_499, 9_999_999]))
    assert kept.values.tolist() == [1, 999, 1000, 1010, 123_000, 10_000_000]
    assert kept.count == 7


def test_a_quantile_is_the_smallest_sample_that_enough_do_not_exceed() -> None:
    ten = np.arange(1, 11)
    assert [quantile(ten, q) for q in (0.05, 0.1, 0.5, 0.51, 1.0)] == [1e-9, 1e-9, 5e-9, 6e-9, 10e-9]


def test_a_ring_in_its_order_has_no_breaks() -> None:
    ring = Ring(64)
    tracker = Tracker(ring)
    for message in (ring.messages * 3)[:600]:
        tracker.check(message)
    tracker.check(ring.end)
    assert (tracker.count, tracker.breaks, tracker.ended) == (600, 0, True)


@pytest.mark.parametrize("missing", [1, 5, 255])
def test_a_gap_is_noticed_once_even_among_messages_that_were_trusted(missing: int) -> None:
    ring = Ring(64)
    tracker = Tracker(ring)
    stream = ring.messages * 4
    del stream[300 : 300 + missing]
    tracker.check(stream[0])
    for at in range(1, 501, 100):
        tracker.trust(99)
        tracker.check(stream[at + 99])
    assert (tracker.count, tracker.breaks) == (501, 1)


def test_two_messages_that_changed_places_are_noticed() -> None:
    ring = Ring(64)
    tracker = Tracker(ring)
    for at in (0, 1, 3, 2, 4):
        tracker.check(ring.messages[at])
    assert tracker.breaks == 3


def test_a_message_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="63 bytes"):
        Tracker(Ring(64)).check(bytes(63))


def test_a_ring_of_large_messages_stays_small() -> None:
    assert len(Ring(2**20).messages) == 4
    assert len(Ring(0).messages[0]) == 8
