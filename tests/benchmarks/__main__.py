"""`python -m tests.benchmarks`: requests a second, the simulator and plain SimPy by turns, and the ratio."""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import plain
from workbench.scenario import Scenario, load
from workbench.sim.replication import replicate

HERE = Path(__file__).parent
ROUNDS = 5


def main(scale: float) -> None:
    """Both models; with a scale below 1 they are shorter."""
    queue = load(HERE / "queue.yaml", sets=[f"run.duration={1111.1 * scale!r} s"])
    sites = load(HERE / "two-sites.yaml", sets=[f"run.duration={250 * scale!r} s"])
    compare(
        "M/M/1 at load 0.9", lambda: simulated(queue), lambda: counted(plain.queue(int(1_000_000 * scale / 10), 0.9))
    )
    compare("New York and London", lambda: simulated(sites), lambda: counted(plain.two_sites(25 * scale, 2000.0)))


def compare(what: str, ours: Callable[[], tuple[float, float]], theirs: Callable[[], tuple[float, float]]) -> None:
    """Measure by turns, so that what else the machine does meets both; processor time, not the clock."""
    rates: tuple[list[float], list[float]] = ([], [])
    means = [0.0, 0.0]
    for _ in range(ROUNDS):
        for which, run in enumerate((ours, theirs)):
            began = time.process_time()
            count, means[which] = run()
            rates[which].append(count / (time.process_time() - began))
    ratios = sorted(mine / other for mine, other in zip(*rates, strict=True))
    mine, other = map(statistics.median, rates)
    print(
        f"{what}: {mine:,.0f} requests/s against {other:,.0f} in plain SimPy: "
        f"{statistics.median(ratios):.1f} times ({ratios[0]:.1f} to {ratios[-1]:.1f}); "
        f"mean latency {means[0] * 1e3:.3f} and {means[1] * 1e3:.3f} ms"
    )


def simulated(scenario: Scenario) -> tuple[float, float]:
    """Requests answered and their mean latency, as `workbench run` plays them."""
    metrics = replicate(scenario, 0, 0, 1).metrics
    return metrics["answered"], metrics["latency.mean"]


def counted(seen: plain.Seen) -> tuple[float, float]:
    """The same of a plain program."""
    return seen.count, seen.mean


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
