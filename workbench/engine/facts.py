"""What a socket tells of itself: its peers, its endpoints, and what happens to them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

What: TypeAlias = Literal["up", "down", "dial failed", "refused", "accept failed"]
PeerRow: TypeAlias = tuple[int | None, str, str, tuple[int, int, int] | None, bytes | None]
EventRow: TypeAlias = tuple[str, str, PeerRow | None, int, str | None]
_EndpointRow: TypeAlias = tuple[str, bool, int, str | None, list[tuple[str, int]]]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Somebody at the other end of a connection."""

    pipe: int | None
    """The number of its pipe; None while it waits to be admitted."""
    address: str
    """Where it is: scheme, host and port on a network, the path of an ipc socket, the name of an inproc one."""
    endpoint: str
    """The address of our endpoint that made the connection."""
    pid: int | None = None
    """Its process; only over ipc."""
    uid: int | None = None
    """Its user; only over ipc."""
    gid: int | None = None
    """Its group; only over ipc."""
    certificate: bytes | None = None
    """Its certificate in DER, if it has shown one; only with TLS."""

    @classmethod
    def from_row(cls, row: PeerRow) -> "Peer":
        """From what the engine says of it."""
        pipe, address, endpoint, credentials, certificate = row
        pid, uid, gid = credentials or (None, None, None)
        return cls(pipe=pipe, address=address, endpoint=endpoint, pid=pid, uid=uid, gid=gid, certificate=certificate)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to an endpoint or a peer.

    "up": a peer is connected; "down": it no longer is; "dial failed": an attempt to connect came to nothing and will be
    made again, perhaps because what listens there is of another pattern; "refused": a peer was turned away, by the
    program, by a bound, or because it is of another pattern, speaks something else or does not greet in time; "accept
    failed": the system has no descriptor or memory for one more connection.
    """

    what: What
    endpoint: str
    """The address of the endpoint."""
    peer: Peer | None = None
    """Who, if it happened with a peer."""
    reason: str | None = None
    """Why, if it was not wanted."""

    @classmethod
    def from_row(cls, row: EventRow) -> "Event":
        """From what the engine says of it."""
        what, endpoint, peer, _, reason = row
        who = None if peer is None else Peer.from_row(peer)
        return cls(what=cast("What", what), endpoint=endpoint, peer=who, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A listener or dialer of a socket, and what it has done so far."""

    address: str
    dials: bool
    """Does it dial? Otherwise it listens."""
    pipes: int
    """Peers that are connected now."""
    last_error: str | None
    """Why its last attempt failed; None if it did not."""
    counters: dict[str, int]
    """attempts, failed, pipes_up, pipes_down, refused."""

    @classmethod
    def from_row(cls, row: _EndpointRow) -> "Endpoint":
        """From what the engine says of it."""
        address, dials, pipes, last_error, counters = row
        return cls(address=address, dials=dials, pipes=pipes, last_error=last_error, counters=dict(counters))
