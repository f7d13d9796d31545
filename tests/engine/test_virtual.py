"""The virtual world: SimPy above, the engine's own sockets below."""

import gc
import traceback
from collections.abc import Generator
from typing import Any

import pytest
import simpy

from workbench.engine.errors import AddressError, Closed, OptionError, StateError, TimedOut
from workbench.engine.rhythm import Rhythm
from workbench.engine.virtual import VirtualHost, VirtualWorld
from workbench.engine.window import Window

HALF_RTT = 0.038


def two_cities(seed: int = 1) -> VirtualWorld:
    world = VirtualWorld(seed=seed, story=10_000)
    world.site("new-york")
    world.site("london")
    world.link("new-york", "london", delay=HALF_RTT)
    return world


async def echo(host: VirtualHost) -> None:
    socket = host.socket("rep")
    socket.listen(host.name)
    while True:
        await socket.asend(await socket.arecv() + b" from " + host.name.encode())


def test_a_coroutine_and_a_plain_process_live_in_one_time() -> None:
    world = two_cities()
    heard: list[tuple[float, object]] = []

    async def ask(host: VirtualHost) -> None:
        socket = host.socket("req")
        socket.dial("server")
        await socket.asend(b"ping")
        heard.append((round(world.now, 9), await socket.arecv()))
        heard[-1] = (round(world.now, 9), heard[-1][1])

    def tick(env: simpy.Environment) -> Generator[simpy.Event, Any, None]:
        while True:
            yield env.timeout(0.1)
            heard.append((round(env.now, 9), "tick"))

    world.host("server", "london").play(echo)
    world.host("client", "new-york").play(ask)
    world.process(tick(world))
    world.run(until=0.35)
    # Two round trips to connect, one to ask: exactly 3 · 76 ms.
    assert heard == [(0.1, "tick"), (0.2, "tick"), (0.228, b"ping from server"), (0.3, "tick")]
    assert world.now == 0.35
    world.audit()


def test_simpy_works_as_it_does_alone() -> None:
    """Resources, stores, conditions, interrupts and return values, in both environments."""

    def story(env: simpy.Environment) -> list[object]:
        told: list[object] = []
        desk = simpy.Resource(env, capacity=1)
        shelf: simpy.Store = simpy.Store(env)

        def customer(name: str) -> Generator[simpy.Event, Any, str]:
            with desk.request() as turn:
                yield turn
                told.append((env.now, name, "served"))
                yield env.timeout(2)
                yield shelf.put(name)
            return name

        def clerk() -> Generator[simpy.Event, Any, None]:
            try:
                while True:
                    told.append((env.now, (yield shelf.get()), "fetched"))
            except simpy.Interrupt as interrupt:
                told.append((env.now, interrupt.cause))

        fetching = env.process(clerk())
        one, other = env.process(customer("one")), env.process(customer("other"))
        both = env.run(until=env.all_of([one, other]))
        told.append(sorted(both.values()) if both is not None else None)
        fetching.interrupt("go home")
        first = env.run(until=env.timeout(1, value="late") | env.timeout(2))
        told.append(list(first.values()) if first is not None else None)
        env.run()
        told.append(env.now)
        return told

    assert story(VirtualWorld()) == story(simpy.Environment())


def test_coroutines_wait_for_simpy_events() -> None:
    world = VirtualWorld()
    shelf: simpy.Store = simpy.Store(world)

    async def put() -> str:
        await world.sleep(2)
        await world.wait(shelf.put("parcel"))
        return "done"

    async def get() -> tuple[str, float, str]:
        parcel = await world.wait(shelf.get())
        return parcel, world.now, await world.wait(putting)

    putting = world.spawn(put())
    assert world.run(until=world.spawn(get())) == ("parcel", 2.0, "done")


def test_a_deadline_passes_at_its_moment() -> None:
    world = two_cities()

    async def ask(host: VirtualHost) -> None:
        socket = host.socket("req")
        socket.dial("nobody")
        await socket.asend(b"anyone?")
        with pytest.raises(TimedOut):
            await socket.arecv(timeout=0.25)
        world.observe("gave up", world.now, "s")

    world.host("client", "new-york").play(ask)
    world.run(until=1)
    assert world.observations == [("gave up", 0.25, "s")]


def test_misuse_is_told_in_the_words_of_the_real_world() -> None:
    world = two_cities()

    async def misuse(host: VirtualHost) -> None:
        rep = host.socket("rep")
        with pytest.raises(StateError, match="no request in hand"):
            await rep.asend(b"to whom?")
        rep.listen("name")
        with pytest.raises(AddressError, match="already"):
            host.socket("pull").listen("name")
        with pytest.raises(OptionError, match="no option colour"):
            host.socket("req", colour=3)
        with pytest.raises(OptionError, match="priority 17"):
            host.socket("push").dial("name", priority=17)
        with pytest.raises(OptionError, match="timeout = -1"):
            await rep.arecv(timeout=-1)
        rep.close()
        rep.close()
        with pytest.raises(Closed):
            await rep.arecv()
        world.observe("done", 1)

    world.host("one", "london").play(misuse)
    world.run()
    assert world.observations
    with pytest.raises(OptionError, match="no site 'paris'; there are new-york, london"):
        world.host("two", "paris")


