"""kind: throughput: how many messages a second a library moves from one process to another."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from workbench.scenario.kinds.compact import Compact
from workbench.scenario.schema import Duration, Library, Placement, PositiveDuration, Size, count, filled_list
from workbench.scenario.units import DURATION, write


class Throughput(Compact):
    """A flood of messages from one process to another, for each library, size and placement."""

    kind_name: ClassVar[str] = "throughput"

    libraries: Annotated[tuple[Library, ...], BeforeValidator(filled_list)] = Field(
        default=("ours", "zeromq", "nng", "tcp"), description="The libraries to compare; the first is the baseline."
    )
    sizes: Annotated[tuple[Size, ...], BeforeValidator(filled_list)] = Field(
        default=(64,), description="The sizes of a message to try."
    )
    placements: Annotated[tuple[Placement, ...], BeforeValidator(filled_list)] = Field(
        default=("unpinned",), description="Where the two processes may execute."
    )
    duration: PositiveDuration = Field(
        default=1.5, description="How long each block measures, after the warm-up.", examples=["1.5 s"]
    )
    warm_up: Duration = Field(
        default=0.5, description="How long each block runs before it is measured.", examples=["0.5 s"]
    )
    blocks: Annotated[int, *count("the number of blocks", 1, 1000)] = Field(
        default=10, description="How often each combination is measured, each time with fresh processes."
    )

    def expand(self) -> dict[str, Any]:
        """Two sites, a flood from one to the other, and a sweep over whatever has more than one value."""
        own = self.model_dump(mode="json", by_alias=True)
        swept = {
            "library": own["libraries"],
            "placement": own["placements"],
            "workloads.flood.size": own["sizes"],
        }
        scenario: dict[str, Any] = {
            **self.head(),
            "sites": {"sender": {}, "receiver": {}},
            "links": [{"between": ["sender", "receiver"], "delay": "0 s"}],
            "services": {"sink": {"at": {"receiver": 1}, "pattern": "collect"}},
            "workloads": {"flood": {"at": "sender", "to": "sink", "load": "flood", "size": own["sizes"][0]}},
            "run": {
                "world": "real",
                "duration": write(round(self.warm_up + self.duration, 9), DURATION),
                "warm-up": own["warm-up"],
                "replications": self.blocks,
            },
            "library": own["libraries"][0],
            "placement": own["placements"][0],
            "sweep": {path: values for path, values in swept.items() if len(values) > 1},
        }
        if scenario["sweep"] and "compare" not in scenario:
            scenario["compare"] = {"path": next(iter(scenario["sweep"])), "metrics": ["throughput"]}
        return scenario
