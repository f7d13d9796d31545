"""What a service says of itself: the answer to a survey, one JSON object.

    {"service": "answer", "address": "tcp://10.0.0.7:5555", "site": "london"}

`site` may be missing, and keys that are not known are passed over, so that a later version can say more. An answer
comes from anyone: nothing of it is used before `Offer.parse` has checked all of it.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Self

QUESTION = b"services?"
"""What a survey asks."""

MAX_ANSWER = 1_024
"""The largest answer, in bytes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SITE = re.compile(r"[A-Za-z0-9._-]{0,64}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,31}://[!-~]{1,255}")


class Malformed(ValueError):
    """An answer or an offer is not what it must be; the text says why."""


@dataclass(frozen=True, order=True)
class Offer:
    """One provider of one service: its name, the address where it is served, and the site where that stands.

    A name has 1 to 64 letters, digits, dots, dashes and underscores, a site 0 to 64 of them; an address is any URL of
    printable ASCII up to 255 characters, for whoever resolves it to understand. Raises Malformed.
    """

    service: str
    address: str
    site: str = ""

    def __post_init__(self) -> None:
        for key, pattern in (("service", _NAME), ("address", _ADDRESS), ("site", _SITE)):
            value = getattr(self, key)
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise Malformed(f"{key} = {_short(value)} is no {key}; it has the form {pattern.pattern}")

    @classmethod
    def parse(cls, answer: bytes) -> Self:
        """Read an answer. Raises Malformed, whatever the bytes are."""
        if len(answer) > MAX_ANSWER:
            raise Malformed(f"an answer of {len(answer)} bytes is too large; allowed: {MAX_ANSWER}")
        try:
            data: Any = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"an answer is one JSON object, not {_short(answer)}") from error
        return cls.of(data)

    @classmethod
    def of(cls, data: Any) -> Self:
        """Make an offer of what JSON held. Raises Malformed."""
        if not isinstance(data, dict) or not {"service", "address"} <= data.keys():
            raise Malformed(f"an answer is an object with service and address, not {_short(data)}")
        return cls(data["service"], data["address"], data.get("site", ""))

    def data(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return {"service": self.service, "address": self.address} | ({"site": self.site} if self.site else {})

    def answer(self) -> bytes:
        """Return the answer to a survey."""
        return json.dumps(self.data()).encode()


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