def test_a_killed_host_falls_silent_and_begins_anew() -> None:
    world = two_cities()
    lives: list[tuple[float, str]] = []

    async def serve(host: VirtualHost) -> None:
        lives.append((world.now, "begins"))
        try:
            await echo(host)
        finally:
            lives.append((world.now, "ends"))

    async def stubborn(host: VirtualHost) -> None:
        try:
            while True:
                await host.world.sleep(0.5)
                lives.append((world.now, "stubborn"))
        except GeneratorExit:
            if world.now > 3:
                raise
            await host.world.sleep(0.5)
            lives.append((world.now, "stubborn"))

    answers: list[tuple[float, bytes]] = []

    async def ask(host: VirtualHost) -> None:
        socket = host.socket("req")
        socket.dial("home", priority=1)
        socket.dial("away", priority=2)
        while True:
            await socket.asend(b"x")
            answer = await socket.arecv()
            answers.append((world.now, answer))
            await host.world.sleep(1)

    home = world.host("home", "new-york")
    home.play(serve)
    home.play(stubborn)
    world.host("away", "london").play(echo)
    world.host("client", "new-york").play(ask)
    world.schedule_fault(2.25, "kill", "home")
    world.schedule_fault(4.25, "restore", "home")
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        world.run(until=8)
    # That one was told to the world; what remains goes on.
    world.run(until=8)
    assert [life for life in lives if life[1] != "stubborn"] == [
        (0.0, "begins"),
        (2.25, "ends"),
        (4.25, "begins"),
    ]
    stubborn_after = [at for at, what in lives if what == "stubborn" and 2.25 < at <= 4.25]
    assert stubborn_after == [], "nothing outlives its host"
    where = [answer.split()[-1] for _, answer in answers]
    assert where[:3] == [b"home"] * 3 and b"away" in where and where[-1] == b"home"
    world.audit()


def test_a_behaviour_may_kill_its_own_host() -> None:
    world = two_cities()
    done: list[str] = []

    async def suicide(host: VirtualHost) -> None:
        socket = host.socket("pull")
        await host.world.sleep(1)
        host.kill()
        done.append("still in its turn")
        host.socket("pull")
        await socket.arecv()
        done.append("never")

    host = world.host("one", "london")
    host.play(suicide)
    world.run(until=2)
    assert done == ["still in its turn"]
    assert not host.alive
    host.restore()
    world.run(until=2.5)
    assert host.alive


def test_an_answer_that_a_killed_or_interrupted_receiver_did_not_take_is_not_lost() -> None:
    world = two_cities()
    got: list[bytes] = []

    async def push(host: VirtualHost) -> None:
        socket = host.socket("push")
        socket.dial("sink")
        for number in range(6):
            await socket.asend(b"%d" % number)
            await host.world.sleep(0.1)

    sink = world.host("sink", "new-york").socket("pull")
    sink.listen("sink")

    async def receive() -> None:
        got.append(await sink.arecv())

    def impatient() -> Generator[simpy.Event, Any, None]:
        while len(got) < 6:
            receiving = world.spawn(receive())
            yield receiving | world.timeout(0.03)
            if receiving.is_alive:
                receiving.defused = True
                receiving.interrupt()

    world.host("source", "new-york").play(push)
    world.process(impatient())
    world.run(until=2)
    assert got == [b"0", b"1", b"2", b"3", b"4", b"5"]
    world.audit()


