"""Zinc on ZeroMQ's sockets, by the same seam."""

import asyncio
from pathlib import Path

import pytest
from worlds import Stage, on_real_sockets

from workbench.apps.zinc import Endpoint, Message
from workbench.engine.errors import AddressError, Closed, EndpointFailed, OptionError, StateError, TimedOut
from workbench.engine.real import RealHost
from workbench.engine.zeromq import ZeroMqHost

QUICK = {"heartbeat": 0.1, "deadline": 0.5}
ANYWHERE = "tcp://127.0.0.1:0"


def host(stage: Stage, name: str) -> ZeroMqHost:
    within = stage.world.host(name)
    assert isinstance(within, RealHost)
    return ZeroMqHost(within)


def test_a_socket_of_zeromq_keeps_the_promises_of_the_seam(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        here = host(stage, "here")
        pull, push = here.socket("pull"), here.socket("push")
        address = pull.listen(f"ipc://{tmp_path}/door")
        push.dial(address)
        await push.asend_many([b"a", b"b", b"c"], timeout=5)
        assert await pull.arecv(timeout=5) == b"a"
        await stage.world.sleep(0.05)
        assert await pull.arecv_many() == [b"b", b"c"]
        with pytest.raises(TimedOut):
            await pull.arecv(timeout=0.01)
        waiting = asyncio.ensure_future(pull.arecv())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        rep = here.socket("rep")
        rep.listen(ANYWHERE)
        with pytest.raises(StateError):
            await rep.asend(b"an answer to nobody")
        with pytest.raises(EndpointFailed):
            here.socket("rep").listen(rep.listen(ANYWHERE))
        with pytest.raises(AddressError):
            push.dial("nowhere")
        with pytest.raises(OptionError, match="allowed: pub, sub"):
            here.socket("surveyor")
        with pytest.raises(StateError):
            push.context()
        push.close()
        with pytest.raises(Closed):
            await push.asend(b"d")
        here.kill()
        assert pull.closed

    on_real_sockets(story)


@pytest.mark.slow
def test_a_cluster_on_zeromq_outlives_its_root() -> None:
    async def story(stage: Stage) -> None:
        heard: list[bytes] = []

        async def hear(message: Message) -> None:
            heard.append(message.body)

        first = host(stage, "a")
        root = Endpoint(first, listen=ANYWHERE, **QUICK)
        ends = [
            Endpoint(host(stage, name), listen=ANYWHERE, join=root.door, on_message=hear, **QUICK) for name in "bcd"
        ]
        await stage.until("all belong together", lambda: all(one.is_connected and one.node.tree.line for one in ends))
        await ends[0].acknowledged(ends[0].set("board", "x", value=1), timeout=10)
        await stage.until("all have it", lambda: all(one.document("board").value == {"x": 1} for one in ends))
        for number in range(100):
            ends[1].say("talk", b"%d" % number)
        await stage.until("both others have heard all", lambda: len(heard) == 200)
        first.kill()
        await stage.until("there is another root", lambda: sum(one.is_root for one in ends) == 1)
        await stage.until("they belong to it", lambda: all(one.is_connected for one in ends))
        ends[2].set("board", "y", value=2)
        await stage.until("nothing is lost", lambda: all(len(one.document("board").value) == 2 for one in ends))
        for one in ends:
            one.close()

    on_real_sockets(story)
