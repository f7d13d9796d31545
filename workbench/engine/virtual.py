"""The virtual world: SimPy's clock, and the engine's own state machines under it.

    world = VirtualWorld(seed=1)
    world.site("new-york"), world.site("london")
    world.link("new-york", "london", delay=0.038)
    world.host("server", "london").play(serve)
    world.host("client", "new-york").play(ask)
    world.run(until=10)

A `VirtualWorld` is a `simpy.Environment` with one addition: before it steps to its next event, the native agenda
advances to the moment of that event, and stops on the way as soon as a behaviour has an answer. Behaviours are
coroutines that wait for sockets, for `world.sleep`, or for any SimPy event by ``await world.wait(event)``; plain SimPy
processes, resources and stores work beside them unchanged.

Services and workloads that need no Python run natively: `add_service`, `add_workload`; those that need no network
either, faster still: `add_station`, `add_crowd`.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from dataclasses import astuple
from heapq import heappop
from math import inf
from typing import Any, TypeAlias

import simpy
from simpy.core import EmptySchedule, StopSimulation
from simpy.events import Event, EventPriority, Process

from workbench._engine import NativeWorld, Stream
from workbench.engine import errors
from workbench.engine.forward import Forward
from workbench.engine.handling import Handling
from workbench.engine.rhythm import NOTHING, Drawn, Rhythm
from workbench.engine.window import Window
from workbench.engine.world import Data, Kind, Topic, WhenFull, duration, observation, topic_bytes

Answer: TypeAlias = tuple[tuple[str, str] | None, bytes | None]
Errand: TypeAlias = Coroutine[Any, Any, Any] | Generator[Event, Any, Any]
Behaviour: TypeAlias = Callable[["VirtualHost"], Errand]


class VirtualWorld(simpy.Environment):
    """A world in virtual time, in seconds since it began.

    `seed` and `replication` decide all its luck. `window` is how many bytes may be sent on a connection and not be
    consumed, `handling` what it costs a site's program to handle messages (None: nothing, and no host gets in another's
    way), `story` how many lines of its story to keep (None: no story).

    The first behaviour that fails ends `run` with its own exception.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        replication: int = 0,
        window: int = 262_144,
        handling: Handling | None = None,
        story: int | None = None,
    ) -> None:
        super().__init__(initial_time=0.0)
        self.seed = seed
        self.replication = replication
        self.observations: list[tuple[str, float, str]] = []
        self._native = NativeWorld(
            seed, replication, window=window, handling=None if handling is None else astuple(handling), story=story
        )
        self._sites: dict[str, int] = {}
        self._hosts: dict[str, VirtualHost] = {}
        self._workloads: dict[str, int] = {}
        self._services: dict[str, int] = {}
        self._stations: dict[str, int] = {}
        self._crowds: dict[str, int] = {}
        self._waiting: dict[int, Event] = {}
        self._early: dict[int, Answer] = {}
        self._abandoned: dict[int, tuple[int, int]] = {}
        self._last_fault = 0

    # What the world consists of

    def site(
        self,
        name: str,
        *,
        delay: float = 50e-6,
        jitter: Drawn = NOTHING,
        rate: float | None = None,
        loss: float = 0.0,
    ) -> None:
        """Add a site. The link between its hosts has a `delay` (one way) and a `jitter` in seconds, a `rate` in bits
        per second (None: no bound) and a probability of `loss` for each segment, which costs time and not the data.
        """
        self._sites[name] = self._native.add_site(name, delay=delay, jitter=jitter, rate=rate, loss=loss)

    def link(
        self, a: str, b: str, *, delay: float, jitter: Drawn = NOTHING, rate: float | None = None, loss: float = 0.0
    ) -> None:
        """Lay a link between two sites, alike in both directions; see `site`."""
        self._native.link(self._site(a), self._site(b), delay=delay, jitter=jitter, rate=rate, loss=loss)

    def host(self, name: str, site: str = "") -> "VirtualHost":
        """Return the host of this name; make it first if there is none."""
        if name not in self._hosts:
            if site == "" and site not in self._sites:
                self.site(site)
            self._hosts[name] = VirtualHost(self, name, site, self._native.add_host(name, self._site(site)))
        return self._hosts[name]

    def add_service(
        self,
        name: str,
        kind: Kind,
        instances: Sequence[tuple[str, str]],
        *,
        workers: int = 1,
        time: Drawn = NOTHING,
        reply: int = 64,
        patience: float | None = None,
        straggler: float = 1.0,
        forward: Forward | None = None,
        **options: float | str,
    ) -> None:
        """Start a native service (kind rep, respondent, pull or sub): `instances` are pairs of a host and where it
        listens.

        Each has `workers` that take `time` for one request, the first instance `straggler` times as long; replies have
        `reply` bytes. A subscriber that receives something older than its `patience` kills its host. With `forward` it
        hands on what it has worked on. Options are those of sockets.
        """
        hosts = [
            (self._hosts[host].number, address, 1.0 if place else straggler)
            for place, (host, address) in enumerate(instances)
        ]
        self._services[name] = self._native.add_service(
            name,
            kind,
            hosts,
            workers=workers,
            time=time,
            reply=reply,
            patience=patience,
            forward=forward,
            **options,
        )
        self._collect()

    def add_workload(
        self,
        name: str,
        kind: Kind,
        clients: Sequence[tuple[str, Sequence[tuple[str, int]]]],
        window: Window | None = None,
        *,
        load: Rhythm,
        routing: str = "round-robin",
        size: int = 64,
        timeout: float = 5.0,
        deadline: float | None = None,
        receivers: int | None = None,
        **options: float | str,
    ) -> None:
        """Start a native workload (kind req, surveyor, push or pub): `clients` are pairs of a host and what it dials,
        each an address and a priority.

        `load` is how each client asks; a flood goes with push only. With a `routing` of random, least-outstanding,
        power-of-two or sticky a client has a socket for each address and chooses for itself; with round-robin or
        priority its one socket does. A survey counts as it is at the `deadline`; who is late is heard until the survey
        of the socket ends. `receivers` is how many receive each message in the end, if not those that are dialled.
        What is measured, `window` says; options are those of the clients' sockets.
        """
        cast = [(self._hosts[host].number, list(dials)) for host, dials in clients]
        self._workloads[name] = self._native.add_workload(
            name,
            kind,
            cast,
            window or Window(),
            load=load,
            routing=routing,
            size=size,
            timeout=timeout,
            deadline=deadline,
            receivers=receivers,
            **options,
        )
        self._collect()

    def add_station(
        self,
        name: str,
        hosts: Sequence[str],
        *,
        workers: int = 1,
        time: Drawn = NOTHING,
        queue: int = 1000,
        when_full: str = "block",
    ) -> None:
        """Open a service that is reached without a network: on each host `workers` that take `time` for one request.

        `queue` requests may wait in each; with more, `when_full` says: "block" (they wait all the same), "drop-new" or
        "drop-old".
        """
        self._stations[name] = self._native.add_station(
            name,
            [self._hosts[host].number for host in hosts],
            workers=workers,
            time=time,
            queue=queue,
            when_full=when_full,
        )

    def add_crowd(
        self,
        name: str,
        station: str,
        clients: Sequence[tuple[str, Sequence[tuple[int, int]]]],
        window: Window | None = None,
        *,
        load: Rhythm,
        routing: str = "round-robin",
        drawn: int = 2,
        surveys: bool = False,
        timeout: float = 5.0,
    ) -> None:
        """Let clients go to a station: pairs of a host and the instances it goes to, each a place and a level, 1 first.

        `routing` is round-robin or priority (in turn, within the best level), random, least-outstanding, power-of-two
        (the less loaded of `drawn`) or sticky. With `surveys` each request goes to all instances.
        """
        cast = [(self._hosts[host].number, list(targets)) for host, targets in clients]
        self._crowds[name] = self._native.add_crowd(
            name,
            self._stations[station],
            cast,
            window or Window(),
            load=load,
            routing=routing,
            drawn=drawn,
            surveys=surveys,
            timeout=timeout,
        )

    def luck(self, name: str) -> Stream:
        """A stream of the world's own, from its seed, the replication and this name."""
        return Stream(self.seed, self.replication, name)

    # Faults

    def schedule_fault(
        self, at: float, action: str, target: str, other: str | None = None, *, unnoticed: float = 0.0
    ) -> None:
        """Plan a fault: kill or restore the host `target`; cut, heal or break the link between two sites, or
        mute and unmute what the first sends to the second.

        A kill may go `unnoticed` for so many seconds: then peers are told nothing, and find out that much later.
        """
        self._last_fault = max(self._last_fault, _ns(at))
        self._native.schedule(_ns(at), action, *self._target(target, other), unnoticed)

    def strike(self, action: str, target: str, other: str | None = None) -> None:
        """Carry out a fault now; see `schedule_fault`."""
        self._native.strike(action, *self._target(target, other))
        self._collect()

    # What behaviours see

    def sleep(self, seconds: float) -> "Wait":
        """Wait, to the nanosecond, as native roles do: sums of floating-point times would drift from theirs.

        Raises OptionError at once unless `seconds` is zero or more.
        """
        moment = (self._native.now_ns + _ns(duration(seconds))) / 1e9
        return Wait(self.timeout(max(0.0, moment - self._now)))

    def wait(self, event: Event) -> "Wait":
        """Wait for any SimPy event: ``item = await world.wait(store.get())``."""
        return Wait(event)

    def signal(self) -> "VirtualSignal":
        """Make a signal, for coroutines to wake each other."""
        return VirtualSignal(self)

    def spawn(self, errand: Errand) -> Process:
        """Run a coroutine, or a SimPy process function's generator, that belongs to no host."""
        return self.process(_Life(errand))

    def observe(self, name: str, value: float, unit: str = "1") -> None:
        """Record one observation, a finite number. Raises OptionError for anything else."""
        self.observations.append(observation(name, value, unit))

    # What came of it

    @property
    def events(self) -> int:
        """How many native events there have been."""
        return self._native.events

    def meter(self, workload: str) -> dict[str, Any]:
        """Return the counts of a native workload, or a crowd; see `workbench._engine.Meter.snapshot`."""
        if workload in self._crowds:
            return self._native.crowd_meter(self._crowds[workload])
        return self._native.meter(self._workloads[workload])

    def served(self, service: str) -> list[int]:
        """Return how many requests each instance of a native service, or a station, has served."""
        if service in self._stations:
            return self._native.served_at(self._stations[service])
        return self._native.served(self._services[service])

    def busy(self, service: str) -> list[float]:
        """Return how many seconds the workers of each instance of a native service have been busy, all together."""
        return self._native.busy(self._services[service])

    def gave_up(self, service: str) -> list[float | None]:
        """Return when each instance of a native service has given up for lack of patience, in seconds."""
        return [None if at is None else at / 1e9 for at in self._native.gave_up(self._services[service])]

    def audit(self) -> None:
        """Raise RuntimeError if any message or request was made up or forgotten."""
        self._native.audit()

    def story(self) -> list[str]:
        """Return what happened, one line each: nanoseconds, host, what."""
        return self._native.story()

    def digest(self) -> tuple[int, int]:
        """Return how many lines the story has had, and a number that differs when any of them does."""
        return self._native.story_digest()

    # SimPy's scheduler, with the native agenda below it

    def step(self) -> None:
        """Advance the native world to the next event, or to the first answer before it; then process that event."""
        self._advance()
        try:
            self._now, _, _, event = heappop(self._queue)
        except IndexError:
            raise EmptySchedule from None
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        for place, callback in enumerate(callbacks):
            try:
                callback(event)
            except StopSimulation:
                event.callbacks = callbacks[place + 1 :]
                self.schedule(event, EventPriority(-1))
                raise
            except _CarriedError as carried:
                # What `run` waits for has failed.
                raise carried.error from None
        if not event._ok and not event.defused:
            # SimPy would raise a copy, made from the exception's `args`: without its traceback, or not at all.
            failure = event._value
            raise failure.error if isinstance(failure, _CarriedError) else failure

    def _advance(self) -> None:
        native = self._native
        while True:
            upcoming = self._queue[0][0] if self._queue else inf
            if upcoming <= self._now:
                return
            until: int | None = None
            if upcoming < inf:
                until = _ns(upcoming)
            elif not self._waiting:
                # Nobody waits, but a fault to come may start somebody.
                until = self._last_fault
                if until <= native.now_ns:
                    return
            reached, has_outcomes = native.advance(until)
            if not has_outcomes:
                return
            self._now = max(self._now, min(reached / 1e9, upcoming))
            self._collect()

    def _collect(self) -> None:
        """Pass on what has come of the native world."""
        if not self._native.has_outcomes():
            return
        answers, notices = self._native.outcomes()
        for ticket, failure, body in answers:
            if (event := self._waiting.pop(ticket, None)) is not None:
                event.succeed((failure, body))
            elif (owner := self._abandoned.pop(ticket, None)) is not None:
                self._give_back(owner, body)
            else:
                self._early[ticket] = (failure, body)
        for what, number in notices:
            host = next(host for host in self._hosts.values() if host.number == number)
            host._end() if what == "killed" else host._begin()

    async def _answer(self, ticket: int, owner: tuple[int, int]) -> bytes | None:
        """Wait for a ticket of a (socket, context)."""
        self._collect()
        if ticket in self._early:
            failure, body = self._early.pop(ticket)
        else:
            event = self._waiting[ticket] = self.event()
            try:
                failure, body = await Wait(event)
            except BaseException:
                self._take_back(ticket, event, owner)
                raise
        if failure is not None:
            name, text = failure
            raise getattr(errors, name)(text)
        return body

    def _take_back(self, ticket: int, event: Event, owner: tuple[int, int]) -> None:
        """Nobody waits for a ticket any more; a message that has come for it is given back."""
        if event.triggered:
            answer: Answer = event._value
            self._give_back(owner, answer[1])
            return
        del self._waiting[ticket]
        self._abandoned[ticket] = owner
        self._native.cancel(ticket)
        self._collect()

    def _give_back(self, owner: tuple[int, int], body: bytes | None) -> None:
        if body is not None:
            try:
                self._native.put_back(owner[0], body, owner[1])
            except errors.Closed:
                return
            self._collect()

    def _site(self, name: str) -> int:
        if name not in self._sites:
            raise errors.OptionError(f"there is no site {name!r}; there are {', '.join(self._sites) or 'none'}")
        return self._sites[name]

    def _target(self, target: str, other: str | None) -> tuple[int, int | None]:
        if other is not None:
            return self._site(target), self._site(other)
        if target not in self._hosts:
            raise errors.OptionError(f"there is no host {target!r}")
        return self._hosts[target].number, None


