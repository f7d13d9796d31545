"""Directories that are kept elsewhere: etcd and ZooKeeper in place of surveys, for whoever runs one anyway.

    with Etcd("http://127.0.0.1:2379") as registry:
        registry.register(Offer("board", endpoint.door))
        endpoint.look_for(offer.address for offer in registry.offers("board"))

Each method is a call to a server, which takes some milliseconds and blocks; beside coroutines, a thread is the place
for it. What others have written there is not trusted: entries that are no offers are passed over.
"""

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

from workbench.apps.discovery.offer import MAX_ANSWER, Malformed, Offer


class RegistryError(Exception):
    """The server cannot be reached, or has refused; the text says why."""


class Registry(Protocol):
    """Where services register, and are found while they live."""

    def register(self, offer: Offer) -> None:
        """Offer something, until it is withdrawn, or we fall silent or close. Raises RegistryError."""

    def withdraw(self, offer: Offer) -> None:
        """Offer it no longer. Raises RegistryError."""

    def renew(self) -> None:
        """Say that we live; to be called several times within the time to forget. Raises RegistryError."""

    def offers(self, service: str) -> tuple[Offer, ...]:
        """What is offered of a service, in order. Raises RegistryError."""

    def close(self) -> None:
        """End; what we offered is gone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Etcd(Registry):
    """Offers in etcd 3.4 or later, through its JSON gateway: each a key under `prefix`, with a lease of `forget_after`
    whole seconds. Raises RegistryError.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:2379",
        *,
        forget_after: int = 10,
        prefix: str = "/services/",
        timeout: float = 5.0,
    ) -> None:
        self._url = url.rstrip("/")
        self._prefix = prefix
        self._timeout = timeout
        lease = self._ask("lease/grant", TTL=forget_after).get("ID")
        if lease is None:
            raise RegistryError(f"what answers at {self._url} is not etcd")
        self._lease = str(lease)

    def register(self, offer: Offer) -> None:
        """Offer something; see Registry."""
        self._ask("kv/put", key=self._key(offer), value=_base64(offer.answer()), lease=self._lease)

    def withdraw(self, offer: Offer) -> None:
        """Offer it no longer."""
        self._ask("kv/deleterange", key=self._key(offer))

    def renew(self) -> None:
        """Say that we live. Raises RegistryError, too, if it comes too late."""
        told = self._ask("lease/keepalive", ID=self._lease).get("result", {})
        if not int(told.get("TTL", 0)):
            raise RegistryError("etcd has forgotten us: renewed too late")

    def offers(self, service: str) -> tuple[Offer, ...]:
        """What is offered of a service, in order."""
        first = f"{self._prefix}{quote(service, safe='')}/"
        # All keys that begin so: those before the next that does not.
        found = self._ask("kv/range", key=_base64(first.encode()), range_end=_base64(f"{first[:-1]}0".encode()))
        return _valid((base64.b64decode(pair.get("value", "")) for pair in found.get("kvs", ())), service)

    def close(self) -> None:
        """End; what we offered is gone."""
        self._ask("lease/revoke", ID=self._lease)

    def _key(self, offer: Offer) -> str:
        return _base64(f"{self._prefix}{offer.service}/{quote(offer.address, safe='')}".encode())

    def _ask(self, path: str, **question: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self._url}/v3/{path}", json.dumps(question).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                told = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise RegistryError(
                f"etcd at {self._url} refuses {path}: {error.read().decode(errors='replace')}"
            ) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RegistryError(f"etcd at {self._url} does not answer: {error}") from error
        return told if isinstance(told, dict) else {}


class ZooKeeper(Registry):
    """Offers in ZooKeeper, through kazoo: each an ephemeral node under `prefix`, which goes with our session.

    The session is kept by kazoo's own thread, and is over after `forget_after` seconds of silence. Raises
    RegistryError, and ImportError if kazoo is not installed.
    """

    def __init__(
        self,
        hosts: str = "127.0.0.1:2181",
        *,
        forget_after: float = 10.0,
        prefix: str = "/services/",
        timeout: float = 5.0,
    ) -> None:
        try:
            from kazoo.client import KazooClient
            from kazoo.exceptions import KazooException, NoNodeError
            from kazoo.handlers.threading import KazooTimeoutError
        except ImportError as error:
            raise ImportError("kazoo is not installed: pip install 'messaging-workbench[zookeeper]'") from error
        self._refused = (KazooException, KazooTimeoutError)
        self._missing = NoNodeError
        self._prefix = prefix
        self._client = KazooClient(hosts=hosts, timeout=forget_after)
        try:
            self._client.start(timeout=timeout)
        except self._refused as error:
            self._client.close()
            raise RegistryError(f"ZooKeeper at {hosts} does not answer: {error}") from error

    def register(self, offer: Offer) -> None:
        """Offer something; see Registry."""
        self.withdraw(offer)
        self._call(self._client.create, self._path(offer), offer.answer(), ephemeral=True, makepath=True)

    def withdraw(self, offer: Offer) -> None:
        """Offer it no longer."""
        try:
            self._call(self._client.delete, self._path(offer))
        except self._missing:
            return

    def renew(self) -> None:
        """Say that we live; kazoo does so itself, and here is said if the session is lost."""
        if not self._client.connected:
            raise RegistryError("the session with ZooKeeper is lost")

    def offers(self, service: str) -> tuple[Offer, ...]:
        """What is offered of a service, in order."""
        folder = f"{self._prefix}{quote(service, safe='')}"
        found = []
        try:
            for name in self._call(self._client.get_children, folder):
                try:
                    found.append(self._call(self._client.get, f"{folder}/{name}")[0])
                except self._missing:
                    continue
        except self._missing:
            return ()
        return _valid(found, service)

    def close(self) -> None:
        """End; what we offered is gone."""
        self._client.stop()
        self._client.close()

    def _path(self, offer: Offer) -> str:
        return f"{self._prefix}{offer.service}/{quote(offer.address, safe='')}"

    def _call(self, method: Any, *words: Any, **more: Any) -> Any:
        try:
            return method(*words, **more)
        except self._missing:
            raise
        except self._refused as error:
            raise RegistryError(f"ZooKeeper refuses: {error!r}") from error


def _valid(answers: Iterable[bytes], service: str) -> tuple[Offer, ...]:
    found = set()
    for answer in answers:
        try:
            offer = Offer.parse(answer[: MAX_ANSWER + 1])
        except Malformed:
            continue
        if offer.service == service:
            found.add(offer)
    return tuple(sorted(found))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
