"""Compact kinds of scenario: sugar that expands to the normal form. Nobody but the loader knows that they exist.

To add one: a file with a `Compact` model, and its row here.
"""

from __future__ import annotations

from workbench.scenario.kinds.compact import Compact
from workbench.scenario.kinds.subscriptions import Subscriptions
from workbench.scenario.kinds.throughput import Throughput

KINDS: dict[str, type[Compact]] = {kind.kind_name: kind for kind in (Subscriptions, Throughput)}

__all__ = ["KINDS", "Compact"]
