"""Documents that converge by themselves (CRDTs, by pycrdt): their fragments need no order and no root's word.

A machine beside the replica: told what is edited and what comes by, asked what to send. An update goes up to the root
and down to everyone, as a message does. What gets lost is made good by comparing what neighbours have, when an endpoint
joins a host and now and then after. Updates that come twice change nothing.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from workbench.apps.zinc.message import MAX_MESSAGE, Kind, Malformed, Message, check_channel
from workbench.apps.zinc.neighbours import Told, fields_of


class Convergent:
    """The convergent documents as the endpoint `me` has them.

    Each is a `pycrdt.Doc`; whatever is changed in it, in one transaction or many, is sent, but for an update of more
    than `max_message` bytes, which stays here. `on_edit` is called when something has been.
    Raises ImportError if pycrdt is not installed.
    """

    def __init__(
        self,
        me: bytes,
        on_edit: Callable[[], None] = lambda: None,
        *,
        life: bytes = b"",
        max_message: int = MAX_MESSAGE,
    ) -> None:
        try:
            import pycrdt
        except ImportError as error:
            raise ImportError("pycrdt is not installed: pip install 'messaging-workbench[zinc]'") from error
        self.me = me
        # Clients of a document have numbers of 32 bits; nobody may have the same, nor the same one again.
        self._client = crc32(me + life)
        self._on_edit = on_edit
        self._max_message = max_message
        self._make: Callable[[int], Any] = lambda number: pycrdt.Doc(client_id=number)
        self._documents: dict[str, Any] = {}
        self._listening: list[Any] = []
        self._foreign = False
        self._count = 0
        self._out: deque[bytes] = deque()
        self._changes: deque[str] = deque(maxlen=100_000)
        self._counters: Counter[str] = Counter(
            updates_sent=0, updates_taken=0, updates_malformed=0, updates_too_large=0
        )

    def document(self, channel: str) -> Any:
        """Return the document of this name, a `pycrdt.Doc` to be read and changed. Raises ValueError for no name."""
        if channel not in self._documents:
            check_channel(channel)
            made = self._documents[channel] = self._make(self._client)
            self._listening.append(made.observe(lambda event, channel=channel: self._edited(channel, event.update)))
        return self._documents[channel]

    def handle_update(self, message: Message) -> None:
        """Somebody has changed a document. Raises Malformed."""
        if message.origin != self.me:
            self._take(message.channel, message.body)

    def question(self) -> dict[str, bytes]:
        """What we have, to compare: how far each document has come."""
        return {channel: bytes(document.get_state()) for channel, document in self._documents.items()}

    def answer(self, question: Any) -> dict[str, list[bytes]]:
        """By document, what whoever asks lacks, how far ours has come and what is deleted in it. Raises Malformed."""
        question, answer = _mapping(question), {}
        for channel, document in self._documents.items():
            try:
                lacking = document.get_update(question.get(channel, b"\0"))
            except Exception as error:
                raise Malformed(f"no state of a document: {error}") from error
            answer[channel] = [bytes(lacking), *_standing(document)]
        return answer

    def handle_answer(self, answer: Any) -> None:
        """Our host has told what we lack and what it has: take the one, send what it lacks. Raises Malformed."""
        told = {channel: _pieces_of(channel, pieces) for channel, pieces in _mapping(answer).items()}
        for channel, (lacking, _, _) in told.items():
            self._take(channel, lacking)
        for channel, document in self._documents.items():
            _, *theirs = told.get(channel, (_NOTHING, b"\0", _NOTHING))
            if [*_standing(document)] != theirs:
                try:
                    self._send(channel, bytes(document.get_update(theirs[0])))
                except Exception as error:
                    raise Malformed(f"no state of a document: {error}") from error

    def poll_update(self) -> bytes | None:
        """The next message for everyone else."""
        return self._out.popleft() if self._out else None

    def poll_change(self) -> str | None:
        """The name of the next document that somebody else has changed."""
        return self._changes.popleft() if self._changes else None

    def stats(self) -> Mapping[str, int]:
        """The counters: updates sent, taken from others, malformed, and too large to be sent."""
        return dict(self._counters)

    def _edited(self, channel: str, update: bytes) -> None:
        if not self._foreign:
            self._send(channel, update)
            self._on_edit()

    def _send(self, channel: str, update: bytes) -> None:
        if len(update) > self._max_message:
            self._counters["updates_too_large"] += 1
            return
        self._count += 1
        self._counters["updates_sent"] += 1
        self._out.append(Message(Kind.UPDATE, self.me, self._count, channel, update).encode())

    def _take(self, channel: str, update: bytes) -> None:
        document = self.document(channel)
        before = _standing(document)
        self._foreign = True
        try:
            document.apply_update(update)
        except Exception as error:
            self._counters["updates_malformed"] += 1
            raise Malformed(f"{len(update)} bytes are no update of a document: {error}") from error
        finally:
            self._foreign = False
        self._counters["updates_taken"] += 1
        if _standing(document) != before:
            self._changes.append(channel)


def _mapping(told: Any) -> Told:
    if not isinstance(told, dict):
        raise Malformed("what somebody has of documents is a mapping")
    return told


def _pieces_of(channel: str, pieces: Any) -> list[bytes]:
    try:
        check_channel(channel)
    except (TypeError, ValueError) as error:
        raise Malformed(str(error)) from error
    found = fields_of(pieces, "have", 3)
    if not all(isinstance(one, bytes) for one in found):
        raise Malformed("of a document is told in bytes what lacks, how far it is and what is deleted")
    return found


def _standing(document: Any) -> tuple[bytes, bytes]:
    """How far a document has come, and what is deleted in it: an update from where it is has nothing else in it."""
    state = document.get_state()
    return bytes(state), bytes(document.get_update(state))


_NOTHING = b"\0\0"
"""An update that changes nothing."""
