"""From what two ends said to metrics, with numbers that can be checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.bench.readings import SpoiltError, closed, coarse, enough, flood, merged, one_way, quantile, supported
from workbench.bench.ring import Ring, Tracker

END = {"seconds": 2.0, "messages": 1000, "cpu_s": 0.5, "voluntary": 7, "involuntary": 2, "memory": 3e6}
WIRE = {"wire_bytes": 108_000, "segments": 3000}


def test_throughput_is_the_receivers_and_processor_time_is_of_both() -> None:
    sender = END | {"seconds": 1.0, "messages": 100, "cpu_s": 0.2}
    found = flood(END, sender, WIRE | {"received": 1500, "breaks": 0}, {"sent": 1500})
    assert found.metrics == {
        "throughput": 500.0,
        "cpu_per_message": pytest.approx(0.0025),
        "switches_per_message": pytest.approx(0.099),
        "memory": 6e6,
        "wire_bytes_per_message": 72.0,
        "segments_per_message": 2.0,
    }
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
    found = flood(END, END, WIRE | {"received": 1490, "breaks": 3}, {"sent": 1500})
    assert found.counts["lost"] == 10
    assert found.notes == ("of 1,500 messages 10 were lost and 3 came out of turn",)


def test_a_window_without_messages_is_no_reading() -> None:
    with pytest.raises(SpoiltError, match="not a single message"):
        flood(END | {"messages": 0}, END, WIRE | {"received": 0, "breaks": 0}, {"sent": 0})


def test_ends_of_one_role_add_up() -> None:
    slow, quick = END | {"round_trips_ns": [1, 2]}, END | {"seconds": 0.5, "messages": 500, "round_trips_ns": [3]}
    both = merged([slow, quick])
    # 500 and 1,000 a second.
    assert both["messages"] / both["seconds"] == pytest.approx(1500.0)
    assert both["cpu_s"] == 1.0
    assert both["round_trips_ns"] == [1, 2, 3]
    assert merged([slow]) is slow


def scheduled(received: int, seconds: float = 1.0, left: int = 0) -> Any:
    receiver = END | {"seconds": seconds, "messages": received, "latencies_ns": list(range(1, received + 1))}
    sender = END | {"messages": 3000 - left, "left": left, "offered": 3000.0, "possible": 9000.0}
    return one_way(receiver, sender)


def test_messages_on_schedule_have_a_latency_if_they_kept_to_it() -> None:
    found = scheduled(3000)
    assert found.metrics["latency.p50"] == 1500e-9
    assert found.metrics["latency.p99"] == 2970e-9
    assert "latency.p999" not in found.metrics
    assert found.counts["lost"] == 0
    assert not found.notes
    assert scheduled(2999).notes[0] == "of 3,000 messages 1 were lost"


@pytest.mark.parametrize("late", [{"seconds": 1.02}, {"left": 1}])
def test_messages_that_did_not_keep_up_have_no_latency_but_a_reason(late: dict[str, Any]) -> None:
    found = scheduled(3000 - late.get("left", 0), **late)
    assert not [name for name in found.metrics if name.startswith("latency")]
    assert found.notes[0].startswith("overloaded: 3,000 messages a second were meant")


def asker(took: list[int]) -> dict[str, Any]:
    return END | {"messages": len(took), "round_trips_ns": took}


def test_percentiles_are_samples_that_were_seen() -> None:
    found = closed(END, asker(list(range(10_000, 0, -1))), WIRE | {"sent": 12_000, "wrong": 0})
    assert found.metrics["round_trip.p50"] == 5000e-9
    assert found.metrics["round_trip.p90"] == 9000e-9
    assert found.metrics["round_trip.p99"] == 9900e-9
    assert found.events == 12_000


def test_a_percentile_that_the_sample_does_not_support_is_left_out_and_told() -> None:
    found = closed(END, asker([1000] * 299), WIRE | {"sent": 300, "wrong": 0})
    assert {name for name in found.metrics if "round_trip" in name} == {"round_trip.p50"}
    assert len(found.notes) == 2
    assert supported(3000, 0.99)
    assert enough() == 3000
    assert not supported(2999, 0.99)


def test_an_answer_to_another_request_spoils_the_reading() -> None:
    with pytest.raises(SpoiltError, match="2 of 300 answers"):
        closed(END, asker([1000] * 299), WIRE | {"sent": 300, "wrong": 2})


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


def test_of_several_senders_each_must_have_ended() -> None:
    rings = [Ring(64, number) for number in range(3)]
    tracker = Tracker(rings[0], 3, in_turn=False)
    for ring in rings:
        assert not tracker.ended
        for message in (*ring.messages[::2], ring.end, ring.end):
            tracker.check(message)
    assert (tracker.count, tracker.breaks, tracker.ended) == (3 * 128, 0, True)


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
