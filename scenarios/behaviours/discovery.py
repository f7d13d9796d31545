"""Behaviours of discovery.yaml: the directory and the services of workbench.apps.discovery under churn.

Both are played in one process, and what is true is kept with the world, so that the directory's belief can be held
against it. That is how it is in the virtual world; in the real one each site is a process.
"""

from workbench.apps.discovery import Offer, ServiceDiscovery, Settings, announce
from workbench.scenario.units import DURATION, parse


def seconds(text: str) -> float:
    """A duration of the scenario file."""
    return parse(text, DURATION)


def truth_of(world) -> dict[str, dict[str, float]]:
    """Since when which address is served, and since when which is not any more."""
    return vars(world).setdefault("truth", {"up": {}, "down": {}})


async def watch(host, peers, *, interval: str, deadline: str, patience: float, look: str):
    """Keep a directory, and compare what it says with what is so, every `look`.

    `patience` is after how many intervals without an answer an offer is forgotten.
    """
    world, truth = host.world, truth_of(host.world)
    interval, deadline, look = (seconds(text) for text in (interval, deadline, look))

    def note(change):
        if change.what == "came" and change.offer.address in truth["up"]:
            world.observe("found_after", world.now - truth["up"][change.offer.address], "s")
        elif change.what == "went" and change.offer.address in truth["down"]:
            world.observe("forgotten_after", world.now - truth["down"][change.offer.address], "s")

    settings = Settings(
        surveys=peers.listen, interval=interval, deadline=min(deadline, interval), forget_after=patience * interval
    )
    discovery = ServiceDiscovery(host, settings, on_change=note)
    host.spawn(compare(world, discovery, truth, look))
    await discovery.run()


async def compare(world, discovery, truth, look: float):
    """How much of what is known is false, how much of what is so is not known, and what that costs."""
    answers = 0
    while True:
        await world.sleep(look)
        known = {offer.address for offer in discovery.directory.offers()}
        there = set(truth["up"])
        if known:
            world.observe("false_share", 100 * len(known - there) / len(known), "%")
        if there:
            world.observe("missing_share", 100 * len(there - known) / len(there), "%")
        counted = discovery.directory.stats()["answers"]
        # A question and an answer each; the questions that nobody answers are few.
        world.observe("message_rate", 2 * (counted - answers) / look, "1/s")
        answers = counted


async def churn(host, peers, *, services: int, up: str, down: str):
    """Let services come and crash: each is up for so long in the mean, and down for so long."""
    for number in range(services):
        host.spawn(live(host, number, peers.dials[0][0], seconds(up), seconds(down)))


async def live(host, number: int, directory: str, up: float, down: float):
    """One service after the other, each on a host of its own, all under one name."""
    world, truth = host.world, truth_of(host.world)
    luck = host.stream(f"service/{number}")
    site = host.site
    life = 0
    await world.sleep(luck.exponential(down) if luck.uniform() * (up + down) < down else 0.0)
    while True:
        life += 1
        place = world.host(f"{host.name}/{number}/{life}", site)
        address = f"tcp://{site}-{number}:{life}"
        truth["up"][address] = world.now
        place.spawn(announce(place, Offer("answer", address, site), directory))
        await world.sleep(luck.exponential(up))
        place.kill()
        del truth["up"][address]
        truth["down"][address] = world.now
        await world.sleep(luck.exponential(down))
