"""Calls of asyncio that are cancelled have not happened: nothing is lost, nothing comes twice, the order is kept."""

import asyncio
import functools
import itertools
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from workbench.engine import Closed, OptionError, Pair, Pull, Push, Rep, Req, TimedOut

PATIENCE = 10.0
TCP = "tcp://127.0.0.1:0"
LAST = 0
"""The number of the last message of whoever numbers its messages from 1."""
_Result = TypeVar("_Result")
Call = Callable[[], Coroutine[Any, Any, _Result]]


class Storm:
    """Cancels calls at random moments until it has cancelled `rest` of them while they were under way."""

    def __init__(self, rest: int, seed: int = 7) -> None:
        self.rest = rest
        self.luck = random.Random(seed)

    async def strike(self, call: Call[_Result]) -> tuple[_Result] | None:
        """Make a call and cancel it up to three turns of the loop later; what it returned, if it came to that."""
        if self.rest <= 0:
            return (await call(),)
        task = asyncio.create_task(call())
        # It has begun after the first turn.
        await self.turns(1 + self.luck.randrange(3))
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            return (task.result(),)
        self.rest -= 1
        return None

    async def until_done(self, call: Call[_Result]) -> _Result:
        """The same, again and again until it returns."""
        while True:
            if (result := await self.strike(call)) is not None:
                return result[0]

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


async def receive_in_a_storm(storm: Storm) -> None:
    async with Pull(listen=TCP) as pull, Push(dial=pull.addresses) as one, Push(dial=pull.addresses) as two:

        async def produce(push: Push, who: int) -> int:
            for number in itertools.count(1):
                await push.asend(b"%d %d" % (who, number))
                await storm.turns(storm.luck.randrange(60))
                if storm.rest <= 0:
                    await push.asend(b"%d %d" % (who, LAST))
                    return number
            raise AssertionError

        producers = [asyncio.create_task(produce(push, who)) for who, push in enumerate((one, two))]
        await _check_what_comes(lambda: storm.until_done(lambda: pull.arecv(PATIENCE)), producers)


async def send_in_a_storm(storm: Storm) -> None:
    """Messages are so large that what the kernel holds is soon full."""
    async with (
        Pull(listen=TCP, recv_queue=2) as pull,
        Push(dial=pull.addresses, send_queue=2) as one,
        Push(dial=pull.addresses, send_queue=2) as two,
    ):

        async def produce(push: Push, who: int) -> int:
            async def say(number: int) -> None:
                body = (b"%d %d" % (who, number)).ljust(64 << 10)
                await storm.until_done(lambda: push.asend(body, PATIENCE))

            for number in itertools.count(1):
                await say(number)
                if storm.rest <= 0:
                    await say(LAST)
                    return number
            raise AssertionError

        async def receive() -> bytes:
            await storm.turns(storm.luck.randrange(100) if storm.rest > 0 else 0)
            return await pull.arecv(PATIENCE)

        # Two wait for each socket.
        producers = [asyncio.create_task(produce(push, who)) for who, push in enumerate((one, one, two, two))]
        await _check_what_comes(receive, producers)


async def ask_in_a_storm(storm: Storm) -> None:
    async with Rep(listen=TCP) as rep, Req(dial=rep.addresses) as req:

        async def serve() -> None:
            while True:
                reply = b"to " + await storm.until_done(rep.arecv)
                await storm.until_done(functools.partial(rep.asend, reply))

        async def ask(who: int) -> None:
            with req.context() as context:
                for number in itertools.count(1):
                    question = b"%d %d" % (who, number)
                    await context.asend(question)
                    assert await storm.until_done(lambda: context.arecv(PATIENCE)) == b"to " + question
                    if storm.rest <= 0:
                        return

        server = asyncio.create_task(serve())
        await asyncio.gather(*map(ask, range(3)))
        server.cancel()


