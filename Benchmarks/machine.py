"""The machine, and what this process takes of it."""

import os
import pathlib
import platform
from importlib import metadata

PACKAGES = ("torch", "jax", "jaxlib", "onnxruntime", "numpy")


def processor() -> str:
    """Returns the processor's name, as the system tells it."""
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"


def matrix_units() -> list[str]:
    """Returns what matters most for matrix products among the processor's extensions."""
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("flags"):
            flags = line.split()
            return [
                name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags
            ]
    return []


def memory_gib() -> float:
    """Returns the machine's memory."""
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) / 2**20
    return 0.0


def cores(count: int) -> list[int]:
    """Returns `count` of the cores that this process may use, second threads of a core last."""
    allowed = sorted(os.sched_getaffinity(0))
    seen: set[tuple[str, ...]] = set()
    ranks = []
    for cpu in allowed:
        folder = f"/sys/devices/system/cpu/cpu{cpu}/topology"
        place = tuple("".join(_lines(f"{folder}/{n}")) for n in ("physical_package_id", "core_id"))
        ranks.append((place in seen, cpu))
        seen.add(place)
    return sorted(cpu for _, cpu in sorted(ranks)[:count])


def versions() -> dict[str, str]:
    """Returns the versions of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def resident_memory() -> int:
    """Returns the bytes of this process that are in memory."""
    return _status("VmRSS")


def peak_memory() -> int:
    """Returns the most bytes of this process that were in memory since the last reset."""
    return _status("VmHWM")


def reset_peak_memory() -> None:
    """Begins the count of `peak_memory` anew."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    for line in _lines("/proc/self/status"):
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _lines(path: str) -> list[str]:
    try:
        return pathlib.Path(path).read_text().splitlines()
    except OSError:
        return []
