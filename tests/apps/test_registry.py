"""etcd and ZooKeeper as directories, against their real servers."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from worlds import Stage, on_real_sockets

from workbench.apps.discovery import Etcd, Offer, Registry, RegistryError, ZooKeeper
from workbench.apps.zinc import Endpoint

ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")
Connect = Callable[[], Registry]


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(params=["etcd", "zookeeper"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connect]:
    """A server of its own, and how to reach it."""
    port, other = free_ports(2)
    make: Connect
    if request.param == "etcd":
        if shutil.which("etcd") is None:
            pytest.skip("etcd is not installed (on Debian: apt-get install etcd-server)")
        here, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}"
        command = ["etcd", "--data-dir", str(tmp_path), "--listen-client-urls", here, "--advertise-client-urls", here]
        command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
        command += ["--initial-cluster", f"default={peers}", "--logger", "zap"]

        def make() -> Registry:
            return Etcd(here, forget_after=2)
    else:
        pytest.importorskip("kazoo")
        if not ZOOKEEPER.exists() or shutil.which("java") is None:
            pytest.skip("ZooKeeper is not installed (on Debian: apt-get install zookeeper)")
        settings = tmp_path / "zoo.cfg"
        settings.write_text(
            f"tickTime=500\ndataDir={tmp_path}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\n"
        )
        command = ["java", "-cp", str(ZOOKEEPER), "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(settings)]

        def make() -> Registry:
            return ZooKeeper(f"127.0.0.1:{port}", forget_after=2, timeout=2)

    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(60):
            try:
                make().close()
                break
            except RegistryError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.5)
        yield make
    finally:
        server.kill()
        server.wait()
        log.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_is_registered_is_found_until_its_owner_goes(connect: Connect) -> None:
    one, other = connect(), connect()
    assert one.offers("board") == ()
    first, second = Offer("board", "tcp://10.0.0.1:1/x", "london"), Offer("board", "tcp://10.0.0.2:1")
    one.register(first)
    one.register(first)
    other.register(second)
    other.register(Offer("boards", "tcp://10.0.0.3:1"))
    assert one.offers("board") == other.offers("board") == (first, second)
    one.withdraw(first)
    one.withdraw(first)
    assert other.offers("board") == (second,)
    one.register(first)
    one.renew()
    one.close()
    assert other.offers("board") == (second,)
    other.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_cluster_is_joined_by_way_of_it(connect: Connect) -> None:
    async def story(stage: Stage) -> None:
        registry = connect()
        root = Endpoint(stage.world.host("root"), listen="tcp://127.0.0.1:0", heartbeat=0.1, deadline=0.5)
        registry.register(Offer("board", root.door))
        doors = [offer.address for offer in registry.offers("board")]
        late = Endpoint(stage.world.host("late"), join=doors, heartbeat=0.1, deadline=0.5)
        await stage.until("it has joined", lambda: late.is_connected)
        registry.close()

    on_real_sockets(story)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("connect", ["etcd"], indirect=True)
def test_etcd_forgets_whoever_is_silent(connect: Connect) -> None:
    silent, other = connect(), connect()
    silent.register(Offer("board", "tcp://10.0.0.1:1"))
    began = time.monotonic()
    while other.offers("board"):
        assert time.monotonic() - began < 20
        other.renew()
        time.sleep(0.2)
    with pytest.raises(RegistryError, match="too late"):
        silent.renew()
    other.close()


def test_a_server_that_is_not_there_is_said() -> None:
    (port,) = free_ports(1)
    with pytest.raises(RegistryError, match="does not answer"):
        Etcd(f"http://127.0.0.1:{port}")
