"""`workbench cat`: send and receive from the shell."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workbench.engine import Event, Socket, Tls

_DROPPING = {"pub", "bus", "surveyor", "respondent"}
"""Roles that drop messages for a slow peer unless told otherwise; here nothing is to be lost."""
_MISSED = {"pub", "bus", "surveyor"}
"""Roles whose message is missed by a peer that is not there yet."""
_ANSWER = {"rep", "respondent"}
_SPEAK = {"pair", "pair1", "bus", "pub", "push", "req", "surveyor"}
_SPEAK_FIRST = {"pub", "push", "req", "surveyor"}
_FITTING: dict[str, set[str]] = {
    "--data": _SPEAK | _ANSWER,
    "--file": _SPEAK | _ANSWER,
    "--lines": _SPEAK | _ANSWER,
    "--interval": _SPEAK,
    "--delay": _SPEAK,
    "--peers": _SPEAK,
    "--send-timeout": _SPEAK | _ANSWER,
    "--recv-timeout": {"pair", "pair1", "bus", "sub", "pull", "req"} | _ANSWER,
    "--subscribe": {"sub"},
    "--deadline": {"surveyor"},
}
"""Which options mean something to which roles."""
_LONGEST = 864_000.0


def _seconds(text: str) -> float:
    """A time as it is typed."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= _LONGEST:
        raise typer.BadParameter(f"{text!r} is no number of seconds from 0 to {_LONGEST:,.0f}")
    return value


def _option(*names: str, panel: str, text: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=more.pop("show_default", False), **more)


def _role(*names: str, text: str) -> Any:
    return _option(*names, panel="Role: exactly one", text=text)


def _where(*names: str, text: str, metavar: str = "ADDRESS", **more: Any) -> Any:
    return _option(*names, panel="Where", text=text, metavar=metavar, **more)


def _input(*names: str, text: str, metavar: str | None = None, **more: Any) -> Any:
    return _option(*names, panel="What is sent", text=text, metavar=metavar, **more)


def _output(*names: str, text: str, metavar: str | None = None, **more: Any) -> Any:
    return _option(*names, panel="What is received", text=text, metavar=metavar, **more)


def _time(*names: str, text: str, **more: Any) -> Any:
    return _option(*names, panel="When", text=text, metavar="SECONDS", parser=_seconds, **more)


def _tls(*names: str, text: str, metavar: str = "FILE") -> Any:
    return _option(*names, panel="TLS", text=text, metavar=metavar)


