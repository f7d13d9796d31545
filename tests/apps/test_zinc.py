"""Zinc whole, in both worlds; and random lives of clusters in virtual time."""

import pytest
from chaos import Chaos, size_of
from worlds import BOTH, Stage, in_virtual_time

from workbench.apps.zinc import CODECS, Endpoint, Message
from workbench.engine.errors import Closed, StateError, TimedOut

QUICK = {"heartbeat": 0.1, "deadline": 0.5}


def values(endpoints: list[Endpoint]) -> list[dict[str, object]]:
    return [one.document("board").value for one in endpoints]


def whole(endpoints: list[Endpoint]) -> bool:
    return all(one.is_connected for one in endpoints) and sum(one.is_root for one in endpoints) == 1


def build(stage: Stage, count: int, **settings: object) -> list[Endpoint]:
    """A root and so many others, each of which may be a host; all join at the root's door."""
    names = [f"end-{number}" for number in range(count + 1)]
    made = []
    for number, name in enumerate(names):
        seeds = (made[0].door,) if number else ()
        made.append(Endpoint(stage.world.host(name), listen=stage.address(name), join=seeds, **QUICK, **settings))
    return made


@BOTH
@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_what_one_edits_all_have(play, codec) -> None:
    async def story(stage: Stage) -> None:
        ends = build(stage, 3, codec=codec)
        await stage.until("all belong together", lambda: whole(ends))
        last = 0
        for number, one in enumerate(ends):
            last = one.set("board", f"from-{number}", value=[number, {"text": "ö"}, None, 1.5])
        await ends[3].acknowledged(last, timeout=10)
        await stage.until("all have all", lambda: all(len(value) == 4 for value in values(ends)))
        assert all(value == values(ends)[0] for value in values(ends))
        ends[1].remove("board", "from-0")
        await stage.until("all have it removed", lambda: all(len(value) == 3 for value in values(ends)))
        late = Endpoint(stage.world.host("late"), join=ends[2].door, codec=codec, **QUICK)
        await stage.until("a late one has all, too", lambda: late.document("board").value == values(ends)[0])
        for one in [*ends, late]:
            one.close()

    play(story)


@BOTH
def test_what_one_says_all_others_handle_in_order(play) -> None:
    async def story(stage: Stage) -> None:
        heard: dict[str, list[bytes]] = {"root": [], "deep": [], "speaker": []}

        def listener(name: str):
            async def handle(message: Message) -> None:
                # The first takes longest; order holds all the same.
                await stage.world.sleep(0.02 if message.body == b"0" else 0.0)
                heard[name].append(message.body)

            return handle

        root = Endpoint(
            stage.world.host("a"), listen=stage.address("a"), on_message=listener("root"), breadth=1, **QUICK
        )
        relay = Endpoint(stage.world.host("b"), listen=stage.address("b"), join=root.door, holds=False, **QUICK)
        await stage.until("the relay is there", lambda: relay.is_connected)
        deep = Endpoint(stage.world.host("c"), join=relay.door, on_message=listener("deep"), **QUICK)
        speaker = Endpoint(stage.world.host("d"), join=relay.door, on_message=listener("speaker"), **QUICK)
        await stage.until("they are there", lambda: deep.is_connected and speaker.is_connected)
        # A subscriber hears what is published once it is connected.
        await stage.until("beats come", lambda: deep.node.tree.path and speaker.node.tree.line == ())
        await stage.world.sleep(0.3)
        for number in range(10):
            speaker.say("talk", b"%d" % number)
        expected = [b"%d" % number for number in range(10)]
        await stage.until("all is heard", lambda: heard["root"] == expected == heard["deep"])
        assert heard["speaker"] == []
        assert relay.node.stats()["passed_up"] >= 10
        # A relay that holds nothing passes questions on, too.
        deep.set("board", "a", value=1)
        await stage.until("the edit has come through", lambda: speaker.document("board").value == {"a": 1})
        with pytest.raises(LookupError, match="holds no documents"):
            relay.set("board", "a", value=2)
        late = Endpoint(stage.world.host("e"), join=relay.door, **QUICK)
        await stage.until("a late one behind the relay has it", lambda: late.document("board").value == {"a": 1})

    play(story)


