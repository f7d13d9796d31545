"""NNG, through pynng."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from workbench.bench.peers.peer import QUEUE, End, Peer, Role, Semantics


class Nng(Peer):
    """NNG with its Python binding pynng."""

    name = "nng"
    title = "NNG"
    possessive = "NNG's"
    module = "pynng"
    package = "pynng"
    smallest = 1  # pynng's recv fails on an empty message
    semantics = Semantics(
        pattern="PUSH/PULL and REQ/REP of the scalability protocols",
        copies="one copy in, one out",
        queue=f"PUSH {QUEUE:,} messages; PULL has no queue but one message for each connection, whatever is asked for",
        threads="a pool of NNG's own threads beside the calling thread",
        batching="none: one write for each message",
    )

    def version(self) -> str:
        """The versions of the binding and of the library under it."""
        import pynng

        return f"pynng {pynng.__version__}, NNG {pynng.ffi.string(pynng.lib.nng_version()).decode()}"

    def open(self, role: Role) -> End:
        """A socket of the role. NNG sets TCP_NODELAY by itself."""
        import pynng

        kinds = {"push": pynng.Push0, "pull": pynng.Pull0, "req": pynng.Req0, "rep": pynng.Rep0}
        socket = kinds[role]()
        for option in ("send_buffer_size", "recv_buffer_size"):
            # What has no such queue may refuse to size it.
            with contextlib.suppress(pynng.NotSupported):
                setattr(socket, option, QUEUE)
        socket.recv_max_size = 0  # no limit

        def bind(address: str) -> str:
            listener = socket.listen(address)
            return f"tcp://{listener.local_address}"

        def connect(address: str) -> None:
            socket.dial(address, block=True)

        def conversation() -> tuple[Callable[[bytes], object], Callable[[], bytes]]:
            context = socket.new_context()
            return context.send, context.recv

        return End(
            bind=bind,
            connect=connect,
            send=socket.send,
            recv=socket.recv,
            close=socket.close,
            conversation=conversation,
        )
