"""Behaviours of cores.yaml: who feeds tasks, and who does them with a processor of its own."""

import time


async def feed(host, peers):
    """Push a task whenever a worker has room for one."""
    push = host.socket("push", send_queue=1)
    for address, priority in peers.dials:
        push.dial(address, priority=priority)
    while True:
        await push.asend(b"task")


async def work(host, peers, *, lasts: float):
    """Use the processor for `lasts` seconds for each task, and report that it is done."""
    pull = host.socket("pull", recv_queue=1)
    pull.listen(peers.listen)
    while True:
        await pull.arecv()
        until = time.process_time() + lasts
        while time.process_time() < until:
            pass
        host.world.observe("done", 1, "tasks")
        # There is always another task, and others on this host want their turn, too.
        await host.world.sleep(0)
