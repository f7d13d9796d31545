"""Plays one story in either world: virtual time by default, real sockets in the slow lane."""

import asyncio
import random
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from workbench.engine.real import RealWorld
from workbench.engine.virtual import VirtualWorld
from workbench.engine.world import World

Story = Callable[["Stage"], Coroutine[Any, Any, None]]

BOTH = pytest.mark.parametrize("play", ["virtual", pytest.param("real", marks=pytest.mark.slow)], indirect=True)
"""Marks a test that plays a story in both worlds."""


class Stage:
    """A world, and the addresses in it. A story waits for things, never for a time that ought to do."""

    def __init__(self, world: World, address: Callable[[str], str]) -> None:
        self.world = world
        self.address = address

    async def until(self, what: str, condition: Callable[[], object], patience: float = 20.0) -> None:
        """Wait until something is the case."""
        deadline = self.world.now + patience
        while not condition():
            assert self.world.now < deadline, f"waited in vain: {what}"
            await self.world.sleep(0.005)


def in_virtual_time(story: Story, seed: int = 1) -> None:
    world = VirtualWorld(seed=seed)
    world.run(until=world.spawn(story(Stage(world, lambda name: f"tcp://{name}:5550"))))
    world.audit()


def on_real_sockets(story: Story, seed: int = 1) -> None:
    async def play() -> None:
        async with RealWorld(seed=seed) as world:
            taken: dict[str, str] = {}
            task = asyncio.ensure_future(story(Stage(world, lambda name: taken.setdefault(name, free_address()))))
            failing = world._failing()
            await asyncio.wait([task, failing], return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                task.cancel()
                failing.result()
            await task

    asyncio.run(play())


def free_address() -> str:
    """An address of three ports in a row that are free, below those that the kernel gives to outgoing connections."""
    while True:
        first = random.randrange(10_000, 32_000)
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return f"tcp://127.0.0.1:{first}"
