"""Which processors are chosen, on machines that are told."""

from __future__ import annotations

import pytest

from workbench.bench.placement import PlacementError, parse_cpus, place


def apart(cpu: int) -> set[int]:
    return {cpu}


def threads(cpu: int) -> set[int]:
    """Each core has two threads: 0 and 1, 2 and 3."""
    return {cpu // 2 * 2, cpu // 2 * 2 + 1}


def test_one_core_is_the_same_for_both() -> None:
    assert place("one-core", [4, 2, 3], apart).receiver == place("one-core", [4, 2, 3], apart).sender == [2]


def test_two_cores_are_two_physical_ones() -> None:
    found = place("two-cores", [0, 1, 2, 3], threads)
    assert (found.receiver, found.sender) == ([0], [2])
    assert str(found) == "receiver on processor 0, sender on processor 2"


def test_unpinned_says_so() -> None:
    assert str(place("unpinned", [0, 1], apart)) == "wherever the kernel puts them"


@pytest.mark.parametrize(("allowed", "why"), [([3], "only processor 3"), ([0, 1], "the threads of one core")])
def test_two_cores_that_are_not_there_are_refused_with_the_reason(allowed: list[int], why: str) -> None:
    with pytest.raises(PlacementError, match=why):
        place("two-cores", allowed, threads)


def test_the_kernels_lists_are_read() -> None:
    assert parse_cpus("0-3,8\n") == {0, 1, 2, 3, 8}
