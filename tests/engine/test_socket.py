"""Sockets as a Python programmer meets them."""

import array
import asyncio
import itertools
import os
import signal
import socket as std
import subprocess
import sys
import threading
import time

import pytest

from workbench.engine import (
    AddressError,
    Cancelled,
    Closed,
    EndpointFailed,
    LimitReached,
    OptionError,
    Pull,
    Push,
    Rep,
    Req,
    StateError,
    TimedOut,
    TooLarge,
)

ADDRESSES = ["tcp://127.0.0.1:0", "inproc://test"]
PATIENCE = 10.0


@pytest.fixture(params=ADDRESSES, ids=["tcp", "inproc"])
def address(request):
    return request.param


def test_a_request_gets_its_reply(address):
    with Rep(listen=address) as rep, Req(dial=rep.addresses[0]) as req:
        req.send(b"ping")
        assert rep.recv(PATIENCE) == b"ping"
        rep.send(b"pong")
        assert req.recv(PATIENCE) == b"pong"


def test_messages_arrive_whole_and_in_order(address):
    bodies = [os.urandom(size) for size in (0, 1, 7, 8, 125, 65_535, 65_536, 1 << 20)] * 3
    with Pull(listen=address) as pull, Push(dial=pull.addresses[0]) as push:
        sender = threading.Thread(target=lambda: [push.send(body) for body in bodies])
        sender.start()
        assert [pull.recv(PATIENCE) for _ in bodies] == bodies
        sender.join()


def test_closing_delivers_what_was_sent(address):
    with Pull(listen=address) as pull:
        push = Push(dial=pull.addresses[0])
        for number in range(500):
            push.send(b"%d" % number)
        assert push.close(flush=PATIENCE) == 0
        assert [pull.recv(PATIENCE) for _ in range(500)] == [b"%d" % number for number in range(500)]


def test_any_buffer_can_be_sent():
    with Pull(listen="inproc://buffers") as pull, Push(dial="inproc://buffers") as push:
        for data in (bytearray(b"ab"), memoryview(b"xaby")[1:3], array.array("B", b"ab")):
            push.send(data)
            assert pull.recv(PATIENCE) == b"ab"
        push.send(array.array("H", [0x6261]))
        assert pull.recv(PATIENCE) == b"ab"
        with pytest.raises(TypeError, match="bytes-like"):
            push.send("text")


def test_many_requests_can_be_under_way_on_one_socket(address):
    with Rep(listen=address) as rep, Req(dial=rep.addresses[0]) as req:
        asking = [req.context() for _ in range(20)]
        for number, context in enumerate(asking):
            context.send(b"%d" % number)
        in_hand = [rep.context() for _ in range(20)]
        requests = [context.recv(PATIENCE) for context in in_hand]
        for context, request in reversed(list(zip(in_hand, requests, strict=True))):
            context.send(request * 2)
        assert [context.recv(PATIENCE) for context in asking] == [b"%d" % number * 2 for number in range(20)]


def test_a_new_request_cancels_the_old_one():
    async def main() -> None:
        async with Req(dial="inproc://nobody") as req:
            await req.asend(b"old")
            waiting = asyncio.create_task(req.arecv(PATIENCE))
            await asyncio.sleep(0)
            await req.asend(b"new")
            with pytest.raises(Cancelled, match="new request"):
                await waiting

    asyncio.run(main())


def test_priorities_fail_over_and_back():
    with Rep(listen="tcp://127.0.0.1:0") as far, Req() as req:
        near = Rep(listen="tcp://127.0.0.1:0")
        place = near.addresses[0]
        req.dial(place, priority=1)
        req.dial(far.addresses[0], priority=2)
        _wait_for(lambda: len(req.peers()) == 2)
        for _ in range(10):
            _ask(req, near)
        near.abort()
        _wait_for(lambda: len(req.peers()) == 1)
        _ask(req, far)
        with Rep(listen=place) as near_again:
            _wait_for(lambda: len(req.peers()) == 2)
            _ask(req, near_again)


