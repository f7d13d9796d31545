"""The directory and its answers: laws, whatever it is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.apps.discovery import Change, Directory, Malformed, Offer, Settings, Unknown
from workbench.apps.discovery.offer import MAX_ANSWER
from workbench.apps.discovery.resolve import Resolver
from workbench.engine.errors import OptionError
from workbench.engine.real import Stream

NAMES = st.sampled_from(["answer", "clock", "mail"])
OFFERS = st.builds(
    Offer, NAMES, st.integers(1, 4).map(lambda port: f"tcp://10.0.0.1:{port}"), st.sampled_from(["", "london"])
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["service", "address", "x"]), inner),
    max_leaves=6,
)
ANSWERS = OFFERS.map(Offer.answer) | st.binary(max_size=64) | JSON.map(lambda data: json.dumps(data).encode())
STEPS = st.lists(st.tuples(st.floats(0, 2), ANSWERS | st.none()), max_size=40)


@given(STEPS)
def test_what_answers_is_known_and_what_is_silent_is_forgotten(steps: list[tuple[float, bytes | None]]) -> None:
    """A model that only knows when each offer was heard of last agrees, and changes tell the same as the offers do."""
    directory = Directory(forget_after=3.0)
    heard: dict[Offer, float] = {}
    told: set[Offer] = set()
    now = 0.0
    for wait, answer in steps:
        now += wait
        if answer is None:
            directory.handle_time(now)
        elif (offer := directory.handle_answer(now, answer)) is not None:
            heard[offer] = now
        assert directory.offers() == tuple(sorted(offer for offer, at in heard.items() if at + 3.0 > now))
        while (change := directory.poll_change()) is not None:
            assert (change.offer in told) == (change.what == "went")
            told ^= {change.offer}
        assert told == set(directory.offers())
        assert (directory.poll_due() is None) == (not told)
    stats = directory.stats()
    assert stats["known"] == len(told)
    assert stats["answers"] == sum(answer is not None for _, answer in steps)


@given(st.lists(OFFERS, max_size=60), st.integers(1, 5), st.integers(1, 3))
def test_a_full_directory_keeps_what_it_has(offers: list[Offer], most: int, of_one: int) -> None:
    directory = Directory(forget_after=10, max_offers=most, max_providers=of_one)
    for offer in offers:
        before = directory.offers()
        directory.handle_answer(0.0, offer.answer())
        assert set(before) <= set(directory.offers())
        assert len(directory.offers()) <= most
        assert len(directory.offers(offer.service)) <= of_one


@given(ANSWERS)
def test_an_answer_is_an_offer_or_is_refused_with_a_reason(answer: bytes) -> None:
    try:
        offer = Offer.parse(answer)
    except Malformed as error:
        assert str(error)
    else:
        assert Offer.parse(offer.answer()) == offer


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"x" * (MAX_ANSWER + 1), "too large"),
        (b"[" * 1_000, "one JSON object"),
        (b'{"service": "a", "address": 1' + b"0" * 900, "one JSON object"),
        (b'["answer"]', "service and address"),
        (b'{"service": "a b", "address": "tcp://a:1"}', "service = 'a b'"),
        (b'{"service": "a", "address": "tcp://a:1\\u0000"}', "address = "),
        (b'{"service": "a", "address": "a:1"}', "address = 'a:1'"),
        (b'{"service": "a", "address": "tcp://a:1", "site": []}', "site = []"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(answer: bytes, why: str) -> None:
    with pytest.raises(Malformed) as refused:
        Offer.parse(answer)
    assert why in str(refused.value)


def test_changes_nobody_asks_for_are_bounded() -> None:
    directory = Directory(forget_after=1, max_changes=3)
    for number in range(5):
        directory.handle_answer(0.0, Offer("a", f"tcp://a:{number}").answer())
    assert directory.poll_change() == Change(3, "came", Offer("a", "tcp://a:2"))


def test_who_is_chosen() -> None:
    near, nearer, far = (Offer("a", f"tcp://{site}:1", site) for site in ("kent", "london", "oslo"))
    resolver = Resolver(Stream(1, 0, "choice"))
    offers = (near, nearer, far)
    assert [resolver.choose("a", offers, "round-robin") for _ in range(4)] == [near, nearer, far, near]
    assert {resolver.choose("a", offers, "nearest", ["paris", "london", "kent"]) for _ in range(20)} == {nearer}
    assert {resolver.choose("a", offers, "nearest", ["paris"]) for _ in range(50)} == set(offers)
    counts = [sum(resolver.choose("a", offers) == offer for _ in range(900)) for offer in offers]
    assert all(200 < count < 400 for count in counts)
    with pytest.raises(Unknown, match="no provider of 'a'"):
        resolver.choose("a", ())
    with pytest.raises(OptionError, match="there is no policy 'best'"):
        resolver.choose("a", offers, "best")


def test_settings_come_from_the_environment_and_fit() -> None:
    environment = {"DISCOVERY_INTERVAL": "2", "DISCOVERY_FORGET_AFTER": "9", "DISCOVERY_QUERIES": "tcp://d:1"}
    settings = Settings.from_environment(environment, interval=4.0, surveys=None)
    assert (settings.interval, settings.forget_after, settings.queries) == (4.0, 9.0, "tcp://d:1")
    assert settings.surveys == Settings().surveys
    with pytest.raises(OptionError, match="DISCOVERY_INTERVAL = 'soon'"):
        Settings.from_environment({"DISCOVERY_INTERVAL": "soon"})
    for wrong in ({"deadline": 2.0}, {"forget_after": 1.0}, {"deadline": 0.0}, {"forget_after": float("inf")}):
        with pytest.raises(OptionError, match="allowed: 0 < deadline"):
            Settings(**wrong)
