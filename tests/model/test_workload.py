"""The workload as a behaviour: what it takes for a loss, and what not."""

from pathlib import Path

import pytest

from workbench.engine.errors import TooLarge
from workbench.engine.real import Meter
from workbench.engine.virtual import VirtualHost, VirtualWorld
from workbench.engine.window import Window
from workbench.model.cast import Part
from workbench.model.workload import Client, ask
from workbench.scenario import Workload, load
from workbench.scenario.schema import LARGEST_MESSAGE
from workbench.sim.replication import replicate


def test_a_request_that_no_socket_would_take_is_a_mistake_and_not_a_loss() -> None:
    workload = Workload.model_validate({"at": "here", "to": "foo", "load": "closed", "size": "100 B"})
    world = VirtualWorld(seed=1)
    world.site("here")
    meter = Meter(["here"], Window())

    async def play(host: VirtualHost) -> None:
        part = Part(0, host.name, "here", "workload", "users")
        client = Client(host, part, workload, host.socket("req", max_message=64), meter, 0, [0])
        await ask(client, [("foo", 1)], until=1.0)

    world.host("client", "here").play(play)
    with pytest.raises(TooLarge, match="max_message = 64"):
        world.run(until=2.0)


def test_the_largest_message_that_a_scenario_may_ask_for_is_sent_and_answered(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(LARGEST)
    measured = replicate(load(file), 0, 0, 1)
    assert (measured.metrics["lost"], measured.metrics["answered"]) == (0, measured.metrics["requests"])
    assert measured.metrics["answered"] > 1


LARGEST = f"""\
version: 1
name: large
sites: {{here: }}
services: {{foo: {{at: {{here: 1}}, reply: {LARGEST_MESSAGE} B}}}}
workloads: {{users: {{at: here, to: foo, load: paced 100/s, size: {LARGEST_MESSAGE} B}}}}
run: {{duration: 30 ms}}
"""
