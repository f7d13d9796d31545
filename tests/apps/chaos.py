"""Random lives of a cluster in virtual time, and what must hold at their end.

    python tests/apps/chaos.py SEED [SIZE]         one life, told as it goes
    python tests/apps/chaos.py FROM-TO             these lives; ends with 1 if one did not end well, and says which

Endpoints edit, submit tasks and do them at random; some join late, leave and crash; the way between two sites is cut
and healed. Crashes come one at a time: the next when the tree has had time to name another successor. Nobody crashes
while a site is cut off: an island may hold what nobody else has; see docs/cookbook/zinc.md.
"""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from workbench.apps.zinc import Endpoint, WorkFailed
from workbench.engine.errors import Closed
from workbench.engine.real import Stream
from workbench.engine.virtual import VirtualHost, VirtualWorld

HEARTBEAT, DEADLINE = 0.25, 1.0
SITES = ("kyiv", "lagos", "quito")
PATIENCE = 15.0
"""Seconds within which a task is to be done."""


class Ledger:
    """A document that remembers every edit applied to it, in order, so that one lost or doubled is seen."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def apply(self, fragment: Any) -> None:
        self.entries.append(fragment)

    def state(self) -> Any:
        return self.entries

    def restore(self, state: Any) -> None:
        self.entries = list(state)

    def copy(self) -> "Ledger":
        twin = Ledger()
        twin.entries = list(self.entries)
        return twin


class Chaos:
    """One life."""

    def __init__(self, seed: int, size: int, tell: Callable[[str], object] = lambda _: None) -> None:
        self.luck = Stream(seed, 0, "chaos")
        self.world = VirtualWorld(seed=seed)
        self._tell = tell
        for site in SITES:
            self.world.site(site, delay=0.0002)
        for place, one in enumerate(SITES):
            for other in SITES[place + 1 :]:
                self.world.link(one, other, delay=0.005 + 0.02 * self.luck.uniform())
        self.size = size
        self.breadth = 2 + self.luck.choose(4)
        self.alive: dict[str, Endpoint] = {}
        self.acknowledged: list[list[Any]] = []
        self.submitted: dict[tuple[str, int], None] = {}
        """The tasks that have no fate yet, in their order."""
        self.fates: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.editing = True
        self.crashed_at = -10.0
        self.kinds = {"holds": True}

    def play(self) -> None:
        """Play it, and check what must hold."""
        self.world.run(until=self.world.spawn(self._story()))
        self.check()

    def tell(self, what: str) -> None:
        self._tell(f"{self.world.now:8.3f} {what}")

    async def _story(self) -> None:
        self.start("e0", ())
        for number in range(1, self.size):
            await self.world.sleep(self.luck.exponential(3.0 / self.size))
            self.join(f"e{number}")
        count = self.size
        end = self.world.now + 12.0
        cut: tuple[str, str] | None = None
        while self.world.now < end:
            await self.world.sleep(self.luck.exponential(0.8))
            what = self.luck.choose(5)
            calm = self.world.now - self.crashed_at > 4 * DEADLINE
            if what == 0:
                self.join(f"e{count}")
                count += 1
            elif what in (1, 2) and calm and cut is None and len(self.alive) > 2:
                name = self.one()
                if what == 2:
                    # More often than not it is the root, which matters most.
                    name = next((name for name, one in self.alive.items() if one.is_root), name)
                self.crashed_at = self.world.now
                self.crash(name, leaves=self.luck.choose(3) == 0)
            elif what == 3 and cut is None and calm:
                at = self.luck.choose(3)
                cut = (SITES[at], SITES[(at + 1) % 3])
                self.tell(f"cut {cut}")
                self.world.strike("cut", *cut)
            elif what == 4 and cut is not None:
                self.tell(f"heal {cut}")
                self.world.strike("heal", *cut)
                cut, self.crashed_at = None, self.world.now + 4.0
        if cut is not None:
            self.world.strike("heal", *cut)
        self.editing = False
        self.tell("calm")
        # Whoever joined at the last moment is to have begun.
        await self.world.sleep(0.5)
        for one in self.alive.values():
            # Whoever has found nobody, all whom it knew having gone, is told of others, as by a directory.
            one.look_for(tuple(f"door/{other}" for other in self.alive))
        patience = self.world.now + 60.0
        while self.world.now < patience and not (self.settled() and not self.open_tasks()):
            await self.world.sleep(0.5)

    def open_tasks(self) -> list[tuple[str, int]]:
        """Tasks of those who live that have no fate."""
        return [(name, number) for name, number in self.submitted if name in self.alive]

    def one(self) -> str:
        return list(self.alive)[self.luck.choose(len(self.alive))]

    def join(self, name: str) -> None:
        known = {self.one() for _ in range(3)}
        self.start(name, tuple(f"door/{other}" for other in sorted(known)))

    def start(self, name: str, seeds: tuple[str, ...]) -> None:
        self.tell(f"{name} joins {seeds}")
        host = self.world.host(name, SITES[self.luck.choose(3)])
        life = f"{name}"

        async def live(host: VirtualHost) -> None:
            mine: list[Endpoint] = []
            hands = host.stream("hands")

            async def work(task: bytes) -> bytes:
                await self.world.sleep(hands.exponential(0.2))
                if task.endswith(b"7"):
                    raise ValueError("not this one")
                return task.upper()

            def changed(change: Any) -> None:
                if change.origin == mine[0].identity:
                    self.wrong.append(f"{life} heard its own echo")

            endpoint = Endpoint(
                host,
                listen=f"door/{life}",
                join=seeds,
                on_change=changed,
                make=lambda _: Ledger(),
                worker=work,
                capacity=1 + number_of(life) % 3,
                breadth=self.breadth,
                heartbeat=HEARTBEAT,
                deadline=DEADLINE,
            )
            mine.append(endpoint)
            self.alive[life] = endpoint
            luck = host.stream("edits")
            number = 0
            while self.editing:
                await self.world.sleep(luck.exponential(0.5 if self.size < 30 else 5.0))
                if endpoint._closed:
                    return
                number += 1
                entry = [life, number]
                host.spawn(self.acknowledge(endpoint, endpoint.edit("ledger", entry), entry))
                if number % 3 == 0:
                    host.spawn(self.submit(endpoint, life, number))

        host.play(live)

    async def submit(self, endpoint: Endpoint, name: str, number: int) -> None:
        task = f"{name} {number}"
        self.submitted[name, number] = None
        began = self.world.now
        try:
            answer = await endpoint.submit(task.encode(), PATIENCE)
            right = answer == task.upper().encode() and not task.endswith("7")
            fate = "done" if right else f"{task} was answered {answer!r}"
        except WorkFailed as error:
            late = str(error) == "no answer in time" and self.world.now >= began + PATIENCE
            right = late or (str(error) == "ValueError: not this one" and task.endswith("7"))
            fate = ("late" if late else "failed") if right else f"{task} failed: {error}"
        except Closed:
            fate = "left"
        del self.submitted[name, number]
        self.fates[fate] += 1

    async def acknowledge(self, endpoint: Endpoint, number: int, entry: list[Any]) -> None:
        try:
            await endpoint.acknowledged(number)
        except Closed:
            return
        self.acknowledged.append(entry)

    def crash(self, name: str, *, leaves: bool) -> None:
        self.tell(f"{name} {'leaves' if leaves else 'crashes'}, root: {self.alive[name].is_root}")
        endpoint = self.alive.pop(name)
        if leaves:
            endpoint.close()
        else:
            self.world.host(name).kill()

    def settled(self) -> bool:
        ends = list(self.alive.values())
        if sum(one.is_root for one in ends) != 1 or not all(one.is_connected for one in ends):
            return False
        replicas = [one.node.replica for one in ends]
        places = {(replica.term, replica.seq) for replica in replicas}
        return len(places) == 1 and not any(replica.waiting for replica in replicas)

    def check(self) -> None:
        """Raise AssertionError if anything does not hold."""
        assert self.wrong == []
        assert self.fates.keys() <= {"done", "failed", "late", "left"}, self.fates
        assert not self.open_tasks(), f"nobody knows what became of {self.open_tasks()}"
        states = {name: one.node.tree.state for name, one in self.alive.items()}
        assert self.settled(), {
            name: (one.node.tree.state, one.node.replica.term.number, one.node.replica.seq, one.node.replica.waiting)
            for name, one in self.alive.items()
        }
        ledgers = [one.document("ledger").entries for one in self.alive.values()]
        ledger = ledgers[0]
        assert all(other == ledger for other in ledgers), "the copies differ"
        seen = [tuple(entry) for entry in ledger]
        assert len(set(seen)) == len(seen), "an edit was applied twice"
        last: dict[str, int] = {}
        for name, number in seen:
            assert number == last.get(name, 0) + 1, f"edit {number} of {name} follows {last.get(name, 0)}"
            last[name] = number
        lost = [entry for entry in self.acknowledged if tuple(entry) not in set(seen)]
        assert not lost, f"acknowledged and lost: {lost}"
        for name, one in self.alive.items():
            assert last.get(name, 0) == one.node.replica._count, f"edits of {name}, which lives, are lost"
        # Whom a host has lost only just, it may still count.
        hosts = Counter(one.node.tree.parent.id for one in self.alive.values() if one.node.tree.parent is not None)
        assert max(hosts.values(), default=0) <= self.breadth + 1, states


def number_of(name: str) -> int:
    return int(name.removeprefix("e"))


def size_of(seed: int) -> int:
    """Mostly small clusters, one in twenty a large one of up to 200."""
    return 3 + seed % 10 if seed % 20 else 20 + 7 * seed % 181


def live_many(first: int, last: int) -> int:
    """Play the lives of these seeds; return how many did not end well, each told with the command that replays it."""
    failed = 0
    fates: Counter[str] = Counter()
    for seed in range(first, last):
        try:
            life = Chaos(seed, size_of(seed))
            life.play()
            fates += life.fates
        except Exception as error:
            failed += 1
            print(
                f"{type(error).__name__}: {error}\nreplay: python tests/apps/chaos.py {seed} {size_of(seed)}",
                flush=True,
            )
    print(f"{last - first - failed} of {last - first} random lives ended well; tasks: {dict(fates)}")
    return failed


if __name__ == "__main__":
    if "-" in sys.argv[1]:
        sys.exit(live_many(*map(int, sys.argv[1].split("-"))) > 0)
    Chaos(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else size_of(int(sys.argv[1])), print).play()
