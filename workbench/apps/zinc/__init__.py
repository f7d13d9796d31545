"""Zinc: documents that many endpoints edit at once, and that are the same everywhere soon after.

    endpoint = Endpoint(host, listen="tcp://127.0.0.1:7000")            # begins a cluster
    endpoint = Endpoint(host, join="tcp://127.0.0.1:7000")              # joins it
    endpoint.set("board", "title", value="Zinc")
    endpoint.document("board").value

Read it in this order:

message.py      what is exchanged: a header for relays, a body for readers
neighbours.py   what neighbours tell each other, and how it is checked
codec.py        how values become bytes: MessagePack, JSON, Protocol Buffers
document.py     what a document is, and Record, which is one
replica.py      one copy of the documents, equal to the others by the order that the root gives
convergent.py   documents that need no order (CRDTs), and how neighbours compare them
tree.py         the place in the tree: joining, silence, succession, two roots
work.py         tasks that the tree shares out by itself
node.py         all of it: an endpoint without its sockets
handlers.py     many messages at once, those of one origin in their order
endpoint.py     the sockets
demo.py         a cluster to watch

All before the sockets are told and asked: they have no clock, no luck and no socket.
"""

from workbench.apps.zinc.codec import CODECS, JSON, MESSAGEPACK, PROTOBUF, Codec
from workbench.apps.zinc.document import Document, Record
from workbench.apps.zinc.endpoint import Endpoint, WorkFailed
from workbench.apps.zinc.message import Malformed, Message
from workbench.apps.zinc.neighbours import Place
from workbench.apps.zinc.node import Node
from workbench.apps.zinc.replica import Changed

__all__ = [
    "CODECS",
    "JSON",
    "MESSAGEPACK",
    "PROTOBUF",
    "Changed",
    "Codec",
    "Document",
    "Endpoint",
    "Malformed",
    "Message",
    "Node",
    "Place",
    "Record",
    "WorkFailed",
]
