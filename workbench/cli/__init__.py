"""The command line: one file for each verb. Heavy imports happen inside the verbs, so that help is quick."""

import contextlib
import os
import sys
from typing import Annotated

import typer

from workbench.cli import (
    calibrate,
    cat,
    check,
    compare,
    discovery,
    explain,
    lint,
    list_,
    peers,
    report,
    run,
    schema,
    validate,
    verify,
    zinc,
)

INTERRUPTED = 130
CLOSED = 141

app = typer.Typer(
    name="workbench",
    help="Simulate brokerless messaging, measure it, and set the two side by side.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Without a default for it, typer 0.29 imports pydantic to find out that help was asked for the verb and not here.
    context_settings={"help_option_names": ["-h", "--help"], "default_map": {"help": False}},
)


def _tell_version(asked: bool) -> None:
    if asked:
        from workbench.bench.peers.ours import Ours
        from workbench.results.code import code

        print(f"{Ours().version()} ({code().label})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell version and commit, and exit."),
    ] = False,
) -> None:
    pass


app.command("run")(run.command)
app.command("lint")(lint.command)
app.command("explain")(explain.command)
app.command("schema")(schema.command)
app.command("list")(list_.command)
app.command("compare")(compare.command)
app.command("report")(report.command)
app.command("verify")(verify.command)
app.command("validate")(validate.command)
app.command("check")(check.command)
app.command("peers")(peers.command)
app.command("calibrate")(calibrate.command)
app.command("cat")(cat.command)
app.add_typer(discovery.app, name="discovery")
app.add_typer(zinc.app, name="zinc")


def main() -> None:
    """Run the command line; Ctrl-C ends with exit code 130 and no traceback, a closed output with 141."""
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stdout is None:
        # Closed by whoever started us: there is nobody to answer.
        sys.exit(CLOSED)
    for stream in (sys.stdout, sys.stderr):
        # Where the locale knows no "±" there is to be a "?" and no traceback.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        _run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        # If it came while Python ran a text, as dataclasses do, `python -m` would end by the signal although it was
        # caught; to run another text makes it forget.
        exec("")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does.
        _abandon_output()
        sys.exit(CLOSED)
    except OSError as error:
        if error.filename is not None:
            raise
        # A file has a name; without one it is the output, for example on a disk that is full.
        _abandon_output()
        print(f"workbench: the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(2)


def _run() -> None:
    try:
        app()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):
            # Typer makes it a 1, which means here that an expectation has failed.
            raise ended.__context__ from None
        if ended.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        sys.stdout.flush()
        raise


def _abandon_output() -> None:
    """Python would try once more to write the rest at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
