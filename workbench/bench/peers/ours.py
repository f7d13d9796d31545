"""The workbench's own engine, through its public Python sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from workbench.bench.peers.peer import QUEUE, End, Peer, Role, Semantics


class Ours(Peer):
    """The workbench's own engine."""

    name = "ours"
    title = "our engine"
    possessive = "our engine's"
    semantics = Semantics(
        pattern="PUSH/PULL and REQ/REP of the scalability protocols",
        copies="bytes of 4 KiB or more are sent from where they are, others copied once; one copy out",
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


class OursCopied(Ours):
    """The same, sending from memory that may change: then a message must be copied before `send` returns."""

    name = "ours-copied"
    title = "our engine, copying"
    possessive = "copying"
    semantics = replace(Ours.semantics, copies="one more than ours has: each message is copied before it is sent")

    def open(self, role: Role) -> End:
        """As ours, but what is sent is no longer recognised as bytes, which never change."""
        end = super().open(role)
        send = end.send
        return replace(end, send=lambda data: send(memoryview(data)))  # type: ignore[arg-type]
