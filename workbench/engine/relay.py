"""A link laid under real sockets, for any library.

with Rep(listen="tcp://127.0.0.1:0") as rep:
    relay = Relay("new-york-london", delay=0.038)
    far = "tcp://" + relay.route(rep.addresses[0].removeprefix("tcp://"))   # dial this instead
"""

from workbench import _engine


class Relay:
    """Lets bytes pass between programs of this machine as a link would: later, slower, or not at all.

    One relay is one link in both directions; everything routed over it shares its rate and its cuts. It lives as long
    as the object. Seconds, bits per second, and the probability that a segment of 1,448 bytes is lost and sent again;
    `room` is how many bytes of a connection may be on their way (None: 4 MiB), with small buffers at both ends.
    """

    def __init__(
        self,
        name: str,
        *,
        delay: float,
        jitter: tuple[str, float, float] = ("constant", 0.0, 0.0),
        rate: float | None = None,
        loss: float = 0.0,
        seed: int = 0,
        room: int | None = None,
    ) -> None:
        self._native = _engine.Relay(name, delay=delay, jitter=jitter, rate=rate, loss=loss, seed=seed, room=room)

    def route(self, target: str) -> str:
        """Open a way over the link to `target` ("127.0.0.1:5555"); return the address to dial instead."""
        return self._native.route(target)

    def cut(self) -> None:
        """Silence in both directions until `heal`; connections stay."""
        self._native.cut()

    def heal(self) -> None:
        """Speech again: what was held up arrives one delay later, in its order."""
        self._native.heal()

    def break_all(self) -> None:
        """Break every connection; new ones can be made at once."""
        self._native.break_all()

    def stats(self) -> dict[str, int]:
        """What it has carried: connections, refused, bytes, held_back, and latest_ns, the worst delay it added."""
        return dict(self._native.stats())