class VirtualHost:
    """A host of a virtual world."""

    def __init__(self, world: VirtualWorld, name: str, site: str, number: int) -> None:
        self._world = world
        self._name = name
        self._site = site
        self._behaviours: list[Behaviour] = []
        self._lives: dict[_Life, Process] = {}
        self._uniques = 0
        self.number = number
        """Its number in the world, in the order in which hosts were made."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    @property
    def site(self) -> str:
        """Where it stands."""
        return self._site

    @property
    def world(self) -> VirtualWorld:
        """The world it is in."""
        return self._world

    @property
    def alive(self) -> bool:
        """Has it not been killed, or been restored since?"""
        return self._world._native.is_alive(self.number)

    def socket(self, kind: Kind, **options: float | str) -> "VirtualSocket":
        """Open a socket; it is gone when the host is killed. Options are those of `workbench.engine.Socket`; those that
        concern the real world only (`spin`, `gather`, `buffer`) change nothing here. Raises OptionError, or Closed on a
        dead host.
        """
        return VirtualSocket(self._world, self._world._native.open_socket(self.number, kind, **options))

    def stream(self, name: str) -> Stream:
        """Luck of its own, from the world's seed, the replication and "host/name"; after each restore it is new."""
        return self._world._native.stream(self.number, name)

    def unique(self) -> bytes:
        """16 bytes that nobody else has, from the seed."""
        self._uniques += 1
        stream = self.stream(f"unique/{self._uniques}")
        return b"".join(int(stream.uniform() * 2**32).to_bytes(4) for _ in range(4))

    def play(self, behaviour: Behaviour) -> None:
        """Start `behaviour` now, and again after each restore."""
        self._behaviours.append(behaviour)
        if self.alive:
            self.spawn(behaviour(self))

    def spawn(self, errand: Errand) -> Process:
        """Run a coroutine beside the others of this host, until it ends or the host is killed."""
        self._world._native.watch(self.number)
        life = _Life(errand, self)
        process = self._lives[life] = self._world.process(life)
        return process

    def kill(self) -> None:
        """Stop everything at once, as when a process is killed: peers see broken connections."""
        self._world.strike("kill", self._name)

    def restore(self) -> None:
        """Start again what the host was playing."""
        self._world.strike("restore", self._name)

    def _end(self) -> None:
        """The host was killed: nothing that it plays outlives it."""
        lives, self._lives = self._lives, {}
        for life, process in lives.items():
            life.doomed = True
            if process.is_alive and process is not self._world.active_process:
                process.interrupt("the host was killed")

    def _begin(self) -> None:
        """The host was restored."""
        for behaviour in self._behaviours:
            self.spawn(behaviour(self))

    def _over(self, life: "_Life") -> None:
        self._lives.pop(life, None)


