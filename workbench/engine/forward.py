"""Forward: whom the instances of a service hand messages on to, for native services."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Forward:
    """What each instance does with a message that it has worked on."""

    kind: str
    """The kind of its sending socket: push (one of its targets gets each message) or pub (all do)."""
    targets: list[list[tuple[str, int]]]
    """Whom each instance dials, with which priority; who dials nobody hands nothing on."""
    each: float = 0.0
    """Seconds that a worker takes for each target, on top of its work."""
    receives: bool = False
    """Does a message count as received where it passes through? In a tree it does, in a pipeline at the end only."""
    options: dict[str, float | str] = field(default_factory=dict)
    """Of the sending sockets."""
