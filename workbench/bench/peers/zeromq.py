"""ZeroMQ, through pyzmq."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from workbench.bench.peers.peer import QUEUE, End, Peer, Role, Semantics

LINGER_MS = 1000
"""How long closing waits until what was sent is written."""


class ZeroMQ(Peer):
    """libzmq with its Python binding pyzmq."""

    name = "zeromq"
    title = "ZeroMQ"
    possessive = "ZeroMQ's"
    module = "zmq"
    package = "pyzmq"
    semantics = Semantics(
        pattern="PUSH/PULL and REQ/REP of ZMTP",
        copies="one copy in, one out (copy=True both ways)",
        queue=f"high-water mark {QUEUE:,} messages at each end",
        threads="one I/O thread in each process beside the calling thread",
        batching="its I/O thread writes together what has queued, up to 8 KiB at a time",
    )

    def version(self) -> str:
        """The versions of the binding and of the library under it."""
        import zmq

        return f"pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}"

    def open(self, role: Role) -> End:
        """A socket in a context of its own. libzmq sets TCP_NODELAY by itself."""
        import zmq

        kinds = {"push": zmq.PUSH, "pull": zmq.PULL, "req": zmq.REQ, "rep": zmq.REP}
        context = zmq.Context()
        socket = context.socket(kinds[role])
        socket.setsockopt(zmq.SNDHWM, QUEUE)
        socket.setsockopt(zmq.RCVHWM, QUEUE)

        def bind(address: str) -> str:
            socket.bind(address)
            return cast(bytes, socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()

        def close() -> None:
            socket.close(linger=LINGER_MS)
            context.term()

        # Both copy unless told otherwise; what the casts leave out are further arguments, for example flags.
        return End(
            bind=bind,
            connect=socket.connect,
            send=cast("Callable[[bytes], object]", socket.send),
            recv=cast("Callable[[], bytes]", socket.recv),
            close=close,
        )