class VirtualSocket:
    """One end of a pattern in a virtual world. Addresses are names of any form, known all over the world."""

    def __init__(self, world: VirtualWorld, number: int, context: int = 0) -> None:
        self._world = world
        self._native = world._native
        self._number = number
        self._context = context

    def listen(
        self, address: str, *, priority: int = 8, recv_priority: int = 8, when_full: WhenFull | None = None
    ) -> str:
        """Accept peers under `address`; return it. Raises AddressError if somebody else does, or Closed."""
        self._native.listen(self._number, address, priority, recv_priority, when_full)
        return address

    def dial(
        self, address: str, *, priority: int = 8, recv_priority: int = 8, when_full: WhenFull | None = None
    ) -> None:
        """Keep a connection to `address` up; `priority` 1 is sent to first, 16 last.

        Raises AddressError if there is no link to where it is, OptionError or Closed.
        """
        self._native.dial(self._number, address, priority, recv_priority, when_full)

    def context(self) -> "VirtualContext":
        """Open another conversation. Raises StateError on sockets that hold only one, LimitReached, or Closed."""
        return VirtualContext(self._world, self._number, self._native.open_context(self._number))

    def subscribe(self, topic: Topic = b"") -> None:
        """Receive messages that begin with `topic`; SUB only. Raises StateError, LimitReached or Closed."""
        self._native.subscribe(self._number, topic_bytes(topic), self._context)

    def unsubscribe(self, topic: Topic = b"") -> None:
        """Take one subscription back. Raises StateError or Closed."""
        self._native.unsubscribe(self._number, topic_bytes(topic), self._context)

    async def asurvey(self, question: Data, deadline: float | None = None) -> AsyncIterator[bytes]:
        """Ask all peers and yield each answer as it comes, until the deadline; SURVEYOR only."""
        if deadline is not None:
            self._native.set_survey_deadline(self._number, deadline, self._context)
        await self.asend(question)
        # Who was busy with an answer when the deadline passed is told that no survey is under way.
        with contextlib.suppress(errors.TimedOut, errors.StateError):
            while True:
                yield await self.arecv()

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        """Send; wait up to `timeout` seconds (None: for ever). Raises TimedOut, Closed, StateError or TooLarge."""
        ticket = self._native.submit_send(self._number, data, self._deadline(timeout), self._context)
        await self._world._answer(ticket, (self._number, self._context))

    async def arecv(self, timeout: float | None = None) -> bytes:
        """Receive; wait up to `timeout` seconds (None: for ever). Raises TimedOut, Closed, StateError or Cancelled."""
        ticket = self._native.submit_recv(self._number, self._deadline(timeout), self._context)
        body = await self._world._answer(ticket, (self._number, self._context))
        assert body is not None
        return body

    async def asend_many(self, messages: Sequence[Data], timeout: float | None = None) -> None:
        """Send messages, in order; see `asend`."""
        for data in messages:
            await self.asend(data, timeout)

    async def arecv_many(self, limit: int = 1_024, timeout: float | None = None) -> list[bytes]:
        """Receive one message: here others would not be had for less together. See `arecv`."""
        del limit
        return [await self.arecv(timeout)]

    def stats(self) -> dict[str, int]:
        """Return the socket's counters."""
        return dict(self._native.stats(self._number))

    def close(self) -> None:
        """Close the socket; what it has accepted to send still travels. Closing twice does nothing."""
        try:
            self._native.close_socket(self._number)
        except errors.Closed:
            return
        self._world._collect()

    def _deadline(self, timeout: float | None) -> int | None:
        if timeout is None:
            return None
        if not timeout >= 0:
            raise errors.OptionError(f"timeout = {timeout} is out of range; allowed: 0 or more seconds")
        return min(self._native.now_ns + _ns(timeout), _NEVER)


