"""Discovery whole, in both worlds: what starts is found, what dies is forgotten, whoever lies harms only itself."""

import contextlib
import socket
import subprocess
import threading
from statistics import fmean

import pytest
from worlds import BOTH, Stage, in_virtual_time, on_real_sockets

from workbench.apps.discovery import (
    Change,
    Daemon,
    DirectoryClient,
    DirectoryError,
    Offer,
    ServiceDiscovery,
    Settings,
    announce,
    serve,
)
from workbench.engine.errors import Closed, OptionError, TimedOut
from workbench.engine.virtual import VirtualHost, VirtualWorld
from workbench.engine.world import Host

SLACK = 0.1
"""What connecting, or a busy machine, may take beside what is promised."""


def settings(stage: Stage, **spans: float) -> Settings:
    addresses = {name: stage.address(name) for name in ("surveys", "queries", "changes")}
    return Settings(**addresses, **({"interval": 0.3, "deadline": 0.1, "forget_after": 0.8} | spans))


async def answer(question: bytes) -> bytes:
    return b"The answer is 42"


@BOTH
def test_a_service_is_found_asked_and_forgotten(play) -> None:
    async def story(stage: Stage) -> None:
        chosen = settings(stage)

        async def daemon(host: Host) -> None:
            await Daemon(host, chosen).run()

        async def service(host: Host) -> None:
            await serve(host, "answer", answer, listen=stage.address("42"), directory=chosen.surveys, site="london")

        stage.world.host("daemon").play(daemon)
        here = stage.world.host("client")
        client = DirectoryClient(here, chosen)
        with pytest.raises(DirectoryError, match="no provider of 'answer'"):
            await client.resolve("answer")
        changes: list[Change] = []

        async def watch(host: Host) -> None:
            async for change in client.watch():
                changes.append(change)  # noqa: PERF401 - each is to be seen when it comes

        here.play(watch)
        server = stage.world.host("server")
        server.play(service)
        await stage.until("the service is known", lambda: len(changes) == 1)
        offer = await client.resolve("answer", "nearest", ["london"])
        assert offer == changes[0].offer == Offer("answer", stage.address("42"), "london")
        assert await client.list("answer") == (offer,)
        assert await client.list("clock") == ()
        req = here.socket("req")
        req.dial(offer.address)
        await req.asend(b"what is the answer?")
        assert await req.arecv(timeout=5) == b"The answer is 42"

        server.kill()
        await stage.until("it is forgotten", lambda: len(changes) == 2)
        server.restore()
        await stage.until("it is known again", lambda: len(changes) == 3)
        assert [change.what for change in changes] == ["came", "went", "came"]

        # The daemon forgets everything with its life; whoever watches learns of it.
        stage.world.host("daemon").kill()
        stage.world.host("daemon").restore()
        server.kill()
        await stage.until("a new daemon knows of nobody", lambda: changes[-1].what == "went")
        with pytest.raises(DirectoryError, match="there is no policy"):
            await client.resolve("answer", "best")

    play(story)


@BOTH
def test_garbage_is_refused_and_the_rest_goes_on(play) -> None:
    async def story(stage: Stage) -> None:
        chosen = settings(stage)
        discovery = ServiceDiscovery(stage.world.host("here"), chosen)

        def liar(said: bytes):
            async def behave(host: Host) -> None:
                socket = host.socket("respondent")
                socket.dial(chosen.surveys)
                while True:
                    await socket.arecv()
                    await socket.asend(said)

            return behave

        said = [b"", b"{", b"[]", b'{"service": 1}', b"\xff" * 100, b"x" * 1_025, b"x" * 1_000_000]
        for number, words in enumerate(said):
            stage.world.host(f"liar-{number}").play(liar(words))
        honest = Offer("answer", "tcp://10.0.0.1:1")
        stage.world.host("honest").spawn(announce(stage.world.host("honest"), honest, chosen.surveys))

        async def run(host: Host) -> None:
            with pytest.raises(Closed):
                await discovery.run()

        stage.world.host("here").spawn(run(stage.world.host("here")))
        await stage.until("all have answered", lambda: discovery.directory.stats()["malformed"] >= 2 * len(said))
        assert await discovery_offers(stage, discovery) == (honest,)
        assert discovery.resolve("answer") == honest
        discovery.close()

    play(story)


