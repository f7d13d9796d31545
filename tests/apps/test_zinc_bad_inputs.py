"""What Zinc makes of bad inputs: of what neighbours tell in a form that makes no sense, and of the application's."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import BOTH, Stage, in_virtual_time, on_real_sockets

from workbench.apps.address import beside, seen_by_others
from workbench.apps.zinc import CODECS, MESSAGEPACK, Changed, Endpoint, Message, Node, Place, Record, WorkFailed
from workbench.apps.zinc.document import MAX_DEPTH, to_set
from workbench.apps.zinc.message import Kind, Malformed, Term
from workbench.apps.zinc.neighbours import (
    Told,
    bytes_in,
    count_in,
    list_in,
    pack,
    place_in,
    places_in,
    seconds_in,
    term_in,
    unpack,
)
from workbench.apps.zinc.node import MAX_ANSWER
from workbench.apps.zinc.replica import ENTRY_BYTES
from workbench.apps.zinc.tree import Ask
from workbench.engine.errors import AddressError, OptionError, TooLarge

QUICK = {"heartbeat": 0.1, "deadline": 0.5}
ROOT, CHILD = Place(b"r" * 16, "root", "down", "up"), Place(b"c" * 16, "child", "cd", "cu")

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=20)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from([2**31, 2**40, 2**62 + 1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=6,
)  # fmt: skip
IDS = st.sampled_from([ROOT.id, CHILD.id, b"x" * 16])
COUNTS = st.integers(0, 5)
PLACES = st.sampled_from([list(ROOT), list(CHILD), [b"x" * 16, "x", "xd", "xu"], [b"y" * 16, "", "", ""]])
TERMS = st.tuples(st.integers(0, 3), IDS).map(list)
RIGHT = {
    "me": PLACES, "accept": PLACES, "path": st.lists(PLACES, max_size=3), "line": st.lists(PLACES, max_size=3),
    "redirect": st.lists(PLACES, max_size=3), "term": TERMS, "at": TERMS, "seq": COUNTS, "stable": COUNTS,
    "size": COUNTS, "room": COUNTS, "age": st.floats(0, 5), "orphan": st.booleans(), "leaving": st.booleans(),
    "leads": st.booleans(), "root": st.booleans(), "ask": st.sampled_from(["join", "status", "sync", "compare"]),
    "state": st.sampled_from(["root", "attached", "orphan"]), "id": st.tuples(IDS, COUNTS).map(list),
    "reigns": st.lists(st.tuples(st.integers(0, 3), IDS, COUNTS).map(list), min_size=1, max_size=3),
    "entries": st.lists(st.binary(max_size=60), max_size=2), "last": st.lists(st.tuples(IDS, COUNTS).map(list)),
    "documents": st.dictionaries(st.sampled_from("ab"), st.just(MESSAGEPACK.encode({"a": 1})), max_size=2),
    "do": st.sampled_from(["submit", "done", "assign"]), "to": IDS, "body": st.binary(max_size=9), "ok": st.booleans(),
    "refuse": st.just("no"),
}  # fmt: skip


FIELDS = {
    "beat": ["me path line term orphan at seq stable", "me path line leaving"],
    "given": ["do id to body ok"],
    "report": ["me leads size term seq room", "me leaving"],
    "taken": ["do id body ok"],
    "question": ["ask me term root", "ask reigns seq"],
    "answer": [
        "accept path line term", "redirect", "refuse", "me state term age path", "reigns seq stable entries",
        "reigns seq stable documents last",
    ],
}  # fmt: skip
"""What there is to tell, by the way it takes."""


@st.composite
def told(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Something that makes sense in its form, or would but for one field."""
    way = draw(st.sampled_from(sorted(FIELDS)))
    keys = draw(st.sampled_from(FIELDS[way])).split()
    words = {key: draw(RIGHT[key]) for key in keys}
    if way == "beat":
        words["me"] = list(ROOT)
    if draw(st.booleans()):
        key = draw(st.sampled_from(keys))
        words[key] = spoilt(draw, words[key])
    return way, words


def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """Junk in its place, or somewhere within it."""
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], spoilt(draw, value[place]), *value[place + 1 :]]
    return draw(JUNK)


def say(kind: Kind) -> Callable[[dict[str, Any]], bytes]:
    return lambda words: Message(kind, ROOT.id, 1, "", pack(words)).encode()


