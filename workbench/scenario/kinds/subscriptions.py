"""kind: subscriptions: what subscriptions take, in each of the structures that libraries keep them in."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from workbench.scenario.kinds.compact import Compact
from workbench.scenario.schema import Index, Keys, count, filled_list


class Subscriptions(Compact):
    """Room and times of so many subscriptions, for each structure and each kind of keys."""

    kind_name: ClassVar[str] = "subscriptions"

    indexes: Annotated[tuple[Index, ...], BeforeValidator(filled_list)] = Field(
        default=("radix", "trie", "list"), description="The structures to compare; the first is the baseline."
    )
    topics: Annotated[
        tuple[Annotated[int, *count("the number of topics", 1, 10_000_000)], ...], BeforeValidator(filled_list)
    ] = Field(default=(100, 1000, 10_000, 100_000), description="How many topics are subscribed to.")
    keys: Annotated[tuple[Keys, ...], BeforeValidator(filled_list)] = Field(
        default=("random", "hierarchical", "pathological"), description="The kinds of topics."
    )
    blocks: Annotated[int, *count("the number of blocks", 1, 1000)] = Field(
        default=5, description="How often everything is measured, each time in a fresh process."
    )
    seed: Annotated[int, *count("the seed", 0, 2**53)] = Field(default=1, description="Of the topics and the order.")

    def expand(self) -> dict[str, Any]:
        """One subscriber, and a sweep over whatever has more than one value."""
        own = self.model_dump(mode="json", by_alias=True)
        of = "services.subscriber.subscriptions"
        swept = {f"{of}.index": own["indexes"], f"{of}.keys": own["keys"], f"{of}.topics": own["topics"]}
        scenario: dict[str, Any] = {
            **self.head(),
            "sites": {"here": {}},
            "services": {
                "subscriber": {
                    "at": {"here": 1},
                    "pattern": "subscribe",
                    "subscriptions": {"index": own["indexes"][0], "keys": own["keys"][0], "topics": own["topics"][0]},
                }
            },
            "workloads": {"publisher": {"at": "here", "to": "subscriber", "load": "paced 1/s"}},
            "run": {"world": "real", "duration": "1 s", "replications": self.blocks, "seed": self.seed},
            "sweep": {path: values for path, values in swept.items() if len(values) > 1},
        }
        if scenario["sweep"] and "compare" not in scenario:
            path = next(iter(scenario["sweep"]))
            metrics = ["subscription.bytes", "subscription.match_time", "subscription.add_time"]
            scenario["compare"] = {"path": path, "metrics": metrics}
        return scenario
