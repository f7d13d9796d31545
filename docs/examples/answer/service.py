"""A service that answers everything, and is found: SERVICE_LISTEN, SERVICE_ADDRESS, SERVICE_SITE, DISCOVERY_SURVEYS."""

import os

from workbench.apps.discovery import Settings, serve
from workbench.engine.real import play
from workbench.engine.world import Host


async def answer(question: bytes) -> bytes:
    return b"The answer is 42"


async def main(host: Host) -> None:
    await serve(
        host,
        os.environ.get("SERVICE_NAME", "answer"),
        answer,
        listen=os.environ.get("SERVICE_LISTEN", "tcp://127.0.0.1:0"),
        public=os.environ.get("SERVICE_ADDRESS"),
        site=os.environ.get("SERVICE_SITE", ""),
        directory=Settings.from_environment(os.environ).surveys,
    )


if __name__ == "__main__":
    play(main)
