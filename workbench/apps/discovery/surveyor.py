"""ServiceDiscovery: asks who is there, remembers what was answered, and resolves names."""

from collections.abc import AsyncIterator, Callable, Sequence

from workbench.apps.discovery.directory import Change, Directory
from workbench.apps.discovery.offer import MAX_ANSWER, QUESTION, Offer
from workbench.apps.discovery.resolve import Resolver
from workbench.apps.discovery.settings import Settings
from workbench.apps.teller import Teller
from workbench.engine.world import Host


class ServiceDiscovery:
    """A surveyor that services dial, and the directory of what they answer.

    `on_change` is called with each change, in order, in the coroutine that surveys. Messages of more than MAX_ANSWER
    bytes cost whoever sends them its connection, and of one connection `max_answers` count in each survey: as many
    services as may share one, or be behind one device. Raises AddressError, EndpointFailed or OptionError.
    """

    def __init__(
        self,
        host: Host,
        settings: Settings | None = None,
        on_change: Callable[[Change], None] | None = None,
        *,
        max_answers: int = 100,
    ) -> None:
        self.settings = settings or Settings()
        self.directory = Directory(forget_after=self.settings.forget_after)
        self._world = host.world
        self._changes = Teller(self.directory.poll_change, on_change)
        self._resolver = Resolver(host.stream("discovery"))
        self._socket = host.socket("surveyor", max_message=MAX_ANSWER, max_answers=max_answers, recv_queue=65_536)
        self.address = self._socket.listen(self.settings.surveys)
        """Where services dial."""

    async def discover(self) -> tuple[Offer, ...]:
        """Survey once; return what is known when the deadline has passed. Raises Closed."""
        async for _ in self.survey():
            pass
        return self.directory.offers()

    async def survey(self) -> AsyncIterator[Offer | None]:
        """Survey once, and yield each offer as it is heard (None for an answer that is refused). Raises Closed."""
        surveys = self._socket.context()
        try:
            async for answer in surveys.asurvey(QUESTION, self.settings.deadline):
                offer = self.directory.handle_answer(self._world.now, answer)
                self._changes.tell_all()
                yield offer
        finally:
            surveys.close()
        self._look_at_the_clock()

    def resolve(self, service: str, policy: str = "random", sites: Sequence[str] = ()) -> Offer:
        """Choose a provider among those known; see Resolver.choose. Raises Unknown or OptionError."""
        self._look_at_the_clock()
        return self._resolver.choose(service, self.directory.offers(service), policy, sites)

    async def run(self) -> None:
        """Survey periodically, and forget what is silent, until the socket is closed. Raises Closed."""
        upcoming = self._world.now
        while True:
            upcoming = max(upcoming + self.settings.interval, self._world.now)
            await self.discover()
            due = 0.0
            while due < upcoming:
                due = min(upcoming, self.directory.poll_due() or upcoming)
                await self._world.sleep(max(0.0, due - self._world.now))
                # The clock may be a rounding short of the moment that was waited for.
                self._look_at_the_clock(due)

    def stats(self) -> dict[str, int]:
        """Return the counters of the socket that surveys; answers that are too late or beyond `max_answers` are in
        dropped_replies. What became of the others, `directory.stats()` has.
        """
        return self._socket.stats()

    def close(self) -> None:
        """End: nobody can register any more."""
        self._socket.close()

    def _look_at_the_clock(self, at_least: float = 0.0) -> None:
        self.directory.handle_time(max(at_least, self._world.now))
        self._changes.tell_all()