class VirtualContext(VirtualSocket):
    """One conversation on a REQ or REP socket."""

    def close(self) -> None:
        """End the conversation; whoever waits in it gets Closed."""
        try:
            self._native.close_context(self._number, self._context)
        except errors.Closed:
            return
        self._world._collect()


class VirtualSignal:
    """Wakes coroutines that wait for something other than a socket."""

    def __init__(self, world: VirtualWorld) -> None:
        self._world = world
        self._told = False
        self._waiting: list[Event] = []

    def notify(self) -> None:
        """Wake everyone who waits; if nobody does, the next who waits need not."""
        if not self._waiting:
            self._told = True
            return
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            if not event.triggered:
                _tell(event, True)
        self._told = False

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds (None: for ever) to be woken; False if the time was over."""
        if self._told:
            self._told = False
            return True
        event = self._world.event()
        self._waiting.append(event)
        if timeout is not None:
            # The event itself ends the wait, so nothing is left of a timeout that came too late but its tick.
            moment = self._world.timeout(duration(timeout))
            moment.callbacks.append(lambda _: None if event.triggered else _tell(event, False))
        try:
            return bool(await Wait(event))
        finally:
            if event in self._waiting:
                self._waiting.remove(event)


def _tell(event: Event, woken: bool) -> None:
    event.succeed(woken)


class Wait:
    """Something to await: a SimPy event, and its value."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def __await__(self) -> Generator[Event, Any, Any]:
        try:
            return (yield self._event)
        except _CarriedError as failed:
            raise failed.error from None


