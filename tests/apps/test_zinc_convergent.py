"""Convergent documents: pycrdt's own rules over channels that lose, and whole stories in both worlds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import BOTH, Stage

from workbench.apps.zinc import Endpoint
from workbench.apps.zinc.convergent import Convergent
from workbench.apps.zinc.message import Malformed, Message

pycrdt = pytest.importorskip("pycrdt")
QUICK = {"heartbeat": 0.1, "deadline": 0.5, "convergent": True}


def text(one: Endpoint | Convergent):
    document = one.shared("notes") if isinstance(one, Endpoint) else one.document("notes")
    return document.get("text", type=pycrdt.Text)


EDITS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.sampled_from(["a", "bc", ""])), max_size=20)


@settings(deadline=None)
@given(EDITS, st.lists(st.booleans(), min_size=1, max_size=20))
def test_copies_converge_whatever_is_lost(edits: list[tuple[int, int, str]], losses: list[bool]) -> None:
    copies = [Convergent(bytes([who + 1]) * 16) for who in range(3)]
    step = 0

    def move(*, lossy: bool) -> None:
        nonlocal step
        for one in copies:
            while (raw := one.poll_update()) is not None:
                for other in copies:
                    step += 1
                    if not (lossy and losses[step % len(losses)]):
                        other.handle_update(Message.decode(raw))

    for who, at, word in edits:
        here = text(copies[who])
        at %= len(here) + 1
        if word:
            here.insert(at, word)
        elif len(here) > at:
            del here[at]
        move(lossy=True)
    for _ in range(2):
        for child in copies[1:]:
            child.handle_answer(copies[0].answer(child.question()))
            move(lossy=False)
    assert len({str(text(one)) for one in copies}) == 1
    move(lossy=False)
    for child in copies[1:]:
        child.handle_answer(copies[0].answer(child.question()))
        assert child.poll_update() is None, "there is nothing left to tell"


@pytest.mark.parametrize(
    "told",
    [
        7,
        {"notes": 7},
        {"notes": [b"", b""]},
        {"notes": ["a", "b", "c"]},
        {"notes": [b"x"] * 3},
        {b"notes": [b"\0\0", b"\0", b"\0\0"]},
        {"x" * 256: [b"\0\0", b"\0", b"\0\0"]},
    ],
)
def test_what_makes_no_sense_is_refused(told) -> None:
    one = Convergent(b"1" * 16)
    text(one).insert(0, "here")
    with pytest.raises(Malformed):
        one.handle_answer(told)
    assert str(text(one)) == "here"


@BOTH
def test_a_text_that_many_write_is_the_same_everywhere(play) -> None:
    async def story(stage: Stage) -> None:
        changed: list[str] = []
        root = Endpoint(
            stage.world.host("a"), listen=stage.address("a"), on_change=lambda it: changed.append(it.channel), **QUICK
        )
        names = "bcd"
        ends = [root]
        ends += [
            Endpoint(stage.world.host(name), listen=stage.address(name), join=root.door, **QUICK) for name in names
        ]
        await stage.until("all belong together", lambda: all(one.is_connected and one.node.tree.line for one in ends))
        for one in ends:
            text(one).insert(0, "word ")
        await stage.until("all have all", lambda: {str(text(one)) for one in ends} == {"word " * 4})
        stage.world.host("a").kill()
        for one in ends[1:]:
            text(one).insert(0, "more ")
        await stage.until("another is root", lambda: any(one.is_root for one in ends[1:]))
        await stage.until(
            "all have all again",
            lambda: {str(text(one)) for one in ends[1:]} == {str(text(ends[1]))} and len(str(text(ends[1]))) == 35,
        )
        late = Endpoint(stage.world.host("e"), join=ends[2].door, **QUICK)
        await stage.until("a late one, too", lambda: str(text(late)) == str(text(ends[1])))
        assert changed
        with pytest.raises(LookupError, match="convergent=True"):
            Endpoint(stage.world.host("f"), join=ends[2].door).shared("notes")

    play(story)
