"""Work that a tree shares out by itself: who does which task, and what became of it.

A machine, one in each endpoint: told what is submitted, what neighbours tell and what has been done; asked what to run,
what to send, and what became of our own tasks. How it works:

- A task goes up to the root, which gives it to itself or to the child whose tree has the most room for its size; the
  child does the same. Nobody is given more than its tree has workers for; what has no place waits at the root.
- Who loses a child gives what that had to others. A task may so be done twice; it is answered once.
- What was done goes up to the root, which tells everyone, as the submitter may be anywhere. It submits again what it
  has heard nothing of, and gives up at its deadline: so it knows each task's fate, whoever dies.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from workbench.apps.zinc.message import Malformed
from workbench.apps.zinc.neighbours import Told, bytes_in, count_of, fields_of, identity_of

TaskId = tuple[bytes, int]
ANSWERED = 10_000
"""How many answers the root remembers, for whoever asks again."""


class Run(NamedTuple):
    """To do: this task, here."""

    id: TaskId
    body: bytes


class Fate(NamedTuple):
    """What became of a task of ours: its result, or why there is none."""

    number: int
    done: bool
    result: bytes


@dataclass(slots=True)
class _Mine:
    body: bytes
    again_at: float
    deadline: float


class Work:
    """The tasks at the endpoint `me`, which can do `capacity` of them at once.

    A task without an answer is submitted again each `patience` seconds. At most `max_waiting` wait at the root; more
    are refused, and their submitters try again.
    """

    def __init__(self, me: bytes, capacity: int = 0, *, patience: float = 2.0, max_waiting: int = 100_000) -> None:
        self.me = me
        self._capacity = capacity
        self._patience = patience
        self._max_waiting = max_waiting
        self._is_root = False
        self._count = 0
        self._mine: dict[int, _Mine] = {}
        self._waiting: OrderedDict[TaskId, bytes] = OrderedDict()
        self._running: dict[TaskId, bytes] = {}
        self._given: dict[bytes, dict[TaskId, bytes]] = {}
        """What each child has of us."""
        self._room: dict[bytes, int] = {}
        """How many tasks the tree of each child can do at once."""
        self._answered: OrderedDict[TaskId, dict[str, Any]] = OrderedDict()
        self._runs: deque[Run] = deque()
        self._ups: deque[dict[str, Any]] = deque()
        self._downs: deque[dict[str, Any]] = deque()
        self._fates: deque[Fate] = deque()
        self._counters: Counter[str] = Counter(submitted=0, run=0, given=0, reissued=0, refused_full=0, answered=0)

    # What the application does

    def submit(self, now: float, body: bytes, timeout: float) -> int:
        """Have a task done by somebody within `timeout` seconds; return its count."""
        self._count += 1
        self._counters["submitted"] += 1
        self._mine[self._count] = _Mine(body, now + self._patience, now + timeout)
        self._offer((self.me, self._count), body)
        return self._count

    def forget(self, number: int) -> None:
        """Nobody waits any more for what becomes of a task of ours."""
        self._mine.pop(number, None)

    def finish(self, id_: TaskId, *, done: bool, result: bytes) -> None:
        """A task has been done here, or has failed."""
        if self._running.pop(id_, None) is not None:
            self._settle(id_, _done(id_, done, result))
            self._share_out()

    # What it is told

    def handle_place(self, now: float, *, is_root: bool, room: Mapping[bytes, int]) -> None:
        """Our place: are we the root, and how many tasks can the tree of each child do at once?"""
        self._is_root = is_root
        for child in self._given.keys() - room.keys():
            lost = self._given.pop(child)
            self._counters["reissued"] += len(lost)
            for id_, body in lost.items():
                self._waiting[id_] = body
                self._waiting.move_to_end(id_, last=False)
        self._room = dict(room)
        for number, mine in list(self._mine.items()):
            if now >= mine.deadline:
                del self._mine[number]
                self._fates.append(Fate(number, False, b"no answer in time"))
            elif now >= mine.again_at:
                mine.again_at = now + self._patience
                self._offer((self.me, number), mine.body)
        self._share_out()

    def handle_from_child(self, told: Told) -> None:
        """A child has told something. Raises Malformed."""
        id_, body = _id_in(told), bytes_in(told, "body")
        if told.get("do") == "submit":
            self._offer(id_, body)
        elif told.get("do") == "done":
            self._settle(id_, _done(id_, bool(told.get("ok")), body))
            self._share_out()
        else:
            raise Malformed("a child submits a task, or says that one is done")

    def handle_from_host(self, told: Told) -> bool:
        """Our host has told something; return whether our children are to hear it, too. Raises Malformed."""
        id_, body = _id_in(told), bytes_in(told, "body")
        if told.get("do") == "done":
            self._take_fate(id_, told)
            return True
        if told.get("do") != "assign":
            raise Malformed("a host gives a task, or says that one is done")
        if told.get("to") == self.me and not self._has(id_):
            self._waiting[id_] = body
            self._share_out()
        return False

    # What it is asked

    @property
    def room(self) -> int:
        """How many tasks our tree can do at once."""
        return self._capacity + sum(self._room.values())

    def poll_run(self) -> Run | None:
        """The next task to do here."""
        return self._runs.popleft() if self._runs else None

    def poll_up(self) -> dict[str, Any] | None:
        """The next thing to tell our host."""
        return self._ups.popleft() if self._ups else None

    def poll_down(self) -> dict[str, Any] | None:
        """The next thing to tell our children."""
        return self._downs.popleft() if self._downs else None

    def poll_fate(self) -> Fate | None:
        """What became of the next task of ours."""
        return self._fates.popleft() if self._fates else None

    def stats(self) -> Mapping[str, int]:
        """The counters: tasks submitted, run here, given to children, reissued, refused_full, answered; and waiting."""
        return dict(self._counters) | {"waiting": len(self._waiting)}

    # How

    def _offer(self, id_: TaskId, body: bytes) -> None:
        if not self._is_root:
            self._ups.append({"do": "submit", "id": list(id_), "body": body})
        elif (answer := self._answered.get(id_)) is not None:
            self._tell(id_, answer)
        elif self._has(id_):
            return
        elif len(self._waiting) >= self._max_waiting:
            self._counters["refused_full"] += 1
        else:
            self._waiting[id_] = body
            self._share_out()

    def _has(self, id_: TaskId) -> bool:
        return id_ in self._waiting or id_ in self._running or any(id_ in given for given in self._given.values())

    def _share_out(self) -> None:
        """Give each task that waits to whoever has the most room for its size, ourselves included."""
        while self._waiting:
            load = {self.me: (len(self._running), self._capacity)}
            load |= {child: (len(self._given.get(child, ())), room) for child, room in self._room.items()}
            free = [(given / room, child != self.me, child) for child, (given, room) in load.items() if given < room]
            if not free:
                return
            id_, body = self._waiting.popitem(last=False)
            chosen = min(free)[2]
            if chosen == self.me:
                self._running[id_] = body
                self._runs.append(Run(id_, body))
                self._counters["run"] += 1
            else:
                self._given.setdefault(chosen, {})[id_] = body
                self._counters["given"] += 1
                self._downs.append({"do": "assign", "id": list(id_), "to": chosen, "body": body})

    def _settle(self, id_: TaskId, answer: dict[str, Any]) -> None:
        """A task is done: nobody below us need have it any more."""
        self._waiting.pop(id_, None)
        for given in self._given.values():
            given.pop(id_, None)
        if not self._is_root:
            self._ups.append(answer)
        elif id_ not in self._answered:
            self._answered[id_] = answer
            self._counters["answered"] += 1
            while len(self._answered) > ANSWERED:
                self._answered.popitem(last=False)
            self._tell(id_, answer)

    def _tell(self, id_: TaskId, answer: dict[str, Any]) -> None:
        self._take_fate(id_, answer)
        self._downs.append(answer)

    def _take_fate(self, id_: TaskId, told: Told) -> None:
        if id_[0] == self.me and self._mine.pop(id_[1], None) is not None:
            self._fates.append(Fate(id_[1], bool(told.get("ok")), bytes_in(told, "body")))


def _done(id_: TaskId, ok: bool, result: bytes) -> dict[str, Any]:
    return {"do": "done", "id": list(id_), "ok": ok, "body": result}


def _id_in(told: Told) -> TaskId:
    origin, number = fields_of(told.get("id"), "id", 2)
    return identity_of(origin, "id"), count_of(number, "id")