def command(
    pair: Annotated[bool, _role("--pair", text="Speak with one peer, both ways.")] = False,
    pair1: Annotated[bool, _role("--pair1", text="The same in version 1, which only NNG knows.")] = False,
    bus: Annotated[bool, _role("--bus", text="Speak with all peers, both ways.")] = False,
    pub: Annotated[bool, _role("--pub", text="Publish to all --sub.")] = False,
    sub: Annotated[bool, _role("--sub", text="Receive what is published.")] = False,
    push: Annotated[bool, _role("--push", text="Hand out work, each message to one --pull.")] = False,
    pull: Annotated[bool, _role("--pull", text="Take in work.")] = False,
    req: Annotated[bool, _role("--req", text="Ask one --rep, print its reply.")] = False,
    rep: Annotated[bool, _role("--rep", text="Print requests; reply, if there is data.")] = False,
    surveyor: Annotated[bool, _role("--surveyor", text="Ask all --respondent, print their answers.")] = False,
    respondent: Annotated[bool, _role("--respondent", text="Print surveys; answer, if there is data.")] = False,
    listen: Annotated[
        list[str] | None,
        _where(
            "--listen",
            "--bind",
            "--bind-local",
            "--bind-ipc",
            "-L",
            "-X",
            text="Accept peers here: an address such as tcp://127.0.0.1:5555, tls+tcp://…, ws://…, wss://… or ipc://…; "
            "a port of this machine; or a path with a slash. May be repeated.",
        ),
    ] = None,
    dial: Annotated[
        list[str] | None,
        _where(
            "--dial",
            "--connect",
            "--connect-local",
            "--connect-ipc",
            "-l",
            "-x",
            text="Connect to this, and again whenever the connection is lost. May be repeated.",
        ),
    ] = None,
    priority: Annotated[
        list[int] | None,
        _where(
            "--priority",
            metavar="1-16",
            text="Of the first --dial, of the second, and so on: peers of the least number are sent to first. Else 8.",
            min=1,
            max=16,
        ),
    ] = None,
    data: Annotated[str | None, _input("--data", "-D", metavar="TEXT", text="Send this, or answer with it.")] = None,
    file: Annotated[
        str | None,
        _input("--file", "-F", metavar="PATH", text="The same with what is in this file; -: standard input."),
    ] = None,
    by_line: Annotated[
        bool, _input("--lines", text="Each line of the file or of standard input is a message of its own.")
    ] = False,
    count: Annotated[
        int | None,
        _input(
            "--count",
            "-C",
            metavar="N",
            min=1,
            text="End after so many messages sent, or by whoever sends none of its own, received.",
        ),
    ] = None,
    max_message: Annotated[
        int,
        _input(
            "--max-message",
            "--recv-maxsz",
            "-Z",
            metavar="BYTES",
            min=1,
            show_default=True,
            text="The largest message; a peer that announces a larger one loses its connection.",
        ),
    ] = 16_777_216,
    subscribe: Annotated[
        list[str] | None,
        _output(
            "--subscribe",
            metavar="PREFIX",
            text="Receive what begins with this; without any, everything. May be repeated.",
        ),
    ] = None,
    format_: Annotated[
        str | None,
        _output(
            "--format",
            metavar="FORMAT",
            text="quoted (if nothing else is said): in double quotes, with escapes; ascii: a dot for what is not "
            "printable; hex: in double quotes, as \\xNN; each of them one line for a message. raw: as it is, and "
            "nothing between messages; msgpack: as MessagePack's bin.",
        ),
    ] = None,
    quoted: Annotated[bool, _output("--quoted", "-Q", text="--format quoted")] = False,
    ascii_: Annotated[bool, _output("--ascii", "-A", text="--format ascii")] = False,
    hex_: Annotated[bool, _output("--hex", text="--format hex")] = False,
    raw: Annotated[bool, _output("--raw", text="--format raw")] = False,
    msgpack: Annotated[bool, _output("--msgpack", text="--format msgpack")] = False,
    interval: Annotated[
        float | None, _time("--interval", "-i", text="Send again after this time, for ever or --count times.")
    ] = None,
    delay: Annotated[float | None, _time("--delay", "-d", text="Wait before the first message is sent.")] = None,
    peers: Annotated[
        int | None,
        _option(
            "--peers",
            panel="When",
            metavar="N",
            min=0,
            max=65_536,
            text="Wait for so many peers before the first message is sent; 1 for --pub, --bus and --surveyor.",
        ),
    ] = None,
    send_timeout: Annotated[
        float | None,
        _time("--send-timeout", text="How long to wait for a peer that can take a message; else for ever."),
    ] = None,
    recv_timeout: Annotated[
        float | None, _time("--recv-timeout", text="How long to wait for a message; else for ever.")
    ] = None,
    deadline: Annotated[float | None, _time("--deadline", text="How long a survey takes answers; else 1.")] = None,
    flush: Annotated[
        float, _time("--flush", show_default=True, text="How long to wait at the end until what was sent is written.")
    ] = 5.0,
    ca: Annotated[
        Path | None,
        _tls("--ca", "--cacert", text="Whose signatures to trust (PEM); else, when dialling, the system's."),
    ] = None,
    cert: Annotated[Path | None, _tls("--cert", "-E", text="Our certificate (PEM); whoever listens needs one.")] = None,
    key: Annotated[Path | None, _tls("--key", text="Its key (PEM).")] = None,
    server_name: Annotated[
        str | None,
        _tls("--server-name", metavar="NAME", text="The name of the listener's certificate, if it is not the host."),
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="At the end, print all counters as JSON to standard error.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print what happens to connections to standard error.")
    ] = False,
) -> None:
    """Send and receive messages, with any program that speaks the scalability protocols.

    workbench cat --rep --listen 5555 --data 42

    workbench cat --req --dial 5555 --data "what is it?" --raw

    ls | workbench cat --push --listen ipc:///tmp/work --lines

    --push, --pub, --req and --surveyor send standard input unless --data
    or --file is given. With data, --pair and --bus receive meanwhile and
    after it: until --recv-timeout, or without one until --count is sent.

    Exit codes: 0 fine, 1 nothing came in time or not everything was sent,
    2 wrong usage, 130 interrupted, 141 nobody reads the output.
    """
    chosen = {
        "pair": pair, "pair1": pair1, "bus": bus, "pub": pub, "sub": sub, "push": push, "pull": pull, "req": req,
        "rep": rep, "surveyor": surveyor, "respondent": respondent,
    }  # fmt: skip
    role = _one("role", [name for name, is_it in chosen.items() if is_it], [f"--{name}" for name in chosen])
    given = {
        "--data": data, "--file": file, "--lines": by_line or None, "--interval": interval, "--delay": delay,
        "--peers": peers, "--send-timeout": send_timeout, "--recv-timeout": recv_timeout,
        "--subscribe": subscribe or None, "--deadline": deadline,
    }  # fmt: skip
    for name, value in given.items():
        if value is not None and role not in _FITTING[name]:
            fitting = ", ".join(f"--{other}" for other in chosen if other in _FITTING[name])
            _refuse(f"{name} means nothing to --{role}, only to {fitting}")
    shorthands = {"quoted": quoted, "ascii": ascii_, "hex": hex_, "raw": raw, "msgpack": msgpack}
    formats = {name for name, is_it in shorthands.items() if is_it} | ({format_} if format_ is not None else set())
    shown = _one("format", sorted(formats or {"quoted"}), [f"--{name}" for name in shorthands])
    if shown not in shorthands:
        _refuse(f"there is no format {shown!r}; there are {', '.join(shorthands)}")
    listeners = [_address(where) for where in listen or ()]
    dialled = [_address(where) for where in dial or ()]
    if not listeners and not dialled:
        _refuse("say where: --listen ADDRESS or --dial ADDRESS, for example --dial tcp://127.0.0.1:5555")
    priorities = priority or []
    if len(priorities) > len(dialled):
        _refuse(
            f"--priority is given {len(priorities)} times and --dial {len(dialled)} times; "
            "each belongs to one of these, in order"
        )
    secure = any(piece is not None for piece in (ca, cert, key, server_name))
    if secure and not any(where.startswith(("tls+tcp://", "wss://")) for where in (*listeners, *dialled)):
        _refuse("no address uses TLS: --ca, --cert, --key and --server-name are for tls+tcp:// and wss://")
    if data is not None and (file is not None or by_line):
        _refuse(f"--data and {'--file' if file is not None else '--lines'} do not go together: say what to send once")

    if file is None and (by_line or (data is None and role in _SPEAK_FIRST)):
        file = "-"

    from workbench.engine import Tls
    from workbench.engine.cat import FORMATS, Cat

    messages = _messages(data, file, by_line, max_message)
    if messages is not None and not by_line and (role in _ANSWER or interval is not None or count is not None):
        messages = itertools.cycle(messages)
    if messages is not None and role not in _ANSWER:
        messages = itertools.islice(messages, count)
    layout, output = FORMATS[shown], sys.stdout.buffer

    def write(message: bytes) -> None:
        output.write(layout(message))
        output.flush()

    cat = Cat(
        socket=_socket(role, max_message, deadline),
        messages=messages,
        write=write,
        count=count,
        interval=interval or 0.0,
        delay=delay or 0.0,
        peers=peers if peers is not None else int(role in _MISSED),
        send_timeout=send_timeout,
        recv_timeout=recv_timeout,
        flush=flush,
    )
    tls = Tls(authorities=ca, certificate=cert, key=key, server_name=server_name) if secure else None
    telling = threading.Thread(target=_tell, args=(cat.socket.events(None),), name="teller", daemon=True)
    if verbose:
        telling.start()
    try:
        with _told():
            _open(cat.socket, subscribe or [""], listeners, dialled, priorities, tls, verbose)
            cat.run()
    finally:
        cat.close()
        if verbose:
            telling.join()
        if stats:
            print(json.dumps(cat.report), file=sys.stderr)
    if cat.unsent:
        _fail(f"{cat.unsent} {'message was' if cat.unsent == 1 else 'messages were'} not sent within {flush:g} s")