def test_a_request_is_sent_again_when_its_peer_dies():
    with Rep(listen="tcp://127.0.0.1:0") as far, Req() as req:
        near = Rep(listen="tcp://127.0.0.1:0")
        req.dial(near.addresses[0], priority=1)
        req.dial(far.addresses[0], priority=2)
        _wait_for(lambda: len(req.peers()) == 2)
        req.send(b"question")
        assert near.recv(PATIENCE) == b"question"
        near.abort()
        waiting = _in_thread(req.recv, PATIENCE)
        assert far.recv(PATIENCE) == b"question"
        far.send(b"answer")
        assert waiting() == b"answer"
        assert req.stats()["resends"] == 1


def test_a_message_larger_than_the_limit_is_refused_here_and_cuts_off_the_peer_there():
    with Pull(listen="tcp://127.0.0.1:0", max_message=100) as pull, Push(max_message=100) as push:
        with pytest.raises(TooLarge, match="101 bytes, more than max_message = 100"):
            push.send(bytes(101))
        with Push(dial=pull.addresses[0]) as hostile, Push(dial=pull.addresses[0]) as honest:
            hostile.send(bytes(101), PATIENCE)
            _wait_for(lambda: pull.stats()["peer_faults"] >= 1)
            honest.send(b"still here", PATIENCE)
            assert pull.recv(PATIENCE) == b"still here"


def test_garbage_loses_its_own_connection_only():
    with Rep(listen="tcp://127.0.0.1:0") as rep, Req(dial=rep.addresses[0]) as req:
        host, port = rep.addresses[0].removeprefix("tcp://").split(":")
        with std.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            _ask(req, rep)
            stranger.settimeout(PATIENCE)
            try:
                while stranger.recv(100):
                    pass
            except ConnectionResetError:
                pass
        assert rep.stats()["peer_faults"] == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:5555", "it needs a transport in front"),
        ("pgm://x:1", "unknown transport"),
        ("tcp://127.0.0.1", "the port is missing"),
        ("tcp://127.0.0.1:65536", "not a number from 0 to 65535"),
        ("tcp://::1:80", "stands in brackets"),
        ("tcp://:80", "the host is missing"),
        ("inproc://", "the name is missing"),
        ("tcp://a b:1", "white space"),
    ],
)
def test_an_address_that_makes_no_sense_is_explained(address, said):
    with Req() as req, pytest.raises(AddressError, match=said):
        req.dial(address)
    with pytest.raises(ValueError, match=said):
        Req(listen=address)


def test_an_address_in_use_is_an_os_error():
    with Rep(listen="tcp://127.0.0.1:0") as rep:
        with pytest.raises(EndpointFailed, match="in use"):
            Rep(listen=rep.addresses[0])
        with pytest.raises(OSError, match="in use"):
            Rep(listen=rep.addresses[0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"send_queue": 0}, "send_queue is out of range: 0; allowed: 1 or more"),
        ({"ttl": 256}, "ttl is out of range"),
        ({"resend": -1}, "resend = -1 is out of range"),
        ({"spin": float("nan")}, "spin = NaN is out of range"),
        ({"reconnect_min": 2, "reconnect_max": 1}, "at least reconnect_min"),
        ({"frobnicate": 1}, "there is no option frobnicate; there are send_queue"),
        ({"send_queue": 1.5}, "not a whole number"),
    ],
)
def test_an_option_out_of_range_is_explained(options, said):
    with pytest.raises(OptionError, match=said):
        Push(**options)


def test_a_priority_given_to_the_socket_is_sent_where_it_belongs():
    with pytest.raises(OptionError, match=r"call \.dial\(address, priority=1\) or \.listen"):
        Req(dial="inproc://x", priority=1)
    with pytest.raises(OptionError, match="recv_priority belongs to an address"):
        Pull(recv_priority=2)


