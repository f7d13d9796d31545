"""Messaging: the scalability protocols, on real sockets and in virtual time.

Sockets, one class for each role: Pair, Bus, Pub, Sub, Push, Pull, Req, Rep, Surveyor, Respondent
(workbench.engine.socket). Exceptions: workbench.engine.errors.
What a behaviour sees of a world: World, Host (workbench.engine.world), and the two worlds: RealWorld, VirtualWorld. The
worlds are imported when they are first asked for, because the virtual one brings SimPy with it.
"""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from workbench.engine.real import RealWorld
    from workbench.engine.virtual import VirtualWorld

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
    "RealWorld",
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
    "VirtualWorld",
]

_LATER = {"RealWorld": "workbench.engine.real", "VirtualWorld": "workbench.engine.virtual"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
