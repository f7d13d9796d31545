"""Replications as tidy tables, and back: four Parquet files that any data tool reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.results.histogram import Histogram
from workbench.results.result import Point, Replication, TimelineRow
from workbench.results.wording import metric_unit

if TYPE_CHECKING:
    import pyarrow as pa

FILES = ("points.parquet", "replications.parquet", "histograms.parquet", "timeline.parquet")
"""The files this module writes, all of them always, empty where there is nothing to tell."""


def write(folder: Path, points: Sequence[Point]) -> None:
    """Writes all replications of the points into the folder.

    points.parquet: one row per point, replication and metric, the swept keys as columns of their own.
    replications.parquet: one row per replication, with what it took. histograms.parquet: one row per replication,
    histogram and value. timeline.parquet: one row per replication, workload, bin, kind and answering site.
    """
    import pyarrow.parquet as pq

    for name, table in zip(FILES, (_points(points), *_samples(points)), strict=True):
        pq.write_table(table, folder / name, compression="zstd")


def read(folder: Path) -> dict[int, list[Replication]]:
    """The replications of each point by its place, in the order they were written."""
    metrics = _grouped(_rows(folder / FILES[0], ("point", "replication", "metric", "value", "unit")))
    histograms = _histograms(folder / FILES[2])
    timelines = _grouped(_rows(folder / FILES[3], ("point", "replication", *_TIMELINE)))
    points: dict[int, list[Replication]] = {}
    for row in _rows(folder / FILES[1], tuple(_REPLICATION)):
        key = (row["point"], row["replication"])
        replication = Replication(
            point=row["point"],
            index=row["replication"],
            seed=row["seed"],
            metrics={item["metric"]: item["value"] for item in metrics.get(key, ())},
            histograms=histograms.get(key, {}),
            timeline=list(_timeline(timelines.get(key, ()))),
            counts=json.loads(row["counts"]),
            events=row["events"],
            wall_s=row["wall_s"],
            notes=json.loads(row["notes"]),
            units={
                item["metric"]: item["unit"]
                for item in metrics.get(key, ())
                if item["unit"] != metric_unit(item["metric"])
            },
        )
        points.setdefault(row["point"], []).append(replication)
    return points


def _points(points: Sequence[Point]) -> pa.Table:
    import pyarrow as pa

    rows = [
        (place, run.index, run.seed, name, float(value), run.units.get(name, metric_unit(name)))
        for place, point in enumerate(points)
        for run in point.replications
        for name, value in run.metrics.items()
    ]
    kinds = {"point": pa.int32(), "replication": pa.int32(), "seed": pa.uint64()}
    kinds |= {"metric": pa.string(), "value": pa.float64(), "unit": pa.string()}
    table = _table(kinds, rows)
    for axis in dict.fromkeys(key for point in points for key in point.set):
        column = _axis([point.set.get(axis) for point in points])
        values = column.take(table.column("point")) if len(points) else column
        table = table.append_column(axis if axis not in kinds else f"set.{axis}", values)
    return table


def _samples(points: Sequence[Point]) -> Iterator[pa.Table]:
    import pyarrow as pa

    runs = [(place, run) for place, point in enumerate(points) for run in point.replications]
    kinds = [pa.int32(), pa.int32(), pa.uint64(), pa.int64(), pa.float64(), pa.string(), pa.string()]
    yield _table(
        dict(zip(_REPLICATION, kinds, strict=True)),
        [
            (place, run.index, run.seed, run.events, run.wall_s, json.dumps(run.counts), json.dumps(list(run.notes)))
            for place, run in runs
        ],
    )
    parts = [(place, run.index, name, part) for place, run in runs for name, part in run.histograms.items()]
    of_part = pa.array(np.repeat(np.arange(len(parts)), [part.values.size for *_, part in parts]), pa.int64())
    yield pa.table(
        {
            "point": pa.array([part[0] for part in parts], pa.int32()).take(of_part),
            "replication": pa.array([part[1] for part in parts], pa.int32()).take(of_part),
            "name": pa.array([part[2] for part in parts], pa.string()).take(of_part),
            "value_ns": _joined([part[3].values for part in parts]),
            "count": _joined([part[3].counts for part in parts]),
        }
    )
    kinds = [pa.int32(), pa.int32(), pa.string(), pa.float64(), pa.string(), pa.string(), pa.float64()]
    names = ("point", "replication", *_TIMELINE)
    yield _table(
        dict(zip(names, kinds, strict=True)),
        [(place, run.index, *row) for place, run in runs for bin_ in run.timeline for row in _timeline_rows(bin_)],
    )


def _timeline_rows(row: TimelineRow) -> Iterator[tuple[str, float, str, str | None, float]]:
    where = (row["workload"], row["bin_start_s"])
    yield (*where, "sent", None, row["sent"])
    for site, count in row["answered"].items():
        yield (*where, "answered", site, count)
    yield (*where, "lost", None, row["lost"])
    yield (*where, "latency_sum_s", None, row["latency_sum_s"])


def _timeline(rows: Iterable[Mapping[str, Any]]) -> Iterator[TimelineRow]:
    bins: dict[tuple[str, float], TimelineRow] = {}
    for row in rows:
        key = (row["workload"], row["bin_start_s"])
        bin_ = bins.setdefault(
            key,
            {"workload": key[0], "bin_start_s": key[1], "sent": 0, "answered": {}, "lost": 0, "latency_sum_s": 0.0},
        )
        kind, value = row["kind"], row["value"]
        if kind == "answered":
            bin_["answered"][row["site"]] = int(value)
        elif kind == "sent":
            bin_["sent"] = int(value)
        elif kind == "lost":
            bin_["lost"] = int(value)
        elif kind == "latency_sum_s":
            bin_["latency_sum_s"] = value
    yield from bins.values()


def _histograms(path: Path) -> dict[tuple[int, int], dict[str, Histogram]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["point", "replication", "name", "value_ns", "count"])
    if not table.num_rows:
        return {}
    point, replication = table.column("point").to_numpy(), table.column("replication").to_numpy()
    encoded = table.column("name").combine_chunks().dictionary_encode()
    name = encoded.indices.to_numpy()
    values, counts = table.column("value_ns").to_numpy(), table.column("count").to_numpy()
    change = (np.diff(point) != 0) | (np.diff(replication) != 0) | (np.diff(name) != 0)
    starts = np.concatenate([[0], np.flatnonzero(change) + 1])
    found: dict[tuple[int, int], dict[str, Histogram]] = {}
    for start, end in zip(starts, [*starts[1:], table.num_rows], strict=True):
        label = encoded.dictionary[int(name[start])].as_py()
        histogram = Histogram(values[start:end], counts[start:end])
        found.setdefault((int(point[start]), int(replication[start])), {})[label] = histogram
    return found


def _grouped(rows: Iterable[dict[str, Any]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["point"], row["replication"]), []).append(row)
    return groups


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path, columns=list(columns)).to_pylist()
    return rows


def _table(kinds: Mapping[str, pa.DataType], rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, kinds.values(), strict=True)], list(kinds))


def _axis(values: Sequence[Any]) -> pa.Array:
    """A column of swept values: of their own kind where they share one, as text where they do not."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values):
        kinds.add(str)  # a number no column of numbers can hold
    if len(kinds) == 1 and kinds <= {bool, int, float, str}:
        return pa.array(values)
    if kinds == {int, float}:
        return pa.array(values, pa.float64())
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(texts, pa.string())


def _joined(parts: Sequence[Any]) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


_REPLICATION = ("point", "replication", "seed", "events", "wall_s", "counts", "notes")
_TIMELINE = ("workload", "bin_start_s", "kind", "site", "value")
