"""Signals wake coroutines in both worlds alike."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from workbench.engine.real import RealWorld, play
from workbench.engine.virtual import VirtualWorld
from workbench.engine.world import Host, World


async def story(world: World) -> list[object]:
    """A signal remembers one call if nobody waits, wakes everyone who does, and tells a time that is over."""
    told: list[object] = []
    signal = world.signal()
    signal.notify()
    signal.notify()
    told.append(await signal.wait(timeout=5))
    told.append(await signal.wait(timeout=0.01))

    async def sleeper(name: str) -> None:
        told.append((name, await signal.wait(timeout=5)))

    host = world.host("one")
    host.spawn(sleeper("first"))
    host.spawn(sleeper("second"))
    await world.sleep(0.01)
    signal.notify()
    await world.sleep(0.01)
    told.append(await signal.wait(timeout=0))
    return told


def virtually(tell: Callable[[World], Coroutine[Any, Any, list[object]]]) -> Any:
    world = VirtualWorld()
    return world.run(until=world.spawn(tell(world)))


def really(tell: Callable[[World], Coroutine[Any, Any, list[object]]]) -> Any:
    async def run() -> list[object]:
        async with RealWorld() as world:
            return await tell(world)

    return asyncio.run(run())


@pytest.mark.parametrize("world", [virtually, really])
def test_a_signal_wakes_who_waits_and_remembers_one_call(world: Any) -> None:
    told = world(story)
    # Who of those who wait goes first is a matter of the world.
    told[2:4] = sorted(told[2:4])
    assert told == [True, False, ("first", True), ("second", True), False]


def test_a_program_is_one_behaviour() -> None:
    heard: list[bytes] = []

    async def main(host: Host) -> None:
        rep, req = host.socket("rep"), host.socket("req")
        req.dial(rep.listen("inproc://program"))
        await req.asend(b"ping")
        heard.append(await rep.arecv())

    play(main)
    assert heard == [b"ping"]


def test_a_program_raises_what_its_behaviour_raises() -> None:
    async def main(host: Host) -> None:
        await host.world.sleep(0)
        raise ValueError("the behaviour's own")

    with pytest.raises(ValueError, match="own"):
        play(main)
