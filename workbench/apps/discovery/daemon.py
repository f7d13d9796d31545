"""The daemon: surveys periodically, answers clients, and publishes what changes.

Clients ask it by REQ, with one JSON object: {"ask": "list"}, {"ask": "list", "service": NAME} or {"ask": "resolve",
"service": NAME, "policy": POLICY, "sites": [SITE, …]}. The reply is {"life": …, "number": …, "offers": […]}, or
{"error": …}. To whoever subscribes it publishes {"life": …, "number": …, "what": "came" or "went", "offer": …}, and
after each survey the number that holds, so that a watcher notices what it has missed.
"""

import json
from typing import Any

from workbench.apps.discovery.directory import Change
from workbench.apps.discovery.resolve import Unknown
from workbench.apps.discovery.settings import Settings
from workbench.apps.discovery.surveyor import ServiceDiscovery
from workbench.engine.errors import Closed, OptionError
from workbench.engine.world import Host

MAX_QUESTION = 4_096
"""The longest question, in bytes."""
_REFUSED = '{"error": "a question is an object with ask (list or resolve), service, policy and sites"}'


class Daemon:
    """A directory for many clients. Raises AddressError, EndpointFailed or OptionError."""

    def __init__(self, host: Host, settings: Settings | None = None) -> None:
        self.discovery = ServiceDiscovery(host, settings, on_change=self._note)
        settings = self.discovery.settings
        self._world = host.world
        self._host = host
        # A daemon that starts again counts anew, and this tells its lives apart.
        self._life = host.unique().hex()
        # Whoever asks and does not read is hung up on; else the replies to all others would wait behind.
        self._queries = host.socket("rep", when_full="disconnect")
        self._changes = host.socket("pub")
        self._noted: list[Change] = []
        self._signal = host.world.signal()
        self.queries = self._queries.listen(settings.queries)
        """Where clients ask."""
        self.changes = self._changes.listen(settings.changes)
        """Where clients watch."""

    async def run(self) -> None:
        """Survey, answer and publish until it is closed. Raises Closed."""
        self._host.spawn(self._until_closed(self._answer()))
        self._host.spawn(self._until_closed(self._publish()))
        await self.discovery.run()

    def close(self) -> None:
        """End."""
        self.discovery.close()
        self._queries.close()
        self._changes.close()
        self._signal.notify()

    async def _until_closed(self, errand: Any) -> None:
        try:
            await errand
        except Closed:
            return

    async def _answer(self) -> None:
        while True:
            question = await self._queries.arecv()
            await self._queries.asend(self._reply(question).encode())

    async def _publish(self) -> None:
        while True:
            await self._signal.wait(self.discovery.settings.interval)
            noted, self._noted = self._noted, []
            for change in noted:
                told = {"what": change.what, "offer": change.offer.data()}
                await self._changes.asend(self._say(number=change.number, **told).encode())
            await self._changes.asend(self._say().encode())

    def _note(self, change: Change) -> None:
        self._noted.append(change)
        self._signal.notify()

    def _reply(self, question: bytes) -> str:
        """Answer a question, which may be anything."""
        if len(question) > MAX_QUESTION:
            return _REFUSED
        try:
            data = json.loads(question)
            asked, service = data["ask"], data.get("service")
            policy, sites = data.get("policy", "random"), data.get("sites", [])
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return _REFUSED
        texts = [asked, policy, *(sites if isinstance(sites, list) else [None])]
        if not all(isinstance(text, str) for text in texts) or not isinstance(service, str | None):
            return _REFUSED
        if asked == "list":
            self.discovery.directory.handle_time(self._world.now)
            return self._say(offers=[offer.data() for offer in self.discovery.directory.offers(service)])
        if asked == "resolve" and service is not None:
            try:
                return self._say(offers=[self.discovery.resolve(service, policy, sites).data()])
            except (Unknown, OptionError) as error:
                return json.dumps({"error": str(error)})
        return _REFUSED

    def _say(self, **what: Any) -> str:
        return json.dumps({"life": self._life, "number": self.discovery.directory.number} | what)
