"""Zinc's machines without any world: laws, whatever they are told."""

from collections import deque
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.apps.zinc import CODECS, MESSAGEPACK, Malformed, Message, Node, Place, Record
from workbench.apps.zinc.handlers import Handlers
from workbench.apps.zinc.message import NO_TERM, Kind, Term
from workbench.apps.zinc.replica import Replica
from workbench.apps.zinc.tree import Attach, Tree

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NUMBERS = st.integers(0, 2**64 - 1)
FIELDS = (
    st.binary(min_size=16, max_size=16), NUMBERS,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.binary(max_size=20),
)  # fmt: skip
TERMS = st.builds(Term, st.integers(0, 2**32 - 1), st.binary(min_size=16, max_size=16))
MESSAGES = st.one_of(
    st.builds(
        Message, st.sampled_from([kind for kind in Kind if kind != Kind.ORDERED]), *FIELDS, st.just(NO_TERM), st.just(0)
    ),
    st.builds(Message, st.just(Kind.ORDERED), *FIELDS, TERMS, NUMBERS),
)


@given(MESSAGES)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    assert Message.decode(message.encode()) == message


@given(st.binary(max_size=120))
def test_any_bytes_are_a_message_or_malformed(raw: bytes) -> None:
    try:
        assert Message.decode(raw).encode() == raw
    except Malformed as error:
        assert str(error)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(value=VALUES)
def test_a_codec_reads_what_it_wrote(codec: Any, value: Any) -> None:
    assert codec.read(codec.encode(value)) == value


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(data=st.binary(max_size=40))
def test_a_codec_reads_any_bytes_or_says_that_it_cannot(codec: Any, data: bytes) -> None:
    try:
        codec.read(data)
    except Malformed as error:
        assert codec.name in str(error)


PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3)
FRAGMENTS = st.lists(st.tuples(PATHS, st.integers(0, 9)).map(list) | st.tuples(PATHS).map(list), max_size=4)


@given(st.lists(FRAGMENTS | VALUES, max_size=10))
def test_a_record_survives_any_fragment_and_its_copy_is_alike(fragments: list[Any]) -> None:
    record = Record()
    for fragment in fragments:
        before, twin = record.copy(), record.copy()
        record.apply(fragment)
        twin.apply(fragment)
        assert twin.value == record.value
        if not isinstance(fragment, list):
            assert record.value == before.value


def test_a_record_sets_and_removes() -> None:
    record = Record()
    record.apply([[["a", "b"], 1], [["a", "c"], 2], [["d"], 3]])
    record.apply([[["a", "b"]], [["x", "y"]], [["d", "e"], 4]])
    assert record.value == {"a": {"c": 2}, "d": {"e": 4}}
    assert record.get(["a", "c"]) == 2
    assert record.get(["a", "c", "z"], "none") == "none"


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 3)), max_size=60))
def test_handlers_keep_the_order_of_each_origin(steps: list[tuple[bytes, int]]) -> None:
    """Whatever is handled when: of one origin never two at once, and always in order."""
    handlers: Handlers[int] = Handlers(limit=5)
    busy: set[bytes] = set()
    done: list[tuple[bytes, int]] = []
    told = 0

    def poll() -> None:
        while (found := handlers.poll_messages()) is not None:
            origin, items = found
            assert origin not in busy
            busy.add(origin)
            done.extend((origin, item) for item in items)

    for origin, count in steps:
        if count == 0 and busy:
            first = min(busy)
            busy.discard(first)
            handlers.handle_done(first)
        else:
            handlers.handle_messages(origin, range(told, told + count))
            told += count
        poll()
    while busy:
        handlers.handle_done(busy.pop())
        poll()
    assert len(done) + handlers.dropped == told
    for origin in (b"a", b"b", b"c"):
        assert all(one < other for one, other in pairwise(number for who, number in done if who == origin))


# A root and its clients over channels that lose, double and delay.

FATES = st.lists(st.sampled_from(["pass", "pass", "pass", "lose", "double", "late"]), min_size=1, max_size=30).map(
    lambda fates: [*fates, "pass"]
)


