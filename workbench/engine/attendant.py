"""The thread that attends to a socket's peers: it asks the program about newcomers and tells it what happens.

There is one only for sockets that ask or tell.
"""

import queue
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

from workbench._engine import RealSocket
from workbench.engine.facts import Event, Peer

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

Admit = Callable[[Peer], bool]
OnEvent = Callable[[Event], object]


class Attendant:
    """Takes a socket's events, answers for those who knock, and keeps the rest for whoever asks."""

    def __init__(self, native: RealSocket) -> None:
        self.admit: dict[str, Admit] = {}
        """Whom to ask, by the address of the endpoint."""
        self.on_event: OnEvent | None = None
        self._native = native
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to attend, if nobody does."""
        if self._thread is None:
            self._thread = threading.Thread(target=_attend, args=(weakref.ref(self),), name="attendant", daemon=True)
            self._thread.start()

    def next_event(self, timeout: float | None) -> Event | None:
        """Return the next event; wait up to `timeout` seconds for it (None: until the socket is closed)."""
        if self._thread is None:
            row = self._native.wait_for_event(timeout)
            return None if row is None else Event.from_row(row)
        try:
            return self._events.get(timeout=timeout) if timeout != 0 else self._events.get_nowait()
        except queue.Empty:
            return None

    def attend(self) -> bool:
        """Deal with the next event, if one comes soon; say whether more may come."""
        row = self._native.wait_for_event(_PATIENCE)
        if row is None:
            return not self._native.closed
        what, endpoint, peer, serial, _ = row
        if what == "knocking" and peer is not None:
            self._native.admit(serial, self._ask(endpoint, Peer.from_row(peer)))
            return True
        event = Event.from_row(row)
        if self.on_event is None:
            if self._events.qsize() < _KEPT:
                self._events.put(event)
        else:
            _guard(self.on_event, event)
        return True

    def _ask(self, endpoint: str, peer: Peer) -> bool:
        admit = self.admit.get(endpoint)
        return admit is not None and bool(_guard(admit, peer))


def _attend(attendant: "weakref.ref[Attendant]") -> None:
    """Attend for as long as the socket lives; the thread does not keep it alive."""
    while (self := attendant()) is not None:
        try:
            if not self.attend():
                return
        except Exception:
            # The socket is another process's, or the interpreter is about to end.
            return
        del self


def _guard(call: Callable[[_Given], _Result], given: _Given) -> _Result | None:
    """Call the program; what it raises is shown as that of any other thread is, and the thread goes on."""
    try:
        return call(given)
    except Exception:
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        return None


_KEPT = 1_024
_PATIENCE = 0.25
