"""The native engine: private; use `workbench.engine`.

Times are seconds as floats unless a name says nanoseconds (`_ns`). Operations raise the exceptions of
`workbench.engine.errors`.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias, final

from workbench.engine.forward import Forward
from workbench.engine.rhythm import Drawn, Rhythm
from workbench.engine.window import Window

__all__ = ["Device", "Meter", "NativeWorld", "RealSocket", "Relay", "Stream", "TopicIndex", "__version__"]

__version__: str

_Data: TypeAlias = bytes | bytearray | memoryview
_Tls: TypeAlias = tuple[bytes | None, bytes | None, bytes | None, str | None]
"""Authorities, certificate and key in PEM; the name of the server."""
_Peer: TypeAlias = tuple[int | None, str, str, tuple[int, int, int] | None, bytes | None]
"""Its pipe, its address, our endpoint's address, (pid, uid, gid), its certificate in DER."""
_Outcome: TypeAlias = tuple[int, tuple[str, str] | None, bytes | None]
"""A ticket's number; the name of an exception and its text, if it failed; the message, if one was received."""

@final
class RealSocket:
    """A socket on the operating system's network; see `workbench.engine.socket.Socket`."""

    def __new__(cls, kind: str, raw: bool = False, **options: float | str) -> RealSocket:
        """Open a socket of this kind; a raw one is for a device. Raises OptionError."""

    def listen(
        self,
        address: str,
        send_priority: int = 8,
        recv_priority: int = 8,
        when_full: str | None = None,
        tls: _Tls | None = None,
        asks: bool = False,
    ) -> str:
        """Listen; return the address with its port. Raises AddressError, OptionError, EndpointFailed or Closed."""

    def dial(
        self,
        address: str,
        send_priority: int = 8,
        recv_priority: int = 8,
        when_full: str | None = None,
        tls: _Tls | None = None,
        asks: bool = False,
    ) -> None:
        """Keep a connection up. Raises AddressError, OptionError or Closed."""

    def send(self, data: _Data, timeout: float | None = None, context: int = 0) -> None:
        """Send; wait if need be. Raises TimedOut, Closed, StateError or TooLarge."""

    def recv(self, timeout: float | None = None, context: int = 0) -> bytes:
        """Receive; wait if need be. Raises TimedOut, Closed, StateError or Cancelled."""

    def send_many(self, messages: Iterable[_Data], timeout: float | None = None, context: int = 0) -> int:
        """Send messages in order; return how many were sent before the time was over. Raises TimedOut if none was."""

    def recv_many(self, limit: int = 1024, timeout: float | None = None, context: int = 0) -> list[bytes]:
        """Receive what is there, `limit` messages at most; wait for the first."""

    def recv_into(self, buffer: bytearray | memoryview, timeout: float | None = None, context: int = 0) -> int:
        """Receive into a buffer; return the message's size. Raises TooLarge if it does not fit."""

    def subscribe(self, prefix: _Data, context: int = 0) -> None:
        """Subscribe. Raises StateError, LimitReached or Closed."""

    def unsubscribe(self, prefix: _Data, context: int = 0) -> None:
        """Take one subscription back. Raises StateError or Closed."""

    def set_survey_deadline(self, span: float, context: int = 0) -> None:
        """Say how long the next surveys run. Raises StateError, OptionError or Closed."""

    def try_send(self, data: _Data, context: int = 0) -> bool:
        """Send at once; False if it would have to wait."""

    def try_recv(self, context: int = 0, soon: bool = False) -> bytes | None:
        """Receive at once, or `soon`: after a short look, if that has paid lately. None if it would have to wait."""

    def send_or_wait(self, data: _Data, timeout: float | None = None, context: int = 0) -> int | None:
        """Send at once (None), or return the ticket that `poll_answers` will answer when trying again may be worth it.

        Raises what `send` raises, TimedOut if it would have to wait and may not.
        """

    def submit_recv(self, timeout: float | None = None, context: int = 0) -> int:
        """Receive now or later; return the ticket that `poll_answers` will answer."""

    def cancel(self, ticket: int) -> _Outcome | None:
        """Take an operation back; return its outcome if it has one already."""

    def put_back(self, data: bytes, context: int) -> None:
        """Give a message back that was received but that nobody took."""

    def poll_answers(self) -> list[_Outcome]:
        """Look at the network without waiting; return all answers. To be called when `fileno` is readable."""

    def attach(self, attached: bool) -> None:
        """An event loop begins, or ceases, to poll `fileno`."""

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to do."""

    def open_context(self) -> int:
        """Open another conversation. Raises StateError, LimitReached or Closed."""

    def close_context(self, context: int) -> None:
        """End a conversation."""

    @property
    def closed(self) -> bool:
        """Is it closed, or made by a process that this is a fork of?"""

    def stats(self) -> list[tuple[str, int]]:
        """Its counters."""

    def peers(self) -> list[_Peer]:
        """The peers that are connected."""

    def endpoints(self) -> list[tuple[str, bool, int, str | None, list[tuple[str, int]]]]:
        """Its endpoints: (address, does it dial, pipes, why its last attempt failed, counters)."""

    def pipe_stats(self, pipe: int) -> list[tuple[str, int]] | None:
        """The counters of a pipe; None if it is gone."""

    def wait_for_peers(self, count: int, timeout: float | None = None) -> bool:
        """Wait until so many are connected; False if the time was over or the socket was closed."""

    def wait_for_event(self, timeout: float | None = None) -> tuple[str, str, _Peer | None, int, str | None] | None:
        """Wait for the next thing that happens: (what, endpoint, peer, serial, reason)."""

    def admit(self, serial: int, admitted: bool) -> bool:
        """Decide about a peer that knocks; False if it does not wait any more."""

    def close(self, flush: float) -> int:
        """Close; wait up to `flush` seconds until everything is written; return how many messages were not."""

    def abort(self) -> None:
        """Close as if the process had been killed."""

@final
class Device:
    """Hands messages on between two raw sockets, or among the peers of a raw bus socket, until it is closed."""

    def __new__(cls, first: RealSocket, second: RealSocket | None = None) -> Device:
        """Begin. Raises OptionError if the sockets do not fit, EndpointFailed or ForkedError."""

    def stats(self) -> list[tuple[str, int]]:
        """What it has done: forwarded, dropped."""

    def close(self) -> None:
        """End; the sockets stay open."""

@final
class Relay:
    """A link laid under real sockets, for any library: it lets bytes pass as the link would.

    `delay` and the parameters of `jitter` (a distribution's name and its two parameters) are in seconds, `rate` in bits
    per second, `loss` the probability that a segment is lost and sent again.
    """

    def __new__(
        cls,
        name: str,
        *,
        delay: float,
        jitter: tuple[str, float, float] = ...,
        rate: float | None = None,
        loss: float = 0.0,
        seed: int = 0,
        room: int | None = None,
    ) -> Relay:
        """Make a link; `room` bytes of a connection may be on their way. Raises OptionError or OSError."""

    def route(self, target: str) -> str:
        """Open a way to `target` ("127.0.0.1:5555"); return where to dial instead."""

    def cut(self) -> None:
        """Silence in both directions."""

    def heal(self) -> None:
        """Speech again: what was held up arrives one delay later."""

    def break_all(self) -> None:
        """Break every connection; new ones can be made."""

    def stats(self) -> list[tuple[str, int]]:
        """What it has carried: connections, refused, bytes, held_back, latest_ns."""

@final
class Stream:
    """Seeded luck under a name. The same seed, replication and name draw the same numbers on every machine."""

    def __new__(cls, seed: int, replication: int, name: str) -> Stream:
        """Begin a stream; seed and replication are 0 or more, below 2**64."""

    def uniform(self) -> float:
        """Draw from [0, 1)."""

    def exponential(self, mean: float) -> float:
        """Draw from the exponential distribution with this mean."""

    def normal(self, mean: float, deviation: float) -> float:
        """Draw from the normal distribution, given that it is not negative. Raises OptionError."""

    def lognormal(self, mean: float, variation: float) -> float:
        """Draw from the lognormal distribution with this mean and coefficient of variation. Raises OptionError."""

    def choose(self, count: int) -> int:
        """Draw one of 0 to count - 1."""

    def sample(self, kind: str, a: float, b: float) -> float:
        """Draw a duration from a named distribution. Raises OptionError."""

@final
class TopicIndex:
    """Subscriptions in one of the engine's structures. Keys are all `width` bytes long, one behind the other."""

    def __new__(cls, kind: str) -> TopicIndex:
        """Make an empty one: list, radix or trie. Raises OptionError."""

    def fill(self, keys: bytes, width: int) -> None:
        """Subscribe to keys that are all different; into a list that is empty."""

    def add(self, keys: bytes, width: int) -> float:
        """Subscribe to each; return how many seconds that took. Raises OptionError."""

    def remove(self, keys: bytes, width: int) -> float:
        """Take a subscription to each back; return how many seconds that took. Raises OptionError."""

    def matches(self, bodies: bytes, width: int) -> tuple[float, int]:
        """Ask of each body whether it is wanted; return how many seconds that took, and how many are."""

    def __len__(self) -> int:
        """Return how many different keys there are."""

    def bytes(self) -> int:
        """Return how many bytes it holds, itself included, without what the allocator adds."""

    def nodes(self) -> int:
        """Return how many nodes it has; of a list, parts."""

    def layouts(self) -> list[tuple[str, int, int]]:
        """Return (library, nodes, bytes) of the same keys as libraries lay them out, what the allocator adds included.

        A trie as libzmq's trie, a radix tree as libzmq's radix tree and as nanomsg's Patricia trie; a list as none.
        """

@final
class Meter:
    """Counts what becomes of the requests of a workload. Times are seconds of the world."""

    def __new__(cls, sites: list[str], window: Window) -> Meter:
        """Make a meter that has counted nothing. Raises OptionError."""

    def sent(self, now: float) -> None:
        """A request is sent."""

    def answered(self, sent_at: float, now: float, home: int, site: int | None = None) -> None:
        """A request from site `home` is answered by `site`, both by their place in `sites`. Raises OptionError."""

    def lost(self, sent_at: float, now: float) -> None:
        """A request is given up."""

    def repeated(self, count: int, now: float) -> None:
        """So many requests were sent again."""

    def replied(self, sent_at: float, now: float) -> None:
        """One of the answers to a survey has come in time."""

    def missed(self, sent_at: float, count: int) -> None:
        """So many answers to a survey have not come in time."""

    def straggled(self, sent_at: float, now: float) -> None:
        """One of those has come after all."""

    def snapshot(self) -> dict[str, Any]:
        """Return all counts as plain lists and numbers.

        Keys: sites, bin_ns, failover_ns, failback_ns, phases (by name: sent, answered, lost, cross, unplaced, repeated,
        dropped, replies, late, latency_sum_ns, latency_max_ns, latencies and reply_times as ascending pairs of
        nanoseconds and count), bins (sent, answered by site, lost, cross, latency_sum_ns, latency_max_ns), mean_inside
        (how many there were in the system), and series_ns with batch (latencies in the order in which they came, as
        means of batches of so many).
        """

@final
class NativeWorld:
    """The native part of a virtual world; see `workbench.engine.virtual.VirtualWorld`.

    Sites, hosts, sockets, services and workloads are numbered from 0 in the order of their making. Whatever is refused
    raises OptionError, AddressError or Closed.
    """

    def __new__(
        cls,
        seed: int,
        replication: int = 0,
        *,
        window: int = 262_144,
        handling: tuple[float, float, float] | None = None,
        story: int | None = None,
    ) -> NativeWorld:
        """Make an empty world at time 0.

        `window` is how many bytes may be sent on a connection and not be consumed, `handling` what it costs a site's
        program to wake, to take up a message or work that is due, and for each KiB of a message, in seconds (None:
        nothing), `story` how many lines to keep.
        """

    def add_site(
        self,
        name: str,
        *,
        delay: float,
        jitter: Drawn = ...,
        rate: float | None = None,
        loss: float = 0.0,
    ) -> int:
        """Add a site; the link is the one between its hosts."""

    def link(
        self,
        a: int,
        b: int,
        *,
        delay: float,
        jitter: Drawn = ...,
        rate: float | None = None,
        loss: float = 0.0,
    ) -> None:
        """Lay a link between two sites, alike in both directions."""

    def add_host(self, name: str, at: int) -> int:
        """Add a host to a site."""

    def watch(self, host: int) -> None:
        """From now on, notices tell of this host's death and return."""

    def is_alive(self, host: int) -> bool:
        """Is the host alive?"""

    def stream(self, host: int, name: str) -> Stream:
        """Luck of a host; after each restore it is new."""

    def add_service(
        self,
        name: str,
        kind: str,
        instances: list[tuple[int, str, float]],
        *,
        workers: int = 1,
        time: Drawn = ...,
        reply: int = 64,
        patience: float | None = None,
        forward: Forward | None = None,
        **options: float | str,
    ) -> int:
        """Start a service (kind rep, respondent, pull or sub) on hosts, each with its address and its slowness.

        With `forward` it hands on what it has worked on. Options are those of its own sockets.
        """

    def add_workload(
        self,
        name: str,
        kind: str,
        clients: list[tuple[int, list[tuple[str, int]]]],
        window: Window,
        *,
        load: Rhythm,
        routing: str = "round-robin",
        size: int = 64,
        timeout: float = 5.0,
        deadline: float | None = None,
        receivers: int | None = None,
        **options: float | str,
    ) -> int:
        """Start a workload (kind req, surveyor, push or pub) on hosts, each with the addresses and priorities it dials.

        `deadline` is when a survey counts as it is, while who is late is heard until the socket's survey ends;
        `receivers` how many receive each message in the end, if not those that are dialled.
        """

    def add_station(
        self,
        name: str,
        hosts: list[int],
        *,
        workers: int = 1,
        time: Drawn = ...,
        queue: int = 1000,
        when_full: str = "block",
    ) -> int:
        """Open a service that is reached without a network."""

    def add_crowd(
        self,
        name: str,
        station: int,
        clients: list[tuple[int, list[tuple[int, int]]]],
        window: Window,
        *,
        load: Rhythm,
        routing: str = "round-robin",
        drawn: int = 2,
        surveys: bool = False,
        timeout: float = 5.0,
    ) -> int:
        """Let clients go to a station, each with the instances that it goes to and their levels."""

    def schedule(self, at_ns: int, action: str, a: int, b: int | None = None, unnoticed: float = 0.0) -> None:
        """Put a fault on the agenda: kill or restore a host; cut, heal, mute, unmute or break the link between
        two sites; mute is a cut of one direction."""

    def open_socket(self, host: int, kind: str, **options: float | str) -> int:
        """Open a socket."""

    def listen(
        self, socket: int, address: str, send_priority: int = 8, recv_priority: int = 8, when_full: str | None = None
    ) -> None:
        """Listen under any name."""

    def dial(
        self, socket: int, address: str, send_priority: int = 8, recv_priority: int = 8, when_full: str | None = None
    ) -> None:
        """Keep a connection to a name up."""

    def subscribe(self, socket: int, prefix: _Data, context: int = 0) -> None:
        """Subscribe. Raises StateError, LimitReached or Closed."""

    def unsubscribe(self, socket: int, prefix: _Data, context: int = 0) -> None:
        """Take one subscription back. Raises StateError or Closed."""

    def set_survey_deadline(self, socket: int, span: float, context: int = 0) -> None:
        """Say how long the next surveys run. Raises StateError, OptionError or Closed."""

    def open_context(self, socket: int) -> int:
        """Open another conversation. Raises StateError, LimitReached or Closed."""

    def close_context(self, socket: int, context: int) -> None:
        """End a conversation."""

    def submit_send(self, socket: int, data: _Data, deadline_ns: int | None = None, context: int = 0) -> int:
        """Send now or later; return the ticket that `outcomes` will answer, perhaps at once."""

    def submit_recv(self, socket: int, deadline_ns: int | None = None, context: int = 0) -> int:
        """Receive now or later; return the ticket that `outcomes` will answer, perhaps at once."""

    def cancel(self, ticket: int) -> bool:
        """Take an operation back; False if it has been answered, and then the answer stands."""

    def put_back(self, socket: int, data: bytes, context: int) -> None:
        """Give a message back that was received but that nobody took."""

    def stats(self, socket: int) -> list[tuple[str, int]]:
        """Return a socket's counters."""

    def pipe_count(self, socket: int) -> int:
        """Return how many pipes a socket has."""

    def close_socket(self, socket: int) -> None:
        """Close a socket; what it has accepted to send still travels."""

    def advance(self, until_ns: int | None = None) -> tuple[int, bool]:
        """Go on until this moment, or until there are outcomes; without a moment, until nothing is left to happen.

        Returns what time it is then, in nanoseconds, and whether there are outcomes.
        """

    def has_outcomes(self) -> bool:
        """Are there outcomes?"""

    def outcomes(self) -> tuple[list[_Outcome], list[tuple[str, int]]]:
        """Take all outcomes so far: the answers, and ("killed" or "restored", host)."""

    def strike(self, action: str, a: int, b: int | None = None) -> None:
        """Carry out a fault now; see `schedule`."""

    @property
    def now_ns(self) -> int:
        """What time it is, in nanoseconds."""

    @property
    def events(self) -> int:
        """How many events there have been."""

    def meter(self, workload: int) -> dict[str, Any]:
        """Return the counts of a workload; see `Meter.snapshot`."""

    def crowd_meter(self, crowd: int) -> dict[str, Any]:
        """Return the counts of a crowd; see `Meter.snapshot`."""

    def served(self, service: int) -> list[int]:
        """Return how many requests each instance of a service has served."""

    def busy(self, service: int) -> list[float]:
        """Return how long the workers of each instance have been busy, in seconds."""

    def gave_up(self, service: int) -> list[int | None]:
        """Return when each instance of a service has given up for lack of patience, in nanoseconds."""

    def served_at(self, station: int) -> list[int]:
        """Return how many requests each instance of a station has served."""

    def audit(self) -> None:
        """Raise RuntimeError if any message or request was made up or forgotten."""

    def story(self) -> list[str]:
        """Return what happened, one line each: nanoseconds, host, what."""

    def story_digest(self) -> tuple[int, int]:
        """Return how many lines the story has had, and a digest of all of them."""