@BOTH
def test_a_successor_takes_the_place_of_a_dead_root(play) -> None:
    async def story(stage: Stage) -> None:
        ends = build(stage, 6, breadth=2)
        await stage.until("all belong together", lambda: whole(ends))
        await stage.until("there is a line", lambda: all(one.node.tree.line for one in ends))
        heir = next(one for one in ends if one.identity == ends[0].node.tree.line[0].id)
        await ends[5].acknowledged(ends[5].set("board", "before", value=1), timeout=10)
        killed = stage.world.now
        stage.world.host("end-0").kill()
        left = ends[1:]
        for number, one in enumerate(left):
            one.set("board", f"meanwhile-{number}", value=number)
        await stage.until("there is another root", lambda: heir.is_root)
        outage = stage.world.now - killed
        assert outage <= 2 * QUICK["deadline"]
        await stage.until("all belong together again", lambda: whole(left))
        await stage.until("nothing is lost", lambda: all(len(value) == 7 for value in values(left)))
        assert all(len(one.node.tree.children) <= 2 for one in left)
        assert left[0].node.tree.term.number == 2

    play(story)


@BOTH
def test_a_root_that_leaves_is_followed_at_once(play) -> None:
    async def story(stage: Stage) -> None:
        ends = build(stage, 3)
        await stage.until("all belong together", lambda: whole(ends) and all(one.node.tree.line for one in ends))
        number = ends[0].set("board", "last", value="words")
        await ends[0].acknowledged(number, timeout=10)
        ends[0].close()
        with pytest.raises(Closed):
            ends[0].set("board", "too", value="late")
        left = ends[1:]
        await stage.until("another is root", lambda: whole(left), patience=5)
        assert values(left) == [{"last": "words"}] * 3

    play(story)


@BOTH
def test_an_edit_without_a_host_waits_and_is_not_lost(play) -> None:
    async def story(stage: Stage) -> None:
        lone = Endpoint(stage.world.host("lone"), join=stage.address("nobody"), **QUICK)
        number = lone.set("board", "early", value=True)
        assert lone.document("board").value == {"early": True}
        with pytest.raises(TimedOut, match="was not acknowledged"):
            await lone.acknowledged(number, timeout=0.2)
        root = Endpoint(stage.world.host("root"), listen=stage.address("nobody"), **QUICK)
        await lone.acknowledged(number, timeout=10)
        assert root.document("board").value == {"early": True}

    play(story)


def test_an_edit_that_a_new_root_threw_away_comes_again_whatever_others_edit() -> None:
    async def story(stage: Stage) -> None:
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), **QUICK)
        heir = Endpoint(stage.world.host("b"), join=root.door, listen=stage.address("b"), **QUICK)
        await stage.until("there is an heir", lambda: heir.is_connected and heir.node.tree.line)
        below = Endpoint(stage.world.host("c"), join=heir.door, listen=stage.address("c"), **QUICK)
        await stage.until("there is somebody below it", lambda: below.is_connected)
        await stage.world.sleep(2)
        stage.world.host("a").kill()
        await stage.world.sleep(0.15)
        number = below.set("board", "below", value=0)
        for count in range(30):
            heir.set("board", "heir", value=count)
            number = below.set("board", "below", value=count)
            await stage.world.sleep(0.3)
        await below.acknowledged(number, timeout=1)
        assert heir.document("board").value == {"heir": 29, "below": 29} == below.document("board").value

    in_virtual_time(story)


def test_one_lost_edit_holds_up_the_next_ones_for_a_deadline_only() -> None:
    async def story(stage: Stage) -> None:
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), **QUICK)
        child = Endpoint(stage.world.host("b"), join=root.door, **QUICK)
        await child.acknowledged(child.set("board", "child", value=-1), timeout=5)
        child.node.edit("board", [[["lost"], True]])
        child.node.poll_ups()
        for count in range(20):
            root.set("board", "root", value=count)
            number = child.set("board", "child", value=count)
            await stage.world.sleep(0.1)
        await child.acknowledged(number, timeout=0.5)
        assert root.document("board").value == {"root": 19, "child": 19, "lost": True}

    in_virtual_time(story)


