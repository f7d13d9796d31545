"""The journal of an unfinished run: one line per finished replication, each of which proves itself."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from workbench.results.result import Replication


class Journal:
    """An append-only file of replications. A line is flushed to the disk before `add` returns.

    A line holds the SHA-256 of its record before the record. On opening, all that follows the first line that does
    not verify is cut away: it was being written when the run was interrupted.
    """

    def __init__(self, path: Path) -> None:
        self.replications: dict[tuple[int, int], Replication] = {}
        """What is on the disk, by point and index."""
        good = 0
        for size, replication in _verified(path):
            good += size
            self.replications[replication.point, replication.index] = replication
        self._file = path.open("ab")
        self._file.truncate(good)

    def add(self, replication: Replication) -> None:
        """Records a finished replication; one that is already there is refused."""
        key = replication.point, replication.index
        if key in self.replications:
            raise ValueError(f"replication {key[1]} of point {key[0]} is already recorded")
        record = json.dumps(replication.to_json(), separators=(",", ":"), allow_nan=False).encode()
        self._file.write(hashlib.sha256(record).hexdigest().encode() + b" " + record + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.replications[key] = replication

    def close(self) -> None:
        """Closes the file; what was added stays."""
        self._file.close()


def _verified(path: Path) -> Iterator[tuple[int, Replication]]:
    """The replications of the leading whole lines, each with its line's length in bytes."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            claimed, _, record = line.partition(b" ")
            if not line.endswith(b"\n") or hashlib.sha256(record[:-1]).hexdigest().encode() != claimed:
                return
            yield len(line), Replication.from_json(json.loads(record))
