"""The example "The answer is 42": three processes, and the container files without a container engine."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from worlds import free_address

EXAMPLE = Path(__file__).parents[2] / "docs/examples/answer"
ROOT = EXAMPLE.parents[2]
SERVICES: dict[str, Any] = YAML(typ="safe").load(EXAMPLE / "compose.yaml")["services"]
DOCKERFILE = (EXAMPLE / "Dockerfile").read_text()


def test_the_example_answers() -> None:
    done = subprocess.run([sys.executable, EXAMPLE / "run.py"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "The answer is 42\n"), done.stderr


def test_the_containers_are_a_daemon_two_services_and_a_client() -> None:
    assert list(SERVICES) == ["discovery", "new-york", "london", "client"]
    for name, service in SERVICES.items():
        assert service["image"] == "answer"
        assert set(service.get("depends_on", ())) <= set(SERVICES) - {name}
        for address in re.findall(r"tcp://([a-z-]+):", str(service["environment"])):
            assert address in SERVICES
    build = SERVICES["discovery"]["build"]
    assert (EXAMPLE / build["context"]).resolve() == ROOT
    assert ROOT / build["dockerfile"] == EXAMPLE / "Dockerfile"


def test_the_image_has_what_the_containers_run() -> None:
    copied = [line.split()[1:] for line in DOCKERFILE.splitlines() if line.startswith("COPY docs")]
    (*sources, target), workdir = copied[0], re.findall(r"^WORKDIR (.*)", DOCKERFILE, re.MULTILINE)[-1]
    assert target.rstrip("/") == workdir
    for source in sources:
        assert (ROOT / source).is_file()
    scripts = {Path(source).name for source in sources}
    ran = {service["command"][1] for service in SERVICES.values() if service["command"][0] == "python"}
    assert ran == scripts


@pytest.mark.slow
def test_what_the_containers_run_works_as_processes() -> None:
    """Every container becomes a process with its own environment; each name and port becomes a port of this machine."""
    places: dict[str, str] = {}

    def here(match: re.Match[str]) -> str:
        return places.setdefault(match[0], free_address().removeprefix("tcp://"))

    processes = {}
    try:
        for name, service in SERVICES.items():
            # Listening on every interface means: at one's own name.
            said = {key: value.replace("0.0.0.0", name) for key, value in service["environment"].items()}
            said = {key: re.sub(r"(?<=tcp://)[a-z-]+:\d+", here, value) for key, value in said.items()}
            program, *words = service["command"]
            start = [sys.executable, "-m", "workbench"] if program == "workbench" else [sys.executable]
            processes[name] = subprocess.Popen(
                [*start, *words], cwd=EXAMPLE, env={**os.environ, **said}, stdout=subprocess.PIPE, text=True
            )
        out, _ = processes["client"].communicate(timeout=60)
        assert out == "The answer is 42\n"
        assert len(places) == 5
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
