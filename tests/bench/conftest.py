"""What the tests of the measurement share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.scenario import Scenario, parse

SMALL = """\
version: 1
name: small
sites: {here: {}, there: {}}
links: [{between: [here, there], delay: 0 s}]
services:
  sink: {at: {there: 1}, pattern: collect}
  echo: {at: {there: 1}}
workloads:
  flood: {at: here, to: sink, load: flood, size: 64 B, alone: true}
  ping: {at: here, to: echo, load: closed, size: 64 B, alone: true}
run: {world: real, duration: 0.15 s, warm-up: 0.05 s, replications: 2, seed: 3}
sweep: {library: [ours, tcp]}
"""


@pytest.fixture
def small() -> Callable[..., Scenario]:
    """A scenario of two short measurements over two libraries that are always there, with what a test sets."""
    return lambda *sets: parse(SMALL, sets=sets)
