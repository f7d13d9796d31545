"""Every pattern, as a Python programmer uses it, over every transport."""

import asyncio
import itertools
import threading
import time

import pytest

from workbench.engine import (
    Bus,
    Device,
    LimitReached,
    OptionError,
    Pair,
    Pair1,
    Pub,
    Pull,
    Push,
    Rep,
    Req,
    Respondent,
    StateError,
    Sub,
    Surveyor,
    TimedOut,
    Tls,
)

PATIENCE = 10.0
NUMBERS = itertools.count()


@pytest.fixture(params=["tcp", "ipc", "inproc", "ws", "tls+tcp", "wss"])
def place(request, tmp_path, certificates):
    """An address to listen at, and what secures it."""
    tls = Tls(authorities=certificates["ca"], certificate=certificates["cert"], key=certificates["key"])
    match request.param:
        case "ipc":
            return f"ipc://{tmp_path}/s", None
        case "inproc":
            return f"inproc://patterns-{next(NUMBERS)}", None
        case "tls+tcp" | "wss":
            return f"{request.param}://127.0.0.1:0", tls
        case scheme:
            return f"{scheme}://127.0.0.1:0", None


@pytest.mark.parametrize("role", [Pair, Pair1])
def test_a_pair_speaks_both_ways_and_with_one_peer_only(place, role):
    address, tls = place
    with role(listen=address, tls=tls) as one, role(dial=one.addresses[0], tls=tls) as other:
        one.send(b"hello", PATIENCE)
        other.send(b"hi", PATIENCE)
        assert (one.recv(PATIENCE), other.recv(PATIENCE)) == (b"hi", b"hello")
        with role(dial=one.addresses[0], tls=tls, reconnect_min=60, reconnect_max=60) as third:
            refused = next(event for event in one.events(PATIENCE) if event.what == "refused")
            assert "speaks with one peer only" in refused.reason
            with pytest.raises(TimedOut):
                third.send(b"m", 0.05)
        one.send(b"still here", PATIENCE)
        assert other.recv(PATIENCE) == b"still here"


def test_everyone_on_a_bus_hears_the_others_and_not_itself(place):
    address, tls = place
    with Bus(listen=address, tls=tls) as hub:
        rim = [Bus(dial=hub.addresses[0], tls=tls) for _ in range(2)]
        hub.wait_for_peers(2, PATIENCE)
        for bus in rim:
            bus.wait_for_peers(1, PATIENCE)
        hub.send(b"to all")
        assert [bus.recv(PATIENCE) for bus in rim] == [b"to all"] * 2
        rim[0].send(b"to the hub")
        assert hub.recv(PATIENCE) == b"to the hub"
        for bus in [hub, *rim]:
            with pytest.raises(TimedOut):
                bus.recv(0.02)
            bus.close()


def test_subscribers_receive_what_they_asked_for(place):
    address, tls = place
    with (
        Pub(listen=address, tls=tls) as pub,
        Sub(dial=pub.addresses[0], tls=tls, subscribe=["weather/", b"news"]) as sub,
        Sub(dial=pub.addresses[0], tls=tls) as deaf,
    ):
        pub.wait_for_peers(2, PATIENCE)
        deaf.wait_for_peers(1, PATIENCE)
        sub.wait_for_peers(1, PATIENCE)
        for message in (b"weather/rain", b"sports", b"newspaper", b"weather"):
            pub.send(message)
        assert [sub.recv(PATIENCE), sub.recv(PATIENCE)] == [b"weather/rain", b"newspaper"]
        sub.unsubscribe("news")
        pub.send(b"news")
        pub.send(b"weather/sun")
        assert sub.recv(PATIENCE) == b"weather/sun"
        with pytest.raises(TimedOut):
            deaf.recv(0.02)


def test_a_survey_yields_the_answers_that_come_in_time(place):
    address, tls = place
    with Surveyor(listen=address, tls=tls) as surveyor:
        crowd = [Respondent(dial=surveyor.addresses[0], tls=tls) for _ in range(3)]
        surveyor.wait_for_peers(3, PATIENCE)

        def answer(one: Respondent, number: int) -> None:
            assert one.recv(PATIENCE) == b"who?"
            if number:
                one.send(b"%d" % number)

        threads = [threading.Thread(target=answer, args=(one, number)) for number, one in enumerate(crowd)]
        for thread in threads:
            thread.start()
        assert sorted(surveyor.survey(b"who?", deadline=0.3)) == [b"1", b"2"]
        for thread in threads:
            thread.join()
        with pytest.raises(StateError, match="survey"):
            surveyor.recv(0.1)
        for one in crowd:
            one.close()