class _CarriedError(Exception):
    """Carries an exception past SimPy, which copies exceptions by their `args` and so spoils some of them."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class _Life(Generator[Event, Any, Any]):
    """A behaviour under way, as SimPy drives it. Once doomed it gets no further turn."""

    def __init__(self, errand: Errand, host: VirtualHost | None = None) -> None:
        self._errand = errand
        self._host = host
        self.__name__ = getattr(errand, "__name__", "behaviour")
        self.doomed = False

    def send(self, value: Any) -> Event:
        return self._turn(self._errand.send, value)

    def throw(self, error: Any, value: Any = None, trace: Any = None) -> Event:
        del value, trace
        return self._turn(self._errand.throw, error)

    def _turn(self, turn: Callable[[Any], Event], what: Any) -> Event:
        try:
            if not self.doomed:
                event = turn(what)
                if not self.doomed:
                    return event
            self._errand.close()
        except StopIteration:
            self._over()
            raise
        except BaseException as error:
            self._over()
            if self.doomed and isinstance(error, errors.MessagingError):
                # It killed its own host, and then used what was gone.
                raise StopIteration from None
            if self._host is not None and isinstance(error, (Exception, SystemExit)):
                error.add_note(f"in {self.__name__} on host {self._host.name!r} at {self._host.world.now} s")
            raise _CarriedError(error) from error
        self._over()
        raise StopIteration

    def _over(self) -> None:
        if self._host is not None:
            self._host._over(self)


def _ns(seconds: float) -> int:
    return min(round(seconds * 1e9), _NEVER) if seconds < inf else _NEVER


_NEVER = 2**64 - 1
