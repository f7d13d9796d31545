"""The command line: one file for each verb. Heavy imports happen inside the verbs, so that help is quick."""

import sys

import typer

from workbench.cli import compare, explain, lint, list_, peers, report, run, schema, verify

app = typer.Typer(
    name="workbench",
    help="Simulate brokerless messaging, measure it, and set the two side by side.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(run.command)
app.command("lint")(lint.command)
app.command("explain")(explain.command)
app.command("schema")(schema.command)
app.command("list")(list_.command)
app.command("compare")(compare.command)
app.command("report")(report.command)
app.command("verify")(verify.command)
app.command("peers")(peers.command)


def main() -> None:
    """Run the command line; Ctrl-C ends with exit code 130 and no traceback."""
    try:
        app()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does.
        sys.stderr.close()
        sys.exit(141)