def test_a_survey_ends_for_whoever_is_busy_when_its_time_is_over():
    with (
        Surveyor(listen="inproc://busy-survey") as surveyor,
        Respondent(dial="inproc://busy-survey") as respondent,
    ):
        surveyor.wait_for_peers(1, PATIENCE)

        def answer() -> None:
            respondent.recv(PATIENCE)
            respondent.send(b"yes", PATIENCE)

        async def ask() -> list[bytes]:
            found = []
            async for one in surveyor.asurvey(b"anybody?", deadline=0.2):
                found.append(one)
                # Not awaited: nobody waits for an answer at the deadline.
                time.sleep(0.3)
            return found

        for awaited in (False, True):
            thread = threading.Thread(target=answer)
            thread.start()
            if awaited:
                assert asyncio.run(ask()) == [b"yes"]
            else:
                for one in surveyor.survey(b"anybody?", deadline=0.2):
                    assert one == b"yes"
                    time.sleep(0.3)
            thread.join()


def test_surveys_and_subscriptions_can_be_many_at_once():
    async def main() -> None:
        with (
            Surveyor(listen="inproc://many-surveys") as surveyor,
            Respondent(dial="inproc://many-surveys") as respondent,
        ):
            await surveyor.await_for_peers(1, PATIENCE)

            async def answer() -> None:
                for _ in range(20):
                    context = respondent.context()
                    question = await context.arecv(PATIENCE)
                    await context.asend(b"re: " + question)

            async def ask(number: int) -> None:
                context = surveyor.context()
                answers = [answer async for answer in context.asurvey(b"%d" % number, deadline=0.2)]
                assert answers == [b"re: %d" % number]

            await asyncio.gather(answer(), *(ask(number) for number in range(20)))

    asyncio.run(main())
    with Pub(listen="inproc://many-topics") as pub, Sub(dial="inproc://many-topics", recv_queue=4) as sub:
        pub.wait_for_peers(1, PATIENCE)
        sub.wait_for_peers(1, PATIENCE)
        left, right = sub.context(), sub.context()
        left.subscribe("a")
        right.subscribe("b")
        for number in range(10):
            pub.send(b"a%d" % number)
            pub.send(b"b%d" % number)
        deadline = time.monotonic() + PATIENCE
        while sub.stats()["dropped_full_recv"] < 2 * 6:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert [left.recv(0) for _ in range(4)] == [b"a6", b"a7", b"a8", b"a9"], "the oldest have made way"
        assert [right.recv(0) for _ in range(4)] == [b"b6", b"b7", b"b8", b"b9"]


def test_a_slow_subscriber_is_treated_as_its_endpoint_says():
    for when_full, counter in [("drop-new", "dropped_full_new"), ("drop-old", "dropped_full_old")]:
        with Pub(send_queue=2, spin=0) as pub, Sub(subscribe=b"", recv_queue=1) as sub:
            address = pub.listen("inproc://slow", when_full=when_full)
            sub.dial(address)
            pub.wait_for_peers(1, PATIENCE)
            for number in range(1_000):
                pub.send(b"%d" % number, 0.1)
            assert pub.stats()[counter] > 0
    with Pub(send_queue=2) as pub, Sub(subscribe=b"", recv_queue=1, reconnect_min=60, reconnect_max=60) as sub:
        sub.dial(pub.listen("tcp://127.0.0.1:0", when_full="disconnect"))
        pub.wait_for_peers(1, PATIENCE)
        sub.wait_for_peers(1, PATIENCE)
        while not pub.stats()["disconnected_slow"]:
            pub.send(bytes(1 << 16))
        assert any("when_full" in (event.reason or "") for event in pub.events(1.0))
    with pytest.raises(OptionError, match="block, drop-new, drop-old or disconnect"):
        Pub(when_full="panic")


