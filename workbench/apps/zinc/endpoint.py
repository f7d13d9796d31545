"""An endpoint: a node with its sockets. It moves bytes between them, and knows no rules.

inbound:  SUB from its host, PULL from its children, REP at its door
outbound: PUSH to its host, PUB to its children, REQ to the doors of others
"""

from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgpack

from workbench.apps.address import beside, seen_by_others
from workbench.apps.teller import Teller
from workbench.apps.zinc.codec import MESSAGEPACK, Codec
from workbench.apps.zinc.document import Document, Record, to_remove, to_set
from workbench.apps.zinc.handlers import Handlers
from workbench.apps.zinc.message import MAX_MESSAGE, Message
from workbench.apps.zinc.neighbours import IDENTITY, Place
from workbench.apps.zinc.node import MAX_ANSWER, Node
from workbench.apps.zinc.replica import Changed
from workbench.apps.zinc.tree import Ask, Attach
from workbench.apps.zinc.work import Fate, Run
from workbench.engine.errors import AddressError, Cancelled, Closed, OptionError, StateError, TimedOut
from workbench.engine.world import Host, Kind, Socket

MessageHandler = Callable[[Message], Awaitable[None]]
Worker = Callable[[bytes], Awaitable[bytes]]
ChangeHandler = Callable[[Changed], None]

AT_ONCE = 256
"""How many messages one listener takes before others get a turn."""
HEADERS = 1024
"""More than the bytes of a message around its body."""
_ORIGIN = attrgetter("origin")


class WorkFailed(Exception):
    """A task was not done; the text says why."""


