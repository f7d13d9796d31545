"""What a socket shares with its process: names that are looked up, forks, signals, the interpreter's end."""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

SLOW_NAMES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (name && strstr(name, "slow")) {
        sleep(3);
        return EAI_AGAIN;
    }
    return next(name, service, hints, found);
}
"""


@pytest.fixture(scope="module")
def slow_names(tmp_path_factory):
    """An environment in which a name with "slow" in it takes three seconds to be looked up, and has no address."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler to make a slow name server with")
    folder = tmp_path_factory.mktemp("names")
    (folder / "slow.c").write_text(SLOW_NAMES)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "slow.so", "slow.c", "-ldl"], cwd=folder, check=True)
    return os.environ | {"LD_PRELOAD": str(folder / "slow.so")}


def test_a_slow_name_holds_up_nobody(slow_names):
    done = _run(
        """
        import time
        from workbench.engine import Rep, Req, TimedOut

        def within(limit, what, call):
            start = time.monotonic()
            result = call()
            assert time.monotonic() - start < limit, f"{what} took {time.monotonic() - start} s"
            return result

        rep = Rep(listen="tcp://127.0.0.1:0")
        req = within(1, "dial", lambda: Req(dial="tcp://slow.example:5555"))
        within(1, "stats", req.stats)
        try:
            req.send(b"q")
            within(1, "recv", lambda: req.recv(0.1))
        except TimedOut as error:
            assert "a name is being looked up" in str(error), error
        req.dial(rep.addresses[0])
        assert rep.recv(1) == b"q"
        rep.send(b"a")
        assert within(1, "the other way", lambda: req.recv(1)) == b"a"
        within(1, "close", req.close)
        """,
        env=slow_names,
    )
    assert done.returncode == 0, done.stderr


def test_a_name_without_an_address_is_named_in_the_error(slow_names):
    done = _run(
        """
        from workbench.engine import Push, TimedOut

        push = Push(dial="tcp://slow.example:5555")
        try:
            push.send(b"m", timeout=5)
        except TimedOut as error:
            print(error)
        """,
        env=slow_names,
    )
    assert "the last attempt failed: tcp://slow.example:5555: " in done.stdout, done.stdout + done.stderr


def test_a_name_is_looked_up_and_all_its_addresses_are_tried():
    done = _run(
        """
        from workbench.engine import Rep, Req

        # The name may stand for an IPv6 address, too, where nobody listens.
        with Rep(listen="tcp://127.0.0.1:0") as rep, Req() as req:
            req.dial("tcp://localhost:" + rep.addresses[0].rsplit(":", 1)[1])
            req.send(b"q")
            assert rep.recv(10) == b"q"
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_forked_child_gets_a_clear_error_and_can_make_sockets_of_its_own():
    done = _run(
        """
        import os
        from workbench.engine import ForkedError, Rep, Req

        with Rep(listen="tcp://127.0.0.1:0") as rep, Req(dial=rep.addresses[0]) as req:
            req.send(b"1")
            assert rep.recv(10) == b"1"
            child = os.fork()
            if child == 0:
                for call in (req.recv, req.stats, req.peers, lambda: req.send(b"x"), lambda: req.dial("inproc://x")):
                    try:
                        call()
                    except ForkedError as error:
                        assert f"process {os.getppid()}" in str(error), error
                    else:
                        os._exit(1)
                req.close()
                del req, rep
                with Rep(listen="tcp://127.0.0.1:0") as mine, Req(dial=mine.addresses[0]) as asking:
                    asking.send(b"2")
                    assert mine.recv(10) == b"2"
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            # The child has ended with copies of everything; nothing of it is missing here.
            rep.send(b"3")
            assert req.recv(10) == b"3"
            req.send(b"4")
            assert rep.recv(10) == b"4"
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_peer_notices_a_close_although_a_child_holds_the_descriptor():
    done = _run(
        """
        import os, signal, time
        from workbench.engine import Pull, Push

        with Pull(listen="tcp://127.0.0.1:0") as pull:
            push = Push(dial=pull.addresses[0])
            push.send(b"m")
            assert pull.recv(10) == b"m"
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            try:
                push.close()
                deadline = time.monotonic() + 10
                while pull.peers():
                    assert time.monotonic() < deadline, "the peer is still there"
                    time.sleep(0.001)
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        """
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("repetitions", [50, pytest.param(1_000, marks=pytest.mark.slow)])
def test_forks_in_the_middle_of_traffic_neither_hang_nor_crash(repetitions):
    done = _run(
        f"""
        import os, threading
        from workbench.engine import Closed, Pull, Push

        pull = Pull(listen="tcp://127.0.0.1:0")
        push = Push(dial=pull.addresses[0])

        def send():
            try:
                while True:
                    push.send(b"m")
            except Closed:
                pass

        def receive():
            try:
                while True:
                    pull.recv()
            except Closed:
                pass

        threads = [threading.Thread(target=work) for work in (send, receive)]
        for thread in threads:
            thread.start()
        for _ in range({repetitions}):
            child = os.fork()
            if child == 0:
                with Pull(listen="inproc://here") as own, Push(dial="inproc://here") as other:
                    other.send(b"mine")
                    os._exit(0 if own.recv(10) == b"mine" else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        push.close()
        pull.close()
        for thread in threads:
            thread.join()
        """,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


def test_a_signal_ends_a_close_that_waits():
    done = _run(
        """
        import os, signal, threading, time
        from workbench.engine import Pull, Push

        pull = Pull(listen="tcp://127.0.0.1:0", recv_queue=1)
        push = Push(dial=pull.addresses[0])
        try:
            while True:
                push.send(bytes(1 << 20), timeout=0.2)
        except TimeoutError:
            pass
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        start = time.monotonic()
        try:
            push.close(flush=30)
        except KeyboardInterrupt:
            print(time.monotonic() - start < 5, push.closed)
        """
    )
    assert done.stdout.split() == ["True", "True"], done.stdout + done.stderr


def test_a_storm_of_signals_loses_nothing_and_ends_no_call():
    done = _run(
        """
        import signal
        from workbench.engine import Pull, Push, Rep, Req

        count = 0
        def handler(*_):
            global count
            count += 1
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        with Rep(listen="tcp://127.0.0.1:0") as rep, Req(dial=rep.addresses[0]) as req:
            for number in range(1_000):
                req.send(b"%d" % number)
                rep.send(rep.recv(10))
                assert req.recv(10) == b"%d" % number
        with Pull(listen="tcp://127.0.0.1:0", recv_queue=4) as pull, Push(dial=pull.addresses[0], send_queue=4) as push:
            sent = 0
            while count < 300:
                try:
                    push.send(sent.to_bytes(8) + bytes(65_536), timeout=0.01)
                    sent += 1
                except TimeoutError:
                    pass
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert [int.from_bytes(pull.recv(10)[:8]) for _ in range(sent)] == list(range(sent))
        print(sent > 0, count >= 300)
        """
    )
    assert done.stdout.split() == ["True", "True"], done.stdout + done.stderr


def test_a_file_is_private_whatever_the_umask(tmp_path):
    done = _run(
        f"""
        import os
        from workbench.engine import Pull

        os.umask(0)
        with Pull(listen="ipc://{tmp_path}/door"):
            print(oct(os.stat("{tmp_path}/door").st_mode & 0o777), len(os.listdir("{tmp_path}")))
        """
    )
    assert done.stdout.split() == ["0o600", "1"], done.stdout + done.stderr


def _run(script, timeout=60, **options):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)
