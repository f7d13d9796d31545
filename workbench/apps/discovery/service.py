"""The side that is found: it dials directories and answers their surveys, and may serve requests beside."""

from collections.abc import Awaitable, Callable, Iterable

from workbench.apps.address import seen_by_others
from workbench.apps.discovery.offer import QUESTION, Offer
from workbench.engine.errors import Closed, OptionError, StateError, TimedOut
from workbench.engine.world import Host, Socket

Handler = Callable[[bytes], Awaitable[bytes]]


async def announce(host: Host, offer: Offer, directory: str | Iterable[str]) -> None:
    """Answer the surveys of directories with `offer`, for ever: what serves it may be any program.

    Raises AddressError or OptionError. A connection that is lost is made again.
    """
    socket = host.socket("respondent", max_message=4_096)
    for address in (directory,) if isinstance(directory, str) else directory:
        socket.dial(address)
    try:
        while True:
            if await socket.arecv() == QUESTION:
                try:
                    await socket.asend(offer.answer())
                except StateError:
                    # The directory has gone away since it asked.
                    continue
    finally:
        socket.close()


async def serve(
    host: Host,
    service: str,
    handler: Handler,
    *,
    listen: str,
    directory: str | Iterable[str],
    public: str | None = None,
    site: str = "",
    workers: int = 16,
) -> None:
    """Serve requests at `listen`, and be found by `directory`, for ever.

    `public` is the address to tell others, if it is not the one that is listened at, all interfaces, say; up to
    `workers` requests are under way at once. A handler that raises, or whose reply is larger than a message may be,
    ends the service: what is wrong with a request belongs into its reply.
    Raises AddressError, EndpointFailed, OptionError or Malformed.
    """
    if workers < 1:
        raise OptionError(f"workers = {workers!r} is out of range; allowed: 1 or more")
    # Whoever asks and does not read is hung up on; else the replies to all others would wait behind.
    rep = host.socket("rep", when_full="disconnect")
    try:
        here = rep.listen(listen)
        offer = Offer(service, public or seen_by_others(here), site)
    except BaseException:
        rep.close()
        raise
    for _ in range(workers):
        host.spawn(_work(rep, handler))
    try:
        await announce(host, offer, directory)
    finally:
        rep.close()


async def _work(rep: Socket, handler: Handler) -> None:
    context = rep.context()
    try:
        while True:
            reply = await handler(await context.arecv())
            try:
                await context.asend(reply, timeout=5.0)
            except (StateError, TimedOut):
                # Whoever asked has gone, or does not listen.
                continue
    except Closed:
        return
