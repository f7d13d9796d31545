"""Secure connections: who we are and whom we trust."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

Pem = bytes | str | PathLike[str]
"""Certificates or a key in PEM: the text itself as bytes, or the path of a file."""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """What an endpoint with ``tls+tcp://`` or ``wss://`` needs.

    Whoever dials verifies the listener's certificate and its name. There is no way to turn that off; a certificate that
    nobody has signed can be made an authority of its own.
    """

    authorities: Pem | None = None
    """Whose signatures to trust. None: when dialling, the authorities that the system trusts; when listening, nobody is
    asked for a certificate."""
    certificate: Pem | None = None
    """Our certificate, followed by those between it and its authority. A listener needs one."""
    key: Pem | None = None
    """The key of our certificate."""
    server_name: str | None = None
    """The name that the listener's certificate must have, if it is not the host that is dialled."""

    def pieces(self) -> tuple[bytes | None, bytes | None, bytes | None, str | None]:
        """Return authorities, certificate, key (as PEM) and the name; raises OSError for a file that cannot be read."""
        return _pem(self.authorities), _pem(self.certificate), _pem(self.key), self.server_name


def _pem(source: Pem | None) -> bytes | None:
    return source if source is None or isinstance(source, bytes) else Path(source).read_bytes()
