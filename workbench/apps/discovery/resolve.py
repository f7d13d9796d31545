"""Which of several offers to take: by chance, in turns, or the nearest."""

from collections import Counter
from collections.abc import Sequence

from workbench.apps.discovery.offer import Offer
from workbench.engine.errors import OptionError
from workbench.engine.world import Stream

POLICIES = ("random", "round-robin", "nearest")
"""random: each alike. round-robin: one after the other. nearest: of the first site that has any, one by chance."""


class Unknown(LookupError):
    """No provider of the service is known."""


class Resolver:
    """Chooses among offers. Its luck comes from `stream`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._turns: Counter[str] = Counter()

    def choose(self, service: str, offers: Sequence[Offer], policy: str = "random", sites: Sequence[str] = ()) -> Offer:
        """Choose an offer of `service`; `sites` are those to prefer, best first, if the policy is nearest.

        Raises Unknown if there is none, OptionError if there is no such policy or `sites` is no sequence of names.
        """
        if isinstance(sites, str):
            raise OptionError(f"sites = {sites!r} is one text; allowed: a list of names, best first")
        if policy not in POLICIES:
            raise OptionError(f"there is no policy {policy!r} to resolve by; there are {', '.join(POLICIES)}")
        if not offers:
            raise Unknown(f"no provider of {service!r} is known")
        if policy == "round-robin":
            self._turns[service] += 1
            return offers[(self._turns[service] - 1) % len(offers)]
        if policy == "nearest":
            near = (tuple(offer for offer in offers if offer.site == site) for site in sites)
            offers = next((found for found in near if found), offers)
        return offers[int(self._stream.uniform() * len(offers))]
