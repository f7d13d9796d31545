"""Round trips between the regions of public clouds, as published: what `distances` in a scenario refers to.

Each table says where and when its numbers come from. Both directions are averaged where the source tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Table:
    """Round trips between regions, in seconds."""

    name: str
    source: str
    triangle: str
    """One region a line, and its round trips in milliseconds to the regions above it."""

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """All regions, in the order of the table."""
        return tuple(line.split()[0] for line in self.triangle.strip().splitlines())

    def rtt(self, one: str, other: str) -> float | None:
        """The round trip between two regions in seconds; None if the table has not both, or they are the same."""
        return self._pairs.get(frozenset((one, other)))

    @cached_property
    def _pairs(self) -> dict[frozenset[str], float]:
        pairs: dict[frozenset[str], float] = {}
        for line in self.triangle.strip().splitlines():
            region, *rtts = line.split()
            for other, rtt in zip(self.regions, rtts, strict=False):
                pairs[frozenset((region, other))] = float(rtt) / 1000
        return pairs


IBM_2024 = Table(
    "ibm-2024",
    "IBM Cloud VPC, monthly averages of 17 August to 15 September 2024 (IBM Cloud documentation, network latency)",
    """
    dallas
    toronto    34
    washington 31.5  19.5
    frankfurt  123   92.5  91
    london     113   82.5  75.5  13
    madrid     119   109   89    29    27
    osaka      150.5 168.5 174   232   244 258.5
    sydney     185.5 214.5 215   250   261 275   122
    tokyo      143   161.5 166   229.5 242 256.5 9   115
    sao-paulo  145.5 130   118.5 197.5 187 206   291 327.5 284.5
    """,
)

AWS_2023 = Table(
    "aws-2023",
    "AWS regions, one-way latencies of CometBFT's test networks (aws-latencies.csv, 2023), doubled; that they are "
    "one-way is inferred: doubled, they are the round trips of ibm-2024 where both have them",
    """
    n-virginia
    canada       14
    n-california 60  76
    london       76  78  136
    oregon       78  58  20  126
    ireland      66  70  136 10  118
    frankfurt    88  92  150 16  136 26
    sao-paulo    116 126 176 188 176 177 202
    tokyo        146 140 108 208 98  200 222 256
    mumbai       186 188 232 112 218 122 120 302 120
    sydney       196 194 138 262 138 254 286 310 114 152
    seoul        174 169 134 236 126 228 218 284 33  114 138
    singapore    210 206 172 164 165 180 154 322 78  54  90  72
    """,
)

TABLES = {table.name: table for table in (IBM_2024, AWS_2023)}
"""All tables by name."""
