"""The place of one endpoint in the tree: whom it belongs to, who belongs to it, and what to do when that ends.

A machine: told the time, beats, reports, questions and answers; asked for what is to be done. How it works:

- A host beats for its children and every child reports to its host, each `heartbeat` seconds. Whoever is silent for
  `deadline` seconds is taken for dead.
- A beat tells the way to the root and the line of succession: children of the root that can lead and have what counts.
  So an orphan knows whom to ask, nearest first: its host's ancestors, then the line. Whoever in the line comes upon
  itself, all before it being dead, asks the others whether they still hear the root; if nobody does, it is the next.
- A host takes in up to `breadth` children. Others it sends to the child with the smallest tree.
- A root remembers whom it has lost, and asks now and then how they are. If two roots meet, the higher term prevails:
  the other becomes its child, with all who belong to it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from workbench.apps.zinc.message import NO_TERM, NOBODY, Malformed, Term
from workbench.apps.zinc.neighbours import (
    DEPTH,
    MAX_COUNT,
    Place,
    Told,
    count_in,
    place_in,
    places_in,
    seconds_in,
    term_in,
)

LINE = 8
"""How many successors a beat names."""
EXILES = 64
"""How many of those who were lost a root remembers."""


class Ask(NamedTuple):
    """To do: put a question to a door, and tell the answer (None if there is none in `timeout` seconds)."""

    token: int
    door: str
    question: Any
    timeout: float


class Attach(NamedTuple):
    """To do: listen to this host, and send to it."""

    host: Place


class Detach(NamedTuple):
    """To do: neither listen to a host any more, nor send to it."""


class Promoted(NamedTuple):
    """We are the root."""

    term: Term


class Demoted(NamedTuple):
    """We are not the root any more."""


Action = Ask | Attach | Detach | Promoted | Demoted


@dataclass(slots=True)
class Child:
    """A child, and what it last reported."""

    place: Place
    heard: float
    leads: bool = False
    size: int = 1
    term: Term = NO_TERM
    seq: int = 0
    room: int = 0


@dataclass(slots=True)
class _Search:
    """A search for a host, candidate by candidate."""

    targets: deque[Place]
    seen: set[str] = field(default_factory=set)
    reign_goes_on: bool = False
    """Has somebody told that there is a root, or may there be one soon? Then we must not become one."""
    resume: bool = False
    """Are we a root that gives up its place?"""
    asking: int = 0
    """The token of the question under way."""
    canvass: dict[int, Place] = field(default_factory=dict)
    """Whom we have asked whether the root lives, by token."""


class Tree:
    """The place of the endpoint `me`. With no `seeds` it is the root of its own tree, else it joins one of them."""

    def __init__(
        self,
        me: Place,
        *,
        now: float = 0.0,
        seeds: Iterable[str] = (),
        breadth: int = 8,
        heartbeat: float = 0.25,
        deadline: float = 1.0,
        leads: bool = True,
    ) -> None:
        self.me = me
        self.state: Literal["root", "attached", "orphan"] = "orphan"
        self.parent: Place | None = None
        self.path: tuple[Place, ...] = ()
        """The way from the root to us, without us."""
        self.line: tuple[Place, ...] = ()
        """The line of succession."""
        self.children: dict[bytes, Child] = {}
        self.term = NO_TERM
        self.seeds = tuple(seeds)
        self.leads = leads and bool(me.door)
        self._breadth = breadth
        self._heartbeat = heartbeat
        self._deadline = deadline
        self._heard = now
        self._next_beat = now
        self._next_probe = now + 2 * deadline
        self._retry_at: float | None = None
        self._search: _Search | None = None
        self._exiles: dict[str, None] = {}
        self._probes: dict[int, str] = {}
        self._tokens = 0
        self._actions: deque[Action] = deque()
        self.beat_due = True
        """Is it time to beat and to report? Whoever does so sets it to False."""
        if self.seeds:
            self._begin_search(now)
        else:
            self._promote(now)

    # What it is told

    def handle_time(self, now: float) -> None:
        """It is `now`, in seconds."""
        if now >= self._next_beat:
            self.beat_due = True
            self._next_beat = max(self._next_beat + self._heartbeat, now)
        for child in [one for one in self.children.values() if now >= one.heard + self._deadline]:
            self._lose(child)
        if self.state == "attached" and now >= self._heard + self._deadline:
            self._orphan(now)
        if self._retry_at is not None and now >= self._retry_at:
            self._begin_search(now)
        if self.state == "root" and now >= self._next_probe:
            self._probe(now)

    def handle_sign(self, now: float) -> None:
        """Our host has said something, whatever it is."""
        if self.state == "attached":
            self._heard = now

    def handle_lost(self, now: float) -> None:
        """Our host cannot be reached where it says it is."""
        if self.state == "attached":
            self.state, self.parent, self.path = "orphan", None, self.path[:-1]
            self._actions.append(Detach())
            # Whoever sent us there may do so again: not at once.
            self._retry_at = now + self._deadline / 4

    def handle_beat(self, now: float, data: Told) -> None:
        """Our host has beaten. Raises Malformed."""
        if self.parent is None or place_in(data, "me").id != self.parent.id:
            return
        self._heard = now
        if data.get("orphan"):
            # It looks for a host of its own; we stay with it.
            return
        path, line = (*places_in(data, "path"), self.parent), places_in(data, "line")
        if data.get("leaving"):
            self.path, self.line = path, tuple(one for one in line if one.id != self.parent.id)
            self._orphan(now)
        elif any(place.id == self.me.id for place in path) or len(path) > DEPTH:
            # A circle, made by two that joined each other at the same time.
            self.path = ()
            self._orphan(now)
        else:
            self.path, self.line, self.term = path, line, term_in(data)

    def handle_report(self, now: float, data: Told) -> None:
        """A child has reported. Raises Malformed."""
        them = place_in(data, "me")
        if data.get("leaving"):
            self.children.pop(them.id, None)
            return
        if them.id in (place.id for place in (*self.path, self.me)):
            return
        told = Child(
            them,
            now,
            leads=bool(data.get("leads")),
            size=max(1, count_in(data, "size", 1)),
            term=term_in(data),
            seq=count_in(data, "seq", 0),
            room=count_in(data, "room", 0),
        )
        # One that we had given up and that has not noticed is taken in again.
        self.children[them.id] = told

    def handle_question(self, now: float, question: Told) -> Told:
        """Somebody asks at our door to join us, or how we are. Raises Malformed."""
        them = place_in(question, "me")
        if question.get("ask") == "join":
            return self._answer_join(now, them)
        if question.get("ask") != "status":
            raise Malformed(f"a question asks join, status or sync, not {question.get('ask')!r}")
        term = term_in(question)
        if question.get("root") and term > self.term and self.state == "root" and them.door:
            self._yield(now, them)
        return self._status(now)

    def handle_answer(self, now: float, token: int, answer: Told | None) -> None:
        """Somebody has answered, or nobody (None). Raises Malformed, and goes on as if nobody had."""
        if (door := self._probes.pop(token, None)) is not None:
            self._heard_of_exile(now, door, answer)
        elif (search := self._search) is not None and token in search.canvass:
            del search.canvass[token]
            try:
                self._heard_of_root(now, search, answer)
            except Malformed:
                self._heard_of_root(now, search, None)
                raise
        elif search is not None and token == search.asking:
            search.asking = 0
            try:
                self._heard_of_candidate(now, search, answer)
            except Malformed:
                self._heard_of_candidate(now, search, None)
                raise

    # What it is asked

    def poll_action(self) -> Action | None:
        """What to do next."""
        return self._actions.popleft() if self._actions else None

    def poll_due(self) -> float:
        """When to tell the time next."""
        due = [self._next_beat, *([self._retry_at] if self._retry_at is not None else [])]
        if self.state == "attached":
            due.append(self._heard + self._deadline)
        return min(due)

    def beat(self, *, leaving: bool = False) -> dict[str, Any]:
        """What to tell our children."""
        return {
            "me": list(self.me),
            "path": [list(place) for place in self.path],
            "line": [list(place) for place in self.line],
            "term": list(self.term),
            "orphan": self.state == "orphan",
            "leaving": leaving,
        }

    def report(self, *, at: Any, seq: int, room: int = 0, leaving: bool = False) -> dict[str, Any]:
        """What to tell our host; `at` is the term in which our history ends, `seq` how much of it we have,
        `room` how many tasks our tree can do at once.
        """
        size = min(MAX_COUNT, 1 + sum(child.size for child in self.children.values()))
        return {
            "me": list(self.me),
            "leads": self.leads,
            "size": size,
            "term": at,
            "seq": seq,
            "room": min(MAX_COUNT, room),
            "leaving": leaving,
        }

    def succession(self, stable: int) -> tuple[Child, ...]:
        """Name the line anew, if we are the root: children that can lead and have the first `stable` entries of our
        history, in the order in which they joined. Returns them. If nobody has, any who can lead are named.
        """
        if self.state != "root":
            return ()
        fit = [one for one in self.children.values() if one.leads and one.term == self.term and one.seq >= stable]
        named = fit or [one for one in self.children.values() if one.leads]
        self.line = tuple(child.place for child in named[:LINE])
        return tuple(fit[:LINE])

    def look_for(self, seeds: Iterable[str]) -> None:
        """From now on, ask at these doors when nobody else can be asked."""
        self.seeds = tuple(seeds)

    # Joining

    def _orphan(self, now: float) -> None:
        self.parent = None
        self.state = "orphan"
        self._actions.append(Detach())
        self._begin_search(now)

    def _begin_search(self, now: float) -> None:
        """Ask whom we know for a place: our ancestors, nearest first, the line, and where we were told to look."""
        self._retry_at = None
        doors = (Place(NOBODY, door) for door in self.seeds)
        ancestors = (place for place in reversed(self.path) if place.id != self.me.id)
        self._search = _Search(deque([*ancestors, *self.line, *doors]))
        self._next_candidate(now)

    def _next_candidate(self, now: float) -> None:
        search = self._search
        assert search is not None
        while search.targets:
            target = search.targets.popleft()
            if target.id == self.me.id:
                if self.leads and not search.reign_goes_on:
                    self._canvass(now, search)
                    return
            elif target.door and target.door != self.me.door and target.door not in search.seen:
                search.seen.add(target.door)
                if target.id not in self.children:
                    search.asking = self._ask(target.door, {"ask": "join", "me": list(self.me)})
                    return
        self._search = None
        if search.resume:
            self.state = "root"
            self._actions.append(Promoted(self.term))
        else:
            self._retry_at = now + self._deadline / 4

    def _heard_of_candidate(self, now: float, search: _Search, answer: Told | None) -> None:
        if answer is None:
            self._next_candidate(now)
            return
        if "accept" in answer:
            host, path = place_in(answer, "accept"), places_in(answer, "path")
            line, term = places_in(answer, "line"), term_in(answer)
            if host.id != self.me.id and all(place.id != self.me.id for place in path):
                self.parent, self.path, self.line, self.term = host, (*path, host), line, term
                self.state, self._heard, self._search, self.beat_due = "attached", now, None, True
                self._exiles.clear()
                self._actions.append(Attach(host))
                return
        search.reign_goes_on = True
        for place in reversed(places_in(answer, "redirect")):
            search.targets.appendleft(place)
        if len(search.seen) > DEPTH:
            search.targets.clear()
        self._next_candidate(now)

    def _answer_join(self, now: float, them: Place) -> Told:
        if them.id in (place.id for place in (*self.path, self.me)):
            return {"refuse": "you are my host"}
        if self.state == "orphan" or not self.me.door:
            return {"refuse": "I have no host myself"}
        hosts = [one.place for one in sorted(self.children.values(), key=lambda one: one.size) if one.place.door]
        if them.id not in self.children and len(self.children) >= self._breadth:
            return {"redirect": [list(place) for place in hosts if place.id != them.id][:LINE]}
        self.children[them.id] = Child(them, now, leads=bool(them.door))
        if self.state == "root" and not self.line and them.door:
            # Somebody must be named before the first beat, for we may not live to see it.
            self.line = (them,)
        self._exiles.pop(them.door, None)
        position = {"path": [list(place) for place in self.path], "line": [list(place) for place in self.line]}
        return position | {"accept": list(self.me), "term": list(self.term)}

    # Succession

    def _canvass(self, now: float, search: _Search) -> None:
        """All before us in the line are dead: does anybody still hear the root?"""
        for place in self.line:
            if place.id != self.me.id and place.door and place.door not in search.seen:
                search.canvass[
                    self._ask(place.door, {"ask": "status", "me": list(self.me), "term": list(self.term)})
                ] = place
        if not search.canvass:
            self._promote(now)

    def _heard_of_root(self, now: float, search: _Search, answer: Told | None) -> None:
        if answer is not None and not search.reign_goes_on:
            term, age = term_in(answer), seconds_in(answer, "age")
            way = (*places_in(answer, "path"), place_in(answer, "me"))
            alive = answer.get("state") == "attached" and age < now - self._heard - 2 * self._heartbeat
            if term > self.term or (term == self.term and alive):
                search.reign_goes_on = True
                search.targets = deque([*way, *search.targets])
        if search.canvass:
            return
        if search.reign_goes_on:
            self._next_candidate(now)
        else:
            self._promote(now)

    def _promote(self, now: float) -> None:
        self._exiles |= {
            place.door: None for place in (*self.path, *self.line) if place.door and place.id != self.me.id
        }
        self.term = Term(self.term.number + 1, self.me.id)
        self.state, self.parent, self.path, self.line = "root", None, (), ()
        self._search, self._retry_at, self.beat_due = None, None, True
        self._next_probe = now + 2 * self._deadline
        self._actions.append(Promoted(self.term))

    def _status(self, now: float) -> Told:
        return {
            "me": list(self.me),
            "state": self.state,
            "term": list(self.term),
            "age": 0.0 if self.state == "root" else now - self._heard,
            "path": [list(place) for place in self.path],
        }

    # Two roots

    def _lose(self, child: Child) -> None:
        del self.children[child.place.id]
        if child.place.door:
            self._exiles[child.place.door] = None
        while len(self._exiles) > EXILES:
            del self._exiles[next(iter(self._exiles))]

    def _probe(self, now: float) -> None:
        """Ask one of those whom we have lost how it is; the next time the next one."""
        self._next_probe = now + 2 * self._deadline
        if self._exiles:
            door = next(iter(self._exiles))
            self._exiles[door] = self._exiles.pop(door)
            question = {"ask": "status", "me": list(self.me), "term": list(self.term), "root": True}
            self._probes[self._ask(door, question)] = door

    def _heard_of_exile(self, now: float, door: str, answer: Told | None) -> None:
        if self.state != "root" or answer is None:
            return
        term, them = term_in(answer), place_in(answer, "me")
        root = next(iter(places_in(answer, "path")), them)
        if term == self.term and answer.get("state") == "attached":
            self._exiles.pop(door, None)
        elif term > self.term and answer.get("state") != "orphan":
            self._yield(now, root, them)
        elif root.door and root.door != self.me.door:
            # It will see our term, and yield, when we ask it.
            self._exiles[root.door] = None

    def _yield(self, now: float, *hosts: Place) -> None:
        """Another root prevails: become its child, or remain what we are if it cannot be reached."""
        self.state = "orphan"
        self._actions.append(Demoted())
        self._search = _Search(deque(hosts), reign_goes_on=True, resume=True)
        self._next_candidate(now)

    def _ask(self, door: str, question: Any) -> int:
        self._tokens += 1
        self._actions.append(Ask(self._tokens, door, question, self._deadline / 4))
        return self._tokens
