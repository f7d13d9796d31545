"""Plain TCP sockets of Python's standard library, with nothing but a length before each message.

This is the floor under every library: what a program pays that needs one connection and no patterns.
"""

from __future__ import annotations

import platform
import socket
import struct

from workbench.bench.peers.peer import End, Peer, Role, Semantics, host_and_port

CHUNK = 65_536
"""Bytes asked for in one read, and the size of a batch."""


class Tcp(Peer):
    """One write for each message; reads take what has arrived."""

    name = "tcp"
    title = "plain TCP"
    possessive = "plain TCP's"
    several = False
    semantics = Semantics(
        pattern="a length of four bytes and the message, over one connection; no pattern, no reconnecting",
        copies="one to put the length before it, one into the kernel; one out of the kernel, one out of the buffer",
        queue="the kernel's socket buffers only",
        threads="the calling thread alone, in blocking calls",
        batching="none when writing: one write for each message; a read takes what has arrived, up to 64 KiB",
    )

    def version(self) -> str:
        """Python's sockets are as old as Python; TCP is the kernel's."""
        return f"Python {platform.python_version()}, {platform.system()} {platform.release()}"

    def open(self, role: Role) -> End:
        """One end of a connection; the role makes no difference."""
        del role
        stream = _Stream()
        return End(stream.bind, stream.connect, stream.send, stream.recv, stream.close)


class TcpBatched(Peer):
    """Messages collected to 64 KiB and then written at once: how fast a stream can be, whatever its delay."""

    name = "tcp-batched"
    title = "TCP in batches"
    possessive = "batched TCP's"
    roles = ("push", "pull")
    several = False
    semantics = Semantics(
        pattern="a length of four bytes and the message, over one connection; no pattern, no reconnecting",
        copies="one into the batch, one into the kernel; one out of the kernel, one out of the buffer",
        queue="a batch of 64 KiB and the kernel's socket buffers",
        threads="the calling thread alone, in blocking calls",
        batching="one write for each 64 KiB, however long that takes to fill",
    )

    def version(self) -> str:
        """As for plain TCP."""
        return Tcp().version()

    def open(self, role: Role) -> End:
        """One end of a connection. Raises ValueError for "req" and "rep": a request in a batch would wait for ever."""
        if role not in self.roles:
            raise ValueError(f"{self.title} carries a flood only, so it has no {role}")
        stream = _Stream()
        return End(stream.bind, stream.connect, stream.collect, stream.recv, stream.close, stream.flush)


class _Stream:
    """Messages over one TCP connection, each after its length."""

    def __init__(self) -> None:
        self._listener: socket.socket | None = None
        self._socket: socket.socket | None = None
        self._read = b""
        self._start = 0
        """Where in `_read` the next message begins."""
        self._batch = bytearray()

    def bind(self, address: str) -> str:
        """Waits for one connection; it is accepted when it is first needed."""
        self._listener = socket.create_server(host_and_port(address), backlog=1)
        host, port = self._listener.getsockname()[:2]
        return f"tcp://{host}:{port}"

    def connect(self, address: str) -> None:
        """Connects at once."""
        self._socket = _prompt(socket.create_connection(host_and_port(address)))

    def send(self, data: bytes) -> None:
        """One write; a long message is not copied for the sake of its length."""
        connection = self._socket or self._accept()
        if len(data) <= CHUNK:
            connection.sendall(_LENGTH.pack(len(data)) + data)
        else:
            connection.sendall(_LENGTH.pack(len(data)), socket.MSG_MORE)
            connection.sendall(data)

    def collect(self, data: bytes) -> None:
        """Puts the message into the batch, and writes the batch when it is full."""
        self._batch += _LENGTH.pack(len(data))
        self._batch += data
        if len(self._batch) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Writes the batch as it is."""
        (self._socket or self._accept()).sendall(self._batch)
        self._batch.clear()

    def recv(self) -> bytes:
        """The next message. Raises ConnectionError when the other end has closed."""
        while True:
            read, start = self._read, self._start
            body = start + _LENGTH.size
            if body <= len(read):
                end = body + _LENGTH.unpack_from(read, start)[0]
                if end <= len(read):
                    self._start = end
                    return read[body:end]
                self._read, self._start = b"", 0
                return self._rest(read[body:], end - body)
            self._read, self._start = read[start:] + self._some(), 0

    def close(self) -> None:
        """Writes what is in the batch and closes."""
        if self._batch and self._socket is not None:
            self.flush()
        for each in (self._socket, self._listener):
            if each is not None:
                each.close()

    def _some(self) -> bytes:
        chunk = (self._socket or self._accept()).recv(CHUNK)
        if not chunk:
            raise ConnectionError("the other end has closed the connection")
        return chunk

    def _rest(self, begun: bytes, size: int) -> bytes:
        """A message that has not arrived whole: exactly what is missing is read, without growing a buffer."""
        assert self._socket is not None
        message = bytearray(size)
        message[: len(begun)] = begun
        left = memoryview(message)[len(begun) :]
        while left:
            count = self._socket.recv_into(left)
            if not count:
                raise ConnectionError("the other end has closed the connection")
            left = left[count:]
        return bytes(message)

    def _accept(self) -> socket.socket:
        if self._listener is None:
            raise ConnectionError("neither bound nor connected")
        self._socket = _prompt(self._listener.accept()[0])
        return self._socket


def _prompt(connection: socket.socket) -> socket.socket:
    """Without Nagle's algorithm, as all libraries have it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


_LENGTH = struct.Struct("!I")