WAYS: dict[str, Callable[[Node, float, dict[str, Any]], object]] = {
    "beat": lambda node, now, words: node.handle_down(now, say(Kind.BEAT)(words)),
    "given": lambda node, now, words: node.handle_down(now, say(Kind.TASK)(words)),
    "report": lambda node, now, words: node.handle_up(now, say(Kind.REPORT)(words)),
    "taken": lambda node, now, words: node.handle_up(now, say(Kind.TASK)(words)),
    "question": lambda node, now, words: node.handle_question(now, pack(words)),
}


def attached() -> Node:
    """A child of the root, with an edit and a task of its own under way."""
    child = Node(CHILD, seeds=["root"], capacity=1)
    asked = child.poll_action()
    assert isinstance(asked, Ask)
    child.handle_answer(
        0.0, asked.token, pack({"accept": list(ROOT), "path": [], "line": [list(CHILD)], "term": [1, ROOT.id]})
    )
    assert child.tree.state == "attached"
    child.edit("board", [[["a"], 1]])
    child.submit(0.0, b"task", 9.0)
    return child


@settings(max_examples=1_000)
@given(st.sampled_from(["root", "child", "orphan"]), st.lists(told(), min_size=1, max_size=6))
def test_a_node_goes_on_whatever_neighbours_tell(place: str, story: list[tuple[str, dict[str, Any]]]) -> None:
    node = {"root": lambda: Node(ROOT), "child": attached, "orphan": lambda: Node(CHILD, seeds=["root"])}[place]()
    now = 0.0
    asked: list[Ask] = []

    def look() -> None:
        """What it says and does itself makes sense, whatever it has heard."""
        for raw in [*node.poll_ups(), *node.poll_downs()]:
            Message.decode(raw)
        while (action := node.poll_action()) is not None:
            if isinstance(action, Ask):
                asked.append(action)
                assert isinstance(action.door, str)
                unpack(pack(action.question))
        while (run := node.work.poll_run()) is not None:
            assert isinstance(run.body, bytes)
        while (fate := node.work.poll_fate()) is not None:
            assert isinstance(fate.result, bytes)

    for way, words in story:
        now += 0.3
        if way != "answer":
            WAYS[way](node, now, words)
        elif asked:
            node.handle_answer(now, asked.pop().token, pack(words))
        node.handle_time(now)
        look()
    # Alone at last, it may have to be the root; of whatever reign it has heard.
    for _ in range(10):
        now += 0.3
        while asked:
            node.handle_answer(now, asked.pop().token, None)
        node.handle_time(now)
        look()
    assert node.edit("mine", [[["b"], 2]])
    look()


