"""Behaviours of host-failure.yaml and balancing.yaml: trees of workbench.apps.zinc whose members come, go and die.

The service plays all members, each on a host of its own; the workload says something, or submits work, at one of them.
All are in one process, as in the virtual world: who speaks finds its endpoint with the world.
"""

from collections import Counter

from workbench.apps.zinc import Endpoint, WorkFailed
from workbench.scenario.units import DURATION, parse


def seconds(text: str) -> float:
    """A duration of the scenario file."""
    return parse(text, DURATION)


def settings_of(breadth: int, heartbeat: float) -> dict[str, float]:
    """Of a tree: who has been silent for four heartbeats is dead."""
    return {"breadth": breadth, "heartbeat": heartbeat, "deadline": 4 * heartbeat}


async def mouth(world) -> Endpoint:
    """The endpoint that speaks, once there is one."""
    while (found := vars(world).get("mouth")) is None:
        await world.sleep(0.01)
    return found


# A host fails


async def outlive(host, peers, *, members: int, breadth: int, heartbeat: str, victim: str, kill: str):
    """Let members join, kill one at a time within a heartbeat of `kill`, and look at what the others have missed.

    The `victim` is the root, or a hub: the first to have joined, which is a child of the root. The last one speaks.
    """
    world = host.world
    heard: list[list[tuple[float, int]]] = [[] for _ in range(members + 1)]
    ends: list[Endpoint] = []
    heartbeat, kill = seconds(heartbeat), seconds(kill)
    settings = settings_of(breadth, heartbeat)

    def listener(place: int):
        async def note(message) -> None:
            heard[place].append((world.now, int.from_bytes(message.body)))

        return note

    for place in range(members + 1):
        at = world.host(f"{host.name}/{place}", host.site)
        door = (ends[0].door,) if ends else ()
        ends.append(Endpoint(at, listen=f"{at.name}/door", join=door, on_message=listener(place), **settings))
        while not ends[-1].is_connected:
            await world.sleep(heartbeat / 10)
    vars(world)["mouth"] = ends[-1]
    await world.sleep(kill + host.stream("kill").uniform() * heartbeat - world.now)
    struck = 0 if victim == "root" else 1
    place = ends[struck].identity
    cut_off = [one for one in ends if place in [above.id for above in one.node.tree.path]]
    world.observe("cut_off", len(cut_off), "hosts")
    said, died = vars(world)["said"], world.now
    world.host(f"{host.name}/{struck}").kill()
    rest = [one for one in ends if one.identity != place]
    while not all(one.is_connected and place not in [above.id for above in one.node.tree.path] for one in rest):
        await world.sleep(heartbeat / 20)
    world.observe("time_to_heal", world.now - died, "s")
    await world.sleep(8 * heartbeat)
    until = vars(world)["said"]
    await world.sleep(8 * heartbeat)
    for place, one in enumerate(ends[:-1]):
        if one in rest:
            numbers = Counter(number for _, number in heard[place])
            moments = [at for at, _ in heard[place] if at > died - heartbeat]
            world.observe("missed", sum(numbers[number] == 0 for number in range(said, until)), "messages")
            world.observe("repeated", sum(count - 1 for count in numbers.values()), "messages")
            world.observe("silence", max(after - before for before, after in zip(moments, moments[1:])), "s")


async def speak(host, peers, *, every: str):
    """Say the next number every so many seconds to all in the tree."""
    endpoint = await mouth(host.world)
    number = 0
    while True:
        number += 1
        vars(host.world)["said"] = number
        endpoint.say("numbers", number.to_bytes(8))
        await host.world.sleep(seconds(every))


# Work is shared out


async def share(host, peers, *, members: int, breadth: int, heartbeat: str, task: str, up: str, down: str):
    """Workers that join and leave at will: each is there for `up` in the mean, and away for `down`.

    Without `up` they stay. What those did who were there for the whole of the last ten seconds is compared: Jain's
    index is 100 % when all did the same, and the n-th part when one did everything.
    """
    heartbeat, task, up, down = (seconds(text) for text in (heartbeat, task, up, down))
    world, settings = host.world, settings_of(breadth, heartbeat)
    root = Endpoint(host, listen=f"{host.name}/door", **settings)
    vars(world)["mouth"] = root
    done: Counter[int] = Counter()
    since: dict[int, float] = {}

    async def live(place: int) -> None:
        luck, busy, life = host.stream(f"worker/{place}"), host.stream(f"task/{place}"), 0
        await world.sleep(luck.exponential(0.5))

        async def worker(body: bytes) -> bytes:
            await world.sleep(busy.exponential(task))
            done[place] += 1
            return body

        while True:
            life += 1
            at = world.host(f"{host.name}/{place}/{life}", host.site)
            end = Endpoint(at, listen=f"{at.name}/door", join=root.door, worker=worker, **settings)
            since[place] = world.now
            await world.sleep(luck.exponential(up) if up else float(10**6))
            del since[place]
            end.close()
            await world.sleep(luck.exponential(down))

    for place in range(members):
        host.spawn(live(place))
    while True:
        before, began = done.copy(), world.now
        await world.sleep(10.0)
        shares = [done[place] - before[place] for place, joined in since.items() if joined <= began]
        if sum(shares):
            even = sum(shares) ** 2 / (len(shares) * sum(count**2 for count in shares))
            world.observe("evenness", 100 * even, "%")
            world.observe("tasks_done", sum((done - before).values()) / 10.0, "1/s")


async def submit(host, peers, *, rate: float, patience: str):
    """Submit tasks at the root, `rate` a second, and see how long each takes."""
    world = host.world
    endpoint, luck = await mouth(world), host.stream("tasks")
    await world.sleep(3.0)

    async def one() -> None:
        began = world.now
        try:
            await endpoint.submit(b"task", timeout=seconds(patience))
            world.observe("task_time", world.now - began, "s")
        except WorkFailed:
            world.observe("given_up", world.now - began, "s")

    while True:
        await world.sleep(luck.exponential(1 / rate))
        host.spawn(one())
