"""Behaviours of the user's in the simulator: coroutines, plain SimPy processes, and what happens when they fail."""

from pathlib import Path

import pytest

from workbench.model.custom import BehaviourFailed
from workbench.scenario import Scenario, ScenarioError, load
from workbench.sim.replication import replicate

SHIPPED = Path(__file__).resolve().parents[2] / "scenarios" / "custom-behaviour.yaml"

TEXT = """\
version: 1
name: own
sites: {home: , away: }
links: [{between: [home, away], rtt: 10 ms}]
services:
  foo: {at: {away: 1}, behaviour: "own.py:serve", options: {busy: 0.002}}
workloads:
  users: {at: home, to: foo, load: paced 100/s}
  others: {at: home, to: foo, load: closed, behaviour: "own.py:ask", options: {pause: 0.1}}
run: {duration: 2 s}
"""
SERVE = """
async def serve(host, peers, *, busy):
    rep = host.socket("rep")
    rep.listen(peers.listen)
    while True:
        asked = await rep.arecv()
        await host.world.sleep(busy)
        await rep.asend(asked)
"""
ASK = """
async def ask(host, peers, *, pause):
    req = host.socket("req")
    for address, priority in peers.dials:
        req.dial(address, priority=priority)
    while True:
        begun = host.world.now
        await req.asend(b"12345678")
        await req.arecv()
        host.world.observe("waited", host.world.now - begun, "s")
        await host.world.sleep(pause)
"""
AS_A_PROCESS = """
def ask(env_host, peers, *, pause):
    env = env_host.world
    req = env_host.socket("req")
    for address, priority in peers.dials:
        req.dial(address, priority=priority)
    while True:
        begun = env.now
        asking = env.process(ask_once(req))
        yield asking | env.timeout(1)
        env.observe("waited", env.now - begun, "s")
        yield env.timeout(pause)


def ask_once(req):
    async def once():
        await req.asend(b"12345678")
        return await req.arecv()

    return once()
"""


def write(folder: Path, code: str, text: str = TEXT) -> Scenario:
    (folder / "own.py").write_text(code)
    (folder / "own.yaml").write_text(text)
    return load(folder / "own.yaml")


def test_the_shipped_example_repeats_itself_and_observes() -> None:
    scenario = load(SHIPPED, sets=["run.duration=20 s"])
    one, again, other = (replicate(scenario, 0, 0, seed) for seed in (11, 11, 12))
    assert one.digest() == again.digest() != other.digest()
    assert one.metrics["readers:lost"] == 0
    assert one.metrics["readers:answered"] > 400
    # The cache remembers, and forgets at ten seconds.
    assert 0.2 < one.metrics["observed.hit.mean"] < 0.9
    assert replicate(scenario, 0, 1, 11).digest() != one.digest()


def test_a_coroutine_and_a_plain_process_do_the_same(tmp_path: Path) -> None:
    coroutine, process = (replicate(write(tmp_path, SERVE + code), 0, 0, 3).metrics for code in (ASK, AS_A_PROCESS))
    assert coroutine["observed.waited.count"] == process["observed.waited.count"] > 10
    assert coroutine["observed.waited.mean"] == pytest.approx(process["observed.waited.mean"], rel=1e-6)
    assert coroutine["observed.waited.p50"] == pytest.approx(0.012, abs=0.004)
    assert process["users:lost"] == 0
    assert process["users:answered"] == coroutine["users:answered"] > 150
    # A behaviour is no meter: only the declared workload is counted.
    assert process["requests"] == process["users:requests"]


def test_a_behaviour_that_raises_is_told_with_the_user_s_own_lines(tmp_path: Path) -> None:
    code = SERVE + ASK.replace(
        'host.world.observe("waited"', 'if begun > 0.5: broken()\n        host.world.observe("waited"'
    )
    with pytest.raises(BehaviourFailed) as failure:
        replicate(write(tmp_path, code + "\ndef broken():\n    raise ZeroDivisionError('oh')\n"), 0, 0, 3)
    lines = str(failure.value).splitlines()
    assert lines[0] == "behaviour own.py:ask failed: ZeroDivisionError: oh"
    assert lines[1].startswith("in ask on host 'workload/others/home/0' at 0.")
    # Python 3.11 underlines, later ones differently; what counts is whose lines they are.
    shown = [line.strip() for line in lines[2:] if not set(line.strip()) <= {"^", "~"}]
    assert shown == [
        f'File "{tmp_path / "own.py"}", line 18, in ask',
        "if begun > 0.5: broken()",
        f'File "{tmp_path / "own.py"}", line 23, in broken',
        "raise ZeroDivisionError('oh')",
    ]


def test_an_errand_that_raises_is_told_as_well(tmp_path: Path) -> None:
    code = (
        SERVE
        + ASK.replace("    while True", "    host.spawn(errand(host))\n    while True")
        + ("\nasync def errand(host):\n    await host.world.sleep(1)\n    host.socket('nonsense')\n")
    )
    with pytest.raises(
        BehaviourFailed, match=r"own\.py:errand failed: workbench\.engine\.errors\.OptionError: "
    ) as failure:
        replicate(write(tmp_path, code), 0, 0, 3)
    assert "in errand on host 'workload/others/home/0' at 1.0 s" in str(failure.value)


def test_an_exception_of_any_kind_is_passed_on_by_worker_processes(tmp_path: Path) -> None:
    from workbench.scenario import points
    from workbench.sim.sweep import simulate

    code = SERVE + ASK + "\nclass Odd(Exception):\n    def __init__(self, one, two): super().__init__(one + two)\n"
    scenario = write(
        tmp_path,
        code.replace("    while True:\n        begun", "    raise Odd('a', 'b')\n    while True:\n        begun"),
    )
    with pytest.raises(BehaviourFailed, match=r"own\.py:ask failed: behaviour_own\.Odd: ab"):
        simulate(scenario, points(scenario), 2, jobs=2)


def test_options_that_the_function_does_not_take_are_the_scenario_s_mistake(tmp_path: Path) -> None:
    scenario = write(tmp_path, SERVE + ASK, TEXT.replace("busy: 0.002", "bsuy: 0.002"))
    with pytest.raises(ScenarioError, match="unexpected keyword argument 'bsuy'"):
        replicate(scenario, 0, 0, 3)


def test_a_behaviour_dies_with_its_host_and_begins_again(tmp_path: Path) -> None:
    code = SERVE.replace("    rep.listen", '    host.world.observe("begun", host.world.now, "s")\n    rep.listen') + ASK
    text = TEXT + "faults: [{at: 500 ms, for: 400 ms, kill: foo@away}]\n"
    metrics = replicate(write(tmp_path, code, text), 0, 0, 3).metrics
    assert metrics["observed.begun.count"] == 2
    assert metrics["observed.begun.mean"] == pytest.approx(0.45)
    assert metrics["users:lost"] == 0
    assert metrics["users:repeated"] > 0


def test_behaviours_may_take_the_place_of_every_workload(tmp_path: Path) -> None:
    text = TEXT.replace("  users: {at: home, to: foo, load: paced 100/s}\n", "")
    metrics = replicate(write(tmp_path, SERVE + ASK, text), 0, 0, 3).metrics
    assert set(metrics) == {f"observed.waited.{what}" for what in ("mean", "p50", "p99", "count")}
