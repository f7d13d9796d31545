"""The demo's cluster, in virtual time: what it tells when roots are killed one after the other."""

from workbench.apps.zinc.demo import Demo
from workbench.engine.virtual import VirtualWorld


def test_roots_are_killed_until_one_is_left() -> None:
    world = VirtualWorld(seed=4)
    told: list[str] = []
    demo = Demo(world, told.append, address=lambda name: f"door/{name}")
    equal: list[bool] = []

    async def story() -> None:
        await demo.begin(4)
        world.spawn(demo.watch())
        for _ in range(3):
            demo.kill()
            await world.sleep(6.0)
        demo.kill()
        demo.join()
        await world.sleep(3.0)
        equal.append(await demo.end())

    world.run(until=world.spawn(story()))
    what = [line.split("s  ", 1)[1] for line in told]
    assert equal == [True]
    assert sum("is killed, the root" in line for line in what) == 3
    assert sum("takes the root's place" in line for line in what) == 3
    assert sum("all are together again" in line for line in what) == 3
    assert "there is nobody to be killed just now" in what
    assert [one.state for one in demo.members.values()].count("dead") == 3
    assert what[-1].startswith("the 2 copies are equal: ")
