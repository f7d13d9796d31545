"""The event loop that a site of a real run is played on: exact, and with room for many clients."""

import asyncio
import os
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from workbench.bench.actor import exact_loop
from workbench.bench.processes import allow_files


@pytest.fixture
def few_files() -> Iterator[None]:
    """What a session usually begins with."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_it_watches_more_descriptors_than_select_can(few_files: None) -> None:
    async def hear() -> int:
        loop = asyncio.get_running_loop()
        with ExitStack() as opened:
            ours, theirs = os.pipe()
            for end in [ours, theirs, *(os.dup(ours) for _ in range(1100))]:
                opened.callback(os.close, end)
            last = os.dup(ours)
            opened.callback(os.close, last)
            heard = loop.create_future()
            loop.add_reader(last, lambda: heard.done() or heard.set_result(last))
            loop.call_later(0.001, os.write, theirs, b"!")
            try:
                return int(await asyncio.wait_for(heard, 10))
            finally:
                loop.remove_reader(last)

    allow_files()
    with asyncio.Runner(loop_factory=exact_loop) as runner:
        assert runner.run(hear()) > 1024


def test_it_sleeps_for_less_than_a_millisecond() -> None:
    async def shortest() -> float:
        times = []
        for _ in range(50):
            begun = time.monotonic()
            await asyncio.sleep(100e-6)
            times.append(time.monotonic() - begun)
        # The machine may be busy; the usual loop is never quicker than a millisecond.
        return min(times)

    with asyncio.Runner(loop_factory=exact_loop) as runner:
        assert 100e-6 <= runner.run(shortest()) < 900e-6