@pytest.mark.parametrize(
    ("read", "right", "wrong"),
    [
        (count_in, [(0, 0), (2**62, 2**62)], [None, -1, 2**62 + 1, True, 1.0, "1", [1]]),
        (bytes_in, [(b"", b"")], [None, "", 3, [1]]),
        (list_in, [([], []), ([1, 2], [1, 2])], [{}, "ab", 3]),
        (seconds_in, [(0, 0.0), (1.5, 1.5)], ["1", None, []]),
        (
            term_in,
            [([1, ROOT.id], Term(1, ROOT.id)), ([2**31, bytes(16)], Term(2**31, bytes(16)))],
            [[2**31 + 1, ROOT.id], [1, b"r" * 15], [1, "r" * 16], [1], 7, [1, ROOT.id, 2]],
        ),
        (
            place_in,
            [(list(ROOT), ROOT), ([ROOT.id, "", "", "x" * 512], Place(ROOT.id, "", "", "x" * 512))],
            [[b"r" * 17, "", "", ""], [ROOT.id, "", ""], [ROOT.id, "", "", 1], [ROOT.id, "", "", "x" * 513], None],
        ),
        (places_in, [([], ()), ([list(ROOT)] * 128, (ROOT,) * 128)], [[list(ROOT)] * 129, [7], 7]),
    ],
)
def test_what_is_told_is_read_or_refused(
    read: Callable[[Told, str], Any], right: list[tuple[Any, Any]], wrong: list[Any]
) -> None:
    for value, expected in right:
        assert read({"key": value}, "key") == expected
    for value in wrong:
        with pytest.raises(Malformed, match="key "):
            read({"key": value}, "key")


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_what_lies_too_deep_is_refused_and_what_just_fits_reaches_whoever_joins(codec) -> None:
    def deep(levels: int) -> Any:
        return {"x": deep(levels - 1)} if levels else 1

    record = Record()
    for path in (1, MAX_DEPTH // 2, MAX_DEPTH - 1):
        names = [f"n{path}"] * path
        fragment = to_set(names, deep(MAX_DEPTH - path))
        record.apply(codec.decode(codec.encode(fragment)))
        assert record.get(names) == deep(MAX_DEPTH - path)
        with pytest.raises(ValueError, match="too deep; allowed: 32 levels"):
            to_set(names, deep(MAX_DEPTH - path + 1))
        before = record.copy().value
        record.apply([[names, deep(MAX_DEPTH - path + 1)]])
        record.apply([[["x"] * (MAX_DEPTH + 1), 1]])
        assert record.value == before
    twin = Record()
    twin.restore(codec.decode(codec.encode(record.state())))
    assert twin.value == record.value
    with pytest.raises(ValueError, match="one name or more"):
        to_set([], 1)


@BOTH
def test_a_mistake_is_told_to_whoever_makes_it_and_changes_nothing(play) -> None:
    async def story(stage: Stage) -> None:
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), max_message=1_000, **QUICK)
        child = Endpoint(
            stage.world.host("b"), join=root.door, max_message=1_000, worker=lambda task: boast(task), **QUICK
        )

        async def boast(task: bytes) -> Any:
            return {b"much": bytes(1_001), b"text": "no bytes"}[task]

        await stage.until("they belong together", lambda: child.is_connected and root.node.work.room)
        for end in (root, child):
            for channel in ("x" * 256, "\ud800"):
                with pytest.raises(ValueError, match="the name of a channel"):
                    end.set(channel, "a", value=1)
                with pytest.raises(ValueError, match="the name of a channel"):
                    end.say(channel, b"")
            with pytest.raises(TooLarge, match="allowed: 1000 \\(max_message\\)"):
                end.set("board", "a", value="x" * 1_000)
            with pytest.raises(TooLarge):
                end.say("talk", bytes(1_001))
            with pytest.raises(TypeError, match="a body is bytes, not str"):
                end.say("talk", "words")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="one name or more"):
                end.set("board", value=1)
            with pytest.raises(TypeError):
                end.set("board", "a", value=object())
            with pytest.raises(TooLarge):
                await end.submit(bytes(1_001))
            with pytest.raises(TypeError, match="a body is bytes"):
                await end.submit("words")  # type: ignore[arg-type]
            for task in (b"much", b"text"):
                with pytest.raises(WorkFailed, match="the result cannot be sent"):
                    await end.submit(task, timeout=10)
        # The largest that is allowed goes through, and in order with what comes next.
        child.set("board", "large", value="x" * 985)
        await child.acknowledged(child.set("board", "last", value=True), timeout=10)
        await stage.until("both have both", lambda: len(root.document("board").value) == 2)
        assert root.document("board").value == child.document("board").value
        assert root.stats()["applied"] == 2
        assert root.stats()["tasks_submitted"] == 2
        assert root.stats()["messages_dropped"] == 0
        for end in (child, root):
            end.close()

    play(story)


@BOTH
def test_documents_larger_than_any_message_reach_whoever_joins_late(play) -> None:
    async def story(stage: Stage) -> None:
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), **QUICK)
        early = Endpoint(stage.world.host("b"), join=root.door, **QUICK)
        await stage.until("they belong together", lambda: early.is_connected)
        for number in range(5):
            root.set("board", f"part-{number}", value=bytes([number]) * (4 << 20))
        late = Endpoint(stage.world.host("c"), join=root.door, **QUICK)
        for end in (early, late):
            await stage.until("all is there", lambda end=end: len(end.document("board").value) == 5)
            assert end.document("board").value == root.document("board").value
        for end in (late, early, root):
            end.close()

    play(story)


