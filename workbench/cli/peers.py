"""`workbench peers`: the messaging libraries that can be measured here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workbench.bench.peers import Peer


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list and nothing else.")] = False,
) -> None:
    """List the messaging libraries: which are installed, their versions, and what each does for a message."""
    from workbench.bench.peers import PEERS

    known = [_data(peer) for peer in PEERS.values()]
    if as_json:
        typer.echo(json.dumps(known, indent=2))
        return
    for peer in known:
        state = f"not installed: {peer['missing']}" if peer["missing"] else peer["version"]
        typer.echo(f"{peer['name']:<12} {state}")
        for name, text in {"carries": ", ".join(peer["patterns"]), **peer["semantics"]}.items():
            typer.echo(f"{'':<12} {name + ':':<9} {text}")


def _data(peer: Peer) -> dict[str, Any]:
    import dataclasses

    missing = peer.missing()
    return {
        "name": peer.name,
        "title": peer.title,
        "version": None if missing else peer.version(),
        "missing": missing,
        "patterns": [name for name, role in (("PIPELINE", "push"), ("REQ/REP", "req")) if role in peer.roles],
        "semantics": dataclasses.asdict(peer.semantics),
    }
