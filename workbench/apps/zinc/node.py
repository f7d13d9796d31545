"""One endpoint without its sockets: its place in the tree, its copy of the documents, and what passes through it.

A machine: told messages from above and from below, questions, answers and the time; asked for actions, for messages to
be handled, and for changes. What it only passes on it does not decode beyond the first byte.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from workbench.apps.zinc.codec import MESSAGEPACK, Codec
from workbench.apps.zinc.convergent import Convergent
from workbench.apps.zinc.document import Document, Record
from workbench.apps.zinc.message import (
    MAX_MESSAGE,
    NOBODY,
    Kind,
    Malformed,
    Message,
    check_body,
    encoded,
    kind_of,
)
from workbench.apps.zinc.neighbours import MAX_TOLD, Place, Told, count_in, pack, term_in, unpack
from workbench.apps.zinc.replica import Changed, Replica
from workbench.apps.zinc.tree import Ask, Attach, Demoted, Detach, Promoted, Tree
from workbench.apps.zinc.work import TaskId, Work
from workbench.engine.errors import OptionError

Item = TypeVar("Item")
BEATS_TO_COMPARE = 16
"""After so many beats convergent documents are compared with those of the host."""
MOST_UPS = 100_000
"""How many messages may wait for our host to take them; then the oldest give way, and are counted as unsent."""
MAX_ANSWER = 64 << 20
"""The largest answer to a question, in bytes: all documents together, for whoever has none."""
MAX_COMPARED = 1 << 20
"""The largest question of how far convergent documents are, in bytes."""

Action = Ask | Attach | Detach


class Node:
    """The endpoint `me`.

    `holds`: does it keep the documents? If not it passes everything on, and can never be the root of others. Before an
    edit is acknowledged, the first `copies` in the line of succession must have it. It can do `capacity` tasks of the
    tree's work at once. With `convergent` it has documents that converge by themselves, too, and `on_edit` is called
    when they are changed here; whoever has been here before needs another `life` for that, any bytes. What others say
    is read only if it `hears`. What is edited, said or done here has up to `max_message` bytes. The other arguments are
    those of Tree. Raises OptionError for what is out of its range.
    """

    def __init__(
        self,
        me: Place,
        *,
        now: float = 0.0,
        seeds: Sequence[str] = (),
        codec: Codec = MESSAGEPACK,
        make: Callable[[str], Document] = lambda _: Record(),
        holds: bool = True,
        hears: bool = True,
        copies: int = 1,
        capacity: int = 0,
        convergent: bool = False,
        life: bytes = b"",
        on_edit: Callable[[], None] = lambda: None,
        max_message: int = MAX_MESSAGE,
        breadth: int = 8,
        heartbeat: float = 0.25,
        deadline: float = 1.0,
    ) -> None:
        _check_settings(breadth, copies, capacity, max_message, heartbeat, deadline)
        if not holds and not seeds:
            raise OptionError("an endpoint with holds=False only passes on what others have; it has to join somebody")
        self.me = me
        self.replica = Replica(me.id, codec, make, max_message=max_message) if holds else None
        self.tree = Tree(me, now=now, seeds=seeds, breadth=breadth, heartbeat=heartbeat, deadline=deadline, leads=holds)
        self.convergent = Convergent(me.id, on_edit, life=life, max_message=max_message) if convergent else None
        self._comparing = 0
        self._compare_in = 0
        self.work = Work(me.id, capacity, patience=2 * deadline)
        self._hears = hears
        self._copies = copies
        self._max_message = max_message
        self._deadline = deadline
        self._said = 0
        self._above: dict[str, Any] = {"at": [0, NOBODY], "seq": 0, "stable": 0}
        """What our host said of its copy; whoever has none tells that."""
        self._syncing = 0
        self._sync_at = now
        self._resend_at = now
        self._resend_after_sync = False
        self._unmoved = 0
        self._tokens = 0
        self._actions: deque[Action] = deque()
        self._ups: deque[bytes] = deque()
        self._downs: deque[bytes] = deque()
        self._messages: deque[Message] = deque()
        self._counters: Counter[str] = Counter(
            malformed=0, passed_up=0, passed_down=0, unsent=0, syncs=0, syncs_refused=0, answers_too_large=0
        )
        self._settle(now)

    # What the application does

    def edit(self, channel: str, fragment: Any) -> int:
        """Change a document; see Replica.edit. Raises LookupError if nothing is held here."""
        number = self._held.edit(channel, fragment)
        self._drain()
        return number

    def say(self, channel: str, body: bytes) -> None:
        """Say something to everyone else in the tree. What is on its way when a host dies is lost.

        Raises ValueError for a name that a channel cannot have, TooLarge, or TypeError for what is not bytes.
        """
        if type(body) is not bytes or len(body) > self._max_message:
            check_body(body, self._max_message)
        raw = encoded(_SAY, self.me.id, self._said + 1, channel, body)
        self._said += 1
        self._everyone.append(raw)

    def submit(self, now: float, body: bytes, timeout: float) -> int:
        """Have a task done by somebody in the tree; see Work.submit. Raises TooLarge, TypeError if it is not bytes."""
        check_body(body, self._max_message)
        number = self.work.submit(now, body, timeout)
        self._drain()
        return number

    def finish(self, id_: TaskId, *, done: bool, result: bytes) -> None:
        """A task that was ours to do is done, or has failed; a result that cannot be sent is a failure, too."""
        try:
            check_body(result, self._max_message)
        except (TypeError, ValueError) as error:
            done, result = False, f"the result cannot be sent: {error}".encode()
        self.work.finish(id_, done=done, result=result)
        self._drain()

    def share(self) -> None:
        """Convergent documents have been changed here: send what is new."""
        self._drain()

    def leave(self) -> None:
        """Tell our neighbours that we go."""
        self._beat(leaving=True)

    # What it is told

    def handle_time(self, now: float) -> None:
        """It is `now`, in seconds."""
        self.tree.handle_time(now)
        self._settle(now)

    def handle_down(self, now: float, *raws: bytes) -> None:
        """Our host has published something, or several things, in this order."""
        beaten = False
        # Whoever speaks lives, even if its beats do not come through.
        self.tree.handle_sign(now)
        relays = bool(self.tree.children)
        said = [raw for raw in raws if raw and raw[0] == _SAY]
        for raw in raws if relays or len(said) < len(raws) else ():
            kind = kind_of(raw)
            if relays and kind not in _FOR_NEIGHBOURS:
                self._downs.append(raw)
                self._counters["passed_down"] += 1
            try:
                if kind == Kind.ORDERED:
                    if self.replica is not None:
                        self.replica.handle_ordered(Message.decode(raw), raw)
                elif kind == Kind.UPDATE:
                    self._take_update(raw)
                elif kind == Kind.TASK:
                    if self.work.handle_from_host(unpack(Message.decode(raw).body, len(raw))):
                        self._downs.append(raw)
                elif kind == Kind.BEAT:
                    beaten = True
                    self._handle_beat(now, unpack(Message.decode(raw).body))
                    self._settle(now)
            except Malformed:
                self._counters["malformed"] += 1
        self._deliver(said)
        self._settle(now, neighbours=beaten)

    def handle_up(self, now: float, *raws: bytes) -> None:
        """A child has sent something, or several have, in this order."""
        reported = False
        said = [raw for raw in raws if raw and raw[0] == _SAY]
        self._everyone.extend(said)
        for raw in raws if len(said) < len(raws) else ():
            kind = kind_of(raw)
            try:
                if kind == _SAY:
                    continue
                if kind == Kind.REPORT:
                    reported = True
                    self.tree.handle_report(now, unpack(Message.decode(raw).body))
                elif kind == Kind.TASK:
                    self.work.handle_from_child(unpack(Message.decode(raw).body, len(raw)))
                elif kind not in (Kind.EDIT, Kind.UPDATE):
                    self._counters["malformed"] += 1
                elif self.tree.state != "root":
                    self._ups.append(raw)
                    self._counters["passed_up"] += 1
                elif kind == Kind.EDIT:
                    self._held.handle_edit(Message.decode(raw))
                    self._drain()
                else:
                    self._downs.append(raw)
                    self._take_update(raw)
            except Malformed:
                self._counters["malformed"] += 1
        if self.tree.state == "root":
            self._deliver(said)
        else:
            self._counters["passed_up"] += len(said)
        self._settle(now, neighbours=reported)

    def handle_question(self, now: float, question: bytes) -> bytes | None:
        """Somebody asks at our door. Returns the answer, or None if our host is to be asked instead."""
        try:
            answer = self._answer(now, unpack(question, MAX_COMPARED if self.convergent is not None else MAX_TOLD))
        except Malformed as error:
            self._counters["malformed"] += 1
            answer = {"refuse": str(error)}
        if answer is None:
            return None
        packed = pack(answer)
        if len(packed) > MAX_ANSWER:
            self._counters["answers_too_large"] += 1
            packed = pack({"refuse": f"the answer would have {len(packed)} bytes; allowed: {MAX_ANSWER}"})
        return packed

    def handle_answer(self, now: float, token: int, answer: bytes | None) -> None:
        """Somebody has answered what we asked, or nobody (None)."""
        try:
            told = None if answer is None else unpack(answer, MAX_ANSWER)
        except Malformed:
            self._counters["malformed"] += 1
            told = None
        try:
            if token == self._comparing and self.convergent is not None:
                if told is not None and "have" in told:
                    self.convergent.handle_answer(told["have"])
            elif token < 0:
                self._handle_sync(now, token, told)
            else:
                self.tree.handle_answer(now, token, told)
        except Malformed:
            self._counters["malformed"] += 1
        self._settle(now)

    def handle_lost(self, now: float) -> None:
        """Our host cannot be reached where it says it is."""
        self._counters["malformed"] += 1
        self.tree.handle_lost(now)
        self._settle(now)

    # What it is asked

    def poll_action(self) -> Action | None:
        """What to do next."""
        return self._actions.popleft() if self._actions else None

    @property
    def has_ups(self) -> bool:
        """Is there anything to send to our host?"""
        return bool(self._ups)

    @property
    def has_downs(self) -> bool:
        """Is there anything to publish to our children?"""
        return bool(self._downs)

    def poll_ups(self) -> list[bytes]:
        """All there is to send to our host, in order."""
        return _all_of(self._ups)

    def poll_downs(self) -> list[bytes]:
        """All there is to publish to our children, in order."""
        return _all_of(self._downs)

    def poll_messages(self) -> list[Message]:
        """What others have said, in order."""
        return _all_of(self._messages)

    def poll_change(self) -> Changed | None:
        """The next change of a document by somebody else."""
        if self.convergent is not None and (channel := self.convergent.poll_change()) is not None:
            return Changed(channel, b"", 0)
        return None if self.replica is None else self.replica.poll_change()

    def poll_due(self) -> float:
        """When to tell the time next."""
        return self.tree.poll_due()

    def stats(self) -> Mapping[str, int]:
        """The counters: messages malformed, passed_up, passed_down, and unsent for want of a host to take them; syncs
        asked for, and of these refused; answers_too_large to be given; and those of Replica.stats, whose malformed
        fragments count among the messages.
        """
        found = Counter(self._counters)
        found.update(self.replica.stats() if self.replica is not None else {})
        return found

    # How

    def _answer(self, now: float, asked: Told) -> Told | None:
        if asked.get("ask") == "compare":
            return None if self.convergent is None else {"have": self.convergent.answer(asked.get("have"))}
        if asked.get("ask") == "sync":
            return None if self.replica is None else self.replica.answer(asked)
        answer = self.tree.handle_question(now, asked)
        self._settle(now)
        return answer

    @property
    def _held(self) -> Replica:
        if self.replica is None:
            raise LookupError("this endpoint only passes messages on; it holds no documents")
        return self.replica

    def _settle(self, now: float, *, neighbours: bool = True) -> None:
        """After anything: do what follows from it; `neighbours` may have changed, or time passed."""
        while len(self._ups) > MOST_UPS:
            self._ups.popleft()
            self._counters["unsent"] += 1
        if self.tree.beat_due:
            self.tree.beat_due = False
            self._beat()
        while (action := self.tree.poll_action()) is not None:
            if isinstance(action, Promoted):
                self._held.handle_promoted(action.term)
                self._beat()
            elif isinstance(action, Demoted):
                self._held.handle_demoted()
            else:
                # What was on its way to another host is not for this one.
                self._ups.clear()
                if isinstance(action, Attach):
                    self._syncing = 0
                    self._sync_at = now
                    self._resend_after_sync = True
                    self._compare_in = 0
                    if self.replica is not None:
                        self.replica.needs_sync = True
                self._actions.append(action)
        if self.replica is not None:
            self._catch_up(now, self.replica)
        if neighbours:
            self._share_out(now)
        self._drain()

    def _share_out(self, now: float) -> None:
        room = {id_: child.room for id_, child in self.tree.children.items()}
        self.work.handle_place(now, is_root=self.tree.state == "root", room=room)

    def _catch_up(self, now: float, replica: Replica) -> None:
        parent = self.tree.parent
        if parent is None or self.tree.state != "attached":
            return
        if replica.needs_sync and not self._syncing and now >= self._sync_at:
            self._tokens -= 1
            self._syncing = self._tokens
            self._counters["syncs"] += 1
            question = {"ask": "sync"} | replica.question()
            self._actions.append(Ask(self._syncing, parent.door, question, 4 * self._deadline))
        # Others' edits, and new ones of ours, say nothing of whether ours come through.
        if not replica.waiting or replica.placed != self._unmoved:
            self._unmoved, self._resend_at = replica.placed, now + self._deadline
        elif now >= self._resend_at:
            self._resend_at = now + self._deadline
            replica.resend()

    def _handle_sync(self, now: float, token: int, told: Told | None) -> None:
        if token != self._syncing or self.replica is None:
            return
        self._syncing = 0
        if told is not None and "refuse" in told:
            self._counters["syncs_refused"] += 1
            self._sync_at = now + 4 * self._deadline
            return
        before = (self.replica.term, self.replica.seq)
        try:
            if told is not None and "reigns" in told:
                self.replica.handle_answer(told)
                if self._resend_after_sync and not self.replica.needs_sync:
                    self._resend_after_sync = False
                    self.replica.resend()
        finally:
            if before == (self.replica.term, self.replica.seq):
                self._sync_at = now + self._deadline / 4

    def _handle_beat(self, now: float, told: Told) -> None:
        before = self.tree.term
        self.tree.handle_beat(now, told)
        # Our host has another root, or has become it: what was on its way to the old one may be lost.
        self._resend_after_sync = self._resend_after_sync or self.tree.term != before
        if told.get("orphan") or "at" not in told:
            return
        term, seq, stable = term_in(told, "at"), count_in(told, "seq"), count_in(told, "stable")
        self._above = {"at": list(term), "seq": seq, "stable": stable}
        if self.replica is not None:
            self.replica.handle_position(term, seq, stable)

    def _beat(self, *, leaving: bool = False) -> None:
        """Tell our children and our host that we live, and how far we are."""
        replica = self.replica
        if replica is not None and self.tree.state == "root":
            self._advance_stable(replica)
        if replica is not None:
            position: dict[str, Any] = {"at": list(replica.term), "seq": replica.seq, "stable": replica.stable}
        else:
            position = self._above
        if self.me.door:
            body = pack(self.tree.beat(leaving=leaving) | position)
            self._downs.append(Message(Kind.BEAT, self.me.id, 0, "", body).encode())
        if self.tree.state == "attached":
            self._compare()
            report = self.tree.report(leaving=leaving, at=position["at"], seq=position["seq"], room=self.work.room)
            self._ups.append(Message(Kind.REPORT, self.me.id, 0, "", pack(report)).encode())

    def _compare(self) -> None:
        """Now and then, make good what has been lost of updates."""
        if self.convergent is None or self.tree.parent is None:
            return
        self._compare_in -= 1
        if self._compare_in < 0:
            self._compare_in = BEATS_TO_COMPARE
            self._tokens -= 1
            self._comparing = self._tokens
            question = {"ask": "compare", "have": self.convergent.question()}
            self._actions.append(Ask(self._comparing, self.tree.parent.door, question, self._deadline))

    def _take_update(self, raw: bytes) -> None:
        if self.convergent is not None:
            self.convergent.handle_update(Message.decode(raw))

    def _advance_stable(self, replica: Replica) -> None:
        """What the first in the line have is stable; with nobody who could follow us, what we have."""
        line = self.tree.succession(replica.stable)
        if line:
            replica.handle_stable(max(replica.stable, min(child.seq for child in line[: self._copies])))
        elif not any(child.leads for child in self.tree.children.values()):
            replica.handle_stable(replica.seq)

    def _deliver(self, said: list[bytes]) -> None:
        if not self._hears:
            return
        try:
            messages = list(map(Message.decode, said))
        except Malformed:
            messages = [message for raw in said if (message := self._readable(raw)) is not None]
        me = self.me.id
        self._messages.extend([message for message in messages if message.origin != me])

    def _readable(self, raw: bytes) -> Message | None:
        try:
            return Message.decode(raw)
        except Malformed:
            self._counters["malformed"] += 1
            return None

    @property
    def _everyone(self) -> deque[bytes]:
        """The way of what is for everyone: up to the root, and down from there."""
        return self._downs if self.tree.state == "root" else self._ups

    def _drain(self) -> None:
        while (told := self.work.poll_up()) is not None:
            self._ups.append(self._task(told))
        while (told := self.work.poll_down()) is not None:
            self._downs.append(self._task(told))
        while self.convergent is not None and (raw := self.convergent.poll_update()) is not None:
            self._everyone.append(raw)
        if self.replica is not None:
            self._ups.extend(self.replica.poll_ups())
            self._downs.extend(self.replica.poll_downs())

    def _task(self, told: Any) -> bytes:
        return Message(Kind.TASK, self.me.id, 0, "", pack(told)).encode()


def _check_settings(
    breadth: int, copies: int, capacity: int, max_message: int, heartbeat: float, deadline: float
) -> None:
    """Raise OptionError for what is out of its range."""
    for name, value, least in (
        ("breadth", breadth, 1), ("copies", copies, 1), ("capacity", capacity, 0), ("max_message", max_message, 1)
    ):  # fmt: skip
        if not isinstance(value, int) or value < least:
            raise OptionError(f"{name} = {value!r} is out of range; allowed: a whole number from {least} on")
    if not 0 < heartbeat < deadline < math.inf:
        raise OptionError(
            f"heartbeat = {heartbeat!r} and deadline = {deadline!r} do not fit; allowed: 0 < heartbeat < deadline"
        )


_SAY = int(Kind.SAY)
_FOR_NEIGHBOURS = frozenset({Kind.BEAT, Kind.TASK})
"""What a host tells its own children only."""


def _all_of(queue: deque[Item]) -> list[Item]:
    found = list(queue)
    queue.clear()
    return found
