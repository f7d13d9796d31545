"""`workbench cat`, against itself and against nanocat and nngcat. Who dials may start first: nothing waits for time."""

import ast
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.cat import FORMATS

PATIENCE = 30.0
HERE = "ipc://./here"
ALL_BYTES = bytes(range(256))
BIND, CONNECT = "--bind", "--connect"


class Cats:
    """Starts cats of all breeds in a folder of their own, and ends what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, tool: str = "workbench", stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start one; foreign ones write unbuffered."""
        ours = [sys.executable, "-m", "workbench", "cat"]
        process = subprocess.Popen(
            [*(ours if tool == "workbench" else ["stdbuf", "-o0", tool]), *words],
            cwd=self.folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def call(self, *words: str, given: bytes = b"") -> tuple[int, bytes, str]:
        """Run one to its end: its exit code, what it printed, what it said."""
        return ended(self.start(*words, stdin=subprocess.PIPE), given)

    def close(self) -> None:
        """Kill what a test has left."""
        for process in self.started:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[bytes], given: bytes | None = None) -> tuple[int, bytes, str]:
    out, err = process.communicate(given, timeout=PATIENCE)
    return process.returncode, out, err.decode()


def told(process: subprocess.Popen[bytes], beginning: str) -> str:
    """The rest of the line on standard error that begins so."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.decode().startswith(beginning):
            return line.decode().removeprefix(beginning).strip()
    raise AssertionError(f"no line begins with {beginning}")


def printed(process: subprocess.Popen[bytes], size: int) -> bytes:
    """The next bytes that it prints."""
    assert process.stdout is not None
    return process.stdout.read(size)


@pytest.fixture
def cats(tmp_path: Path) -> Iterator[Cats]:
    made = Cats(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["nanocat", "nngcat"])
def foreign(request: Any) -> str:
    package = {"nanocat": "nanomsg-utils", "nngcat": "nng-utils"}[request.param]
    if shutil.which(request.param) is None or shutil.which("stdbuf") is None:
        pytest.skip(f"{request.param} is not installed (Debian: apt-get install {package})")
    return str(request.param)


# What comes out is what went in.


@given(st.binary(max_size=300))
def test_quoted_and_hex_say_all_of_a_message_in_one_line(message: bytes) -> None:
    for name in ("quoted", "hex"):
        text = FORMATS[name](message)
        assert text.index(b"\n") == len(text) - 1
        assert ast.literal_eval(f"b{text.decode('ascii')}") == message


@given(st.binary(max_size=300))
def test_ascii_is_one_line_that_is_safe_for_a_terminal(message: bytes) -> None:
    text = FORMATS["ascii"](message)
    assert len(text) == len(message) + 1
    assert all(
        shown == real if 0x20 <= real < 0x7F else shown == ord(".") for shown, real in zip(text, message, strict=False)
    )


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536, 1 << 20])
def test_msgpack_has_the_shortest_header(size: int) -> None:
    text = FORMATS["msgpack"](b"x" * size)
    width = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}[text[0]]
    (told_size,) = struct.unpack_from(width, text, 1)
    assert (told_size, text[1 + struct.calcsize(width) :]) == (size, b"x" * size)
    assert size >= {">B": 0, ">H": 1 << 8, ">I": 1 << 16}[width]


@pytest.mark.parametrize("name", list(FORMATS))
def test_formats_are_written_as_they_are(cats: Cats, name: str) -> None:
    (cats.folder / "all").write_bytes(ALL_BYTES)
    pull = cats.start("--pull", BIND, HERE, f"--{name}", "--count", "2")
    assert cats.call("--push", CONNECT, HERE, "--file", "all", "--count", "2") == (0, b"", "")
    assert ended(pull) == (0, FORMATS[name](ALL_BYTES) * 2, "")


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.parametrize("name", ["raw", "hex", "msgpack", "ascii", "quoted"])
def test_formats_are_theirs(cats: Cats, foreign: str, name: str) -> None:
    # nngcat's ascii does not end the line, and its quotes do not protect themselves.
    message = ALL_BYTES if name != "quoted" else ALL_BYTES.replace(b'"', b"").replace(b"\t", b"")
    ours = FORMATS[name](message)
    if (foreign, name) == ("nngcat", "ascii"):
        ours = ours.removesuffix(b"\n")
    (cats.folder / "message").write_bytes(message)
    pull = cats.start("--pull", BIND, HERE, f"--{name}", tool=foreign)
    # nanocat forgets what has come when we are gone, so we stay.
    cats.start("--push", CONNECT, HERE, "--file", "message", "--interval", "1")
    assert printed(pull, len(ours)) == ours


# Every role.


def test_push_to_pull_line_by_line(cats: Cats) -> None:
    pull = cats.start("--pull", CONNECT, HERE, "--count", "4")
    assert cats.call("--push", BIND, HERE, "--lines", given=b"one\n\nthree\r\nfour") == (0, b"", "")
    assert ended(pull) == (0, b'"one"\n""\n"three\\r"\n"four"\n', "")


def test_a_line_is_sent_when_it_is_there(cats: Cats) -> None:
    pull = cats.start("--pull", CONNECT, HERE)
    push = cats.start("--push", BIND, HERE, "--lines", stdin=subprocess.PIPE)
    assert push.stdin is not None
    for word in (b"one", b"two"):
        push.stdin.write(word + b"\n")
        push.stdin.flush()
        assert printed(pull, 6) == b'"%s"\n' % word


def test_standard_input_is_one_message(cats: Cats) -> None:
    pull = cats.start("--pull", CONNECT, HERE, "--raw", "--count", "1")
    assert cats.call("--push", BIND, HERE, given=ALL_BYTES * 1_000) == (0, b"", "")
    assert ended(pull) == (0, ALL_BYTES * 1_000, "")


def test_req_and_rep(cats: Cats) -> None:
    rep = cats.start("--rep", BIND, HERE, "--data", "42", "--count", "3")
    assert cats.call("--req", CONNECT, HERE, "--lines", "--raw", given=b"a\nb\nc\n") == (0, b"424242", "")
    assert ended(rep) == (0, b'"a"\n"b"\n"c"\n', "")


def test_rep_answers_line_by_line_until_there_are_no_more(cats: Cats) -> None:
    (cats.folder / "answers").write_bytes(b"1\n2\n")
    rep = cats.start("--rep", BIND, HERE, "--file", "answers", "--lines")
    assert cats.call("--req", CONNECT, HERE, "--data", "?", "--count", "2")[:2] == (0, b'"1"\n"2"\n')
    assert cats.call("--req", CONNECT, HERE, "--data", "?", "--recv-timeout", "0.3")[0] == 1
    assert ended(rep)[0] == 0


def test_a_single_publication_reaches_who_comes_later(cats: Cats) -> None:
    pub = cats.start("--pub", BIND, HERE, "--data", "news", "--verbose")
    told(pub, "listening: ")
    assert cats.call("--sub", CONNECT, HERE, "--count", "1") == (0, b'"news"\n', "")
    assert ended(pub)[0] == 0


def test_publications_wait_for_as_many_peers_as_are_asked_for(cats: Cats) -> None:
    subs = [cats.start("--sub", CONNECT, HERE, "--count", "1") for _ in range(2)]
    assert cats.call("--pub", BIND, HERE, "--data", "news", "--peers", "2") == (0, b"", "")
    assert [ended(sub) for sub in subs] == [(0, b'"news"\n', "")] * 2


def test_sub_receives_what_it_has_subscribed_to(cats: Cats) -> None:
    sub = cats.start("--sub", CONNECT, HERE, "--subscribe", "a", "--subscribe", "c", "--count", "2")
    assert cats.call("--pub", BIND, HERE, "--lines", given=b"a1\nb2\nc3\n") == (0, b"", "")
    assert ended(sub) == (0, b'"a1"\n"c3"\n', "")


def test_a_slow_subscriber_misses_nothing(cats: Cats) -> None:
    """Many more messages than the queues hold."""
    lines = b"".join(b"%d\n" % number for number in range(20_000))
    sub = cats.start("--sub", CONNECT, HERE, "--count", "20000", "--ascii")
    (cats.folder / "lines").write_bytes(lines)
    pub = cats.start("--pub", BIND, HERE, "--lines", "--file", "lines")
    assert ended(sub) == (0, lines, "")
    assert ended(pub) == (0, b"", "")


def test_a_survey_gets_all_answers(cats: Cats) -> None:
    answering = [cats.start("--respondent", CONNECT, HERE, "--data", who, "--count", "1") for who in "ab"]
    code, out, err = cats.call("--surveyor", BIND, HERE, "--data", "who?", "--peers", "2", "--deadline", "3")
    assert (code, sorted(out.split()), err) == (0, [b'"a"', b'"b"'], "")
    assert [ended(one) for one in answering] == [(0, b'"who?"\n', "")] * 2


@pytest.mark.parametrize("role", ["--pair", "--pair1", "--bus"])
def test_both_ways(cats: Cats, role: str) -> None:
    listening = cats.start(role, BIND, HERE, "--lines", stdin=subprocess.PIPE)
    dialling = cats.start(role, CONNECT, HERE, "--lines", stdin=subprocess.PIPE)
    for speaker, hearer in ((listening, dialling), (dialling, listening), (listening, dialling)):
        assert speaker.stdin is not None
        speaker.stdin.write(b"hello\n")
        speaker.stdin.flush()
        assert printed(hearer, 8) == b'"hello"\n'


def test_pair_ends_after_its_last_message_or_with_silence(cats: Cats) -> None:
    hearing = cats.start("--pair", BIND, HERE, "--count", "2")
    assert cats.call("--pair", CONNECT, HERE, "--data", "x", "--count", "2") == (0, b"", "")
    assert ended(hearing) == (0, b'"x"\n"x"\n', "")
    speaking = cats.start("--pair", BIND, HERE, "--data", "y", "--recv-timeout", "2")
    assert cats.call("--pair", CONNECT, HERE, "--data", "z", "--recv-timeout", "2") == (0, b'"y"\n', "")
    assert ended(speaking) == (0, b'"z"\n', "")


# With others.

THEIRS = {
    "push": ("pull", "out"), "pull": ("push", "in"), "req": ("rep", "both"), "rep": ("req", "both"),
    "pub": ("sub", "out"), "sub": ("pub", "in"), "surveyor": ("respondent", "both"),
    "respondent": ("surveyor", "both"), "pair": ("pair", "both"), "bus": ("bus", "both"),
}  # fmt: skip


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.parametrize("role", list(THEIRS))
def test_messages_with_others(cats: Cats, foreign: str, role: str) -> None:
    theirs, way = THEIRS[role]
    # A survey or a publication is not repeated for who comes late, and a push by nngcat is lost if it ends at once.
    again = ("--interval", "1") if role in ("pull", "sub", "respondent", "bus") else ()
    say = ("--data", "theirs", *again) if way != "out" else ()
    version = "0" if (foreign, role) == ("nngcat", "pair") else ""
    shown = ("--hex",) if way != "in" else ()
    them = cats.start(f"--{theirs}{version}", BIND, HERE, *say, *shown, tool=foreign)
    # Some of them forget what has come when we are gone, so we stay.
    words = ["--data", "ours", *(("--interval", "1") if way == "out" else ())] if way != "in" else []
    us = cats.start(f"--{role}", CONNECT, HERE, *words)
    if way != "out":
        assert printed(us, 9) == b'"theirs"\n'
    if way != "in":
        assert printed(them, 19) == b'"\\x6f\\x75\\x72\\x73"\n'


# When, where, and what it says.


def test_the_first_priority_gets_everything(cats: Cats) -> None:
    pulls = [cats.start("--pull", BIND, f"ipc://./{name}", "--raw", "--recv-timeout", "20") for name in "ab"]
    words = (CONNECT, "ipc://./a", CONNECT, "ipc://./b", "--priority", "2", "--priority", "1")
    push = ("--push", *words, "--data", "x", "--count", "20", "--peers", "2")
    assert cats.call(*push) == (0, b"", "")
    assert printed(pulls[1], 20) == b"x" * 20
    pulls[0].send_signal(signal.SIGINT)
    assert ended(pulls[0]) == (130, b"", "interrupted\n")


def test_intervals_are_kept(cats: Cats) -> None:
    pull = cats.start("--pull", BIND, HERE, "--count", "3")
    times = os.times().elapsed
    assert (
        cats.call("--push", CONNECT, HERE, "--data", "x", "--interval", "0.2", "--count", "3", "--delay", "0.2")[0] == 0
    )
    assert os.times().elapsed - times >= 0.59
    assert ended(pull)[0] == 0


def test_a_port_is_an_address(cats: Cats) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    pull = cats.start("--pull", "-L", str(port), "--verbose", "--count", "1")
    assert told(pull, "listening: ") == f"tcp://127.0.0.1:{port}"
    assert cats.call("--push", "-l", str(port), "-D", "x") == (0, b"", "")
    assert ended(pull)[:2] == (0, b'"x"\n')


def test_verbose_tells_what_happens_to_connections(cats: Cats) -> None:
    push = cats.start("--push", CONNECT, HERE, "--data", "x", "--verbose")
    assert told(push, "dial failed: ") == f"{HERE}: No such file or directory (os error 2)"
    pull = cats.start("--pull", BIND, HERE, "--count", "1")
    assert told(push, "up: ").startswith(HERE)
    assert ended(pull)[0] == ended(push)[0] == 0


def test_stats_are_one_object_on_standard_error(cats: Cats) -> None:
    pull = cats.start("--pull", BIND, HERE, "--count", "2", "--stats")
    assert cats.call("--push", CONNECT, HERE, "--data", "four", "--count", "2")[0] == 0
    code, _, err = ended(pull)
    report = json.loads(err)
    assert code == 0
    assert (report["socket"]["received"], report["socket"]["received_bytes"]) == (2, 8)
    assert [one["address"] for one in report["endpoints"]] == [HERE]


def test_tls(cats: Cats) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (Debian: apt-get install openssl)")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=here", "-addext", "subjectAltName=DNS:here",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key", "-out", "cert"],
        cwd=cats.folder, capture_output=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    secret = ("--cert", "cert", "--key", "key")
    rep = cats.start("--rep", BIND, "tls+tcp://127.0.0.1:0", *secret, "--data", "42", "--verbose", "--count", "1")
    ask = ("--req", CONNECT, told(rep, "listening: "), "--data", "?", "--ca", "cert")
    code, _, err = cats.call(*ask, "--recv-timeout", "1", "--server-name", "there")
    assert code == 1
    assert "certificate" in err
    assert cats.call(*ask, "--server-name", "here") == (0, b'"42"\n', "")


def test_what_is_not_sent_is_counted(cats: Cats) -> None:
    """The peer greets and reads nothing."""
    (cats.folder / "much").write_bytes(bytes(16 << 20))
    with socket.create_server(("127.0.0.1", 0)) as server:
        push = cats.start("--push", "--dial", str(server.getsockname()[1]), "--file", "much", "--flush", "0.1")
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"\0SP\0\0\x51\0\0")
            assert ended(push) == (1, b"", "workbench cat: 1 message was not sent within 0.1 s\n")


def test_interruption(cats: Cats) -> None:
    for words in (("--pull",), ("--pair", "--lines"), ("--rep", "--data", "x"), ("--pub", "--data", "x")):
        cat = cats.start(*words, BIND, HERE, "--verbose", stdin=subprocess.PIPE)
        told(cat, "listening: ")
        os.killpg(cat.pid, signal.SIGINT)
        assert cat.wait(PATIENCE) == 130
        assert cat.stderr is not None
        assert cat.stderr.read() == b"interrupted\n"


def test_a_reader_who_goes_away(cats: Cats) -> None:
    pull = cats.start("--pull", BIND, HERE)
    push = cats.start("--push", CONNECT, HERE, "--data", "x", "--interval", "0.01")
    assert printed(pull, 4) == b'"x"\n'
    assert pull.stdout is not None
    assert pull.stderr is not None
    pull.stdout.close()
    assert pull.wait(PATIENCE) == 141
    assert pull.stderr.read() == b""
    assert push.poll() is None


NOBODY = "(no peer is connected)"
NEEDS = {
    "--data x": "--sub", "--file x": "--pull", "--lines": "--sub", "--interval 1": "--rep", "--delay 1": "--pull",
    "--peers 1": "--respondent", "--send-timeout 1": "--sub", "--recv-timeout 1": "--push", "--subscribe x": "--pull",
    "--deadline 1": "--req",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        *[
            (f"{role} --bind {HERE} {option}", 2, f"{option.split()[0]} means nothing to {role}, only to --")
            for option, role in NEEDS.items()
        ],
        (f"--bind {HERE}", 2, "say the role, one of --pair, --pair1, --bus"),
        (f"--bind {HERE} --req --rep", 2, "one role at a time; here are req and rep\n"),
        ("--pull", 2, "say where: --listen ADDRESS or --dial ADDRESS"),
        ("--pull --bind nowhere", 2, 'listen: address "nowhere": it needs a transport in front'),
        ("--pull --bind ./none/here", 2, "listen: ipc://./none/here: the folder of the file does not exist\n"),
        (f"--pull --bind {HERE} --raw --hex", 2, "one format at a time; here are hex and raw\n"),
        (f"--pull --bind {HERE} --format xml", 2, "there is no format 'xml'; there are quoted, ascii"),
        (f"--push --bind {HERE} --data x --file y", 2, "--data and --file do not go together"),
        (f"--push --bind {HERE} --data x --lines", 2, "--data and --lines do not go together"),
        (f"--push --bind {HERE} --file none", 2, "none cannot be read: No such file or directory\n"),
        (f"--push --bind {HERE} --file .", 2, ". cannot be read: Is a directory\n"),
        (f"--push --bind {HERE} --priority 1 --data x", 2, "--priority is given 1 times and --dial 0 times"),
        (f"--pull --bind {HERE} --ca x", 2, "no address uses TLS"),
        ("--pull --bind tls+tcp://127.0.0.1:0 --cert x --key y", 2, "x cannot be read: No such file or directory\n"),
        ("--pull --bind tls+tcp://127.0.0.1:0", 2, "listen: TLS: a listener needs a certificate and its key\n"),
        (f"--surveyor --bind {HERE} --data x --deadline 0", 2, "option survey_deadline"),
        (f"--push --bind {HERE} --data 1234 --max-message 3", 1, "has 4 bytes, more than max_message = 3\n"),
        (f"--push --bind {HERE} --data x --send-timeout 0", 1, "no peer could take the message in time"),
        (f"--pub --bind {HERE} --data x --send-timeout 0", 1, "0 of 1 peers came in time"),
        (f"--pull --bind {HERE} --recv-timeout 0.1", 1, f"nothing came within 0.1 s {NOBODY}\n"),
        (f"--pair --bind {HERE} --data x --send-timeout 0", 1, "no peer could take the message in time"),
        (f"--rep --bind {HERE} --data x --recv-timeout 0", 1, f"nothing came within 0 s {NOBODY}\n"),
        (f"--surveyor --bind {HERE} --data x --peers 0 --deadline 0.1", 1, "nobody answered before the deadline"),
        (f"--req --dial {HERE} --data x --recv-timeout 0.2", 1, f"{HERE}: No such file or directory"),
    ],
)
def test_errors_are_one_sentence(cats: Cats, words: str, code: int, said: str) -> None:
    ended_with, out, err = cats.call(*words.split())
    assert (ended_with, out) == (code, b"")
    assert err.startswith("workbench cat: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e9"])
def test_a_time_is_a_number_of_seconds(cats: Cats, text: str) -> None:
    code, out, err = cats.call("--pull", BIND, HERE, "--recv-timeout", text)
    assert (code, out) == (2, b"")
    assert "seconds from 0 to" in err
