"""Devices: what hands messages on, between the two ends of a pattern or among the peers of a bus.

with Device("rep", "req") as device:
    device.front.listen("tcp://*:5555")
    device.back.dial("tcp://worker-1:6666")
    device.back.dial("tcp://worker-2:6666", priority=2)
    threading.Event().wait()
"""

from types import TracebackType
from typing import Self

from workbench import _engine
from workbench.engine.end import End
from workbench.engine.world import Kind


class Side(End):
    """One side of a device: it has endpoints and peers, and the device its messages."""

    def __init__(self, kind: Kind, **options: float | str) -> None:
        """Open a side of this kind. Raises OptionError."""
        self.kind = kind
        super().__init__(_engine.RealSocket(kind, True, **options))


class Device:
    """Hands messages on between two sides until it is closed, in a thread of its own.

    The kinds are the two ends of a pattern: ("rep", "req") stands between REQ and REP sockets, ("sub", "pub") between a
    publisher and subscribers. One side alone, "bus", hands on among its peers. Messages of REQ/REP,
    SURVEYOR/RESPONDENT and PAIR1 are dropped after `ttl` devices (an option of the sides); the others know no such
    bound: do not join their devices to a ring.
    """

    def __init__(self, front: Kind, back: Kind | None = None, **options: float | str) -> None:
        """Open the sides, with these options, and begin. Raises OptionError if the kinds do not fit."""
        self.front = Side(front, **options)
        self.back = None if back is None else Side(back, **options)
        try:
            self._native = _engine.Device(self.front._native, None if self.back is None else self.back._native)
        except BaseException:
            self._abort()
            raise

    def stats(self) -> dict[str, int]:
        """Return what it has done: messages "forwarded", and "dropped" because the other side did not accept them."""
        return dict(self._native.stats())

    def close(self) -> None:
        """End, and close the sides; what is under way within the device is lost. Closing twice does nothing."""
        self._native.close()
        self._abort()

    def _abort(self) -> None:
        for side in (self.front, self.back):
            if side is not None:
                side.close(flush=0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
