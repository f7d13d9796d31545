"""`workbench discovery`: find services, and be found."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from workbench.apps.discovery import Offer, Settings
    from workbench.engine.world import Behaviour, Host

app = typer.Typer(
    help="Find services by survey: a daemon asks, services answer, clients resolve.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _option(name: str, text: str, variable: str | None = None, **more: Any) -> Any:
    if variable:
        text += f" Or {variable}."
    return typer.Option(name, help=text, show_default=False, **more)


Surveys = Annotated[
    str | None, _option("--surveys", "Where services dial; else tcp://127.0.0.1:5550.", "DISCOVERY_SURVEYS")
]
Queries = Annotated[
    str | None, _option("--queries", "Where clients ask; else tcp://127.0.0.1:5551.", "DISCOVERY_QUERIES")
]
Changes = Annotated[
    str | None, _option("--changes", "Where clients watch; else tcp://127.0.0.1:5552.", "DISCOVERY_CHANGES")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for each line and nothing else.")]
Timeout = Annotated[float, typer.Option("--timeout", help="How long to wait for the daemon, in seconds.", min=0.0)]


@app.command("daemon")
def daemon(
    surveys: Surveys = None,
    queries: Queries = None,
    changes: Changes = None,
    interval: Annotated[
        float | None, _option("--interval", "Seconds from survey to survey; else 1.", "DISCOVERY_INTERVAL")
    ] = None,
    deadline: Annotated[
        float | None, _option("--deadline", "Seconds that a survey takes answers; else 0.5.", "DISCOVERY_DEADLINE")
    ] = None,
    forget_after: Annotated[
        float | None,
        _option("--forget-after", "Seconds of silence before one is forgotten; else 3.", "DISCOVERY_FORGET_AFTER"),
    ] = None,
) -> None:
    """Survey periodically, and tell clients who is there, until interrupted."""
    settings = _settings(
        surveys=surveys,
        queries=queries,
        changes=changes,
        interval=interval,
        deadline=deadline,
        forget_after=forget_after,
    )

    async def main(host: Host) -> None:
        from workbench.apps.discovery import Daemon

        running = Daemon(host, settings)
        typer.echo(
            f"services dial {running.discovery.address}, clients ask {running.queries} and watch {running.changes}",
            err=True,
        )
        await running.run()

    _play(main)


@app.command("register")
def register(
    service: Annotated[str, typer.Argument(metavar="NAME", help="What is provided.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where: any URL.")],
    site: Annotated[str, typer.Option("--site", help="Where that stands.")] = "",
    surveys: Annotated[
        list[str] | None,
        _option("--surveys", "The daemon to dial; else tcp://127.0.0.1:5550. May be repeated.", "DISCOVERY_SURVEYS"),
    ] = None,
) -> None:
    """Answer surveys for a service, whatever program it is, until interrupted."""
    from workbench.apps.discovery import Malformed, Offer, announce

    directories = surveys or [_settings().surveys]
    try:
        offer = Offer(service, address, site)
    except Malformed as error:
        _refuse(str(error))

    async def main(host: Host) -> None:
        await announce(host, offer, directories)

    _play(main)


@app.command("list")
def list_(
    service: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this service only.")] = None,
    queries: Queries = None,
    timeout: Timeout = 5.0,
    as_json: AsJson = False,
) -> None:
    """Print who is known."""

    async def main(host: Host) -> None:
        from workbench.apps.discovery import DirectoryClient

        for offer in await DirectoryClient(host, _settings(queries=queries), timeout).list(service):
            typer.echo(json.dumps(offer.data()) if as_json else _line(offer))

    _play(main)


@app.command("resolve")
def resolve(
    service: Annotated[str, typer.Argument(metavar="NAME", help="What is wanted.")],
    policy: Annotated[str, typer.Option("--policy", help="random, round-robin or nearest.")] = "random",
    site: Annotated[
        list[str] | None, typer.Option("--site", help="Sites to prefer, best first, with --policy nearest.")
    ] = None,
    queries: Queries = None,
    timeout: Timeout = 5.0,
) -> None:
    """Print the address of one provider. The exit code is 1 if there is none."""

    async def main(host: Host) -> None:
        from workbench.apps.discovery import DirectoryClient

        client = DirectoryClient(host, _settings(queries=queries), timeout)
        typer.echo((await client.resolve(service, policy, site or ())).address)

    _play(main)


@app.command("watch")
def watch(
    queries: Queries = None,
    changes: Changes = None,
    timeout: Timeout = 5.0,
    count: Annotated[int | None, typer.Option("--count", help="End after so many changes.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Print who is known, and then who comes and goes, until interrupted."""

    async def main(host: Host) -> None:
        from workbench.apps.discovery import DirectoryClient

        left = count
        async with contextlib.aclosing(
            DirectoryClient(host, _settings(queries=queries, changes=changes), timeout).watch()
        ) as seen:
            async for change in seen:
                data = {"what": change.what} | change.offer.data()
                typer.echo(json.dumps(data) if as_json else f"{change.what} {_line(change.offer)}")
                if left is not None:
                    left -= 1
                    if left == 0:
                        return

    _play(main)


def _settings(**given: Any) -> Settings:
    from workbench.apps.discovery import Settings
    from workbench.engine import OptionError

    try:
        return Settings.from_environment(os.environ, **given)
    except OptionError as error:
        _refuse(str(error))


def _play(main: Behaviour) -> None:
    """Play it on real sockets; what goes wrong is said in a line."""
    from workbench.apps.discovery import DirectoryError
    from workbench.engine import MessagingError, TimedOut
    from workbench.engine.real import play

    try:
        play(main)
    except TimedOut:
        typer.echo("nobody answered in time: does the daemon run, and at this address?", err=True)
        raise typer.Exit(1) from None
    except DirectoryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except MessagingError as error:
        _refuse(str(error))


def _line(offer: Offer) -> str:
    return f"{offer.service} {offer.address}" + (f" at {offer.site}" if offer.site else "")


def _refuse(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(2)
