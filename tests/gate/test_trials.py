"""The sign test of the gate: what fires, what does not, and how often."""

from __future__ import annotations

import random

import pytest

from workbench.bench.gate.limits import Limits
from workbench.bench.gate.trials import Block, Timed, cut_off, fires, power


@pytest.mark.parametrize(("pairs", "needed"), [(12, 12), (16, 15), (20, 18), (24, 20), (30, 24), (40, 31), (50, 37)])
def test_the_cut_offs_are_those_of_the_binomial(pairs: int, needed: int) -> None:
    assert cut_off(pairs, 1e-3) == needed


@pytest.mark.parametrize(
    ("spread", "slower", "found"), [(0.03, 0.08, 0.998), (0.05, 0.10, 0.96), (0.05, 0.08, 0.57), (0.03, 0.05, 0.09)]
)
def test_the_power_is_that_of_the_published_table(spread: float, slower: float, found: float) -> None:
    assert power(slower, spread, 0.03, 30) == pytest.approx(found, abs=0.015)


def blocks(slower: float, spread: float, seed: int, count: int = 30, drift: float = 0.0) -> tuple[Block, ...]:
    luck = random.Random(seed)

    def value(factor: float) -> float:
        return 100.0 * factor * luck.lognormvariate(0.0, spread / 2**0.5)

    return tuple(Block(value(1.0), value(1.0 + slower), value(1.0 + drift)) for _ in range(count))


def verdict(slower: float, spread: float, seed: int, drift: float = 0.0) -> str:
    first = Timed("send", blocks(slower, spread, 2 * seed, drift=drift), Limits())
    if not fires(first.blocks, first.margin):
        return first.verdict
    return Timed("send", first.blocks, Limits(), blocks(slower, spread, 2 * seed + 1, drift=drift)).verdict


def test_the_same_code_is_never_slower() -> None:
    assert {verdict(0.0, 0.03, seed) for seed in range(300)} <= {"pass", "unsure"}


def test_a_tenth_is_found_where_it_can_be() -> None:
    found = [verdict(0.10, 0.03, seed) for seed in range(100)]
    assert found.count("slower") >= 90


def test_where_the_base_differs_from_itself_nothing_is_said() -> None:
    assert {verdict(0.10, 0.02, seed, drift=0.08) for seed in range(50)} == {"unsure"}
    assert verdict(0.5, 0.5, 1) == "unsure"


def test_what_fires_once_only_is_no_regression() -> None:
    slow, same = blocks(0.2, 0.01, 1), blocks(0.0, 0.01, 2)
    assert Timed("send", slow, Limits(), same).verdict == "pass"
    assert Timed("send", slow, Limits(), slow).verdict == "slower"


def test_what_could_not_fire_any_more_is_settled_and_then_would_not_have_fired() -> None:
    settled = 0
    for seed in range(200):
        slower, spread = (0.0, 0.02, 0.05)[seed % 3], (0.01, 0.03)[seed % 2]
        every = blocks(slower, spread, seed)
        for count in range(len(every)):
            begun = Timed("send", every[:count], Limits())
            if begun.settled:
                assert count >= 12
                assert not fires(every, begun.margin)
                assert not fires(every, Limits().time)
                settled += 1
                break
    assert settled > 60
    assert not Timed("send", blocks(0.2, 0.01, 1), Limits()).settled
    assert not Timed("send", (), Limits()).settled


def test_the_smallest_that_can_be_found_is_told() -> None:
    quiet, noisy = (Timed("send", blocks(0.0, spread, 5), Limits()) for spread in (0.005, 0.05))
    assert 0.03 < quiet.detectable < 0.05 < noisy.detectable
    assert power(noisy.detectable, noisy.spread, noisy.margin, 30) >= 0.9
