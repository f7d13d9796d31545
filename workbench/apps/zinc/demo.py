"""A cluster to watch: endpoints that all edit one document, and whose root can be killed at any time.

It knows no terminal: it is told what to do, tells what happens, and can be asked how each endpoint is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from string import ascii_lowercase

from workbench.apps.zinc.endpoint import Endpoint
from workbench.engine.world import Host, World

BOARD = "board"
LOOK = 0.05
"""Seconds between two looks at what has changed."""


@dataclass
class Member:
    """One endpoint of the cluster, and how many edits it has made."""

    name: str
    host: Host
    endpoint: Endpoint
    made: int = 0
    alive: bool = True

    @property
    def state(self) -> str:
        """What it is: root, a child of whom, looking for a host, or dead."""
        if not self.alive:
            return "dead"
        return {"root": "root", "attached": "child", "orphan": "looks for a host"}[self.endpoint.node.tree.state]

    @property
    def value(self) -> dict[str, int]:
        """The document as it has it: how many edits by whom."""
        found: dict[str, int] = self.endpoint.document(BOARD).value
        return found

    @property
    def waiting(self) -> int:
        """How many of its edits have no place in the order yet."""
        replica = self.endpoint.node.replica
        return 0 if replica is None else replica.waiting


@dataclass
class Demo:
    """A cluster of up to 26 endpoints, each on a host of its own, which edit every `pace` seconds in the mean.

    `tell` is called with what happens, a line each. `address` says where the endpoint of a name listens.
    """

    world: World
    tell: Callable[[str], None]
    address: Callable[[str], str] = lambda _: "tcp://127.0.0.1:0"
    pace: float = 0.3
    heartbeat: float = 0.25
    deadline: float = 1.0
    members: dict[str, Member] = field(default_factory=dict)
    editing: bool = True
    _killed_at: float | None = None
    _root: str = ""

    async def begin(self, count: int) -> None:
        """Let so many endpoints join, one after the other."""
        for _ in range(count):
            self.join()
            while not all(one.endpoint.is_connected for one in self.living):
                await self.world.sleep(LOOK)
        self._root = self.root.name if self.root else ""
        self.say(f"{len(self.members)} endpoints; {self._root} is the root and puts their edits in order")

    def join(self) -> None:
        """One more endpoint joins."""
        name = next((letter for letter in ascii_lowercase if letter not in self.members), "")
        if not name:
            self.say("there are no letters left for another endpoint")
            return
        host = self.world.host(name)
        endpoint = Endpoint(
            host,
            listen=self.address(name),
            join=[one.endpoint.door for one in self.living],
            heartbeat=self.heartbeat,
            deadline=self.deadline,
        )
        self.members[name] = Member(name, host, endpoint)
        if len(self.members) > 1:
            self.say(f"{name} joins")
        host.spawn(self._edit(self.members[name]))

    def kill(self, name: str = "") -> None:
        """Kill an endpoint as a crash would, the root unless another one is named."""
        victim = self.members.get(name) if name else self.root
        if victim is None or not victim.alive or len(self.living) == 1:
            self.say("there is nobody to be killed just now")
            return
        self.say(f"{victim.name} is killed" + (", the root" if victim is self.root else ""))
        victim.alive, self._killed_at = False, self.world.now
        victim.host.kill()

    async def watch(self) -> None:
        """Tell who becomes root, and when all copies are equal again, for ever."""
        while True:
            await self.world.sleep(LOOK)
            root = self.root
            if root is not None and root.name != self._root and self._killed_at is not None:
                self._root = root.name
                self.say(f"{root.name} takes the root's place, {self.world.now - self._killed_at:.2f} s after")
            if self._killed_at is not None and self.is_whole:
                self.say(
                    f"all are together again and their copies equal, {self.world.now - self._killed_at:.2f} s after"
                )
                self._killed_at = None

    async def end(self, patience: float = 10.0) -> bool:
        """Stop editing; return whether all copies become equal, and lack no edit of anybody who lives."""
        self.editing = False
        until = self.world.now + patience
        while not self.is_whole and self.world.now < until:
            await self.world.sleep(LOOK)
        kept = all(one.value.get(one.name, 0) == one.made for one in self.living)
        if self.is_whole and kept:
            edits = sum(self.living[0].value.values())
            self.say(f"the {len(self.living)} copies are equal: {edits} edits, none lost of those who live")
            return True
        self.say("the copies are NOT equal" if kept else "edits are LOST")
        return False

    def say(self, what: str) -> None:
        """Tell something, with the time."""
        self.tell(f"{self.world.now:6.2f} s  {what}")

    @property
    def living(self) -> list[Member]:
        """Those who live."""
        return [one for one in self.members.values() if one.alive]

    @property
    def root(self) -> Member | None:
        """The root, if there is one and one only."""
        found = [one for one in self.living if one.endpoint.is_root]
        return found[0] if len(found) == 1 else None

    @property
    def is_whole(self) -> bool:
        """Do all belong together, with the same copies and nothing under way?"""
        if self.root is None or not all(one.endpoint.is_connected and not one.waiting for one in self.living):
            return False
        return all(one.value == self.living[0].value for one in self.living)

    async def _edit(self, member: Member) -> None:
        luck = member.host.stream("edits")
        while True:
            await self.world.sleep(luck.exponential(self.pace))
            if self.editing:
                member.made += 1
                member.endpoint.set(BOARD, member.name, value=member.made)
