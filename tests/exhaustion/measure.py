"""How three libraries stand up to peers that waste, stall or lie: the same attacks on ours, libzmq and NNG.

usage: python tests/exhaustion/measure.py [--quick] [ROW ...]

Prints a Markdown table. Each row attacks a fresh process, over loopback, from this one.
"""

import argparse
import contextlib
import os
import re
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

LIBRARIES = ["ours", "zeromq", "nng"]
FOLDER = Path(__file__).parent
SP_PUSH = bytes.fromhex("0053500000500000")
ZMTP_GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
ZMTP_READY = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"
FOREVER = 60.0
"""How long something may stay open before we give up."""


class Victim:
    """A process under attack."""

    def __init__(self, library: str, pattern: str = "pull", address: str = "tcp://127.0.0.1:0") -> None:
        command = [sys.executable, str(FOLDER / "victim.py"), library, pattern, address]
        self.library = library
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self._line()
        port = re.search(r":(\d+)(/.*)?$", self.address)
        self.port = int(port[1]) if port else 0

    def ask(self, question: str) -> str:
        """Ask, and wait for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self._line()

    def usage(self) -> tuple[int, int, float]:
        """Resident and virtual bytes, processor seconds."""
        resident, virtual, seconds = self.ask("usage").split()
        return int(resident), int(virtual), float(seconds)

    def connect(self) -> socket.socket:
        """A connection that has said nothing."""
        return socket.create_connection(("127.0.0.1", self.port))

    def greet(self, one: socket.socket) -> None:
        """Say what a PUSH of its library says first."""
        one.sendall(SP_PUSH if self.library != "zeromq" else ZMTP_GREETING + ZMTP_READY)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def idle_peers(library: str, count: int) -> str:
    """Memory for each of many idle peers, what is kept of it, and the processor's time for each."""
    with Victim(library) as victim:
        victim.ask("serve")
        warm_up = [victim.connect() for _ in range(10)]
        for one in warm_up:
            victim.greet(one)
        time.sleep(0.5)
        before = victim.usage()
        peers = []
        for _ in range(count):
            one = victim.connect()
            victim.greet(one)
            peers.append(one)
        settle(victim)
        there = victim.usage()
        for one in peers:
            one.close()
        settle(victim)
        time.sleep(3)
        after = victim.usage()
    each = (there[0] - before[0]) / count / 1024
    kept = (after[0] - before[0]) / (1 << 20)
    return f"{each:.1f} KiB each, {kept:.1f} MiB kept, {(there[2] - before[2]) / count * 1e6:.0f} µs each"


def silent_connections(library: str, count: int) -> str:
    """Memory for each connection that says nothing, and how many stay open."""
    with Victim(library) as victim:
        time.sleep(0.3)
        before = victim.usage()
        silent = [victim.connect() for _ in range(count)]
        settle(victim)
        there = victim.usage()
        held = int(victim.ask("descriptors"))
        for one in silent:
            one.close()
    return f"{(there[0] - before[0]) / count / 1024:.2f} KiB each, {held} descriptors"


def stalled(library: str, drip: bool, words: bytes = b"", scheme: str = "tcp") -> str:
    """How long a handshake that never ends may take."""
    if scheme == "ws" and library == "zeromq":
        return "no ws in its wheel"
    address = "tcp://127.0.0.1:0" if scheme == "tcp" else f"ws://127.0.0.1:{free_port()}/x"
    with Victim(library, address=address) as victim:
        port = victim.port or int(address.split(":")[2].split("/")[0])
        one = socket.create_connection(("127.0.0.1", port))
        one.setblocking(False)
        begun = time.monotonic()
        if words:
            one.sendall(words)
        greeting = SP_PUSH if library != "zeromq" else ZMTP_GREETING
        sent, last = 0, begun
        while (passed := time.monotonic() - begun) < FOREVER:
            if drip and sent < len(greeting) - 1 and time.monotonic() - last >= 6 * (sent > 0):
                last = time.monotonic()
                try:
                    one.sendall(greeting[sent : sent + 1])
                except OSError:
                    return f"{passed:.1f} s"
                sent += 1
            if select.select([one], [], [], 0.1)[0]:
                try:
                    if not one.recv(4096):
                        return f"{passed:.1f} s"
                except OSError:
                    return f"{passed:.1f} s"
    return f"> {FOREVER:.0f} s"


