"""The libraries we measure. To add one: a file here with a Peer, and its row below; docs/peers.md shows how."""

from workbench.bench.peers.grpc import Grpc
from workbench.bench.peers.nanomsg import Nanomsg
from workbench.bench.peers.nng import Nng
from workbench.bench.peers.ours import Ours, OursCopied
from workbench.bench.peers.peer import ROLES, End, Peer, Role, Semantics
from workbench.bench.peers.tcp import Tcp, TcpBatched
from workbench.bench.peers.thrift import Thrift
from workbench.bench.peers.zeromq import ZeroMQ

PEERS: dict[str, Peer] = {
    "ours": Ours(),
    "ours-copied": OursCopied(),
    "zeromq": ZeroMQ(),
    "nng": Nng(),
    "nanomsg": Nanomsg(),
    "tcp": Tcp(),
    "tcp-batched": TcpBatched(),
    "thrift": Thrift(),
    "grpc": Grpc(),
}
"""Every library by the name that scenarios give it."""

__all__ = ["PEERS", "ROLES", "End", "Peer", "Role", "Semantics"]
