"""The real world: the operating system's clock, asyncio, and sockets on this machine's network.

async def main() -> None:
    async with RealWorld(seed=1) as world:
        world.host("server").play(serve)
        world.host("client").play(ask)
        await world.sleep(10)
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, overload

from workbench._engine import Meter, Stream
from workbench.engine.socket import CLASSES, Socket, Sub, Surveyor
from workbench.engine.world import Behaviour, Kind, duration, observation

__all__ = ["Meter", "RealHost", "RealWorld", "Stream"]


class RealWorld:
    """A world in real time. Its time begins at `epoch`, a moment of `time.monotonic`, which may lie ahead.
    Every socket of its hosts has these `options`, unless it is opened with others.

    The first behaviour that fails ends the world: `run` and leaving the context raise its exception, whatever it is.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        replication: int = 0,
        epoch: float | None = None,
        options: Mapping[str, float | str] | None = None,
    ) -> None:
        self.seed = seed
        self.options = dict(options or {})
        self.replication = replication
        self.epoch = time.monotonic() if epoch is None else epoch
        self.observations: list[tuple[str, float, str]] = []
        self._hosts: dict[str, RealHost] = {}
        self._failure: asyncio.Future[None] | None = None

    @property
    def now(self) -> float:
        """Seconds since the epoch; negative before it."""
        return time.monotonic() - self.epoch

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait; to the event loop's precision, which is a millisecond for asyncio's usual one.

        Raises OptionError at once unless `seconds` is zero or more.
        """
        return asyncio.sleep(duration(seconds))

    def signal(self) -> "RealSignal":
        """Make a signal, for coroutines to wake each other."""
        return RealSignal()

    def host(self, name: str, site: str = "") -> "RealHost":
        """Return the host of this name; make it first if there is none."""
        if name not in self._hosts:
            self._hosts[name] = RealHost(self, name, site)
        return self._hosts[name]

    def observe(self, name: str, value: float, unit: str = "1") -> None:
        """Record one observation, a finite number. Raises OptionError for anything else."""
        self.observations.append(observation(name, value, unit))

    async def run(self, until: float) -> None:
        """Let the world go on until this moment of its time; raise what a behaviour raised."""
        failure = self._failing()
        await asyncio.wait([failure], timeout=max(0.0, until - self.now))
        if failure.done():
            failure.result()

    def close(self) -> None:
        """Kill every host."""
        for host in self._hosts.values():
            host.kill()

    async def __aenter__(self) -> Self:
        self._failing()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        # Cancelled tasks end in the loop's next rounds.
        await asyncio.sleep(0)
        if self._failure is not None and self._failure.done() and kind is None:
            self._failure.result()

    def _failing(self) -> "asyncio.Future[None]":
        if self._failure is None:
            self._failure = asyncio.get_running_loop().create_future()
        return self._failure

    def fail(self, error: BaseException) -> None:
        """End the world: a behaviour has failed."""
        failure = self._failing()
        if not failure.done():
            failure.set_exception(error)


class RealHost:
    """A host of the real world: some tasks of this process, and their sockets."""

    def __init__(self, world: RealWorld, name: str, site: str) -> None:
        self._world = world
        self._name = name
        self._site = site
        self._behaviours: list[Behaviour] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: list[Socket] = []
        self._life = 1

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    @property
    def site(self) -> str:
        """Where it stands."""
        return self._site

    @property
    def world(self) -> RealWorld:
        """The world it is in."""
        return self._world

    @overload
    def socket(self, kind: Literal["sub"], **options: float | str) -> Sub: ...

    @overload
    def socket(self, kind: Literal["surveyor"], **options: float | str) -> Surveyor: ...

    @overload
    def socket(self, kind: Kind, **options: float | str) -> Socket: ...

    def socket(self, kind: Kind, **options: float | str) -> Socket:
        """Open a socket; it is aborted when the host is killed."""
        self._sockets = [socket for socket in self._sockets if not socket.closed]
        make: Callable[..., Socket] = CLASSES[kind]
        socket = make(**self._world.options | options)
        self._sockets.append(socket)
        return socket

    def stream(self, name: str) -> Stream:
        """Luck of its own, from the world's seed, the replication and "host/name"; after each restore it is new."""
        life = f"#{self._life}" if self._life > 1 else ""
        return Stream(self._world.seed, self._world.replication, f"{self._name}{life}/{name}")

    def unique(self) -> bytes:
        """16 bytes that nobody else has, whatever the seed."""
        return os.urandom(16)

    def play(self, behaviour: Behaviour) -> None:
        """Start `behaviour` now, and again after each restore."""
        self._behaviours.append(behaviour)
        self.spawn(behaviour(self))

    def spawn(self, errand: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a coroutine beside the others of this host, until it ends or the host is killed."""
        if not asyncio.iscoroutine(errand):
            raise TypeError(f"the real world plays coroutines (async def), not {errand!r}")
        task = asyncio.get_running_loop().create_task(_contained(errand), name=getattr(errand, "__name__", "behaviour"))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, errand))
        return task

    def kill(self) -> None:
        """Stop everything at once, as when a process is killed: peers see broken connections."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.abort()

    def close(self, flush: float = 1.0) -> None:
        """End in an orderly way: wait up to `flush` seconds until what its sockets have taken to send is written."""
        for socket in self._sockets:
            socket.close(flush)
        self.kill()

    def restore(self) -> None:
        """Start again what the host was playing."""
        self._life += 1
        for behaviour in self._behaviours:
            self.spawn(behaviour(self))

    def _ended(self, errand: Coroutine[Any, Any, None], task: "asyncio.Task[None]") -> None:
        # One that was killed before its first step would complain that nobody awaited it.
        errand.close()
        if task in self._tasks:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                error = error.error if isinstance(error, _LeavingError) else error
                error.add_note(f"in {task.get_name()} on host {self._name!r} at {self._world.now:.9f} s")
                self._world.fail(error)
        elif not task.cancelled():
            # It was killed; what its sockets' end raised in it is no failure of the behaviour.
            task.exception()


class RealSignal:
    """Wakes coroutines that wait for something other than a socket."""

    def __init__(self) -> None:
        self._told = False
        self._waiting: set[asyncio.Future[bool]] = set()

    def notify(self) -> None:
        """Wake everyone who waits; if nobody does, the next who waits need not."""
        if not self._waiting:
            self._told = True
            return
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(True)
        self._told = False

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds (None: for ever) to be woken; False if the time was over."""
        if self._told:
            self._told = False
            return True
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.add(future)
        timer = None if timeout is None else loop.call_later(duration(timeout), _over, future)
        try:
            return bool(await future)
        finally:
            self._waiting.discard(future)
            if timer is not None:
                timer.cancel()


def _over(future: "asyncio.Future[bool]") -> None:
    if not future.done():
        future.set_result(False)


def play(behaviour: Behaviour, *, name: str = "here", site: str = "", seed: int | None = None) -> None:
    """Play one behaviour on real sockets until it ends: the whole of a program.

        play(main)

    `seed` decides its luck (None: the operating system does). Raises what the behaviour raises; Ctrl-C ends it with
    KeyboardInterrupt, and its sockets with it.
    """
    asyncio.run(_play(behaviour, name, site, int.from_bytes(os.urandom(8)) if seed is None else seed))


async def _play(behaviour: Behaviour, name: str, site: str, seed: int) -> None:
    async with RealWorld(seed=seed) as world:
        host = world.host(name, site)
        task = host.spawn(behaviour(host))
        await asyncio.wait([task, world._failing()], return_when=asyncio.FIRST_COMPLETED)
        # What its sockets have taken to send goes out before the world ends.
        host.close()


class _LeavingError(Exception):
    """Carries what would end the event loop, and so leave no time to say why."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


async def _contained(errand: Coroutine[Any, Any, None]) -> None:
    try:
        await errand
    except (SystemExit, KeyboardInterrupt) as error:
        raise _LeavingError(error) from error