async def discovery_offers(stage: Stage, discovery: ServiceDiscovery) -> tuple[Offer, ...]:
    await stage.until("the honest one is known", lambda: discovery.directory.offers())
    return discovery.directory.offers()


@BOTH
def test_questions_that_make_no_sense_get_an_error(play) -> None:
    async def story(stage: Stage) -> None:
        chosen = settings(stage)
        daemon = Daemon(stage.world.host("daemon"), chosen)

        async def run(host: Host) -> None:
            with pytest.raises(Closed):
                await daemon.run()

        stage.world.host("daemon").spawn(run(stage.world.host("daemon")))
        req = stage.world.host("client").socket("req")
        req.dial(chosen.queries)
        wrong = [
            b"", b"[" * 500, b"7", b"{}", b'{"ask": 1}', b'{"ask": "resolve"}', b'{"ask": "list", "service": 3}',
            b'{"ask": "resolve", "service": "a", "sites": "b"}', b'{"ask": "resolve", "service": "a", "policy": {}}',
        ]  # fmt: skip
        for question in wrong:
            await req.asend(question)
            assert (await req.arecv(timeout=5)).startswith(b'{"error": "a question is'), question
        daemon.close()
        with pytest.raises(TimedOut):
            await DirectoryClient(stage.world.host("client"), chosen, timeout=0.2).list()

    play(story)


@pytest.mark.parametrize("seed", range(20))
def test_what_starts_is_known_in_time_and_what_dies_is_forgotten_in_time(seed: int) -> None:
    """Random starts and deaths: known within interval + deadline, forgotten within forget_after."""
    world = VirtualWorld(seed=seed)
    chosen = Settings(interval=1.0, deadline=0.3, forget_after=2.5)
    discovery = ServiceDiscovery(
        world.host("directory"), chosen, on_change=lambda change: seen.append((world.now, change))
    )
    seen: list[tuple[float, Change]] = []
    lived: dict[str, tuple[float, float]] = {}

    async def run(host: VirtualHost) -> None:
        await discovery.run()

    def service(number: int):
        async def behave(host: VirtualHost) -> None:
            luck = host.stream("life")
            start = luck.uniform() * 10
            await world.sleep(start)
            end = start + 2 + luck.uniform() * 10
            lived[f"tcp://service:{number}"] = (start, end)
            host.spawn(announce(host, Offer("answer", f"tcp://service:{number}"), chosen.surveys))
            await world.sleep(end - start)
            host.kill()

        return behave

    world.host("directory").play(run)
    for number in range(30):
        world.host(f"service-{number}").play(service(number))
    world.run(until=30)
    assert len(lived) == 30
    for address, (start, end) in lived.items():
        (came, _), (went, _) = [entry for entry in seen if entry[1].offer.address == address]
        assert start <= came <= start + chosen.interval + chosen.deadline + SLACK
        assert end - chosen.interval <= went <= end + chosen.forget_after + 1e-9
    assert discovery.directory.offers() == ()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_discovery_is_measured_as_it_is_simulated() -> None:
    """The same churn in both worlds: until when services are known and forgotten, what it costs, what is false."""
    figures: list[dict[str, float]] = []

    async def story(stage: Stage) -> None:
        chosen = settings(stage)
        born: dict[str, float] = {}
        died: dict[str, float] = {}
        found: list[float] = []
        forgotten: list[float] = []
        false: list[float] = []

        def note(change: Change) -> None:
            since = (born if change.what == "came" else died)[change.offer.address]
            (found if change.what == "came" else forgotten).append(stage.world.now - since)

        discovery = ServiceDiscovery(stage.world.host("here"), chosen, on_change=note)

        async def run(host: Host) -> None:
            with pytest.raises(Closed):
                await discovery.run()

        async def live(host: Host, number: int) -> None:
            luck = host.stream(f"life/{number}")
            for life in range(4):
                await stage.world.sleep(0.2 + luck.exponential(0.5))
                place, address = stage.world.host(f"{number}/{life}"), f"tcp://10.0.0.{number}:{life + 1}"
                born[address] = stage.world.now
                place.spawn(announce(place, Offer("answer", address), chosen.surveys))
                await stage.world.sleep(1.0 + luck.exponential(1.0))
                place.kill()
                died[address] = stage.world.now

        here = stage.world.host("here")
        here.spawn(run(here))
        for number in range(12):
            here.spawn(live(here, number))
        began = stage.world.now
        while len(died) < 48 or discovery.directory.offers():
            await stage.world.sleep(0.02)
            known = {offer.address for offer in discovery.directory.offers()}
            false += [100 * len(known & died.keys()) / len(known)] if known else []
        spent = stage.world.now - began
        discovery.close()
        assert len(found) == len(forgotten) == 48
        assert max(found) <= chosen.interval + chosen.deadline + 3 * SLACK
        assert max(forgotten) <= chosen.forget_after + 3 * SLACK
        figures.append(
            {
                "found": fmean(found),
                "forgotten": fmean(forgotten),
                "false": fmean(false),
                "messages": 2 * discovery.directory.stats()["answers"] / spent,
            }
        )

    in_virtual_time(story, seed=3)
    on_real_sockets(story, seed=3)
    simulated, measured = figures
    assert measured["found"] == pytest.approx(simulated["found"], abs=0.1)
    assert measured["forgotten"] == pytest.approx(simulated["forgotten"], abs=0.1)
    assert measured["false"] == pytest.approx(simulated["false"], abs=6)
    assert measured["messages"] == pytest.approx(simulated["messages"], rel=0.2)