@given(FATES, st.lists(st.tuples(st.integers(0, 2), PATHS, st.integers(0, 9)), max_size=25), st.integers(1, 30))
def test_copies_become_equal_over_channels_that_lose_and_double(
    fates: list[str], edits: list[tuple[int, list[str], int]], keep_log: int
) -> None:
    """Every edit is in every copy once, in its origin's order; where the log is short, whole copies are taken over."""
    replicas = [Replica(bytes([who]) * 16, MESSAGEPACK, lambda _: Record(), keep_log=keep_log) for who in range(3)]
    root = replicas[0]
    root.handle_promoted(Term(1, root.me))
    step = 0
    late: deque[tuple[Replica, bytes]] = deque()

    def carry(target: Replica, raw: bytes) -> None:
        nonlocal step
        step += 1
        fate = fates[step % len(fates)]
        if fate == "late":
            late.append((target, raw))
        elif fate != "lose":
            for _ in range(2 if fate == "double" else 1):
                deliver(target, raw)

    def deliver(target: Replica, raw: bytes) -> None:
        message = Message.decode(raw)
        if target is root:
            target.handle_edit(message)
        else:
            target.handle_ordered(message, raw)

    def move() -> None:
        for replica in replicas[1:]:
            for raw in replica.poll_ups():
                carry(root, raw)
        for raw in root.poll_downs():
            for replica in replicas[1:]:
                carry(replica, raw)

    for who, path, value in edits:
        replicas[who].edit("board", [[path, value]])
        move()
    for turn in range(200):
        step += turn
        if turn == 100:
            # A channel that loses the same message every time is none.
            fates = ["pass"]
        while late:
            deliver(*late.popleft())
        for replica in replicas[1:]:
            replica.handle_position(root.term, root.seq, root.seq)
            if replica.needs_sync:
                replica.handle_answer(root.answer(replica.question()))
            replica.resend()
        move()
        root.handle_stable(root.seq)
        if all(replica.seq == root.seq and not replica.waiting for replica in replicas):
            break
    for replica in replicas[1:]:
        replica.handle_position(root.term, root.seq, root.stable)
    assert {replica.seq for replica in replicas} == {len(edits)}
    for who, replica in enumerate(replicas):
        assert replica.document("board").value == root.document("board").value  # type: ignore[attr-defined]
        assert replica.acknowledged == sum(one == who for one, _, _ in edits)
        while (change := replica.poll_change()) is not None:
            assert change.origin != replica.me


def test_all_copies_forget_the_same_origins() -> None:
    root, follower, late = (
        Replica(bytes([who]) * 16, MESSAGEPACK, lambda _: Record(), max_origins=3, keep_log=4) for who in range(3)
    )
    root.handle_promoted(Term(1, root.me))
    follower.handle_answer(root.answer(follower.question()))
    for origin, number in [(5, 1), (6, 1), (7, 1), (5, 2), (8, 1), (6, 2), (5, 3), (7, 2)]:
        root.handle_edit(
            Message(Kind.EDIT, bytes([origin]) * 16, number, "board", MESSAGEPACK.encode([[["a"], number]]))
        )
        for raw in root.poll_downs():
            follower.handle_ordered(Message.decode(raw), raw)
    late.handle_answer(root.answer(late.question()))
    # 6 was silent while 7, 5 and 8 edited: its second edit is nobody's any more.
    assert root.stats()["applied"] == 7
    assert root.stats()["early"] == 1
    assert late.stats()["snapshots"] == 1
    assert list(root._last) == list(follower._last) == list(late._last)


def test_what_an_earlier_life_had_still_under_way_takes_no_place_of_ours() -> None:
    root, old, new = (Replica(bytes([who]) * 16, MESSAGEPACK, lambda _: Record()) for who in (0, 1, 1))
    root.handle_promoted(Term(1, root.me))

    def go(replica: Replica) -> None:
        for raw in replica.poll_ups():
            root.handle_edit(Message.decode(raw))

    old.handle_answer(root.answer(old.question()))
    for number in range(3):
        old.edit("board", [[[f"old-{number}"], number]])
    first, *late = old.poll_ups()
    root.handle_edit(Message.decode(first))
    new.edit("board", [[["early"], True]])
    new.handle_answer(root.answer(new.question()))
    new.resend()
    assert new.edit("board", [[["late"], True]]) == 2
    for raw in late:
        root.handle_edit(Message.decode(raw))
    go(new)
    assert root.seq == 3, "what it sent has the counts of the earlier life"
    for raw in root.poll_downs():
        new.handle_ordered(Message.decode(raw), raw)
    new.resend()
    go(new)
    for raw in root.poll_downs():
        new.handle_ordered(Message.decode(raw), raw)
    root.handle_stable(root.seq)
    new.handle_position(root.term, root.seq, root.stable)
    assert new.acknowledged == 2
    assert not new.doubled
    assert new.document("board").value == root.document("board").value  # type: ignore[attr-defined]
    assert set(new.document("board").value) == {"old-0", "old-1", "old-2", "early", "late"}  # type: ignore[attr-defined]


