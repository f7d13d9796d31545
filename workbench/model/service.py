"""The service as a behaviour: the Python twin of the native role."""

from collections.abc import Sequence

from workbench.engine.errors import Closed
from workbench.engine.world import Conversation, Host
from workbench.model import body
from workbench.model.cast import Part
from workbench.model.luck import sample
from workbench.scenario import Service


async def serve(host: Host, part: Part, service: Service, address: str, times: Sequence[float] = ()) -> None:
    """Answer requests at `address`, `workers` at a time, each busy for a drawn time.

    `times` are what an empirical service time is drawn from.
    """
    socket = host.socket("rep", recv_queue=service.queue)
    socket.listen(address)
    for worker in range(service.workers):
        await_one = socket.context() if worker else socket
        host.spawn(_work(host, part, service, await_one, worker, times))


async def collect(host: Host, part: Part, service: Service, address: str, times: Sequence[float] = ()) -> None:
    """Take messages in at `address`, `workers` at a time, each busy for a drawn time."""
    del part
    socket = host.socket("pull", recv_queue=service.queue)
    socket.listen(address)
    for worker in range(service.workers):
        host.spawn(_take(host, service, socket, worker, times))


async def _work(
    host: Host, part: Part, service: Service, conversation: Conversation, worker: int, times: Sequence[float]
) -> None:
    luck = host.stream(f"worker/{worker}")
    while True:
        try:
            asked = await conversation.arecv()
            if busy := sample(service.time, luck, times):
                await host.world.sleep(busy)
            await conversation.asend(body.reply(asked, part.number, service.reply))
        except Closed:
            return


async def _take(host: Host, service: Service, socket: Conversation, worker: int, times: Sequence[float]) -> None:
    luck = host.stream(f"worker/{worker}")
    while True:
        try:
            await socket.arecv()
        except Closed:
            return
        if busy := sample(service.time, luck, times):
            await host.world.sleep(busy)