def _tell(events: Iterable[Event]) -> None:
    """Print what happens to connections; of attempts that fail alike one after the other, the first."""
    last: dict[str, str] = {}
    for event in events:
        peer = f", peer {event.peer.address}" if event.peer else ""
        reason = f": {event.reason}" if event.reason else ""
        line = f"{event.what}: {event.endpoint}{peer}{reason}"
        if last.get(event.endpoint) != line:
            last[event.endpoint] = line
            print(line, file=sys.stderr, flush=True)


def _socket(role: str, max_message: int, deadline: float | None) -> Socket:
    from workbench.engine.socket import CLASSES

    options: dict[str, Any] = {"max_message": max_message}
    if role in _DROPPING:
        options["when_full"] = "block"
    if deadline is not None:
        options["survey_deadline"] = deadline
    with _told():
        return CLASSES[role](**options)


def _open(
    socket: Socket,
    topics: list[str],
    listeners: list[str],
    dialled: list[str],
    priorities: list[int],
    tls: Tls | None,
    verbose: bool,
) -> None:
    from workbench.engine import Sub

    if isinstance(socket, Sub):
        for topic in topics:
            socket.subscribe(os.fsencode(topic))
    for where in listeners:
        bound = socket.listen(where, tls=tls)
        if verbose:
            print(f"listening: {bound}", file=sys.stderr, flush=True)
    for where, priority in zip(dialled, itertools.chain(priorities, itertools.repeat(8)), strict=False):
        socket.dial(where, priority=priority, tls=tls)


