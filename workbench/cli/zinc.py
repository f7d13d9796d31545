"""`workbench zinc`: watch a cluster that edits one document, and kill its host."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from workbench.apps.zinc.demo import Demo
    from workbench.engine.world import Host

app = typer.Typer(
    help="Documents that many edit at once.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

STEPS = ("kill", "join", "quit")
SCRIPT = "2 kill, 6 join, 9 quit"
KEPT = 8
"""Lines of what has happened that stay on the screen."""


@app.callback()
def group() -> None:
    """Documents that many edit at once."""


@app.command("demo")
def demo(
    endpoints: Annotated[int, typer.Option("--endpoints", "-n", help="How many take part.", min=2, max=20)] = 5,
    pace: Annotated[
        float, typer.Option("--pace", help="Seconds between two edits of an endpoint, in the mean.", min=0.01)
    ] = 0.3,
    deadline: Annotated[
        float, typer.Option("--deadline", help="Seconds of silence after which a host is dead.", min=0.1)
    ] = 1.0,
    script: Annotated[
        str | None,
        typer.Option(
            "--script",
            help=f"What to do when, in place of keys: seconds and kill, join or quit. Without a terminal: '{SCRIPT}'.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Let endpoints edit one document on real sockets, and see what becomes of it when their root is killed.

    Keys: k kills the root, j lets another endpoint join, q quits. On a terminal a table shows each endpoint; elsewhere
    what happens is printed, a line each. The exit code is 1 if the copies are not equal at the end.
    """
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    steps = _steps(script) if script is not None else None if on_terminal else _steps(SCRIPT)
    from workbench.engine.real import play

    equal = []

    async def main(host: Host) -> None:
        from workbench.apps.zinc.demo import Demo

        told: deque[str] = deque(maxlen=KEPT)
        cluster = Demo(host.world, told.append if on_terminal else typer.echo, pace=pace, deadline=deadline)
        cluster.heartbeat = deadline / 4
        if on_terminal:
            host.spawn(_draw(cluster, told))
        await cluster.begin(endpoints)
        host.spawn(cluster.watch())
        with _keys() if steps is None else contextlib.nullcontext() as pressed:
            await _follow(cluster, steps, pressed)
        equal.append(await cluster.end())
        for member in cluster.living:
            member.endpoint.close()
        await host.world.sleep(0.3)

    play(main)
    if not all(equal):
        raise typer.Exit(1)


async def _follow(cluster: Demo, steps: list[tuple[float, str]] | None, pressed: deque[str] | None) -> None:
    """Do what the script or the keys say, until it is over."""
    began = cluster.world.now
    while True:
        while pressed:
            key = pressed.popleft()
            if key == "q":
                return
            {"k": cluster.kill, "j": cluster.join}.get(key, lambda: None)()
        while steps and cluster.world.now - began >= steps[0][0]:
            _, step = steps.pop(0)
            if step == "quit":
                return
            {"kill": cluster.kill, "join": cluster.join}[step]()
        if steps == []:
            return
        await cluster.world.sleep(0.02)


async def _draw(cluster: Demo, told: deque[str]) -> None:
    """Show the cluster on the terminal, for as long as it is there."""
    from rich.live import Live

    with Live(_picture(cluster, told), auto_refresh=False) as live:
        while True:
            await cluster.world.sleep(0.1)
            live.update(_picture(cluster, told), refresh=True)


def _picture(cluster: Demo, told: deque[str]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("endpoint", "is", "its edits", "waiting", "the document as it has it")
    for one in list(cluster.members.values()):
        style = {"root": "bold green", "dead": "dim", "looks for a host": "yellow"}.get(one.state, "")
        value = " ".join(f"{name}:{count}" for name, count in sorted(one.value.items())) if one.alive else ""
        table.add_row(one.name, one.state, str(one.made), str(one.waiting) if one.alive else "", value, style=style)
    keys = Text("k kills the root · j lets another join · q quits", style="dim")
    return Group(table, *map(Text, told), keys)


@contextlib.contextmanager
def _keys() -> Iterator[deque[str]]:
    """The keys that are pressed, without waiting for the end of a line; the terminal is as before in the end."""
    import asyncio
    import os
    import termios
    import tty

    pressed: deque[str] = deque()
    before = termios.tcgetattr(sys.stdin)
    loop = asyncio.get_running_loop()
    try:
        tty.setcbreak(sys.stdin)
        loop.add_reader(sys.stdin, lambda: pressed.extend(os.read(sys.stdin.fileno(), 64).decode(errors="replace")))
        yield pressed
    finally:
        loop.remove_reader(sys.stdin)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _steps(script: str) -> list[tuple[float, str]]:
    """What a script says: (seconds, step) in order of time."""
    found = []
    for part in script.split(","):
        words = part.split()
        try:
            at, step = words
            found.append((float(at), step))
        except ValueError:
            _refuse(f"{part.strip()!r} is no step of a script; it goes like {SCRIPT!r}")
        if step not in STEPS or not found[-1][0] >= 0:
            _refuse(
                f"{part.strip()!r} is no step of a script; a step is a time in seconds and one of {', '.join(STEPS)}"
            )
    return sorted(found)


def _refuse(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(2)
