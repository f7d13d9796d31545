"""The gate's probes under pytest-benchmark: ``pytest tests/benchmarks/micro.py``, for those who like its tables.

Each figure is the time of as many operations as the gate counts; `--benchmark-autosave` and `--benchmark-compare` are
that plugin's own. It judges nothing: two runs one after the other differ by more than most changes do, so what blocks a
change is `workbench check`, which compares in pairs.
"""

from __future__ import annotations

from typing import Any

import pytest

from workbench.bench.gate.probes import PROBES


@pytest.mark.parametrize("name", PROBES)
def test_the_operations_of_a_probe(name: str, benchmark: Any) -> None:
    probe = PROBES[name]
    operate = probe.prepare(False)
    operate(probe.warm)
    benchmark(operate, probe.counted)