def _messages(data: str | None, file: str | None, by_line: bool, limit: int) -> Iterable[bytes] | None:
    """What is to be sent. What is longer than `limit` is not read further than that; sending it fails."""
    from workbench.engine.cat import lines

    if data is not None:
        return [os.fsencode(data)]
    if file is None:
        return None
    try:
        stream = open(0, "rb", closefd=False) if file == "-" else Path(file).open("rb")  # noqa: SIM115
        return lines(stream, limit) if by_line else [stream.read(limit + 1)]
    except OSError as error:
        name = "standard input" if file == "-" else file
        _refuse(f"{name} cannot be read: {error.strerror}")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the engine has against it, in a sentence."""
    from workbench.engine import MessagingError, TimedOut, TooLarge

    try:
        yield
    except (TimedOut, TooLarge) as error:
        _fail(str(error))
    except MessagingError as error:
        _refuse(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        _refuse(f"{error.filename} cannot be read: {error.strerror}")


def _one(noun: str, named: list[str], known: list[str]) -> str:
    if len(named) == 1:
        return named[0]
    if named:
        _refuse(f"one {noun} at a time; here are {' and '.join(named)}")
    return _refuse(f"say the {noun}, one of {', '.join(known)}")


def _address(text: str) -> str:
    """An address, of which a port of this machine or a path may be the whole."""
    if text.isascii() and text.isdigit():
        return f"tcp://127.0.0.1:{text}"
    return f"ipc://{text}" if "/" in text and "://" not in text else text


def _refuse(sentence: str) -> NoReturn:
    _end(sentence, 2)


def _fail(sentence: str) -> NoReturn:
    _end(sentence, 1)


def _end(sentence: str, code: int) -> NoReturn:
    typer.echo(f"workbench cat: {sentence}", err=True)
    raise typer.Exit(code)