def test_many_messages_go_in_one_call():
    bodies = [b"%d" % number for number in range(5_000)]
    with Pull(listen="tcp://127.0.0.1:0") as pull, Push(dial=pull.addresses[0]) as push:
        sender = threading.Thread(target=push.send_many, args=(bodies,))
        sender.start()
        received: list[bytes] = []
        while len(received) < len(bodies):
            received += pull.recv_many(timeout=PATIENCE)
        assert received == bodies
        sender.join()
        with pytest.raises(TimedOut):
            pull.recv_many(timeout=0.01)
    with Push(send_queue=3) as push:
        with pytest.raises(TimedOut):
            push.send_many([b"m"], timeout=0.01)
        with Pull(listen="inproc://few", recv_queue=1) as pull:
            push.dial("inproc://few")
            push.wait_for_peers(1, PATIENCE)
            sent = push.send_many([b"m"] * 1_000, timeout=0.1)
            assert 0 < sent < 1_000
            assert len(pull.recv_many(limit=2, timeout=PATIENCE)) <= 2


def test_a_message_can_be_received_into_a_buffer():
    with Pair(listen="inproc://into") as one, Pair(dial="inproc://into") as other:
        buffer = bytearray(8)
        one.send(b"12345678", PATIENCE)
        assert other.recv_into(buffer, PATIENCE) == 8
        assert buffer == b"12345678"
        one.send(b"abc", PATIENCE)
        assert other.recv_into(memoryview(buffer)[2:6], PATIENCE) == 3
        assert buffer == b"12abc678"
        one.send(b"123456789", PATIENCE)
        with pytest.raises(ValueError, match="9 bytes, and the buffer 8"):
            other.recv_into(buffer, PATIENCE)
        assert other.recv(PATIENCE) == b"123456789", "it is still there"
        with pytest.raises(TypeError):
            other.recv_into(b"bytes cannot be written to", 0)


def test_bounds_on_subscriptions_are_told():
    with Sub(max_subscriptions=2, max_subscription_bytes=10) as sub:
        sub.subscribe(b"aaaa")
        sub.subscribe(b"bbbb")
        sub.subscribe(b"aaaa")
        with pytest.raises(LimitReached, match="max_subscriptions"):
            sub.subscribe(b"c")
        sub.unsubscribe(b"bbbb")
        with pytest.raises(LimitReached, match="max_subscription_bytes"):
            sub.subscribe(b"1234567")
        with pytest.raises(StateError):
            sub.unsubscribe(b"never asked for")


def test_a_subscriber_never_sends_and_a_publisher_never_receives():
    with Pub() as pub, Sub() as sub:
        with pytest.raises(StateError):
            sub.send(b"m")
        with pytest.raises(StateError):
            pub.recv(0)


def test_a_device_stands_between_the_two_ends_of_a_pattern(place):
    address, tls = place
    with Device("rep", "req") as device, Rep(listen=address, tls=tls) as rep, Req() as req:
        device.back.dial(rep.addresses[0], tls=tls)
        req.dial(device.front.listen("tcp://127.0.0.1:0"))
        req.send(b"ping")
        assert rep.recv(PATIENCE) == b"ping"
        rep.send(b"pong")
        assert req.recv(PATIENCE) == b"pong"
        assert device.stats()["forwarded"] == 2
        assert len(device.front.peers()) == len(device.back.peers()) == 1
    with Device("bus") as device:
        hub = device.front.listen("inproc://hub")
        one, other = Bus(dial=hub), Bus(dial=hub)
        device.front.wait_for_peers(2, PATIENCE)
        one.wait_for_peers(1, PATIENCE)
        one.send(b"m")
        assert other.recv(PATIENCE) == b"m"
        one.close()
        other.close()
    with pytest.raises(OptionError, match="goes with req"):
        Device("rep", "push")
    with pytest.raises(OptionError, match=r"belongs to an address and not to the socket"):
        Req(dial="inproc://x", priority=1)


def test_requests_in_contexts_do_not_mix():
    with Rep(listen="inproc://contexts") as rep, Req(dial="inproc://contexts") as req:
        contexts = [req.context() for _ in range(10)]
        for number, context in enumerate(contexts):
            context.send(b"%d" % number)
        for _ in contexts:
            rep.send(b"re: " + rep.recv(PATIENCE))
        for number, context in reversed(list(enumerate(contexts))):
            assert context.recv(PATIENCE) == b"re: %d" % number
