"""Work that a tree shares out: laws of the machine, and whole stories in both worlds."""

from collections import Counter, deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import BOTH, Stage

from workbench.apps.zinc import Endpoint, WorkFailed
from workbench.apps.zinc.work import Work

QUICK = {"heartbeat": 0.1, "deadline": 0.5}
NAMES = [bytes([number]) * 16 for number in range(4)]

STEPS = st.lists(
    st.tuples(st.just("submit"), st.integers(0, 3))
    | st.tuples(st.sampled_from(["run", "lose", "adopt"]), st.integers(1, 3)),
    max_size=60,
)


@given(STEPS, st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_every_task_is_answered_once_whoever_is_lost(steps: list[tuple[str, int]], capacities: list[int]) -> None:
    """A root and three children that are lost and taken in again at any time; what they are told then is lost, too."""
    capacities[0] = max(1, capacities[0])
    works = [Work(name, capacity) for name, capacity in zip(NAMES, capacities, strict=True)]
    there = {1, 2, 3}
    running: list[deque[Any]] = [deque() for _ in works]
    fates: list[list[int]] = [[] for _ in works]
    now = 0.0

    def move() -> None:
        for _ in range(3):
            for number, work in enumerate(works):
                while (run := work.poll_run()) is not None:
                    running[number].append(run)
                    assert len(running[number]) <= capacities[number]
                while (told := work.poll_up()) is not None:
                    if number in there:
                        works[0].handle_from_child(told)
                while (told := work.poll_down()) is not None:
                    for child in there:
                        works[child].handle_from_host(told)
                while (fate := work.poll_fate()) is not None:
                    assert fate.done
                    fates[number].append(fate.number)

    def places() -> None:
        works[0].handle_place(now, is_root=True, room={NAMES[child]: capacities[child] for child in sorted(there)})
        for work in works[1:]:
            work.handle_place(now, is_root=False, room={})

    submitted: Counter[int] = Counter()
    places()
    for what, who in steps:
        now += 1.0
        if what == "submit":
            works[who].submit(now, b"task", timeout=1e9)
            submitted[who] += 1
        elif what == "run" and running[who]:
            works[who].finish(running[who].popleft().id, done=True, result=b"")
        elif what == "lose":
            there.discard(who)
        elif what == "adopt":
            there.add(who)
        places()
        move()
    there = {1, 2, 3}
    for _ in range(200):
        now += 3.0
        places()
        move()
        for who, work in enumerate(works):
            if running[who]:
                work.finish(running[who].popleft().id, done=True, result=b"")
        move()
    for who in range(4):
        assert sorted(fates[who]) == list(range(1, submitted[who] + 1))


def test_a_task_that_nobody_answers_is_reported() -> None:
    work = Work(NAMES[0])
    work.submit(0.0, b"task", timeout=5.0)
    work.handle_place(4.9, is_root=False, room={})
    assert work.poll_fate() is None
    work.handle_place(5.0, is_root=False, room={})
    assert work.poll_fate() == (1, False, b"no answer in time")


def make(stage: Stage, name: str, join: tuple[str, ...], done: Counter[str], **more: Any) -> Endpoint:
    async def worker(task: bytes) -> bytes:
        await stage.world.sleep(0.05)
        if task == b"impossible":
            raise ValueError("it cannot be done")
        done[name] += 1
        return task.upper()

    host = stage.world.host(name)
    return Endpoint(host, listen=stage.address(name), join=join, worker=worker, **(QUICK | {"breadth": 2} | more))


@BOTH
def test_work_is_shared_evenly_over_a_tree_and_answered(play) -> None:
    async def story(stage: Stage) -> None:
        done: Counter[str] = Counter()
        root = make(stage, "w0", (), done)
        others = [make(stage, f"w{number}", (root.door,), done) for number in range(1, 7)]
        ends = [root, *others]
        await stage.until("all have joined", lambda: root.node.work.room == 7)
        answers: list[bytes] = []

        async def ask(one: Endpoint, task: bytes) -> None:
            answers.append(await one.submit(task, timeout=30))

        for number in range(140):
            one = ends[number % 7]
            stage.world.host(f"w{number % 7}").spawn(ask(one, b"task %d" % number))
        await stage.until("all are answered", lambda: len(answers) == 140)
        assert sorted(answers) == sorted(b"TASK %d" % number for number in range(140))
        assert sum(done.values()) == 140
        assert max(done.values()) - min(done.values()) <= 14
        with pytest.raises(WorkFailed, match="ValueError: it cannot be done"):
            await others[2].submit(b"impossible", timeout=10)

    play(story)


@BOTH
def test_work_outlives_workers_and_root(play) -> None:
    async def story(stage: Stage) -> None:
        done: Counter[str] = Counter()
        root = make(stage, "w0", (), done)
        others = [make(stage, f"w{number}", (root.door,), done) for number in range(1, 6)]
        await stage.until("all have joined", lambda: root.node.work.room == 6 and others[4].node.tree.line)
        answers: list[bytes] = []

        async def ask(number: int) -> None:
            answers.append(await others[4].submit(b"%d" % number, timeout=60))

        safe = stage.world.host("w5")
        for number in range(60):
            safe.spawn(ask(number))
        await stage.until("some are answered", lambda: len(answers) > 5)
        stage.world.host("w2").kill()
        others[0].close()
        await stage.until("more are answered", lambda: len(answers) > 20)
        stage.world.host("w0").kill()
        newcomer = make(stage, "w6", (others[4].door,), done)
        await stage.until("all are answered", lambda: len(answers) == 60, patience=40)
        assert sorted(answers, key=int) == [b"%d" % number for number in range(60)]
        await stage.until("whoever comes later works, too", lambda: newcomer.is_connected)

    play(story)
