"""Asks a daemon who provides what, and watches it."""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from workbench.apps.discovery.directory import Change
from workbench.apps.discovery.offer import Malformed, Offer
from workbench.apps.discovery.settings import Settings
from workbench.engine.errors import TimedOut
from workbench.engine.world import Host


class DirectoryError(Exception):
    """The directory refused a question, or its reply makes no sense."""


class DirectoryClient:
    """A client of a daemon. A question takes up to `timeout` seconds. Raises AddressError or OptionError."""

    def __init__(self, host: Host, settings: Settings | None = None, timeout: float = 5.0) -> None:
        self._settings = settings or Settings()
        self._host = host
        self._timeout = timeout
        self._socket = host.socket("req")
        self._socket.dial(self._settings.queries)

    async def list(self, service: str | None = None) -> tuple[Offer, ...]:
        """Return what is known, of one service or of all. Raises TimedOut or DirectoryError."""
        return (await self._ask(ask="list", service=service))[2]

    async def resolve(self, service: str, policy: str = "random", sites: Sequence[str] = ()) -> Offer:
        """Return one provider; see Resolver.choose. Raises TimedOut, or DirectoryError if there is none."""
        offers = (await self._ask(ask="resolve", service=service, policy=policy, sites=list(sites)))[2]
        if len(offers) != 1:
            raise DirectoryError(f"the directory's reply makes no sense: {len(offers)} offers, where one was asked for")
        return offers[0]

    async def watch(self) -> AsyncGenerator[Change, None]:
        """Yield what is known as changes, and then each change, for ever.

        What gets lost on the way, or happens while the daemon is away, is made good by asking it anew; changes are then
        those between what was known and what is, and have its number. Raises DirectoryError.
        """
        socket = self._host.socket("sub")
        socket.subscribe(b"")
        socket.dial(self._settings.changes)
        known: frozenset[Offer] = frozenset()
        life, number, follows = "", 0, False
        try:
            while True:
                if not follows:
                    try:
                        life, number, offers = await self._ask(ask="list", service=None)
                    except TimedOut:
                        continue
                    before, known = known, frozenset(offers)
                    for offer in sorted(before - known):
                        yield Change(number, "went", offer)
                    for offer in sorted(known - before):
                        yield Change(number, "came", offer)
                try:
                    said = _object(await socket.arecv(2 * self._settings.interval))
                except TimedOut:
                    follows = False
                    continue
                told = said.get("number")
                if said.get("life") == life and isinstance(told, int) and told <= number:
                    # It was on its way when we asked.
                    follows = told == number or "what" in said
                    continue
                follows = said.get("life") == life and told == number + 1 and said.get("what") in ("came", "went")
                if follows:
                    number += 1
                    offer = _offer(said.get("offer"))
                    known = known | {offer} if said["what"] == "came" else known - {offer}
                    yield Change(number, said["what"], offer)
        finally:
            socket.close()

    def close(self) -> None:
        """End."""
        self._socket.close()

    async def _ask(self, **question: Any) -> tuple[str, int, tuple[Offer, ...]]:
        context = self._socket.context()
        try:
            await context.asend(json.dumps(question).encode(), self._timeout)
            reply = _object(await context.arecv(self._timeout))
        finally:
            context.close()
        if "error" in reply:
            raise DirectoryError(str(reply["error"]))
        life, number, offers = reply.get("life"), reply.get("number"), reply.get("offers")
        if not isinstance(life, str) or not isinstance(number, int) or not isinstance(offers, list):
            raise DirectoryError("the directory's reply makes no sense")
        return life, number, tuple(_offer(data) for data in offers)


def _object(data: bytes) -> dict[str, Any]:
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise DirectoryError("the directory's reply is no JSON object")
    return read


def _offer(data: Any) -> Offer:
    try:
        return Offer.of(data)
    except Malformed as error:
        raise DirectoryError(f"the directory's reply makes no sense: {error}") from error
