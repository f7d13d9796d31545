"""The workbench's own engine, through its public Python sockets."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from workbench.bench.peers.peer import QUEUE, End, Peer, Role, Semantics


class Ours(Peer):
    """The workbench's own engine."""

    name = "ours"
    title = "our engine"
    possessive = "our"
    semantics = Semantics(
        pattern="PUSH/PULL and REQ/REP of the scalability protocols",
        copies="one copy in, one out",
        queue=f"{QUEUE:,} messages at each end, at most 16 MiB",
        threads="the calling thread does the I/O and looks for up to 50 µs before it sleeps, where that pays; one "
        "background thread for what nobody waits for",
        batching="messages of a burst are written together, held back for at most 50 µs; a lone message never",
    )

    def version(self) -> str:
        """The version of the workbench."""
        try:
            return f"messaging-workbench {installed_version('messaging-workbench')}"
        except PackageNotFoundError:
            return "messaging-workbench, not installed"

    def open(self, role: Role) -> End:
        """A socket of the role, its queues as long as those of the others."""
        from workbench.engine.socket import CLASSES

        socket = CLASSES[role](send_queue=QUEUE, recv_queue=QUEUE)

        def conversation() -> tuple[Callable[[bytes], object], Callable[[], bytes]]:
            context = socket.context()
            return context.send, context.recv

        return End(
            bind=socket.listen,
            connect=socket.dial,
            send=socket.send,
            recv=socket.recv,
            close=socket.close,
            conversation=conversation,
        )