def test_an_answer_holds_as_many_entries_as_fit() -> None:
    root = Node(ROOT)
    for number in range(8):
        root.edit("board", [[[f"part-{number}"], bytes(ENTRY_BYTES // 3)]])
    at = {"ask": "sync", "reigns": [[0, bytes(16), 0], [1, ROOT.id, 0]], "seq": 0}
    told = unpack(root.handle_question(0.0, pack(at)), MAX_ANSWER)
    assert len(told["entries"]) == 2
    root.edit("board", [[["whole"], bytes(2 * ENTRY_BYTES)]])
    told = unpack(root.handle_question(0.0, pack(at | {"seq": 8})), MAX_ANSWER)
    assert len(told["entries"]) == 1


def test_what_is_too_much_for_an_answer_is_refused_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.apps.zinc.node.MAX_ANSWER", 1_000)
    assert MAX_ANSWER == 64 << 20
    root = Node(ROOT)
    root.edit("board", [[["a"], "x" * 1_000]])
    child = attached()
    asked = child.poll_action()
    while not isinstance(asked, Ask):
        asked = child.poll_action()
    answer = root.handle_question(0.0, pack(asked.question))
    assert answer is not None and b"the answer would have" in answer
    assert root.stats()["answers_too_large"] == 1
    child.handle_answer(0.1, asked.token, answer)
    assert child.stats()["syncs_refused"] == 1
    # It does not ask again and again.
    child.handle_time(0.5)
    assert not any(isinstance(action, Ask) for action in iter(child.poll_action, None))


def test_what_waits_for_a_host_gives_way_from_the_oldest_on_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.apps.zinc.node.MOST_UPS", 10)
    lone = Node(CHILD, seeds=["root"])
    for number in range(13):
        lone.say("talk", b"%d" % number)
    lone.handle_time(0.1)
    assert lone.stats()["unsent"] == 3
    assert [Message.decode(raw).body for raw in lone.poll_ups()] == [b"%d" % number for number in range(3, 13)]


def test_what_is_too_long_to_be_a_question_is_not_even_read() -> None:
    # Each byte of it would become an object.
    bomb = b"\x81\xa1x\xdd" + (100_000).to_bytes(4) + b"\x80" * 100_000
    node = Node(ROOT)
    assert b"too many; allowed: 65536" in (node.handle_question(0.0, bomb) or b"")
    node.handle_up(0.0, Message(Kind.REPORT, CHILD.id, 1, "", bomb).encode())
    assert node.stats()["malformed"] == 2


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("breadth", 0, "breadth = 0 is out of range"), ("copies", 0, "copies = 0 is out of range"),
        ("capacity", -1, "capacity = -1 is out of range"), ("capacity", 2.0, "capacity = 2.0 is out of range"),
        ("max_message", 0, "max_message = 0 is out of range"), ("handlers", 0, "handlers = 0 is out of range"),
        ("heartbeat", 0.0, "heartbeat = 0.0 and deadline = 0.5 do not fit"), ("heartbeat", -1.0, "do not fit"),
        ("deadline", 0.1, "heartbeat = 0.1 and deadline = 0.1 do not fit"), ("deadline", float("nan"), "do not fit"),
        ("holds", False, "it has to join somebody"), ("identity", b"abc", "identity has 3 bytes; a UUID has 16"),
        ("listen", "tcp://*:5550", "say with public="), ("listen", "tcp://0.0.0.0:5550", "say with public="),
        ("join", "", "a door is an address"), ("join", [b"tcp://a:1"], "a door is an address"),
    ],
)  # fmt: skip
def test_a_setting_that_does_not_fit_is_refused_and_leaves_nothing(setting: str, value: Any, says: str) -> None:
    async def story(stage: Stage) -> None:
        host = stage.world.host("a")
        right: dict[str, Any] = QUICK | {"listen": "tcp://a:5550", "worker": lambda task: task}
        with pytest.raises((OptionError, AddressError), match=says):
            Endpoint(host, **(right | {setting: value}))
        # Its door is free again, and nobody who knocked meanwhile has come to harm.
        root = Endpoint(host, **right)
        child = Endpoint(stage.world.host("b"), join=root.door, **QUICK)
        await stage.until("it can be joined", lambda: child.is_connected)

    in_virtual_time(story)


@pytest.mark.parametrize("down", ["garbage", "", "ftp://a:1", "tcp://a"])
def test_a_host_that_is_nowhere_is_left_for_another(down: str) -> None:
    async def story(stage: Stage) -> None:
        rep = stage.world.host("liar").socket("rep")
        door = rep.listen(stage.address("liar"))
        asked: list[bytes] = []

        async def lie() -> None:
            while True:
                asked.append(await rep.arecv())
                place = [b"l" * 16, door, down, "tcp://liar:2"]
                await rep.asend(pack({"accept": place, "path": [], "line": [], "term": [1, b"l" * 16]}))

        stage.world.host("liar").spawn(lie())
        child = Endpoint(stage.world.host("b"), join=door, **QUICK)
        await stage.world.sleep(1)
        assert 1 < child.stats()["malformed"] <= 10
        assert len(asked) <= 2 * 10
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), **QUICK)
        child.look_for(root.door)
        await stage.until("it has found the honest one", lambda: child.is_connected)
        assert child.node.tree.parent == root.node.me
        for end in (child, root):
            end.close()
        with pytest.raises(AddressError, match="localhost:7000"):
            Endpoint(stage.world.host("c"), join="localhost:7000", **QUICK)

    on_real_sockets(story)


