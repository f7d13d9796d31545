"""Service discovery by SURVEY: who is there, and where?

    async def main(host: Host) -> None:
        await serve(host, "answer", answer, listen="tcp://127.0.0.1:0", directory="tcp://127.0.0.1:5550")

A daemon surveys everyone who has dialled it; each service answers with what it provides and where. What answers is
known, what stops answering is forgotten. Clients ask the daemon, or survey for themselves.

offer.py        what a service says of itself, and how an answer is checked
directory.py    what is known: told answers and the time, asked for offers and changes
resolve.py      which of several offers to take
surveyor.py     ServiceDiscovery: surveys, and resolves
daemon.py       surveys periodically and tells clients
service.py      the side that is found
client.py       asks a daemon, and watches it
registry.py     etcd and ZooKeeper in place of surveys
settings.py     intervals and addresses, from the environment too
"""

from workbench.apps.discovery.client import DirectoryClient, DirectoryError
from workbench.apps.discovery.daemon import Daemon
from workbench.apps.discovery.directory import Change, Directory
from workbench.apps.discovery.offer import Malformed, Offer
from workbench.apps.discovery.registry import Etcd, Registry, RegistryError, ZooKeeper
from workbench.apps.discovery.resolve import POLICIES, Unknown
from workbench.apps.discovery.service import announce, serve
from workbench.apps.discovery.settings import Settings
from workbench.apps.discovery.surveyor import ServiceDiscovery

__all__ = [
    "POLICIES",
    "Change",
    "Daemon",
    "Directory",
    "DirectoryClient",
    "DirectoryError",
    "Etcd",
    "Malformed",
    "Offer",
    "Registry",
    "RegistryError",
    "ServiceDiscovery",
    "Settings",
    "Unknown",
    "ZooKeeper",
    "announce",
    "serve",
]
