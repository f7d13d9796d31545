"""Messaging: the scalability protocols, on real sockets and in virtual time.

Sockets, one class for each role: Pair, Bus, Pub, Sub, Push, Pull, Req, Rep, Surveyor, Respondent
(workbench.engine.socket). Exceptions: workbench.engine.errors.
What a behaviour sees of a world: World, Host (workbench.engine.world), and the two worlds: RealWorld, VirtualWorld.
"""

from workbench.engine.device import Device
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
from workbench.engine.facts import Endpoint, Event, Peer
from workbench.engine.socket import (
    Bus,
    Context,
    Pair,
    Pair1,
    Pub,
    Pull,
    Push,
    Rep,
    Req,
    Respondent,
    Socket,
    Sub,
    Surveyor,
)
from workbench.engine.tls import Tls

__all__ = [
    "AddressError",
    "Bus",
    "Cancelled",
    "Closed",
    "Context",
    "Device",
    "Endpoint",
    "EndpointFailed",
    "Event",
    "ForkedError",
    "LimitReached",
    "MessagingError",
    "OptionError",
    "Pair",
    "Pair1",
    "Peer",
    "Pub",
    "Pull",
    "Push",
    "Rep",
    "Req",
    "Respondent",
    "Socket",
    "StateError",
    "Sub",
    "Surveyor",
    "TimedOut",
    "Tls",
    "TooLarge",
]
