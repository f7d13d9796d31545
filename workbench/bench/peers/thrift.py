"""Apache Thrift, a framework for remote calls: a function that takes bytes and returns bytes."""

from __future__ import annotations

import socket
from typing import Any

from workbench.bench.peers.peer import End, Peer, Role, Semantics, host_and_port

METHOD = "call"


class Thrift(Peer):
    """Thrift's Python library with its module in C; what a compiler of Thrift generates is here written by hand."""

    name = "thrift"
    title = "Thrift"
    possessive = "Thrift's"
    roles = ("req", "rep")
    several = False
    module = "thrift"
    package = "thrift"
    semantics = Semantics(
        pattern="a call of a function that takes and returns bytes, framed, in the binary protocol",
        copies="one into the frame, one into the kernel; one out of the kernel, one out of the frame",
        queue="the kernel's socket buffers only",
        threads="the calling thread alone, in blocking calls, as with its TSimpleServer",
        batching="none: one write for each frame",
    )

    def version(self) -> str:
        """The version of the library."""
        from importlib.metadata import version

        return f"thrift {version('thrift')}"

    def open(self, role: Role) -> End:
        """One end of a connection. Raises ValueError for "push" and "pull": a call has an answer."""
        if role not in self.roles:
            raise ValueError(f"{self.title} carries calls only, so it has no {role}")
        line = _Line(answers=role == "rep")
        return End(line.bind, line.connect, line.send, line.recv, line.close)


class _Line:
    """One connection."""

    def __init__(self, *, answers: bool) -> None:
        from thrift.Thrift import TMessageType, TType

        # What is generated for a function: a structure with one field, which the module in C writes and reads.
        class Content:
            thrift_spec = (None, (1, TType.STRING, "data", "BINARY", None))

            def __init__(self, data: bytes | None = None) -> None:
                self.data = data

        self._content = Content
        self._kind = TMessageType.REPLY if answers else TMessageType.CALL
        self._number = 0
        self._listener: Any = None
        self._protocol: Any = None

    def bind(self, address: str) -> str:
        """Waits for one connection; it is accepted when it is first needed."""
        from thrift.transport.TSocket import TServerSocket

        host, port = host_and_port(address)
        self._listener = TServerSocket(host, port, socket_family=socket.AF_INET)
        self._listener.listen()
        host, port = self._listener.handle.getsockname()
        return f"tcp://{host}:{port}"

    def connect(self, address: str) -> None:
        """Connects at once."""
        from thrift.transport.TSocket import TSocket

        line = TSocket(*host_and_port(address))
        line.open()
        self._begin(line)

    def send(self, data: bytes) -> None:
        """A call, or the answer to the one that was received last."""
        protocol, content = self._protocol, self._content
        protocol.writeMessageBegin(METHOD, self._kind, self._number)
        protocol.trans.write(protocol._fast_encode(content(data), [content, content.thrift_spec]))
        protocol.writeMessageEnd()
        protocol.trans.flush()

    def recv(self) -> bytes:
        """What was called for, or what was answered."""
        if self._protocol is None:
            self._begin(self._listener.accept())
        protocol, content, read = self._protocol, self._content, self._content()
        _, _, self._number = protocol.readMessageBegin()
        protocol._fast_decode(read, protocol, [content, content.thrift_spec])
        protocol.readMessageEnd()
        assert read.data is not None
        return read.data

    def close(self) -> None:
        """Closes."""
        if self._protocol is not None:
            self._protocol.trans.close()
        if self._listener is not None:
            self._listener.close()

    def _begin(self, line: Any) -> None:
        from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
        from thrift.transport.TTransport import TFramedTransport

        line.handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = TBinaryProtocolAccelerated(TFramedTransport(line), fallback=False)