class TwoWordsError(Exception):
    """An exception that SimPy cannot copy: its arguments are not its constructor's."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def test_a_failing_behaviour_ends_the_run_with_its_own_traceback() -> None:
    world = two_cities()

    async def stumble_here(host: VirtualHost) -> None:
        await host.world.sleep(1.5)
        raise TwoWordsError("hello", "world")

    world.host("one", "london").play(stumble_here)
    with pytest.raises(TwoWordsError, match="hello world") as caught:
        world.run(until=3)
    assert "stumble_here" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert caught.value.__notes__ == ["in stumble_here on host 'one' at 1.5 s"]


def test_who_waits_for_a_failing_behaviour_gets_its_exception() -> None:
    world = two_cities()

    async def stumble() -> None:
        await world.sleep(1)
        raise TwoWordsError("hello", "world")

    async def watch() -> str:
        try:
            await world.wait(world.spawn(stumble()))
        except TwoWordsError as error:
            return str(error)
        return "nothing"

    assert world.run(until=world.spawn(watch())) == "hello world"
    with pytest.raises(TwoWordsError, match="hello world"):
        world.run(until=world.spawn(stumble()))


def test_a_plain_process_that_fails_ends_the_run_with_its_own_exception() -> None:
    world = VirtualWorld()

    def stumble() -> Generator[simpy.Event, Any, None]:
        yield world.timeout(1)
        raise TwoWordsError("hello", "world")

    world.process(stumble())
    with pytest.raises(TwoWordsError, match="hello world"):
        world.run()


def test_contexts_hold_many_conversations() -> None:
    world = two_cities()
    answers: list[tuple[float, bytes]] = []

    async def serve(host: VirtualHost) -> None:
        socket = host.socket("rep")
        socket.listen("server")

        async def work(conversation: Any) -> None:
            while True:
                asked = await conversation.arecv()
                await host.world.sleep(float(asked))
                await conversation.asend(asked)

        for conversation in [socket, socket.context(), socket.context()]:
            host.spawn(work(conversation))

    async def ask(host: VirtualHost) -> None:
        socket = host.socket("req")
        socket.dial("server")

        async def one(wait: bytes) -> None:
            context = socket.context()
            await context.asend(wait)
            answer = await context.arecv()
            answers.append((round(world.now, 9), answer))
            context.close()

        for wait in [b"0.3", b"0.1", b"0.2"]:
            host.spawn(one(wait))

    world.host("server", "london").play(serve)
    world.host("client", "new-york").play(ask)
    world.run(until=2)
    assert answers == [(0.328, b"0.1"), (0.428, b"0.2"), (0.528, b"0.3")]


def test_the_same_seed_tells_the_same_story_and_another_does_not() -> None:
    def digest(seed: int, replication: int) -> tuple[int, int]:
        world = VirtualWorld(seed=seed, replication=replication, story=0)
        world.site("here", jitter=("exponential", 0.001, 0))

        async def ask(host: VirtualHost) -> None:
            luck, socket = host.stream("asking"), host.socket("req")
            socket.dial("server")
            while True:
                await host.world.sleep(luck.exponential(0.01))
                await socket.asend(b"x")
                await socket.arecv()

        world.host("server", "here").play(echo)
        world.host("client", "here").play(ask)
        world.run(until=2)
        world.audit()
        return world.digest()

    assert digest(1, 0) == digest(1, 0)
    assert len({digest(1, 0), digest(2, 0), digest(1, 1)}) == 3


def test_a_host_draws_other_luck_in_each_life() -> None:
    world = two_cities()
    host = world.host("one", "london")
    first, again = host.stream("x").uniform(), host.stream("x").uniform()
    host.kill()
    host.restore()
    assert first == again != host.stream("x").uniform()


def test_running_ends_when_nothing_is_left_to_happen() -> None:
    world = two_cities()
    pull = world.host("sink", "london").socket("pull")
    pull.listen("sink")

    async def receive() -> None:
        await pull.arecv()

    process = world.spawn(receive())
    world.run()
    assert process.is_alive
    with pytest.raises(RuntimeError, match="No scheduled events left"):
        world.run(until=process)


def test_native_roles_and_behaviours_share_a_world() -> None:
    world = two_cities()
    for name, site in [("foo", "london"), ("client", "new-york")]:
        world.host(name, site)
    world.add_service("foo", "rep", [("foo", "foo")], workers=2, time=("exponential", 0.001, 0))
    window = Window(start=1.0, end=9.0)
    world.add_workload("users", "req", [("client", [("foo", 8)])], window, load=Rhythm(kind="poisson", rate=100))
    sizes: list[int] = []

    async def also_ask(host: VirtualHost) -> None:
        socket = host.socket("req")
        socket.dial("foo")
        while True:
            await socket.asend(b"12345678")
            sizes.append(len(await socket.arecv()))

    world.host("other", "london").play(also_ask)
    world.run(until=10)
    world.audit()
    counts = world.meter("users")["phases"]["before"]
    assert 700 < counts["sent"] < 900 and counts["sent"] == counts["answered"] == counts["cross"]
    assert counts["latency_sum_ns"] / counts["answered"] == pytest.approx(2 * HALF_RTT * 1e9 + 1e6, rel=0.01)
    assert sum(count for _, count in counts["latencies"]) == counts["answered"]
    assert set(sizes) == {64} and len(sizes) > 1_000
    assert world.served("foo")[0] >= counts["answered"] + len(sizes)


def test_a_finished_world_goes_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    world = two_cities()
    world.host("one", "london").play(echo)
    world.run(until=1)
    del world
    gc.collect()
    assert not recwarn.list
