"""The same two models as anyone would write them in SimPy: what the simulator's speed is held against."""

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

Process = Generator[simpy.Event, Any, None]


@dataclass
class Seen:
    """What came of a run."""

    count: int = 0
    total: float = 0.0
    cross: int = 0

    @property
    def mean(self) -> float:
        """The mean latency in seconds."""
        return self.total / self.count


def queue(requests: int, load: float, seed: int = 1) -> Seen:
    """M/M/1: requests arrive in a store, one worker takes them out and works on them; the mean service time is 1 ms."""
    luck = random.Random(seed)
    env = simpy.Environment()
    store = simpy.Store(env)
    seen = Seen()

    def arrive() -> Process:
        for _ in range(requests):
            yield env.timeout(luck.expovariate(load / 0.001))
            yield store.put(env.now)

    def work() -> Process:
        while True:
            came = yield store.get()
            yield env.timeout(luck.expovariate(1 / 0.001))
            seen.count += 1
            seen.total += env.now - came
            if seen.count == requests:
                return

    env.process(arrive())
    env.run(env.process(work()))
    return seen


@dataclass
class Link:
    """One direction between two sites: a delay, an exponential jitter, and order kept."""

    env: simpy.Environment
    luck: random.Random
    delay: float
    jitter: float
    inbox: simpy.Store
    latest: float = 0.0

    def send(self, what: Any) -> None:
        """It arrives in the inbox later, never before what was sent earlier."""
        extra = self.luck.expovariate(1 / self.jitter) if self.jitter else 0.0
        self.latest = max(self.latest, self.env.now + self.delay + extra)
        self.env.process(self._carry(what, self.latest - self.env.now))

    def _carry(self, what: Any, delay: float) -> Process:
        yield self.env.timeout(delay)
        yield self.inbox.put(what)


@dataclass
class Server:
    """Four workers on one queue."""

    env: simpy.Environment
    luck: random.Random
    site: int
    inbox: simpy.Store
    back: dict[int, Link] = field(default_factory=dict)

    def start(self, workers: int) -> None:
        """Let them work."""
        for _ in range(workers):
            self.env.process(self._work())

    def _work(self) -> Process:
        while True:
            client, number = yield self.inbox.get()
            yield self.env.timeout(self.luck.expovariate(1 / 0.002))
            self.back[client].send((number, self.site))


@dataclass
class Client:
    """Asks at random, each server in turn, and waits for answers with a time-out."""

    env: simpy.Environment
    luck: random.Random
    number: int
    site: int
    inbox: simpy.Store
    seen: Seen
    ways: list[Link] = field(default_factory=list)
    waiting: dict[int, float] = field(default_factory=dict)

    def ask(self, rate: float) -> Process:
        """Ask on, whatever becomes of it."""
        count = 0
        while True:
            yield self.env.timeout(self.luck.expovariate(rate))
            self.waiting[count] = self.env.now
            self.ways[count % len(self.ways)].send((self.number, count))
            count += 1

    def hear(self) -> Process:
        """Take the answers."""
        while True:
            number, site = yield self.inbox.get()
            self.seen.count += 1
            self.seen.total += self.env.now - self.waiting.pop(number)
            self.seen.cross += site != self.site


def two_sites(duration: float, rate: float, seed: int = 1) -> Seen:
    """New York and London, 76 ms apart: two servers of four workers in each, a client in each, requests in turn."""
    luck = random.Random(seed)
    env = simpy.Environment()
    seen = Seen()
    servers = [Server(env, luck, site, simpy.Store(env)) for site in (0, 0, 1, 1)]
    clients = [Client(env, luck, number, number, simpy.Store(env), seen) for number in (0, 1)]
    for client in clients:
        for server in servers:
            delay, jitter = (0.00005, 0.0) if client.site == server.site else (0.038, 0.0002)
            client.ways.append(Link(env, luck, delay, jitter, server.inbox))
            server.back[client.number] = Link(env, luck, delay, jitter, client.inbox)
        env.process(client.ask(rate))
        env.process(client.hear())
    for server in servers:
        server.start(4)
    env.run(until=duration)
    return seen