def test_the_worlds_are_imported_when_they_are_asked_for():
    script = """
import sys
import workbench.engine as engine
assert "simpy" not in sys.modules
assert {"RealWorld", "VirtualWorld"} <= set(engine.__all__)
assert engine.RealWorld.__module__ == "workbench.engine.real"
assert "simpy" not in sys.modules
from workbench.engine import VirtualWorld
assert not hasattr(engine, "OtherWorld")
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_priorities_are_from_1_to_16():
    with Req() as req:
        for priority in (0, 17, -1):
            with pytest.raises(OptionError, match=f"priority {priority} is out of range: 1"):
                req.dial("inproc://x", priority=priority)


def test_misuse_says_what_to_do():
    with Req() as req, Rep() as rep, Push() as push, Pull() as pull:
        for wrong, said in [
            (req.recv, "send one first"),
            (lambda: rep.send(b""), "receive one first"),
            (push.recv, "only sends"),
            (lambda: pull.send(b""), "only receives"),
            (push.context, "only req, rep, sub"),
        ]:
            with pytest.raises(StateError, match=said):
                wrong()


def test_a_deadline_says_who_was_missing():
    with Push(dial="tcp://127.0.0.1:9") as push, pytest.raises(TimedOut, match="no peer is connected"):
        push.send(b"", timeout=0.05)
    with Pull(listen="inproc://alone") as pull, pytest.raises(TimeoutError, match="no message came in time"):
        pull.recv(timeout=0)


def test_closing_wakes_those_who_wait(address):
    rep = Rep(listen=address)
    waiting = [_in_thread(rep.recv) for _ in range(3)]
    time.sleep(0.05)
    rep.close()
    for result in waiting:
        with pytest.raises(Closed):
            result()
    with pytest.raises(Closed):
        rep.recv()
    assert rep.close() == 0


def test_conversations_are_limited():
    with Req(max_contexts=3) as req:
        contexts = [req.context(), req.context()]
        with pytest.raises(LimitReached, match="max_contexts"):
            req.context()
        contexts[0].close()
        req.context()


def test_threads_share_a_socket(address):
    """Every message is received exactly once, whoever sends and whoever receives."""
    each, threads = 2_000, 4
    with Pull(listen=address) as pull, Push(dial=pull.addresses[0]) as push:
        received: list[bytes] = []

        def send(thread: int) -> None:
            for number in range(each):
                push.send(b"%d/%d" % (thread, number))

        def receive() -> None:
            received.extend(pull.recv(PATIENCE) for _ in range(each))

        workers = [threading.Thread(target=send, args=(thread,)) for thread in range(threads)]
        workers += [threading.Thread(target=receive) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(received) == sorted(b"%d/%d" % (t, n) for t in range(threads) for n in range(each))


def test_ctrl_c_reaches_a_waiting_call():
    with Pull(listen="inproc://interrupt") as pull:
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            pull.recv()
        with Push(dial="inproc://interrupt") as push:
            push.send(b"usable")
            assert pull.recv(PATIENCE) == b"usable"


async def _echo(rep: Rep, count: int) -> None:
    for _ in range(count):
        await rep.asend(await rep.arecv())


def test_asyncio_on_the_same_sockets(address):
    async def main() -> None:
        async with Rep(listen=address) as rep, Req(dial=rep.addresses[0]) as req:
            server = asyncio.create_task(_echo(rep, 200))
            for number in range(200):
                await req.asend(b"%d" % number)
                assert await req.arecv(PATIENCE) == b"%d" % number
            await server

    asyncio.run(main())


def test_asyncio_has_deadlines_and_errors():
    async def main() -> None:
        async with Req(dial="inproc://nobody") as req:
            with pytest.raises(StateError):
                await req.arecv()
            await req.asend(b"anyone?")
            with pytest.raises(TimedOut):
                await req.arecv(timeout=0.02)

    asyncio.run(main())


def test_a_cancelled_task_loses_no_message(address):
    """Cancel receivers at random moments; every message still arrives exactly once."""
    count = 300

    async def main() -> list[bytes]:
        async with Pull(listen=address) as pull, Push(dial=pull.addresses[0]) as push:
            received: list[bytes] = []

            async def send() -> None:
                for number in range(count):
                    await push.asend(b"%d" % number)
                    await asyncio.sleep(0)

            sender = asyncio.create_task(send())
            rounds = itertools.count()
            while len(received) < count:
                task = asyncio.create_task(pull.arecv(PATIENCE))
                for _ in range(next(rounds) % 5):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    received.append(await task)
                except asyncio.CancelledError:
                    if next(rounds) % 3 == 0:
                        received.append(await pull.arecv(PATIENCE))
            await sender
            return received

    assert asyncio.run(main()) == [b"%d" % number for number in range(count)]


def test_a_socket_can_move_to_another_loop():
    with Rep(listen="inproc://loops") as rep, Req(dial="inproc://loops") as req:

        async def once() -> bytes:
            await req.asend(b"hello")
            await rep.asend(await rep.arecv(PATIENCE))
            return await req.arecv(PATIENCE)

        assert [asyncio.run(once()) for _ in range(3)] == [b"hello"] * 3


def test_a_second_loop_at_once_is_refused_and_takes_nothing():
    """The refused wait leaves no ticket behind that could swallow the message or give it to another conversation."""
    with Rep(listen="inproc://two-loops") as rep, Req(dial="inproc://two-loops") as req:
        first, other = req.context(), req.context()
        for context, question in ((first, b"first"), (other, b"other")):
            context.send(question)

        async def refused() -> None:
            with pytest.raises(StateError, match="one at a time"):
                await other.arecv(0)
            with pytest.raises(StateError, match="one at a time"):
                await other.arecv(PATIENCE)

        async def main() -> None:
            waiting = asyncio.create_task(first.arecv(PATIENCE))
            await asyncio.sleep(0)
            await asyncio.to_thread(lambda: asyncio.run(refused()))
            for _ in range(2):
                question = await rep.arecv(PATIENCE)
                await rep.asend(b"to " + question)
            assert await waiting == b"to first"
            assert await other.arecv(PATIENCE) == b"to other"

        asyncio.run(main())


def test_a_loop_closed_under_its_tasks_loses_no_message():
    with Rep(listen="inproc://closed-loop") as rep, Req(dial="inproc://closed-loop") as req:
        context = req.context()
        context.send(b"question")
        loop = asyncio.new_event_loop()
        abandoned = loop.create_task(context.arecv())
        loop.run_until_complete(asyncio.sleep(0))
        question = rep.recv(PATIENCE)
        loop.close()
        rep.send(question)

        async def again() -> bytes:
            return await context.arecv(PATIENCE)

        assert asyncio.run(again()) == b"question"
        abandoned._log_destroy_pending = False


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
def test_a_wait_that_is_refused_leaves_the_socket_free(timeout):
    with Pull(listen="inproc://refused") as pull:

        async def refused() -> None:
            with pytest.raises(OptionError, match="timeout"):
                await pull.arecv(timeout)

        async def fine() -> bytes:
            with Push(dial="inproc://refused") as push:
                waiting = asyncio.create_task(pull.arecv(PATIENCE))
                await asyncio.sleep(0)
                await push.asend(b"here")
                return await waiting

        asyncio.run(refused())
        assert asyncio.run(fine()) == b"here"


def _ask(req: Req, rep: Rep) -> None:
    req.send(b"question")
    assert rep.recv(PATIENCE) == b"question"
    rep.send(b"answer")
    assert req.recv(PATIENCE) == b"answer"


def _wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def _in_thread(call, *args):
    """Call in a thread; the result is a function that waits for the outcome and returns or raises it."""
    outcome: list[object] = []

    def body() -> None:
        try:
            outcome.append(call(*args))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()

    def result():
        thread.join(PATIENCE)
        assert outcome, "the call did not return"
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    return result


def test_without_descriptors_a_listener_rests_and_recovers():
    """It must neither spin nor give up when the process has no descriptor left for a new connection."""
    script = """
import resource, socket, time
from workbench.engine import Req, Rep

rep = Rep(listen="tcp://127.0.0.1:0")
host, port = rep.addresses[0].removeprefix("tcp://").split(":")
spare = [socket.socket() for _ in range(4)]
for one in spare:
    one.setblocking(False)
soft = max(one.fileno() for one in spare) + 1
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for one in spare:
    one.connect_ex((host, int(port)))
while not rep.stats()["accepts_failed"]:
    time.sleep(0.005)
before = time.process_time()
time.sleep(0.3)
used = time.process_time() - before
failed = rep.stats()["accepts_failed"]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
with Req(dial=rep.addresses[0]) as req:
    req.send(b"still there?")
    assert rep.recv(10) == b"still there?"
print(used < 0.1, failed < 100)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "True"], done.stdout + done.stderr
