"""What is known of the services: a machine that is told answers and the time, and asked for offers and changes.

Nothing that it is told is trusted. An answer concerns the entry that it names and no other: it can be refused, it can
be new, or it can say again what is known. When the directory is full it refuses what is new and keeps what it has.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from workbench.apps.discovery.offer import Malformed, Offer


@dataclass(frozen=True)
class Change:
    """One change of what is known: the how-manieth it is, whether the offer came or went, and the offer."""

    number: int
    what: Literal["came", "went"]
    offer: Offer


class Directory:
    """The offers that are known.

    An offer is forgotten `forget_after` seconds after it was last heard of. At most `max_offers` are known, of which
    `max_providers` of one service; and of the changes that nobody asked for, the newest `max_changes` are kept.
    """

    def __init__(
        self,
        *,
        forget_after: float,
        max_offers: int = 10_000,
        max_providers: int = 1_000,
        max_changes: int = 100_000,
    ) -> None:
        self._forget_after = forget_after
        self._max_offers = max_offers
        self._max_providers = max_providers
        # In the order in which they were heard of last: the first is the next to be forgotten.
        self._heard: dict[Offer, float] = {}
        self._services: dict[str, dict[Offer, None]] = {}
        self._changes: deque[Change] = deque(maxlen=max_changes)
        self._counters: Counter[str] = Counter(answers=0, malformed=0, refused_full=0, forgotten=0)
        self.number = 0
        """How many changes there have been."""

    def handle_answer(self, now: float, answer: bytes) -> Offer | None:
        """Somebody has answered: note what is offered. Returns None for what is refused; see `stats`."""
        self.handle_time(now)
        self._counters["answers"] += 1
        try:
            offer = Offer.parse(answer)
        except Malformed:
            self._counters["malformed"] += 1
            return None
        if self._heard.pop(offer, None) is None:
            providers = self._services.get(offer.service, {})
            if len(self._heard) >= self._max_offers or len(providers) >= self._max_providers:
                self._counters["refused_full"] += 1
                return None
            self._services.setdefault(offer.service, providers)[offer] = None
            self._change("came", offer)
        self._heard[offer] = now
        return offer

    def handle_time(self, now: float) -> None:
        """Forget what has not been heard of for too long."""
        while (due := self.poll_due()) is not None and due <= now:
            offer = next(iter(self._heard))
            del self._heard[offer]
            providers = self._services[offer.service]
            del providers[offer]
            if not providers:
                del self._services[offer.service]
            self._counters["forgotten"] += 1
            self._change("went", offer)

    def poll_due(self) -> float | None:
        """When to tell the time next; None if there is nothing to forget."""
        heard = next(iter(self._heard.values()), None)
        return None if heard is None else heard + self._forget_after

    def poll_change(self) -> Change | None:
        """Return the next change, each once and in order."""
        return self._changes.popleft() if self._changes else None

    def offers(self, service: str | None = None) -> tuple[Offer, ...]:
        """Return what is known, of one service or of all, in order."""
        known: Iterable[Offer] = self._heard if service is None else self._services.get(service, ())
        return tuple(sorted(known))

    def stats(self) -> Mapping[str, int]:
        """Return the counters: answers, of these malformed and refused_full; offers forgotten; offers known."""
        return dict(self._counters) | {"known": len(self._heard)}

    def _change(self, what: Literal["came", "went"], offer: Offer) -> None:
        self.number += 1
        self._changes.append(Change(self.number, what, offer))
