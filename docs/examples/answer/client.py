"""Resolves a service and asks it, as soon as there is one: SERVICE_NAME, DISCOVERY_QUERIES."""

import os

from workbench.apps.discovery import DirectoryClient, DirectoryError, Settings
from workbench.engine.errors import TimedOut
from workbench.engine.real import play
from workbench.engine.world import Host


async def main(host: Host) -> None:
    directory = DirectoryClient(host, Settings.from_environment(os.environ))
    while True:
        try:
            offer = await directory.resolve(os.environ.get("SERVICE_NAME", "answer"))
            break
        except (DirectoryError, TimedOut):
            await host.world.sleep(0.1)
    request = host.socket("req")
    request.dial(offer.address)
    await request.asend(b"what is the answer?")
    print((await request.arecv(timeout=5)).decode())


if __name__ == "__main__":
    play(main)
