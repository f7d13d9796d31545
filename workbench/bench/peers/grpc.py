"""gRPC, a framework for remote calls: a function that takes bytes and returns bytes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from workbench.bench.peers.peer import End, Peer, Role, Semantics, host_and_port

SERVICE, METHOD = "workbench.Peer", "call"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Grpc(Peer):
    """gRPC with its Python library; bytes travel as they are, without Protocol Buffers."""

    name = "grpc"
    title = "gRPC"
    possessive = "gRPC's"
    roles = ("req", "rep")
    several = False
    module = "grpc"
    package = "grpcio"
    semantics = Semantics(
        pattern="a unary call of a function that takes and returns bytes, over HTTP/2",
        copies="several, within the library",
        queue="HTTP/2's windows",
        threads="a pool of one thread calls the function; the library has threads of its own at both ends",
        batching="none asked for",
    )

    def version(self) -> str:
        """The version of the library."""
        import grpc

        return f"grpcio {grpc.__version__}"

    def open(self, role: Role) -> End:
        """A server or a channel. Raises ValueError for "push" and "pull": a call has an answer."""
        if role == "rep":
            server = _Server()
            return End(server.bind, _no_way, server.send, server.recv, server.close, serve=server.serve)
        if role == "req":
            channel = _Channel()
            return End(_no_way, channel.connect, channel.send, channel.recv, channel.close)
        raise ValueError(f"{self.title} carries calls only, so it has no {role}")


class _Server:
    """Calls a function of ours in a thread of its own; without one, hands each call over to who receives."""

    def __init__(self) -> None:
        import grpc

        self._asked: SimpleQueue[bytes] = SimpleQueue()
        self._answers: SimpleQueue[bytes] = SimpleQueue()
        self._handle: Callable[[bytes], bytes] = self._pass_on
        # Without reuse a port that is taken is an error.
        options = [*OPTIONS, ("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(max_workers=1), options=options)
        function: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            lambda request, _: self._handle(request)
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: function}),))

    def bind(self, address: str) -> str:
        """Listens at once."""
        host, port = host_and_port(address)
        try:
            number = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            # It says no more than that it failed.
            raise OSError(f"gRPC cannot listen at {address}; perhaps the port is taken") from error
        self._server.start()
        return f"tcp://{host}:{number}"

    def serve(self, handle: Callable[[bytes], bytes]) -> None:
        """From now on, call this function."""
        self._handle = handle

    def recv(self) -> bytes:
        """What was called for."""
        return self._asked.get()

    def send(self, data: bytes) -> None:
        """The answer to it."""
        self._answers.put(data)

    def close(self) -> None:
        """Stops."""
        self._server.stop(None)

    def _pass_on(self, request: bytes) -> bytes:
        self._asked.put(request)
        return self._answers.get()


class _Channel:
    """Calls; whoever sends waits for the answer there and then."""

    def __init__(self) -> None:
        self._channel: Any = None
        self._call: Callable[..., bytes]
        self._answer = b""

    def connect(self, address: str) -> None:
        """Connects in the background."""
        import grpc

        self._channel = grpc.insecure_channel(address.removeprefix("tcp://"), options=OPTIONS)
        self._call = self._channel.unary_unary(f"/{SERVICE}/{METHOD}")

    def send(self, data: bytes) -> None:
        """Calls, and keeps what is answered."""
        self._answer = self._call(data, wait_for_ready=True)

    def recv(self) -> bytes:
        """What was answered."""
        return self._answer

    def close(self) -> None:
        """Closes."""
        if self._channel is not None:
            self._channel.close()


def _no_way(address: str) -> str:
    raise ValueError(f"a call goes one way: who answers binds, who asks connects; so not to {address}")