def test_a_document_of_no_name_is_refused_and_joining_goes_on() -> None:
    root, child = Node(ROOT), attached()
    for name in (1, None):
        with pytest.raises(TypeError, match="the name of a channel is text"):
            root.replica.document(name)  # type: ignore[union-attr, arg-type]
    with pytest.raises(ValueError, match="the name of a channel"):
        root.replica.document("\ud800")  # type: ignore[union-attr]
    root.edit("board", [[["a"], 1]])
    asked = next(action for action in iter(child.poll_action, None) if isinstance(action, Ask))
    child.handle_answer(0.1, asked.token, root.handle_question(0.1, pack(asked.question)))
    assert child.replica.document("board").value == {"a": 1}  # type: ignore[union-attr]


@BOTH
def test_whoever_is_told_may_edit(play) -> None:
    async def story(stage: Stage) -> None:
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), **QUICK)
        for number in range(2_000):
            root.set(f"c{number}", "x", value=number)
        told: list[str] = []

        def note(change: Changed) -> None:
            told.append(change.channel)
            child.set("log", change.channel, value=len(told))

        child = Endpoint(stage.world.host("b"), join=root.door, on_change=note, **QUICK)
        await stage.until("it was told of all, in order", lambda: len(told) == 2_000)
        assert sorted(told) == sorted(f"c{number}" for number in range(2_000))
        await stage.until("what it has edited is everywhere", lambda: len(root.document("log").value) == 2_000)
        for end in (child, root):
            end.close()

    play(story)


def test_a_worker_that_is_cancelled_has_failed_and_its_place_is_free() -> None:
    async def story(stage: Stage) -> None:
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), **QUICK)

        async def work(task: bytes) -> bytes:
            if task == b"bad":
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                await asyncio.sleep(1)
            return task

        worker = Endpoint(stage.world.host("b"), join=root.door, worker=work, **QUICK)
        await stage.until("there is a worker", lambda: root.node.work.room)
        with pytest.raises(WorkFailed, match="the worker was cancelled"):
            await root.submit(b"bad", timeout=5)
        assert await root.submit(b"good", timeout=5) == b"good"
        # Whoever no longer waits for a task leaves nothing behind.
        waiting = asyncio.ensure_future(root.submit(b"given up", timeout=5))
        await stage.world.sleep(0)
        waiting.cancel()
        await stage.until("it is done all the same", lambda: worker.node.work.stats()["run"] == 3)
        await stage.until("nobody has it any more", lambda: not root.node.work._given[worker.identity])
        assert not root._fates
        assert not root.node.work._mine
        for end in (worker, root):
            end.close()

    on_real_sockets(story)


@pytest.mark.parametrize(
    ("door", "step", "address"),
    [
        ("tcp://a:7000", 1, "tcp://a:7001"), ("tcp://[::1]:7000", 2, "tcp://[::1]:7002"), ("tcp://a:0", 1, "tcp://a:0"),
        ("ws://a:7000/zinc", 1, "ws://a:7001/zinc"), ("ws://a:0/zinc", 2, "ws://a:0/zinc"),
        ("ipc:///tmp/a", 1, "ipc:///tmp/a.1"), ("inproc://a", 2, "inproc://a/up"), ("door/a", 1, "door/a/down"),
    ],
)  # fmt: skip
def test_the_other_addresses_of_an_endpoint_follow_from_its_door(door: str, step: int, address: str) -> None:
    assert beside(door, step) == address


def test_who_listens_everywhere_tells_others_where_to_find_it() -> None:
    async def story(stage: Stage) -> None:
        port = int(stage.address("a").rpartition(":")[2])
        root = Endpoint(stage.world.host("a"), listen=f"tcp://*:{port}", public="127.0.0.1", **QUICK)
        assert root.door == f"tcp://127.0.0.1:{port}"
        assert root.node.me.down == f"tcp://127.0.0.1:{port + 1}"
        child = Endpoint(stage.world.host("b"), join=root.door, **QUICK)
        await child.acknowledged(child.set("board", "a", value=1), timeout=10)
        assert seen_by_others("ws://[::]:7000/zinc", "kyiv.example") == "ws://kyiv.example:7000/zinc"
        for end in (child, root):
            end.close()

    on_real_sockets(story)
