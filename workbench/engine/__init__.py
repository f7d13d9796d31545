"""Messaging: the scalability protocols PIPELINE and REQ/REP, on real sockets and in virtual time.

Sockets, one class for each role: Req, Rep, Push, Pull (workbench.engine.socket). Exceptions: workbench.engine.errors.
What a behaviour sees of a world: World, Host (workbench.engine.world), and the two worlds: RealWorld, VirtualWorld.
"""

from workbench.engine.errors import (
    AddressError,
    Cancelled,
    Closed,
    EndpointFailed,
    ForkedError,
    LimitReached,
    MessagingError,
    OptionError,
    StateError,
    TimedOut,
    TooLarge,
)
from workbench.engine.socket import Context, Pull, Push, Rep, Req, Socket

__all__ = [
    "AddressError",
    "Cancelled",
    "Closed",
    "Context",
    "EndpointFailed",
    "ForkedError",
    "LimitReached",
    "MessagingError",
    "OptionError",
    "Pull",
    "Push",
    "Rep",
    "Req",
    "Socket",
    "StateError",
    "TimedOut",
    "TooLarge",
]