def lying_headers(library: str) -> str:
    """What is reserved for eight messages of 256 MiB of which only the header comes."""
    with Victim(library) as victim:
        liars = [victim.connect() for _ in range(8)]
        for one in liars:
            victim.greet(one)
        time.sleep(0.5)
        before = victim.usage()
        size = (256 << 20).to_bytes(8, "big")
        for one in liars:
            with contextlib.suppress(OSError):
                one.sendall(size if library != "zeromq" else b"\x02" + size)
        time.sleep(0.5)
        after = victim.usage()
    return f"{(after[1] - before[1]) / (1 << 20):+.1f} MiB virtual"


def no_descriptors(library: str) -> str:
    """Processor time while there is no descriptor for one more connection, and how soon it goes on."""
    with Victim(library) as victim:
        one = victim.connect()
        victim.greet(one)
        time.sleep(0.3)
        victim.ask(f"limit {int(victim.ask('descriptors')) + 1}")
        waiting = [victim.connect() for _ in range(8)]
        time.sleep(0.3)
        before = victim.usage()[2]
        time.sleep(2)
        busy = (victim.usage()[2] - before) / 2
        victim.ask(f"limit {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}")
        begun = time.monotonic()
        last = waiting[-1]
        last.settimeout(5)
        victim.greet(last)
        try:
            last.recv(1)
            recovered = f"{time.monotonic() - begun:.2f} s"
        except OSError:
            recovered = "> 5 s"
    return f"{100 * busy:.0f} % busy, goes on after {recovered}"


def churn(library: str, count: int, serves: bool) -> str:
    """What is left of many peers that came and went."""
    with Victim(library) as victim:
        if serves:
            victim.ask("serve")
        before = 0
        for number in range(count):
            one = victim.connect()
            victim.greet(one)
            one.recv(8)
            one.close()
            if number == 1_000:
                settle(victim)
                before = victim.usage()[0]
        settle(victim)
        after = victim.usage()[0]
    return f"{(after - before) / (1 << 20):+.2f} MiB"


def garbage(library: str) -> str:
    """Of six kinds of first bytes that make no sense, how many are hung up on within 0.1 s."""
    kinds = {
        "GET": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(range(200)),
        "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
        "random": bytes((17 * place * place + 31 * place + 201) % 256 for place in range(64)),
        "the other": ZMTP_GREETING if library != "zeromq" else SP_PUSH,
    }
    closed = []
    with Victim(library) as victim:
        for name, words in kinds.items():
            one = victim.connect()
            one.settimeout(0.1)
            try:
                one.sendall(words)
                while one.recv(4096):
                    pass
                closed.append(name)
            except TimeoutError:
                pass
            except OSError:
                closed.append(name)
    missing = [name for name in kinds if name not in closed]
    return f"{len(closed)} of {len(kinds)}" + (f" (not {', '.join(missing)})" if missing else "")


def interrupt(library: str) -> str:
    """How soon Ctrl-C ends a receive that waits; the median of five."""
    opening = {
        "ours": "from workbench.engine import Pull; s = Pull(listen='tcp://127.0.0.1:0')",
        "zeromq": "import zmq; s = zmq.Context().socket(zmq.PULL); s.bind('tcp://127.0.0.1:*')",
        "nng": "import pynng; s = pynng.Pull0(listen='tcp://127.0.0.1:0')",
    }[library]
    waiting = "print('ready', flush=True)\ntry:\n    s.recv()\nexcept KeyboardInterrupt:\n    import os; os._exit(7)"
    script = f"{opening}\n{waiting}"
    times = []
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "> 5 s"
        times.append(time.monotonic() - begun)
    return f"{1e3 * statistics.median(times):.0f} ms"


def fork(library: str) -> str:
    """What a child can do with the parent's socket, and with one of its own."""
    names = {
        "ours": (
            "from workbench.engine import Pull, Push",
            "Pull(listen='tcp://127.0.0.1:0')",
            "s.recv(timeout=0.2)",
            "a = Pull(listen='tcp://127.0.0.1:0'); b = Push(dial=a.addresses[0]); b.send(b'm'); a.recv(timeout=3)",
        ),
        "zeromq": (
            "import zmq; c = zmq.Context()",
            "c.socket(zmq.PULL); s.bind('tcp://127.0.0.1:*')",
            "s.poll(200)",
            (
                "d = zmq.Context(); a = d.socket(zmq.PULL); a.bind('tcp://127.0.0.1:*'); b = d.socket(zmq.PUSH); "
                "b.connect(a.getsockopt_string(zmq.LAST_ENDPOINT)); b.send(b'm'); assert a.poll(3000); a.recv()"
            ),
        ),
        "nng": (
            "import pynng",
            "pynng.Pull0(listen='tcp://127.0.0.1:0', recv_timeout=200)",
            "s.recv()",
            (
                "a = pynng.Pull0(listen='inproc://x', recv_timeout=3000); b = pynng.Push0(dial='inproc://x'); "
                "b.send(b'm'); a.recv()"
            ),
        ),
    }[library]
    outcomes = []
    for work in names[2:]:
        script = (
            f"import os, signal\n{names[0]}\ns = {names[1]}\nchild = os.fork()\nif child == 0:\n    signal.alarm(6)\n"
            f"    try:\n        {work}\n        os._exit(0)\n    except Exception as error:\n"
            "        print(type(error).__name__, flush=True)\n        os._exit(3)\n"
            "print(os.waitpid(child, 0)[1], flush=True)\nos._exit(0)"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=20, check=False
        )
        words = done.stdout.split()
        status = int(words[-1]) if words and words[-1].isdigit() else -1
        if os.WIFSIGNALED(status):
            outcome = "hangs" if os.WTERMSIG(status) == signal.SIGALRM else "crashes"
        elif os.WEXITSTATUS(status) == 0:
            outcome = "works"
        else:
            outcome = words[0]
        outcomes.append(outcome)
    return f"its parent's: {outcomes[0]}; its own: {outcomes[1]}"


