"""A heat: contestants of one model, task and precision, which take turns on the same threads."""

import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

from .models import Sizes

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Memory that is freed stays with the process, in large pages: a step that gives its activations
# back to the system pays for every page again.
ALLOCATOR = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}
# Settings of a reader's own that would make a library slower, or round more than it says.
TUNED = ("OPENBLAS_", "MKL_", "KMP_", "GOMP_", "ONEDNN_", "DNNL_", "ATEN_", "TORCH", "XLA_")


def environment(threads: int, caches: pathlib.Path) -> dict[str, str]:
    """Returns the environment of a contestant that has `threads` threads."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(TUNED)}
    return (
        kept
        | ALLOCATOR
        | {
            "OMP_NUM_THREADS": str(threads),
            # The size of XLA's pool of threads.
            "NPROC": str(threads),
            "JAX_PLATFORMS": "cpu",
            "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
            "MOTC_CACHE": str(caches / "motc"),
        }
    )


@dataclass(frozen=True)
class Heat:
    """What the contestants of a heat have in common."""

    sizes: Sizes
    task: str
    precision: str
    threads: int
    cores: list[int]
    data: pathlib.Path
    """The model's folder: see reference.py."""
    logs: pathlib.Path
    motc: pathlib.Path
    caches: pathlib.Path
    """Where compilers keep what they made."""

    @property
    def name(self) -> str:
        """The name of the heat's files."""
        return f"{self.sizes.name}.{self.task}.{self.precision}"

    @property
    def flops(self) -> float:
        """Matrix arithmetic of one run; training counts as three times the forward pass."""
        return self.sizes.forward_flops * (3 if self.task == "train" else 1)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every contestant: its threads, and nothing that slows a library."""
        return environment(self.threads, self.caches)

    def pin(self) -> None:
        """Keeps the calling process to the heat's cores."""
        os.sched_setaffinity(0, self.cores)


class Failed(Exception):
    """A contestant cannot go on; the message says why."""


@dataclass
class Entry:
    """What is known of a contestant in a heat."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failed: str | None = None

    def result(self, heat: Heat) -> dict[str, Any]:
        """Returns the entry for the file of results."""
        result: dict[str, Any] = {"contestant": self.name, **self.facts}
        if self.failed is not None:
            return result | {"failed": self.failed}
        middle = median(self.seconds)
        return result | {
            "seconds": self.seconds,
            "median_seconds": middle,
            "least_seconds": min(self.seconds),
            "tokens_per_second": heat.sizes.tokens / middle,
            "gflops": heat.flops / middle / 1e9,
        }


class Runner(Protocol):
    """A contestant that can be measured again and again."""

    def prepare(self, entry: Entry) -> None:
        """Gets ready, checks the results, and says in `entry` what it found."""

    def measure(self, entry: Entry) -> None:
        """Adds a measurement to `entry`."""

    def stop(self) -> None:
        """Ends what it started."""


def run_heat(
    heat: Heat, runners: dict[str, Runner], rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measures the contestants in turn, `rounds` times, and returns the heat's results.

    A contestant that fails is reported with its reason, and the others go on.
    """
    entries = {name: Entry(name) for name in runners}

    def attempt(name: str, action: Callable[[Entry], None]) -> None:
        if entries[name].failed is None:
            try:
                action(entries[name])
            except (Failed, OSError) as failure:
                entries[name].failed = str(failure)
                runners[name].stop()
                say(f"{heat.name}: {name} failed: {failure}")

    try:
        for name, runner in runners.items():
            say(f"{heat.name}: {name} gets ready")
            attempt(name, runner.prepare)
        for turn in range(rounds):
            say(f"{heat.name}: round {turn + 1} of {rounds}")
            for name, runner in runners.items():
                attempt(name, runner.measure)
    finally:
        for runner in runners.values():
            runner.stop()
    return {
        "model": heat.sizes.name,
        "task": heat.task,
        "precision": heat.precision,
        "entries": [entry.result(heat) for entry in entries.values()],
    }