def test_whoever_joins_somebody_who_is_behind_waits_with_its_edits() -> None:
    root, host, child = (Replica(bytes([who]) * 16, MESSAGEPACK, lambda _: Record()) for who in range(3))
    root.handle_promoted(Term(1, root.me))
    root.edit("board", [[["a"], 1]])
    child.edit("board", [[["b"], 2]])
    child.handle_answer(host.answer(child.question()))
    child.resend()
    assert child.poll_ups() == []
    host.handle_answer(root.answer(host.question()))
    child.handle_answer(host.answer(child.question()))
    child.resend()
    assert len(child.poll_ups()) == 1


def test_an_edit_is_seen_at_once_and_under_those_of_others_later() -> None:
    root, client = (Replica(bytes([who]) * 16, MESSAGEPACK, lambda _: Record()) for who in range(2))
    root.handle_promoted(Term(1, root.me))
    client.handle_answer(root.answer(client.question()))
    root.edit("board", [[["a"], "root"], [["b"], "root"]])
    client.edit("board", [[["a"], "client"]])
    assert client.document("board").value == {"a": "client"}  # type: ignore[attr-defined]
    (raw,) = root.poll_downs()
    client.handle_ordered(Message.decode(raw), raw)
    assert client.document("board").value == {"a": "client", "b": "root"}  # type: ignore[attr-defined]
    assert client.waiting == 1


@given(st.binary(max_size=60) | MESSAGES.map(Message.encode), st.sampled_from(["up", "down", "question", "answer"]))
def test_a_node_survives_any_bytes(raw: bytes, way: str) -> None:
    node = Node(Place(b"n" * 16, "door", "down", "up"))
    child = Node(Place(b"c" * 16, "cd", "cn", "cu"), seeds=["door"])
    for one in (node, child):
        if way == "question":
            one.handle_question(1.0, raw)
        elif way == "answer":
            one.handle_answer(1.0, 1, raw)
        else:
            (one.handle_up if way == "up" else one.handle_down)(1.0, raw)
        one.handle_time(2.0)
    assert node.tree.state == "root"


def test_a_host_that_is_full_sends_on_and_never_to_whom_asks() -> None:
    host = Tree(Place(b"h" * 16, "host", "d", "u"), breadth=2)
    for name in "ab":
        place = [name.encode() * 16, name, "d", "u"]
        assert "accept" in host.handle_question(0.0, {"ask": "join", "me": place})
    sent = host.handle_question(0.0, {"ask": "join", "me": [b"c" * 16, "c", "d", "u"]})
    assert {place[1] for place in sent["redirect"]} == {"a", "b"}
    joiner = Tree(Place(b"c" * 16, "c", "d", "u"), seeds=["host"])
    asked = joiner.poll_action()
    joiner.handle_answer(0.0, asked.token, sent)  # type: ignore[union-attr]
    assert joiner.poll_action().door in ("a", "b")  # type: ignore[union-attr]


def test_two_that_would_be_each_others_host_are_refused() -> None:
    one = Tree(Place(b"1" * 16, "one", "d", "u"), seeds=["two"])
    asked = one.poll_action()
    assert one.handle_question(0.0, {"ask": "join", "me": [b"2" * 16, "two", "d", "u"]}) == {
        "refuse": "I have no host myself"
    }
    two = Place(b"2" * 16, "two", "d", "u")
    one.handle_answer(
        0.0, asked.token, {"accept": list(two), "path": [], "line": [], "term": [1, two.id]}  # type: ignore[union-attr]
    )  # fmt: skip
    assert one.poll_action() == Attach(two)
    assert one.handle_question(0.0, {"ask": "join", "me": list(two)}) == {"refuse": "you are my host"}
