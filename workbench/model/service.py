"""The service as a behaviour: the Python twin of the native role."""

from workbench.engine.errors import Closed
from workbench.engine.world import Conversation, Host
from workbench.model import body
from workbench.model.cast import Part
from workbench.scenario import Service


async def serve(host: Host, part: Part, service: Service, address: str) -> None:
    """Answer requests at `address`, `workers` at a time, each busy for a drawn time."""
    socket = host.socket("rep", recv_queue=service.queue)
    socket.listen(address)
    for worker in range(service.workers):
        await_one = socket.context() if worker else socket
        host.spawn(_work(host, part, service, await_one, worker))


async def collect(host: Host, part: Part, service: Service, address: str) -> None:
    """Take messages in at `address`, `workers` at a time, each busy for a drawn time."""
    del part
    socket = host.socket("pull", recv_queue=service.queue)
    socket.listen(address)
    for worker in range(service.workers):
        host.spawn(_take(host, service, socket, worker))


async def _work(host: Host, part: Part, service: Service, conversation: Conversation, worker: int) -> None:
    luck = host.stream(f"worker/{worker}")
    time = service.time
    while True:
        try:
            asked = await conversation.arecv()
            if busy := luck.sample(time.kind, time.a, time.b):
                await host.world.sleep(busy)
            await conversation.asend(body.reply(asked, part.number, service.reply))
        except Closed:
            return


async def _take(host: Host, service: Service, socket: Conversation, worker: int) -> None:
    luck = host.stream(f"worker/{worker}")
    time = service.time
    while True:
        try:
            await socket.arecv()
        except Closed:
            return
        if busy := luck.sample(time.kind, time.a, time.b):
            await host.world.sleep(busy)