def subscriptions(library: str, count: int) -> str:
    """Memory and time for each of many subscriptions of 16 random bytes."""
    opening = {
        "ours": "from workbench.engine import Sub; s = Sub(max_subscriptions=10**7, max_subscription_bytes=10**9); "
        "add = s.subscribe",
        "zeromq": "import zmq; s = zmq.Context().socket(zmq.SUB); add = lambda t: s.setsockopt(zmq.SUBSCRIBE, t)",
        "nng": "import pynng; s = pynng.Sub0(); add = s.subscribe",
    }[library]
    script = (
        f"import random, time\n{opening}\nr = random.Random(1)\ntopics = [r.randbytes(16) for _ in range({count})]\n"
        "def rss():\n    return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "before = rss()\nbegun = time.process_time()\nfor topic in topics:\n    add(topic)\n"
        "print(rss() - before, time.process_time() - begun)\nimport os; os._exit(0)"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=FOREVER, check=True
        )
    except subprocess.TimeoutExpired:
        return f"> {FOREVER:.0f} s"
    size, seconds = done.stdout.split()
    return f"{int(size) / count:.0f} B each, {float(seconds):.2f} s"


def settle(victim: Victim) -> None:
    """Wait until the victim has no more to do."""
    used = victim.usage()[2]
    while True:
        time.sleep(0.5)
        now = victim.usage()[2]
        if now - used < 0.02:
            return
        used = now


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


UPGRADE = b"GET /x HTTP/1.1\r\nHost: x\r\n"


def rows(quick: bool) -> dict[str, tuple[str, Callable[[str], str]]]:
    """Every attack by name: what it is called in the table, and how it is done."""
    tenth = 10 if quick else 1
    return {
        "idle": (f"{10_000 // tenth:,} idle peers", lambda one: idle_peers(one, 10_000 // tenth)),
        "silent": ("2,000 silent connections", lambda one: silent_connections(one, 2_000)),
        "stall": ("a silent handshake is ended after", lambda one: stalled(one, drip=False)),
        "drip": ("one of a byte every 6 s after", lambda one: stalled(one, drip=True)),
        "upgrade": (
            "an unfinished WebSocket request after",
            lambda one: stalled(one, drip=False, words=UPGRADE, scheme="ws"),
        ),
        "headers": ("8 headers of 256 MiB without body", lying_headers),
        "descriptors": ("no descriptors left", no_descriptors),
        "subscriptions": (
            f"{200_000 // tenth:,} subscriptions of 16 B",
            lambda one: subscriptions(one, 200_000 // tenth),
        ),
        "churn": ("9,000 peers come and go while it receives", lambda one: churn(one, 9_000 // tenth + 1_001, True)),
        "churn-idle": ("3,000 while it does nothing", lambda one: churn(one, 3_000 // tenth + 1_001, False)),
        "garbage": ("garbage hung up on within 0.1 s", garbage),
        "interrupt": ("Ctrl-C ends a receive within", interrupt),
        "fork": ("a forked child uses a socket", fork),
    }


def main() -> None:
    """Attack, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of the peers")
    parser.add_argument("row", nargs="*", help="only these rows")
    chosen = parser.parse_args()
    print("| | " + " | ".join(LIBRARIES) + " |")
    print("|---" * (len(LIBRARIES) + 1) + "|")
    for name, (title, attack) in rows(chosen.quick).items():
        if not chosen.row or name in chosen.row:
            cells = [attack(library) for library in LIBRARIES]
            print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
