"""Handling: what it costs a program to handle messages, for a virtual world to count with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Handling:
    """All in seconds. With it a site is one program, which does one thing at a time and sleeps in between."""

    wake: float = 0.0
    """Until a program that slept is awake. One that is busy need not be woken."""
    step: float = 0.0
    """To take up a message that has arrived, or work of a native role that has become due, and do what comes of it."""
    kib: float = 0.0
    """For each KiB of a message, at either end."""
