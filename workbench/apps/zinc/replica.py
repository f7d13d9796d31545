"""One copy of the cluster's documents, kept equal by a single source of truth: the order that the root gives to edits.

A machine: told edits, the order, the root's position and what others answer; asked for what is to be sent. It never
waits. How it works:

- An edit has its origin and the origin's count of it. The root takes an origin's edits in that order, each once, and
  gives each the next place in the history; so order per origin holds, and repeating an edit does no harm.
- Whoever sees a hole in the history, or another history, asks its host: it is told the entries that it lacks or, if
  they do not reach back far enough or the histories differ, everything.
- The history of a new root may end before what others have seen. They go back to it and submit again what it lacks;
  the same after a partition, for all that the losing side has done meanwhile.
- An origin sees its edits at once, on top of the history, until they come back in it; its echo changes nothing more.
- An edit is acknowledged when the named successors have it, too.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from workbench.apps.zinc.codec import Codec
from workbench.apps.zinc.document import Document
from workbench.apps.zinc.message import (
    MAX_MESSAGE,
    NO_TERM,
    Kind,
    Malformed,
    Message,
    Term,
    check_body,
    check_channel,
)
from workbench.apps.zinc.neighbours import (
    Told,
    bytes_in,
    count_in,
    count_of,
    fields_of,
    identity_of,
    list_in,
    term_of,
)
from workbench.engine.errors import StateError

ENTRIES_AT_ONCE, ENTRY_BYTES = 500, 1 << 20
"""How many entries one answer holds, and of how many bytes; one in any case."""
ROUNDS = 50
"""How often something that was rescued is submitted again before it is given up."""


class Reign(NamedTuple):
    """A term, and the place in the history after which it began."""

    term: Term
    base: int


class Changed(NamedTuple):
    """A document has changed by an edit of `origin`; `mine` if it is ours. An empty origin: it has come anew, whole."""

    channel: str
    origin: bytes
    number: int


@dataclass(slots=True)
class _Own:
    """An edit of ours, and its place in the history once it has one."""

    number: int
    channel: str
    body: bytes
    fragment: Any
    seq: int = 0


class Replica:
    """The documents as the endpoint `me` has them.

    `make` makes a document by its name. Kept are the newest `keep_log` entries of the history and at least `keep_own`
    acknowledged edits of ours, for whoever has lost them. Of the newest `max_origins` who have edited it is known how
    far they are, the same ones in every copy; whoever has been silent for longer must begin anew, as somebody else.
    A fragment of ours has at most `max_message` bytes, and `max_waiting` edits may wait for their place.
    """

    def __init__(
        self,
        me: bytes,
        codec: Codec,
        make: Callable[[str], Document],
        *,
        keep_log: int = 10_000,
        keep_own: int = 1_000,
        max_waiting: int = 10_000,
        max_origins: int = 100_000,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        self.me = me
        self.seq = 0
        """How many edits the history has, as far as we know it without a hole."""
        self.stable = 0
        """How many of them the named successors have, too."""
        self.needs_sync = False
        """Is there something to ask the host for?"""
        self.is_root = False
        self._codec = codec
        self._make = make
        self._keep_own = keep_own
        self._max_waiting = max_waiting
        self._max_origins = max_origins
        self._max_message = max_message
        self._reigns = [Reign(NO_TERM, 0)]
        self._documents: dict[str, Document] = {}
        self._views: dict[str, Document] = {}
        self._last: dict[bytes, int] = {}
        """The count of the last edit of each origin, in the order of these edits: so all copies forget the same."""
        self._log: deque[tuple[int, Message, bytes]] = deque(maxlen=keep_log)
        self._ahead: dict[int, tuple[Message, bytes]] = {}
        self._own: deque[_Own] = deque()
        self._rescued: deque[Message] = deque()
        self._rounds = 0
        self._joined = False
        """Have we ever been as far as a host, or been root? Before that our edits wait, and may get other counts."""
        self._base = 0
        """The count of the last edit that somebody with our identity made before us: ourselves, in an earlier life."""
        self._found_ours = False
        """Has any edit of ours come back with a place in the history? Until then those of our identity may be older."""
        self.doubled = False
        """Does somebody else have our identity, and edit with it?"""
        self._waiting_in: Counter[str] = Counter()
        self._count = 0
        self._acknowledged = 0
        self._up: list[bytes] = []
        self._down: list[bytes] = []
        self._changes: deque[Changed] = deque(maxlen=100_000)
        self._counters: Counter[str] = Counter(
            applied=0, echoes=0, repeated=0, early=0, malformed=0, gaps=0, snapshots=0, rescued=0, given_up=0
        )

    # What the application does

    def edit(self, channel: str, fragment: Any) -> int:
        """Change a document; return the count of the edit.

        Nothing has happened if it raises: LookupError if too many wait to be ordered, ValueError for a name that a
        channel cannot have, TooLarge for a fragment, whatever the codec raises for what it cannot carry, or StateError
        if somebody else has our identity.
        """
        self.check()
        if self._count - self._last.get(self.me, 0) >= self._max_waiting:
            raise LookupError(f"{self._max_waiting} edits wait to be ordered by the host; wait for some of them")
        check_channel(channel)
        body = self._codec.encode(fragment)
        check_body(body, self._max_message)
        # As others will have it: nothing is shared with the caller.
        copy = self._codec.decode(body)
        self._count += 1
        own = _Own(self._count, channel, body, copy)
        message = self._message(own)
        self._own.append(own)
        if self.is_root:
            self._order(message)
        else:
            self._waiting_in[channel] += 1
            if channel in self._views:
                self._views[channel].apply(own.fragment)
            if self._joined:
                self._up.append(message.encode())
        return own.number - self._base

    def document(self, channel: str) -> Document:
        """Return a document as the application sees it, not to be changed: the history, and its own edits on top.

        Raises ValueError for a name that a channel cannot have.
        """
        if channel not in self._documents:
            check_channel(channel)
        return self._view(channel) if self._waiting_in[channel] else self._confirmed(channel)

    def channels(self) -> tuple[str, ...]:
        """The names of the documents."""
        return tuple(sorted(self._documents))

    @property
    def acknowledged(self) -> int:
        """How many of our edits the successors have, too."""
        return self._acknowledged - self._base

    @property
    def placed(self) -> int:
        """The count of our last edit that has a place in the history."""
        return self._last.get(self.me, 0)

    def check(self) -> None:
        """Raise StateError if somebody else has our identity."""
        if self.doubled:
            raise StateError(
                "another endpoint has this identity and edits with it, so edits of both get lost; give each its own"
            )

    @property
    def waiting(self) -> int:
        """How many edits have no place in the history yet: ours, and those that we submit again for others."""
        return self._count - self._last.get(self.me, 0) + len(self._rescued)

    @property
    def term(self) -> Term:
        """The term in which the history ends."""
        return self._reigns[-1].term

    # What it is told

    def handle_edit(self, message: Message) -> None:
        """An edit has come up to us, the root."""
        if self.is_root:
            self._order(message)

    def handle_ordered(self, message: Message, raw: bytes) -> None:
        """An entry of the history has come down."""
        if self.is_root or (message.term == self.term and message.seq <= self.seq):
            self._counters["repeated"] += 1
        elif message.term == self.term and message.seq == self.seq + 1:
            self._take(message, raw)
            self._go_on()
        elif message.term >= self.term:
            self._counters["gaps"] += not self.needs_sync
            self.needs_sync = True
            if len(self._ahead) < self._max_waiting:
                self._ahead[message.seq] = (message, raw)

    def handle_position(self, term: Term, seq: int, stable: int) -> None:
        """Our host says how far it is, and how far the successors are."""
        if self.is_root:
            return
        if term == self.term:
            self._settle(stable)
        if term > self.term or (term == self.term and seq > self.seq):
            self.needs_sync = True

    def handle_stable(self, seq: int) -> None:
        """The successors have this much of our history; we are the root."""
        self._settle(min(seq, self.seq))

    def handle_promoted(self, term: Term) -> None:
        """We are the root from now on."""
        self.is_root = self._joined = True
        self.needs_sync = False
        self._ahead.clear()
        if term != self.term:
            self._reigns = [*self._reigns[-63:], Reign(term, self.seq)]
        self._views.clear()
        self._waiting_in.clear()
        waiting = [*self._rescued, *(self._message(own) for own in self._pending())]
        self._rescued.clear()
        for message in waiting:
            self._order(message)

    def handle_demoted(self) -> None:
        """Somebody else is the root."""
        self.is_root = False
        self.needs_sync = True

    # Catching up

    def question(self) -> Any:
        """What to ask the host: where we are."""
        return {"reigns": [[*reign.term, reign.base] for reign in self._reigns], "seq": self.seq}

    def answer(self, question: Told) -> dict[str, Any]:
        """What to tell a child that asks. Raises Malformed."""
        theirs, seq = _reigns_in(question), count_in(question, "seq")
        common = _common(theirs, self._reigns)
        fork = _fork(common, theirs, seq, self._reigns, self.seq)
        position = {
            "reigns": [[*reign.term, reign.base] for reign in self._reigns],
            "seq": self.seq,
            "stable": self.stable,
            "whole": not self.needs_sync,
        }
        if common == len(self._reigns) and (len(theirs) > common or seq >= self.seq):
            # It is as far as we are, or further.
            return position | {"entries": []}
        oldest = self._log[0][0] if self._log else self.seq + 1
        if common and seq <= fork and oldest <= seq + 1:
            entries = islice(self._log, seq + 1 - oldest, seq + 1 - oldest + ENTRIES_AT_ONCE)
            return position | {"entries": _as_many_as_fit(raw for _, _, raw in entries)}
        states = {channel: self._codec.encode(document.state()) for channel, document in self._documents.items()}
        return position | {"last": [list(one) for one in self._last.items()], "documents": states}

    def handle_answer(self, answer: Told) -> None:
        """Our host has told what we lack. Raises Malformed."""
        reigns, seq, stable = _reigns_in(answer), count_in(answer, "seq"), count_in(answer, "stable")
        common = _common(self._reigns, reigns)
        if self.is_root or (common == len(reigns) and seq <= self.seq):
            # Whoever has answered is not as far as we are.
            self.needs_sync = False
            self._join(answer)
            return
        if "documents" in answer:
            if reigns[-1].term > self.term or (reigns[-1].term == self.term and seq > self.seq):
                self._become(answer, reigns, seq)
        elif self.seq > _fork(common, self._reigns, self.seq, reigns, seq):
            # Since we asked, we have taken what the other history lacks.
            return
        else:
            for raw in list_in(answer, "entries"):
                message = Message.decode(raw)
                if message.seq == self.seq + 1:
                    self._take(message, raw)
            if reigns[-1].term >= self.term:
                known = [reign for reign in reigns if reign.base <= self.seq]
                self._reigns = known or self._reigns
        self.needs_sync = reigns[-1].term > self.term or (reigns[-1].term == self.term and seq > self.seq)
        if reigns[-1].term == self.term:
            self._settle(stable)
        self._go_on()
        if not self.needs_sync:
            self._join(answer)

    def resend(self) -> None:
        """Submit again what has no place in the history yet: it may have been lost on its way."""
        if self.is_root:
            return
        self._rescued = deque(one for one in self._rescued if one.number > self._last.get(one.origin, 0))
        self._rounds = self._rounds + 1 if self._rescued else 0
        if self._rounds > ROUNDS:
            self._counters["given_up"] += len(self._rescued)
            self._rescued.clear()
        self._up.extend(message.encode() for message in self._rescued)
        if self._joined:
            self._up.extend(self._message(own).encode() for own in self._pending())

    # What it is asked

    def poll_ups(self) -> list[bytes]:
        """The messages for our host, in order."""
        found, self._up = self._up, []
        return found

    def poll_downs(self) -> list[bytes]:
        """The messages for our children, in order: entries that we, the root, have made."""
        found, self._down = self._down, []
        return found

    def poll_change(self) -> Changed | None:
        """The next change of a document, our own echoes left out."""
        return self._changes.popleft() if self._changes else None

    def stats(self) -> Mapping[str, int]:
        """The counters: edits applied, of these echoes of ours; messages repeated, early or malformed; gaps, snapshots
        taken over; edits rescued from another history, and given up because one before them is nowhere.
        """
        return dict(self._counters)

    # How

    def _order(self, message: Message) -> None:
        """Give an edit the next place in the history, unless it has one, or one before it is missing."""
        last = self._last.get(message.origin, 0)
        if message.number != last + 1:
            self._counters["repeated" if message.number <= last else "early"] += 1
            return
        ordered = Message(
            Kind.ORDERED, message.origin, message.number, message.channel, message.body, self.term, self.seq + 1
        )
        raw = ordered.encode()
        self._take(ordered, raw)
        self._down.append(raw)

    def _take(self, message: Message, raw: bytes) -> None:
        """Apply the next entry of the history."""
        self.seq = message.seq
        self._last.pop(message.origin, None)
        self._last[message.origin] = message.number
        if len(self._last) > self._max_origins:
            del self._last[next(iter(self._last))]
        self._log.append((message.seq, message, raw))
        self._counters["applied"] += 1
        try:
            self._confirmed(message.channel).apply(self._codec.read(message.body))
        except Malformed:
            self._counters["malformed"] += 1
        own = self._meet_ourselves(message) if message.origin == self.me else None
        if own is not None:
            own.seq = message.seq
            self._counters["echoes"] += not self.is_root
            self._waiting_in[message.channel] -= self._waiting_in[message.channel] > 0
            if not self._waiting_in[message.channel]:
                self._views.pop(message.channel, None)
        else:
            # Our own edits go on top of it.
            self._views.pop(message.channel, None)
            self._changes.append(Changed(message.channel, message.origin, message.number))

    def _meet_ourselves(self, message: Message) -> _Own | None:
        """An edit of our identity is in the history: ours, which is returned, or of an earlier life, or of another."""
        own = self._own_of(message.number)
        if self._joined and own is not None and (own.channel, own.body) == (message.channel, message.body):
            self._found_ours = True
        elif not self._found_ours:
            # Of an earlier life; it may have been on its way until now.
            self._go_on_after(message.number)
            return None
        elif own is not None or message.number > self._acknowledged:
            self.doubled = True
        return own

    def _join(self, answer: Told) -> None:
        """We are as far as our host; if it is as far as it can be, our edits may go up."""
        self._joined = self._joined or (bool(answer.get("whole")) and self.term != NO_TERM)

    def _go_on_after(self, last: int) -> None:
        """Count our edits, none of which has a place yet, from after those of an earlier life."""
        step = max(0, last - self._base)
        for own in self._own:
            own.number += step
        self._count += step
        self._base += step
        self._acknowledged = self._base

    def _go_on(self) -> None:
        """Apply what had come too early."""
        while (found := self._ahead.pop(self.seq + 1, None)) is not None and found[0].term == self.term:
            self._take(*found)
        self._ahead = {seq: one for seq, one in self._ahead.items() if seq > self.seq and one[0].term >= self.term}
        self.needs_sync = self.needs_sync or bool(self._ahead)

    def _become(self, answer: Any, reigns: list[Reign], seq: int) -> None:
        """Take over another history, and submit again what it lacks."""
        common = _common(self._reigns, reigns)
        fork = _fork(common, self._reigns, self.seq, reigns, seq)
        last = dict(_last_of(one) for one in list_in(answer, "last"))
        told = answer["documents"]
        if not isinstance(told, dict):
            raise Malformed("documents is no mapping")
        states = {str(channel): self._codec.read(bytes_in(told, channel)) for channel in told}
        diverged = [message for place, message, _ in self._log if place > fork]
        lacking = [
            message
            for message in diverged
            if message.number > last.get(message.origin, 0)
            and not (message.origin == self.me and self._own_of(message.number))
        ]
        self._rescued.extend(
            Message(Kind.EDIT, message.origin, message.number, message.channel, message.body) for message in lacking
        )
        self._counters["rescued"] += len(lacking)
        self._counters["snapshots"] += 1
        self._documents = {channel: self._make(channel) for channel in states}
        for channel, state in states.items():
            self._documents[channel].restore(state)
            self._changes.append(Changed(channel, b"", 0))
        self._views.clear()
        self._log.clear()
        self._last, self._reigns, self.seq = last, reigns, seq
        if not self._joined:
            self._go_on_after(last.get(self.me, 0))
        for own in self._own:
            own.seq = 0 if own.number > last.get(self.me, 0) else min(own.seq or seq, seq)
        self._waiting_in = Counter(own.channel for own in self._pending())
        self.resend()

    def _settle(self, stable: int) -> None:
        """The successors have `stable` entries: acknowledge our edits among them, and let go of old ones."""
        self.stable = min(stable, self.seq)
        for own in islice(self._own, self._acknowledged - self._first() + 1, None):
            if not own.seq or own.seq > self.stable:
                break
            self._acknowledged = own.number
        while len(self._own) > self._keep_own and self._own[0].number <= self._acknowledged:
            self._own.popleft()

    def _first(self) -> int:
        return self._own[0].number if self._own else self._count + 1

    def _own_of(self, number: int) -> _Own | None:
        place = number - self._first()
        return self._own[place] if 0 <= place < len(self._own) else None

    def _pending(self) -> Iterator[_Own]:
        """Our edits that have no place in the history."""
        return islice(self._own, max(0, self._last.get(self.me, 0) + 1 - self._first()), None)

    def _confirmed(self, channel: str) -> Document:
        if channel not in self._documents:
            self._documents[channel] = self._make(channel)
        return self._documents[channel]

    def _view(self, channel: str) -> Document:
        """The document with our edits on top of it."""
        if channel not in self._views:
            view = self._views[channel] = self._confirmed(channel).copy()
            for own in self._pending():
                if own.channel == channel:
                    view.apply(own.fragment)
            return view
        return self._views[channel]

    def _message(self, own: _Own) -> Message:
        return Message(Kind.EDIT, self.me, own.number, own.channel, own.body)


def _as_many_as_fit(raws: Iterable[bytes]) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    for raw in raws:
        size += len(raw)
        if found and size > ENTRY_BYTES:
            break
        found.append(raw)
    return found


def _reigns_in(told: Told) -> list[Reign]:
    found = [_reign_of(one) for one in list_in(told, "reigns")]
    if not found:
        raise Malformed("a position without a term makes no sense")
    return found


def _reign_of(value: Any) -> Reign:
    *term, base = fields_of(value, "reigns", 3)
    return Reign(term_of(term, "reigns"), count_of(base, "reigns"))


def _last_of(value: Any) -> tuple[bytes, int]:
    origin, number = fields_of(value, "last", 2)
    return identity_of(origin, "last"), count_of(number, "last")


def _common(one: list[Reign], other: list[Reign]) -> int:
    """How many reigns two histories share."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))


def _fork(common: int, one: list[Reign], one_seq: int, other: list[Reign], other_seq: int) -> int:
    """The last place that two histories share."""
    if common == 0:
        return 0
    ends = [
        reigns[common].base if common < len(reigns) else seq for reigns, seq in ((one, one_seq), (other, other_seq))
    ]
    return min(ends)
