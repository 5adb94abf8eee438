"""The generated part of docs/benchmarks.md."""

import pathlib

from .contestants import PRECISIONS
from .models import MODELS
from .pages import replace, table
from .report import Results, motc_of, peers_of, share_of_peak

BEGIN = "<!-- written by make bench: begin -->"
END = "<!-- written by make bench: end -->"


def write(page: pathlib.Path, heats: list[Results]) -> None:
    """Writes the tables to `page`."""
    replace(page, BEGIN, END, markdown(heats))


def markdown(heats: list[Results]) -> str:
    """Returns all heats as Markdown."""
    parts = [conditions(heats), *table(SUMMARY, [summary(heat) for heat in heats]), ""]
    for model in MODELS:
        for precision in PRECISIONS:
            of = [h for h in heats if (h["model"], h["precision"]) == (model, precision)]
            if of:
                parts += [
                    f"**{model}, {precision}** (tokens a second; motc's throughput over it)",
                    "",
                ]
                parts += [*contestants(of), ""]
    parts += [*memory(heats), *failures(heats)]
    return "\n".join(parts)


def conditions(heats: list[Results]) -> str:
    """Returns the sentence that says what the figures are of."""
    heat = heats[-1]
    runs = {heat.get("arguments") for heat in heats}
    whole = len(runs) == 1 and None not in runs
    how = "`make bench`" if whole else "`Benchmarks/run.sh --into`, in parts"
    versions = ", ".join(f"{name} {value}" for name, value in heat["versions"].items())
    units = ", ".join(heat["matrix_units"])
    dates = sorted({heat["date"][:10] for heat in heats})
    rounds = sorted({heat["rounds"] for heat in heats})
    return (
        f"{how}, {' and '.join(dates)}, on {heat['processor']} ({units}), "
        f"{heat['threads']} threads, {heat['memory_gib']:.0f} GiB; {versions}. "
        f"Medians of {' or '.join(map(str, rounds))} rounds.\n"
    )


SUMMARY = ["model", "task", "", "motc tokens/s", "of peak", "best peer", "tokens/s", "motc over it"]


def summary(heat: Results) -> list[str]:
    """Returns a heat's line: motc and the best peer."""
    motc, peers = motc_of(heat), peers_of(heat)
    line = [heat["model"], heat["task"], heat["precision"]]
    line += [rate(motc), share_of_peak(motc, heat)] if motc else ["failed", "–"]
    if not peers:
        return [*line, "none", "–", "–"]
    ratio = f"{peers[0]['median_seconds'] / motc['median_seconds']:.2f}x" if motc else "–"
    return [*line, peers[0]["contestant"], rate(peers[0]), ratio]


def contestants(heats: list[Results]) -> list[str]:
    """Returns the table of a model's contestants, with a pair of columns for each task."""
    names = list(dict.fromkeys(e["contestant"] for heat in heats for e in heat["entries"]))
    lines = []
    for name in names:
        line = [name]
        for heat in heats:
            line += cells(heat, name)
        lines.append(line)
    header = [""]
    for heat in heats:
        header += [heat["task"], "motc is"]
    return table(header, lines)


def cells(heat: Results, name: str) -> list[str]:
    """Returns a contestant's throughput, and motc's over it."""
    entry = next((e for e in heat["entries"] if e["contestant"] == name), None)
    if entry is None:
        return ["–", "–"]
    if "failed" in entry:
        return ["failed", "–"]
    motc = motc_of(heat)
    if motc is None or entry is motc:
        return [rate(entry), "–"]
    return [rate(entry), f"{entry['median_seconds'] / motc['median_seconds']:.2f}x"]


def memory(heats: list[Results]) -> list[str]:
    """Returns the table of memory and first steps of training."""
    lines = []
    for heat in heats:
        if heat["task"] != "train":
            continue
        for entry in heat["entries"]:
            if "failed" not in entry:
                lines.append(memory_line(heat, entry))
    header = ["model", "", "contestant", "peak memory, MB", "of these libraries, MB"]
    header += ["first step, s"] if any(heat["cold"] for heat in heats) else []
    return [*table(header, [line[: len(header)] for line in lines]), ""] if lines else []


def memory_line(heat: Results, entry: Results) -> list[str]:
    """Returns a contestant's peak memory while it trains, and the time to its first step."""
    libraries = entry.get("library_memory")
    return [
        heat["model"],
        heat["precision"],
        entry["contestant"],
        f"{entry['peak_memory'] / 1e6:,.0f}",
        f"{libraries / 1e6:,.0f}" if libraries else "–",
        # Where compilers found their earlier work, the time says nothing.
        f"{entry['first_step_seconds']:.1f}" if heat["cold"] else "–",
    ]


def failures(heats: list[Results]) -> list[str]:
    """Returns what failed, and why."""
    return [
        f"- {heat['model']}, {heat['task']}, {heat['precision']}: "
        f"{e['contestant']} failed: {e['failed']}"
        for heat in heats
        for e in heat["entries"]
        if "failed" in e
    ]


def rate(entry: Results) -> str:
    """Returns tokens a second."""
    return f"{entry['tokens_per_second']:,.0f}"
