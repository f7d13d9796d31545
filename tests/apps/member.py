"""One process of a cluster: edits 25 times a second until the file `stop` is there, and tells what it has at `end`."""

import hashlib
import json
import time
from pathlib import Path

from chaos import Ledger

from workbench.apps.zinc import Endpoint
from workbench.engine.real import play
from workbench.engine.world import Host

HEARTBEAT, DEADLINE = 0.25, 1.0
LIFETIME = 300.0
"""Whoever started it may be gone without a word: then it goes, too, after so many seconds."""


def live(folder: str, name: str, listen: str, *join: str) -> None:
    """Be the member `name`; files in `folder` tell others what it does, and it what to do."""
    play(lambda host: _live(host, folder, name, listen, join))


async def _live(host: Host, folder: str, name: str, listen: str, join: tuple[str, ...]) -> None:
    end = Endpoint(
        host, listen=listen, join=join, make=lambda _: Ledger(), heartbeat=HEARTBEAT, deadline=DEADLINE, breadth=8
    )
    number, promoted, connected = 0, None, False
    while not Path(folder, "end").exists() and host.world.now < LIFETIME:
        if end.is_connected and end.node.tree.line and not connected:
            connected = True
            Path(folder, f"{name}.connected").touch()
        if connected and not Path(folder, "stop").exists():
            number += 1
            end.edit("ledger", [name, number])
        if join and end.is_root and promoted is None:
            promoted = time.monotonic()
        if Path(folder, "stop").exists():
            replica = end.node.replica
            Path(folder, f"{name}.at").write_text(f"{replica.term.number} {replica.seq} {replica.waiting}")
        await host.world.sleep(0.04)
    entries = end.document("ledger").entries
    told = {
        "made": number,
        "mine": sum(who == name for who, _ in entries),
        "doubled": len(entries) - len({tuple(entry) for entry in entries}),
        "digest": hashlib.sha256(json.dumps(entries).encode()).hexdigest(),
        "promoted": promoted,
        "root": end.is_root,
    }
    Path(folder, f"{name}.json.new").write_text(json.dumps(told))
    Path(folder, f"{name}.json.new").rename(Path(folder, f"{name}.json"))