@BOTH
def test_whoever_starts_again_with_its_identity_goes_on_where_it_was(play) -> None:
    async def story(stage: Stage) -> None:
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), **QUICK)
        me = b"always-the-same!"
        for life in range(4):
            host = stage.world.host(f"life-{life}")
            ann = Endpoint(host, join=root.door, identity=me, **QUICK)
            if life % 2:
                # It edits before it knows that it has been here before.
                early = [ann.set("board", f"early-{life}-{number}", value=number) for number in range(3)]
                assert early == [1, 2, 3]
                assert ann.document("board").value[f"early-{life}-2"] == 2
            else:
                await stage.until("it has joined", lambda ann=ann: ann.is_connected)
            last = ann.set("board", f"late-{life}", value=life)
            await ann.acknowledged(last, timeout=5)
            assert root.document("board").value[f"late-{life}"] == life
            host.kill()
        assert len(root.document("board").value) == 10
        root.close()

    play(story)


def test_two_with_one_identity_are_told_so() -> None:
    async def story(stage: Stage) -> None:
        root = Endpoint(stage.world.host("a"), listen=stage.address("a"), **QUICK)
        twins = [Endpoint(stage.world.host(name), join=root.door, identity=b"t" * 16, **QUICK) for name in "bc"]
        await stage.until("they have joined", lambda: all(one.is_connected for one in twins))
        await stage.world.sleep(0.5)
        for number, one in enumerate(twins):
            one.set("board", f"twin-{number}", value=number)
        await stage.world.sleep(1)
        with pytest.raises(StateError, match="another endpoint has this identity"):
            for one in twins:
                one.set("board", "again", value=1)

    in_virtual_time(story)


def test_a_partition_makes_two_clusters_and_healing_makes_one_of_all_edits() -> None:
    """Said plainly: while they are cut off from each other both sides go on, each for itself."""
    from workbench.engine.virtual import VirtualWorld

    world = VirtualWorld(seed=3)
    for site in ("here", "there"):
        world.site(site)
    world.link("here", "there", delay=0.005)

    async def story() -> None:
        stage = Stage(world, lambda name: f"door/{name}")
        ends = []
        for number in range(6):
            host = world.host(f"end-{number}", "here" if number < 3 else "there")
            join = ("door/0",) if number else ()
            ends.append(Endpoint(host, listen=f"door/{number}", join=join, **QUICK))
            await world.sleep(0.3)
        await stage.until("all belong together", lambda: whole(ends))
        ends[1].set("board", "before", value=1)
        await world.sleep(1)
        world.strike("cut", "here", "there")
        await stage.until("each side has a root", lambda: whole(ends[:3]) and whole(ends[3:]))
        ends[1].set("board", "here", value=1)
        ends[4].set("board", "there", value=1)
        await world.sleep(1)
        assert values(ends) == [{"before": 1, "here": 1}] * 3 + [{"before": 1, "there": 1}] * 3
        world.strike("heal", "here", "there")
        await stage.until("they are one again", lambda: whole(ends))
        await stage.until("with all edits", lambda: values(ends) == [{"before": 1, "here": 1, "there": 1}] * 6)

    world.run(until=world.spawn(story()))
    world.audit()


@pytest.mark.parametrize("seed", range(40))
def test_a_random_life_ends_well(seed: int) -> None:
    live(seed, size_of(seed))


@pytest.mark.slow
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("block", range(10))
def test_a_thousand_random_lives_end_well(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        live(seed, size_of(seed))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("seed", "size"), [(1, 50), (2, 100), (3, 200)])
def test_a_random_life_of_a_large_tree_ends_well(seed: int, size: int) -> None:
    live(seed, size)


def live(seed: int, size: int) -> None:
    life = Chaos(seed, size)
    try:
        life.play()
    except BaseException as error:
        error.add_note(f"replay: python tests/apps/chaos.py {seed} {size}")
        raise
