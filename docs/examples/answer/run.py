"""The example, whole: a daemon, a service and a client, each a process. They end when the client has its answer."""

import os
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    surveys, queries, changes = (f"tcp://127.0.0.1:{port}" for port in free_ports(3))
    environment = {
        **os.environ,
        "DISCOVERY_SURVEYS": surveys,
        "DISCOVERY_QUERIES": queries,
        "DISCOVERY_CHANGES": changes,
        "DISCOVERY_INTERVAL": "0.5",
        "DISCOVERY_DEADLINE": "0.2",
    }
    daemon = subprocess.Popen([sys.executable, "-m", "workbench", "discovery", "daemon"], env=environment)
    service = subprocess.Popen([sys.executable, HERE / "service.py"], env=environment)
    try:
        return subprocess.run([sys.executable, HERE / "client.py"], env=environment, timeout=30).returncode
    finally:
        for process in (daemon, service):
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


if __name__ == "__main__":
    sys.exit(main())
