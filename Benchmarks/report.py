"""Tables of a run's results, for the terminal and for docs/benchmarks.md."""

import json
import pathlib
from statistics import median
from typing import Any

from .contestants import PRECISIONS, TASKS
from .models import MODELS
from .motc_runner import NAME as MOTC

Results = dict[str, Any]


def load(folder: pathlib.Path) -> list[Results]:
    """Returns the heats in a run's folder, in the order of models, tasks and precisions."""
    names = [f"{m}.{t}.{p}.json" for m in MODELS for t in TASKS for p in PRECISIONS]
    return [json.loads((folder / n).read_text()) for n in names if (folder / n).exists()]


def disagreements(heats: list[Results]) -> list[str]:
    """Returns the contestants whose results are not motc's."""
    return [
        f"{heat['model']} {heat['task']} {heat['precision']}: {entry['contestant']}"
        for heat in heats
        for entry in heat["entries"]
        if not entry.get("agrees", True)
    ]


def motc_of(heat: Results) -> Results | None:
    """Returns motc's entry, if it was measured."""
    found = [e for e in heat["entries"] if e["contestant"] == MOTC and "failed" not in e]
    return found[0] if found else None


def peers_of(heat: Results) -> list[Results]:
    """Returns the peers that were measured, the fastest first."""
    peers = [e for e in heat["entries"] if e["contestant"] != MOTC and "failed" not in e]
    return sorted(peers, key=lambda entry: entry["median_seconds"])


def share_of_peak(entry: Results, heat: Results) -> str:
    """Returns an entry's arithmetic over the peak that motc measured beside it."""
    motc = motc_of(heat)
    return f"{100 * entry['gflops'] / median(motc['peak_gflops']):.0f} %" if motc else "–"


def rows(heat: Results) -> list[list[str]]:
    """Returns a line for each contestant: the fastest first, those that failed last."""
    motc = motc_of(heat)
    measured = [entry for entry in heat["entries"] if "failed" not in entry]
    lines = []
    for entry in sorted(measured, key=lambda entry: entry["median_seconds"]):
        ratio = entry["median_seconds"] / motc["median_seconds"] if motc else None
        lines.append(
            [
                entry["contestant"],
                f"{entry['tokens_per_second']:,.0f}",
                f"{1000 * entry['median_seconds']:,.1f}",
                f"{1000 * entry['least_seconds']:,.1f}",
                f"{entry['gflops']:,.0f}",
                share_of_peak(entry, heat),
                f"{ratio:.2f}x" if ratio and entry is not motc else "–",
                f"{max(entry['errors'].values(), default=0.0):.0e}",
                f"{entry['first_step_seconds']:.1f}" if "first_step_seconds" in entry else "–",
            ]
        )
    for entry in heat["entries"]:
        if "failed" in entry:
            lines.append([entry["contestant"], f"failed: {entry['failed']}"])
    return lines


HEADER = [
    "contestant",
    "tokens/s",
    "median ms",
    "least ms",
    "GFLOP/s",
    "of peak",
    "motc is",
    "error",
    "first s",
]


def text(heats: list[Results]) -> str:
    """Returns all heats as aligned text."""
    parts = []
    for heat in heats:
        lines = [HEADER, *rows(heat)]
        widths = [max(len(line[i]) for line in lines if len(line) > 2) for i in range(len(HEADER))]
        parts.append(f"{heat['model']}, {heat['task']}, {heat['precision']}")
        for line in lines:
            first, *rest = line
            if len(line) > 2:
                rest = [cell.rjust(width) for cell, width in zip(rest, widths[1:])]
            parts.append("  ".join([f"  {first.ljust(widths[0])}", *rest]).rstrip())
        parts.append("")
    return "\n".join(parts)