@pytest.mark.parametrize("names", [1, 20_000])
def test_whoever_answers_a_survey_without_end_crowds_nobody_out(names: int) -> None:
    """It writes answers to one survey over and over, as no socket would: what SP has on the wire, by hand."""
    answers = [Offer(f"flood-{number}", "tcp://10.0.0.9:1").answer() for number in range(names)]

    def flood(address: str, stop: threading.Event) -> None:
        name, _, port = address.removeprefix("tcp://").rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((name, int(port))) as peer:
            peer.sendall(b"\0SP\0" + (99).to_bytes(2) + bytes(2))
            peer.recv(8, socket.MSG_WAITALL)
            while not stop.is_set():
                survey = peer.recv(int.from_bytes(peer.recv(8, socket.MSG_WAITALL)), socket.MSG_WAITALL)
                frames = [(4 + len(answer)).to_bytes(8) + survey[:4] + answer for answer in answers]
                peer.sendall(b"".join(frames) * (20_000 // names))

    async def story(stage: Stage) -> None:
        chosen = settings(stage)
        discovery = ServiceDiscovery(stage.world.host("here"), chosen, max_answers=100)
        stop = threading.Event()
        flooder = threading.Thread(target=flood, args=(discovery.address, stop))
        flooder.start()
        honest = [Offer("answer", f"tcp://10.0.0.{number}:1") for number in range(5)]
        for offer in honest:
            stage.world.host("honest").spawn(announce(stage.world.host("honest"), offer, chosen.surveys))
        began = stage.world.now
        try:
            for _ in range(50):
                await discovery.discover()
                if discovery.directory.stats()["answers"] > 500 and len(discovery.directory.offers("answer")) == 5:
                    break
            assert discovery.directory.offers("answer") == tuple(sorted(honest))
            assert len(discovery.directory.offers()) <= 5 + min(names, 100)
            assert discovery.stats()["dropped_replies"] > 10_000
            assert stage.world.now - began < 20
        finally:
            stop.set()
            discovery.close()
            flooder.join(10)

    on_real_sockets(story)


@BOTH
def test_surveys_run_beside_each_other(play) -> None:
    async def story(stage: Stage) -> None:
        here = stage.world.host("here")
        discovery = ServiceDiscovery(here, settings(stage))
        offer = Offer("answer", "tcp://10.0.0.1:1")
        here.spawn(announce(stage.world.host("one"), offer, discovery.address))

        async def run() -> None:
            with contextlib.suppress(Closed):
                await discovery.run()

        here.spawn(run())
        found: list[tuple[Offer, ...]] = []

        async def look() -> None:
            for _ in range(10):
                found.append(await discovery.discover())
                await stage.world.sleep(0.03)

        for _ in range(2):
            here.spawn(look())
        await stage.until("all have looked", lambda: len(found) == 20)
        assert found[-1] == (offer,)
        discovery.close()

    play(story)


def test_a_service_is_asked_where_it_says_that_others_find_it() -> None:
    async def story(stage: Stage) -> None:
        here = stage.world.host("here")
        discovery = ServiceDiscovery(here, settings(stage))
        port = stage.address("answer").rpartition(":")[2]
        public = f"tcp://127.0.0.1:{port}"
        serving = serve(here, "answer", answer, listen=f"tcp://*:{port}", directory=discovery.address, public=public)
        here.spawn(serving)
        while not await discovery.discover():
            pass
        assert discovery.resolve("answer").address == public
        req = here.socket("req")
        req.dial(public)
        await req.asend(b"?")
        assert await req.arecv(timeout=5) == b"The answer is 42"
        discovery.close()

    on_real_sockets(story)


def test_a_service_that_cannot_be_found_is_refused() -> None:
    async def story(stage: Stage) -> None:
        host = stage.world.host("here")
        with pytest.raises(OptionError, match="say with public="):
            await serve(host, "answer", answer, listen="tcp://*:0", directory=stage.address("surveys"))
        with pytest.raises(OptionError, match="workers = 0 is out of range"):
            await serve(host, "answer", answer, listen="tcp://127.0.0.1:0", directory="tcp://a:1", workers=0)
        discovery = ServiceDiscovery(host, settings(stage))
        with pytest.raises(OptionError, match="sites = 'london' is one text"):
            discovery.resolve("answer", "nearest", sites="london")
        discovery.close()

    on_real_sockets(story)


def test_whoever_is_told_of_a_change_may_ask() -> None:
    async def story(stage: Stage) -> None:
        here = stage.world.host("here")
        gone: list[Change] = []

        def note(change: Change) -> None:
            if change.what == "went":
                gone.append(change)
                with contextlib.suppress(LookupError):
                    discovery.resolve("answer")

        discovery = ServiceDiscovery(here, settings(stage), on_change=note)
        for number in range(1_000):
            discovery.directory.handle_answer(stage.world.now, Offer("answer", f"tcp://10.0.0.1:{number + 1}").answer())
        await discovery.discover()
        await stage.world.sleep(1)
        await discovery.discover()
        assert [change.number for change in gone] == list(range(1_001, 2_001))

    in_virtual_time(story)


def test_whoever_asks_and_does_not_read_the_replies_holds_up_nobody() -> None:
    """It asks the daemon over and over, as no socket would: what SP has on the wire, by hand."""

    async def story(stage: Stage) -> None:
        chosen = settings(stage)
        here = stage.world.host("daemon")
        daemon = Daemon(here, chosen)
        for number in range(1_000):
            daemon.discovery.directory.handle_answer(
                stage.world.now + 60, Offer("answer", f"tcp://10.0.{number // 250}.{number % 250}:1").answer()
            )

        async def run() -> None:
            with contextlib.suppress(Closed):
                await daemon.run()

        here.spawn(run())
        name, _, port = daemon.queries.removeprefix("tcp://").rpartition(":")
        question = b'{"ask": "list"}'
        with socket.create_connection((name, int(port))) as rude:
            rude.sendall(b"\0SP\0" + (48).to_bytes(2) + bytes(2))
            rude.setblocking(False)
            # Some 60 KB for each reply: more than the kernel and the queue hold.
            asked = b"".join(
                (len(question) + 4).to_bytes(8) + (2**31 + number).to_bytes(4) + question for number in range(2_000)
            )
            while asked:
                with contextlib.suppress(BlockingIOError):
                    asked = asked[rude.send(asked) :]
                await stage.world.sleep(0.01)
            client = DirectoryClient(stage.world.host("client"), chosen, timeout=5)
            began = stage.world.now
            assert len(await client.list()) == 1_000
            assert stage.world.now - began < 5
            client.close()
        daemon.close()

    on_real_sockets(story)


@pytest.mark.interop
def test_nanocat_registers_a_service() -> None:
    async def story(stage: Stage) -> None:
        chosen = settings(stage)
        discovery = ServiceDiscovery(stage.world.host("here"), chosen)
        offer = Offer("answer", "tcp://10.0.0.1:1", "london")
        command = ["nanocat", "--respondent", "--connect", chosen.surveys, "--data", offer.answer().decode()]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            for _ in range(100):
                if await discovery.discover():
                    break
            assert discovery.resolve("answer") == offer
        finally:
            process.kill()
            process.wait()
        discovery.close()

    on_real_sockets(story)
