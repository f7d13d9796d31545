"""Behaviours of custom-behaviour.yaml.

A behaviour is called as ``function(host, peers, **options)``. `host` opens sockets, draws seeded luck and knows its
world: `host.world.now` is its time in seconds, ``await host.world.sleep(seconds)`` waits, and `host.world.observe(name,
value, unit)` reports a number, which tables show and expectations can name: ``observed.hit.mean > 0.3``.
``host.spawn(coroutine)`` does something besides; what it starts dies with the host. `peers.listen` is the address a
service listens at, `peers.dials` are the (address, priority) pairs a workload dials; `options` are those of the scenario
file as they stand there, here in SI units.
"""


async def serve(host, peers, *, keys: int, miss: float, hit: float):
    """Answer requests for random keys: slowly (`miss` seconds) the first time, quickly (`hit`) when remembered."""
    rep = host.socket("rep")
    rep.listen(peers.listen)
    luck = host.stream("keys")
    remembered: set[int] = set()
    host.spawn(watch(host, remembered))
    while True:
        request = await rep.arecv()
        if request == b"empty":
            remembered.clear()
        else:
            key = int(luck.uniform() * keys)
            host.world.observe("hit", key in remembered)
            await host.world.sleep(hit if key in remembered else miss)
            remembered.add(key)
        await rep.asend(request)


async def watch(host, remembered: set[int]):
    """Report each second how many keys are remembered."""
    while True:
        await host.world.sleep(1)
        host.world.observe("remembered", len(remembered), "keys")


async def empty(host, peers, *, every: float):
    """Tell the cache to forget everything, every so many seconds."""
    req = host.socket("req")
    for address, priority in peers.dials:
        req.dial(address, priority=priority)
    while True:
        await host.world.sleep(every)
        await req.asend(b"empty")
        await req.arecv()