class Endpoint:
    """One node of a cluster, played by `host`.

    With `listen` it can have children: there is its door, and beside it two more addresses (of the next two ports, or
    with "/down" and "/up" behind it); `public` is the name or address of this machine for others, if it listens at all
    interfaces. Without `join` it begins a cluster, with it it joins one of these doors.
    `worker` does tasks of the tree's work, up to `capacity` at once.
    `on_message` is called with each message that others say, by up to `handlers` coroutines at once, but one after the
    other for each origin; `on_change` with each change that others make. `identity` is its UUID of 16 bytes, else the
    host gives it one; whoever starts again may have its old one. `max_message` is the largest body of an edit, a
    message, a task or its result, in bytes, the same for the whole cluster. The other arguments are those of Node.

    Raises AddressError, EndpointFailed or OptionError.
    """

    def __init__(
        self,
        host: Host,
        *,
        listen: str | None = None,
        public: str | None = None,
        join: str | Iterable[str] = (),
        on_message: MessageHandler | None = None,
        on_change: ChangeHandler | None = None,
        worker: Worker | None = None,
        capacity: int = 1,
        handlers: int = 4,
        identity: bytes | None = None,
        codec: Codec = MESSAGEPACK,
        make: Callable[[str], Document] = lambda _: Record(),
        max_message: int = MAX_MESSAGE,
        **settings: Any,
    ) -> None:
        self._host = host
        self._world = host.world
        self._changed, self._downs_due, self._ups_due = (host.world.signal() for _ in range(3))
        self._shared_due = host.world.signal()
        self._worker = worker
        self._fates: dict[int, Fate] = {}
        self._closed = False
        # What the root puts in order grows a little on its way.
        self._ways = {"up": max_message + HEADERS, "down": max_message + 2 * HEADERS, "door": MAX_ANSWER + HEADERS}
        self._sockets: list[Socket] = []
        self._to_host: list[Socket] = []
        self._publisher: Socket | None = None
        self._publishing = False
        self._on_message = on_message
        self._handlers: Handlers[Message] = Handlers()
        self._handling, self._most_handling = 0, handlers
        if identity is not None and len(identity) != IDENTITY:
            raise OptionError(f"identity has {len(identity)} bytes; a UUID has {IDENTITY}")
        if not isinstance(handlers, int) or handlers < 1:
            raise OptionError(f"handlers = {handlers!r} is out of range; allowed: a whole number from 1 on")
        seeds = self._doors(join)
        try:
            place = Place(identity or host.unique())
            if listen is not None:
                place = self._open(place, listen, public)
            self.node = Node(
                place,
                now=host.world.now,
                seeds=seeds,
                codec=codec,
                make=make,
                capacity=capacity if worker else 0,
                hears=on_message is not None,
                on_edit=self._shared_due.notify,
                life=host.unique(),
                max_message=max_message,
                **settings,
            )
            """The machine behind it."""
        except BaseException:
            # Nobody is to knock at the door of an endpoint that is none.
            for socket in self._sockets:
                socket.close()
            raise
        self._changes = Teller(self.node.poll_change, on_change)
        if listen is not None:
            self._host.spawn(self._listen(self._sockets[1], lambda now, *raws: self.node.handle_up(now, *raws)))
            for _ in range(4):
                self._host.spawn(self._keep_door(self._sockets[2]))
        host.spawn(self._keep_time())
        if self.node.convergent is not None:
            host.spawn(self._keep_sharing())
        if self._publisher is not None:
            host.spawn(self._keep_publishing())
        self._carry_out()

    @property
    def identity(self) -> bytes:
        """Its UUID."""
        return self.node.me.id

    @property
    def door(self) -> str:
        """Where others join it; empty if it takes nobody in."""
        return self.node.me.door

    @property
    def is_root(self) -> bool:
        """Does it put the edits in order?"""
        return self.node.tree.state == "root"

    @property
    def is_connected(self) -> bool:
        """Does it belong to a host, or is it the root?"""
        return self.node.tree.state != "orphan"

    def document(self, channel: str) -> Any:
        """Return a document as it is here now, our own edits included. It is not to be changed; see `edit`.

        Raises LookupError if nothing is held here, ValueError for a name that a channel cannot have.
        """
        return self.node._held.document(channel)

    def edit(self, channel: str, fragment: Any) -> int:
        """Change a document by a fragment, here at once and soon everywhere; return the count of the edit.

        Raises LookupError if nothing is held here or 10,000 edits wait already, ValueError for a name that a channel
        cannot have, TooLarge, what the codec raises for what it cannot carry, StateError if somebody else has our
        identity, or Closed.
        """
        self._check()
        number = self.node.edit(channel, fragment)
        self._carry_out()
        return number

    def set(self, channel: str, *path: str, value: Any) -> int:
        """Set the value at a path of a Record; see `edit`. Raises ValueError, too, without a path."""
        return self.edit(channel, to_set(path, value))

    def remove(self, channel: str, *path: str) -> int:
        """Remove the value at a path of a Record; see `edit`. Raises ValueError, too, without a path."""
        return self.edit(channel, to_remove(path))

    def shared(self, channel: str) -> Any:
        """Return a document that converges by itself: a `pycrdt.Doc`, to be read and changed here at any time.

        Raises LookupError unless the endpoint was made with `convergent=True`, ValueError for a name that a channel
        cannot have.
        """
        if self.node.convergent is None:
            raise LookupError("this endpoint has no convergent documents; make it with convergent=True")
        return self.node.convergent.document(channel)

    def say(self, channel: str, body: bytes) -> None:
        """Say something to everyone else; what is on its way when a host dies is lost.

        Raises ValueError for a name that a channel cannot have, TooLarge, TypeError for what is not bytes, or Closed.
        """
        self._check()
        self.node.say(channel, body)
        (self._ups_due if self._to_host else self._downs_due).notify()

    async def acknowledged(self, number: int, timeout: float | None = None) -> None:
        """Wait until the edit of this count is where it survives its root. Raises TimedOut, Closed or StateError."""
        deadline = None if timeout is None else self._world.now + timeout
        while self.node._held.acknowledged < number:
            self._check()
            self.node._held.check()
            left = None if deadline is None else deadline - self._world.now
            if left is not None and left <= 0:
                raise TimedOut(f"edit {number} was not acknowledged within {timeout} s")
            await self._changed.wait(left)

    async def submit(self, task: bytes, timeout: float = 60.0) -> bytes:
        """Have a task done by some worker in the tree; return its result.

        A task may be done twice, if its worker dies or is thought dead; it is answered once. Raises WorkFailed, with
        the reason, if the worker failed or there was no answer in `timeout` seconds; TooLarge; TypeError for what is
        not bytes; Closed.
        """
        self._check()
        number = self.node.submit(self._world.now, task, timeout)
        self._carry_out()
        try:
            while number not in self._fates:
                self._check()
                await self._changed.wait()
            fate = self._fates[number]
        finally:
            self._fates.pop(number, None)
            self.node.work.forget(number)
        if not fate.done:
            raise WorkFailed(fate.result.decode(errors="replace"))
        return fate.result

    async def changed(self, timeout: float | None = None) -> bool:
        """Wait until anything has happened that may have changed a document or our place; False if nothing did."""
        return await self._changed.wait(timeout)

    def stats(self) -> dict[str, int]:
        """Return the counters: those of Node.stats; those of Work.stats behind "tasks_", of Convergent.stats behind
        "shared_"; and messages_dropped, which came when 100,000 waited for `on_message`.
        """
        parts = {
            "tasks_": self.node.work.stats(),
            "shared_": self.node.convergent.stats() if self.node.convergent else {},
        }
        found = {f"{part}{name}": count for part, counts in parts.items() for name, count in counts.items()}
        return {**self.node.stats(), **found, "messages_dropped": self._handlers.dropped}

    def look_for(self, doors: str | Iterable[str]) -> None:
        """From now on, ask at these doors for a host when nobody else can be asked: what a directory has told.

        Raises AddressError.
        """
        self.node.tree.look_for(self._doors(doors))

    def close(self) -> None:
        """Leave: neighbours are told, and children look for another host."""
        if self._closed:
            return
        self.node.leave()
        self._carry_out()
        self._closed = True
        for signal in (self._changed, self._downs_due, self._ups_due, self._shared_due):
            signal.notify()
        self._host.spawn(self._part())

    # Channel listeners: one coroutine for each socket that receives

    def _open(self, place: Place, listen: str, public: str | None) -> Place:
        pub, pull = self._socket("pub", "down"), self._socket("pull", "up")
        # Whoever asks and does not read is hung up on.
        rep = self._socket("rep", "door", when_full="disconnect")
        self._sockets, self._publisher = [pub, pull, rep], pub
        door = rep.listen(listen)
        down, up = (sock.listen(beside(listen, step)) for step, sock in ((1, pub), (2, pull)))
        return Place(place.id, *(seen_by_others(address, public) for address in (door, down, up)))

    def _doors(self, doors: str | Iterable[str]) -> tuple[str, ...]:
        """These doors. Raises AddressError for one that cannot be."""
        found = (doors,) if isinstance(doors, str) else tuple(doors)
        probe = self._socket("req", "door")
        try:
            for door in found:
                if not isinstance(door, str) or not door:
                    raise AddressError(f"a door is an address, not {door!r}; an endpoint without listen has none")
                probe.dial(door)
        finally:
            probe.close()
        return found

    def _socket(self, kind: Kind, way: str, **options: float | str) -> Socket:
        return self._host.socket(kind, max_message=self._ways[way], **options)

    async def _listen(self, socket: Socket, handle: Callable[..., None]) -> None:
        """Pass on what a socket receives, until it is closed."""
        taken = 0
        try:
            while True:
                raws = await socket.arecv_many(AT_ONCE)
                handle(self._world.now, *raws)
                self._carry_out()
                await self._publish()
                taken += len(raws)
                if taken >= AT_ONCE:
                    # Whoever is flooded gives others a turn.
                    taken = 0
                    await self._world.sleep(0)
        except (Closed, Cancelled):
            return

    async def _publish(self) -> None:
        """Tell our children what there is to tell, unless another coroutine is at it."""
        if self._publisher is None or self._publishing:
            return
        self._publishing = True
        try:
            while downs := self.node.poll_downs():
                # A publisher drops what somebody is too slow for, and never waits.
                await self._publisher.asend_many(downs)
        finally:
            self._publishing = False

    async def _keep_publishing(self) -> None:
        try:
            while not self._closed:
                await self._publish()
                await self._downs_due.wait()
        except Closed:
            return

    async def _keep_pushing(self, socket: Socket) -> None:
        try:
            while socket in self._to_host:
                while socket in self._to_host and (ups := self.node.poll_ups()):
                    await socket.asend_many(ups)
                await self._ups_due.wait()
        except Closed:
            return

    async def _part(self) -> None:
        """Say the last words, and close."""
        try:
            await self._publish()
            if self._to_host:
                await self._to_host[0].asend_many(self.node.poll_ups(), timeout=0.1)
        except (Closed, TimedOut):
            pass
        finally:
            for socket in [*self._sockets, *self._to_host]:
                socket.close()

    async def _keep_door(self, rep: Socket) -> None:
        context = rep.context()
        try:
            while True:
                question = await context.arecv()
                answer = self.node.handle_question(self._world.now, question)
                self._carry_out()
                if answer is None:
                    host = self.node.tree.parent
                    answer = await self._question(host.door, question, 1.0) if host is not None else None
                try:
                    await context.asend(answer or msgpack.packb({"refuse": "I have no host to ask"}), timeout=1.0)
                except (StateError, TimedOut):
                    continue
        except Closed:
            return

    async def _keep_time(self) -> None:
        while not self._closed:
            due = self.node.poll_due()
            await self._world.sleep(max(0.0, due - self._world.now))
            if not self._closed:
                # The clock may be a rounding short of the moment that was waited for.
                self.node.handle_time(max(due, self._world.now))
                self._carry_out()

    async def _keep_sharing(self) -> None:
        while not self._closed:
            await self._shared_due.wait()
            if not self._closed:
                self.node.share()
                self._carry_out()

    async def _handle_messages(self) -> None:
        """Handle what there is to handle, one of at most so many coroutines at a time."""
        assert self._on_message is not None
        try:
            while not self._closed and (found := self._handlers.poll_messages()) is not None:
                origin, messages = found
                try:
                    for message in messages:
                        await self._on_message(message)
                finally:
                    self._handlers.handle_done(origin)
        finally:
            self._handling -= 1

    async def _do(self, run: Run) -> None:
        assert self._worker is not None
        try:
            done, result = True, await self._worker(run.body)
        except Exception as error:
            # It is the submitter's to know, and no failure of ours.
            done, result = False, f"{type(error).__name__}: {error}".encode()
        except BaseException:
            # Its coroutine ends, be it that the host is killed; the next beat tells.
            self.node.finish(run.id, done=False, result=b"the worker was cancelled")
            raise
        if not self._closed:
            self.node.finish(run.id, done=done, result=result)
            self._carry_out()

    # Carrying out what the node wants done

    def _carry_out(self) -> None:
        node = self.node
        while (action := node.poll_action()) is not None:
            if isinstance(action, Ask):
                self._host.spawn(self._ask(action))
            elif isinstance(action, Attach):
                self._attach(action.host)
            else:
                self._detach()
        while (run := node.work.poll_run()) is not None:
            self._host.spawn(self._do(run))
        while (fate := node.work.poll_fate()) is not None:
            self._fates[fate.number] = fate
        if messages := node.poll_messages():
            for origin, said in groupby(messages, _ORIGIN):
                self._handlers.handle_messages(origin, list(said))
        for _ in range(min(self._handlers.ready, self._most_handling - self._handling)):
            self._handling += 1
            self._host.spawn(self._handle_messages())
        self._changes.tell_all()
        if node.has_downs:
            self._downs_due.notify()
        if node.has_ups:
            self._ups_due.notify()
        self._changed.notify()

    def _attach(self, host: Place) -> None:
        self._detach()
        sub, push = self._host.socket("sub", max_message=self._ways["down"]), self._socket("push", "up")
        self._to_host = [push, sub]
        sub.subscribe(b"")
        try:
            sub.dial(host.down)
            push.dial(host.up)
        except AddressError:
            self.node.handle_lost(self._world.now)
            return
        self._host.spawn(self._listen(sub, self.node.handle_down))
        self._host.spawn(self._keep_pushing(push))

    def _detach(self) -> None:
        sockets, self._to_host = self._to_host, []
        for socket in sockets:
            self._host.spawn(self._close(socket))
        self._ups_due.notify()

    async def _close(self, socket: Socket) -> None:
        # Not from within what it may be receiving.
        await self._world.sleep(0)
        socket.close()

    async def _ask(self, ask: Ask) -> None:
        answer = await self._question(ask.door, msgpack.packb(ask.question), ask.timeout)
        if not self._closed:
            self.node.handle_answer(self._world.now, ask.token, answer)
            self._carry_out()

    async def _question(self, door: str, question: bytes, timeout: float) -> bytes | None:
        """Ask at a door; None if there is no answer in time."""
        socket = self._socket("req", "door", reconnect_min=0.01, reconnect_max=0.1)
        try:
            socket.dial(door)
            await socket.asend(question, timeout)
            return await socket.arecv(timeout)
        except (TimedOut, Closed, AddressError):
            return None
        finally:
            socket.close()

    def _check(self) -> None:
        if self._closed:
            raise Closed("the endpoint is closed")
