"""workbench schema: the JSON Schema of scenario files, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file instead of printing it.")
    ] = None,
) -> None:
    """Print the JSON Schema (draft-07) of scenario files.

    Editors complete and check with it: see the first line of a shipped scenario.
    """
    from workbench.scenario import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        typer.echo(f"{out}: cannot be written: {getattr(error, 'strerror', None) or error}", err=True)
        raise typer.Exit(2) from None
