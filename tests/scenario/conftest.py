"""A good scenario to start from."""

import pytest

GOOD = """\
version: 1
name: good
question: Is this a good scenario?
sites:
  new-york:
  london: {within: {delay: 20 us}}
links:
  - between: [new-york, london]
    rtt: 76 ms
    jitter: 0.2 ms
services:
  foo:
    at: {new-york: 2, london: 2}
    workers: 4
    time: exponential 2 ms
  sink:
    at: {london: 1}
    pattern: collect
workloads:
  users:
    at: [new-york, london]
    to: foo
    load: poisson 200/s
    size: 1 KiB
  firehose:
    at: london
    to: sink
    load: flood
faults:
  - {at: 2 s, for: 1 s, kill: foo@new-york}
  - {at: 3 s, cut: [new-york, london]}
  - {at: 4 s, heal: [london, new-york]}
run:
  duration: 5 s
  warm-up: 1 s
  replications: {virtual: 3, real: 2}
  seed: 7
sweep:
  routing: [round-robin, priority]
  services.foo.workers: [1, 4]
compare: {path: routing, metrics: [cross_site_share, "users:latency.p99.during"]}
expect:
  - "users:cross_site_share = 50 % ± 1 % when routing = round-robin"
  - lost == 0 when world = virtual and routing = priority
"""


@pytest.fixture(name="good")
def _good() -> str:
    return GOOD
