"""Facts about the machine a run was made on: what it is, how busy it is, what is installed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LIBRARIES = (
    "simpy",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "pydantic",
    "ruamel.yaml",
    "pyzmq",
    "pynng",
    "thrift",
    "grpcio",
)
"""The distributions whose versions a manifest records."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as a reader of results needs to know it; None or empty where the system does not tell."""

    cpu: str
    cores: int
    """Cores this process may use, which in a container can be fewer than the machine has."""
    governor: str | None
    memory_bytes: int | None
    kernel: str
    python: str
    load_average: tuple[float, float, float] | None
    steal: float | None
    """The fraction of CPU time since boot that the hypervisor gave to others."""

    def to_json(self) -> dict[str, Any]:
        """All fields by their names."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU time since boot in ticks, over all cores: all of it, and what the hypervisor took."""

    total: int
    steal: int

    def steal_since(self, earlier: CpuTimes) -> float:
        """The fraction of time stolen between two readings, 0 when no time passed."""
        passed = self.total - earlier.total
        return max(0.0, (self.steal - earlier.steal) / passed) if passed > 0 else 0.0


def machine() -> Machine:
    """The facts of this machine, now. Never fails: what cannot be read is None or "unknown"."""
    times = cpu_times()
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        governor=_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        memory_bytes=_memory(),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load_average=_load_average(),
        steal=None if times is None else times.steal_since(CpuTimes(0, 0)),
    )


def cpu_times() -> CpuTimes | None:
    """The kernel's CPU time counters, or None where there is no /proc/stat to read them from."""
    fields = _text("/proc/stat").partition("\n")[0].split()
    try:
        # user nice system idle iowait irq softirq steal; the guest times after them are within user and nice
        ticks = [int(field) for field in fields[1:9]]
    except ValueError:
        return None
    return CpuTimes(sum(ticks), ticks[7]) if len(ticks) == 8 else None


def versions(libraries: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """The installed versions of the named distributions; those not installed are left out."""
    found = {}
    for name in ("messaging-workbench", *libraries):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        # x86 says "model name", some Arm kernels "Model" or "Hardware"
        if key.strip() in {"model name", "Model", "Hardware"} and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _load_average() -> tuple[float, float, float] | None:
    try:
        return os.getloadavg()
    except (AttributeError, OSError):
        return None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