@pytest.mark.parametrize(
    ("story", "cancels"), [(receive_in_a_storm, 50_000), (send_in_a_storm, 50_000), (ask_in_a_storm, 10_000)]
)
def test_a_storm_of_cancellations_loses_nothing(
    story: Callable[[Storm], Coroutine[Any, Any, None]], cancels: int
) -> None:
    storm = Storm(cancels)
    asyncio.run(story(storm))
    assert storm.rest <= 0


def test_what_came_for_several_that_are_cancelled_keeps_its_order() -> None:
    async def main() -> None:
        async with Pull(listen=TCP) as pull, Push(dial=pull.addresses) as push:
            tasks = [asyncio.create_task(pull.arecv()) for _ in range(4)]
            await asyncio.sleep(0)
            for number in range(6):
                push.send(b"%d" % number)
            while pull.stats()["received"] < 4:
                pull.peers()  # which looks at the network, and wakes no task
            for task in (tasks[2], tasks[0], tasks[1]):
                task.cancel()
                await asyncio.sleep(0)
            found = [await task for task in tasks if not task.cancelled()]
            found += [await pull.arecv(PATIENCE) for _ in range(6 - len(found))]
            assert found == [b"%d" % number for number in range(6)]

    asyncio.run(main())


def test_the_scopes_of_anyio_cancel_like_asyncio() -> None:
    anyio = pytest.importorskip("anyio")

    async def main() -> None:
        async with Pull(listen=TCP) as pull, Push(send_queue=1) as push:
            for _ in range(20):
                with anyio.move_on_after(0.001) as scope:
                    await pull.arecv()
                assert scope.cancelled_caught
            with anyio.move_on_after(0.001):
                await push.asend(b"never")
            push.dial(pull.addresses[0])
            async with anyio.create_task_group() as group:
                for number in range(50):
                    group.start_soon(push.asend, b"%d" % number)
                assert [await pull.arecv(PATIENCE) for _ in range(50)] == [b"%d" % number for number in range(50)]

    anyio.run(main, backend="asyncio")


def test_whoever_waited_longest_sends_first() -> None:
    async def main() -> None:
        async with Push(send_queue=2) as push, Pull(listen=TCP) as pull:
            tasks = [asyncio.create_task(push.asend(b"%d" % number)) for number in range(20)]
            await asyncio.sleep(0.01)
            for number in (3, 11):
                tasks[number].cancel()
            push.dial(pull.addresses[0])
            expected = [b"%d" % number for number in range(20) if number not in (3, 11)]
            assert [await pull.arecv(PATIENCE) for _ in expected] == expected

    asyncio.run(main())


def test_whoever_has_waited_to_send_in_vain_has_not_sent() -> None:
    async def main() -> None:
        async with Pair() as pair:
            calls = [pair.asend(b"never", timeout) for timeout in (0.05, 0.01, 0.0)]
            for error in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(error, TimedOut)
                assert str(error) == (
                    "send on a pair socket: no peer could take the message in time (no peer is connected)"
                )
            assert pair.stats()["sent"] == 0
            with pytest.raises(OptionError, match="timeout"):
                await pair.asend(b"never", -1)
            async with Pair(listen=TCP) as other:
                pair.dial(other.addresses[0])
                await pair.asend(b"now", PATIENCE)
                assert await other.arecv(PATIENCE) == b"now"

    asyncio.run(main())


def test_closing_ends_the_wait_of_all_who_send() -> None:
    async def main() -> None:
        async with Push() as push:
            tasks = [asyncio.create_task(push.asend(b"never")) for _ in range(3)]
            await asyncio.sleep(0)
            push.close()
            for task in tasks:
                with pytest.raises(Closed):
                    await task

    asyncio.run(main())


async def _check_what_comes(receive: Call[bytes], producers: list[asyncio.Task[int]]) -> None:
    received: list[list[int]] = [[] for _ in producers]
    speaking = len(producers)
    while speaking > 0:
        who, number = map(int, (await receive()).split())
        received[who].append(number)
        speaking -= number == LAST
    for producer, numbers in zip(producers, received, strict=True):
        assert numbers == [*range(1, await producer + 1), LAST]
