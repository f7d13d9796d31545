"""Addresses: those beside another one, and as others see them."""

import re

from workbench.engine.errors import OptionError

_WITH_PORT = re.compile(r"(?P<scheme>[a-z+]+://)(?P<name>\[.*\]|[^:/]*):(?P<port>[0-9]+)(?P<path>(/.*)?)")
_EVERYWHERE = ("*", "0.0.0.0", "[::]")


def beside(address: str, step: int) -> str:
    """The first or second address beside one: the next port but `step`, or a name of its own.

    Port 0 stays what it is: any that is free.
    """
    if (found := _WITH_PORT.fullmatch(address)) is not None:
        scheme, name, port, path = found.group("scheme", "name", "port", "path")
        return address if int(port) == 0 else f"{scheme}{name}:{int(port) + step}{path}"
    return f"{address}/{('down', 'up')[step - 1]}" if not address.startswith("ipc:") else f"{address}.{step}"


def seen_by_others(address: str, public: str | None = None) -> str:
    """What others dial to reach who listens at `address`; `public` is the name or address of this machine for them.

    Raises OptionError if it listens at all interfaces and nobody says how others find it.
    """
    found = _WITH_PORT.fullmatch(address)
    if found is None or (public is None and found["name"] not in _EVERYWHERE):
        return address
    if public is None:
        raise OptionError(f"others cannot dial {address}; say with public=… where they find it")
    return f"{found['scheme']}{public}:{found['port']}{found['path']}"
