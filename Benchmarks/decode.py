"""`python3 -m Benchmarks.decode`: one token at a time, in motc and in PyTorch, in turn.

The model is examples/benchmark-decode.swift-spec, whose weights no cache of a processor holds: what
counts is how fast they are read.
"""

import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from . import console, machine, pages
from .contestants import PRECISIONS
from .heat import ROOT, Failed
from .models import DECODE, Batch, make_batch, make_plan
from .program import Motc, Worker
from .reference import CannotRun
from .torch_decode import FORMS, TOKENS, Decoder
from .torch_grouped import GroupedModel

say = console.progress("decode")

BEGIN = "<!-- written by Benchmarks/run.sh decode: begin -->"
END = "<!-- written by Benchmarks/run.sh decode: end -->"
# Of the logits, relative and by norm.
TOLERANCE = 1e-3
# What is wanted: of the memory stream, and over PyTorch's best form.
SHARE, RATIO = 0.85, 2.0


@dataclass
class Entry:
    """What was measured of a contestant."""

    name: str
    seconds: list[float] = field(default_factory=list)
    """Of tokens, round after round; of motc a mean a round."""
    shares: list[float] = field(default_factory=list)
    """Of the memory stream that motc measured in the same round."""
    bytes: float = 0
    failed: str | None = None

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return 1 / median(self.seconds)


class Decoding(Motc):
    """The release build of motc, for decoding."""

    def measure(self, entry: Entry, precision: str) -> float:
        """Adds a measurement to `entry`; returns the bytes that memory gave in a second."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "bench.json"
            task = ["--tasks", "decode", "--compare", "fused", "--precision", precision]
            options = ["--repeat", 3, "--threads", self.threads, "--json", path]
            self.run("bench", ROOT / DECODE.spec, *task, *options)
            report = json.loads(path.read_text())
        found, memory = report["decode"]["fused"], report["machine"]["memory_bandwidth"]
        entry.seconds.append(found["seconds_per_step"])
        entry.bytes = 1e9 * found["gigabytes_per_second"] * found["seconds_per_step"]
        entry.shares.append(found["gigabytes_per_second"] / memory)
        return 1e9 * memory


class Torch(Worker):
    """The process of PyTorch in one precision."""

    def __init__(self, precision: str, threads: int):
        super().__init__("Benchmarks.torch_decode", ["--precision", precision], threads)

    def measure(self, entry: Entry, form: str, memory: float | None) -> None:
        """Adds the tokens of a measurement to `entry`, beside the `memory` of the round."""
        answer = self.ask(form)
        if memory is None:
            return
        entry.bytes = answer["bytes"]
        entry.seconds += answer["seconds"]
        entry.shares.append(entry.bytes / median(answer["seconds"]) / memory)


def check(motc: Motc) -> dict[str, float]:
    """Returns how far apart the logits of a small form are: one token at a time and all at once in
    PyTorch, and all at once in PyTorch and in motc."""
    sizes = replace(DECODE, layers=2, sequence=24)
    text = (ROOT / DECODE.spec).read_text()
    small = text.replace(f"Repeat({DECODE.layers})", f"Repeat({sizes.layers})")
    if small == text:
        raise CannotRun(f"{DECODE.spec} does not repeat {DECODE.layers} layers")
    batch = mixed_batch()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        spec, weights, inputs, output = (
            folder / file for file in ("small.swift-spec", "w.st", "b.st", "o.st")
        )
        spec.write_text(small)
        rows = {n: v.astype(np.int32)[None] for n, v in vars(batch).items() if n != "targets"}
        save_file(rows, inputs)
        motc.run("init", spec, "--seed", 0, "-o", weights)
        files = ["--weights", weights, "--input", inputs, "-o", output]
        motc.run("run", spec, *files, "--outputs", "logits")
        ours = load_file(output)["logits"].reshape(sizes.sequence, -1)
        parameters = load_file(weights)
    plan = make_plan(sizes, batch.modality)
    with torch.inference_mode():
        tokens = torch.from_numpy(batch.tokens)
        whole = GroupedModel(sizes, plan, parameters).logits(tokens[plan.order]).numpy()
        decoder = Decoder(sizes, parameters, sizes.names)
        single = [
            decoder(tokens[place : place + 1], int(batch.modality[place]), place)
            for place in range(sizes.sequence)
        ]
    size = np.linalg.norm(whole)
    errors = {
        "one at a time": float(np.linalg.norm(torch.cat(single).numpy() - whole) / size),
        "motc": float(np.linalg.norm(ours - whole) / size),
    }
    for what, error in errors.items():
        if not error <= TOLERANCE:
            raise CannotRun(f"logits, {what}: off by {error:.1e}")
    return errors


def mixed_batch() -> Batch:
    """Returns tokens whose modalities take turns, in spans of four."""
    batch = make_batch(replace(DECODE, sequence=48))
    order = np.arange(48).reshape(2, 6, 4).swapaxes(0, 1).reshape(-1)[:24]
    return Batch(batch.tokens[order], batch.modality[order], batch.targets[order])


def measure(
    motc: Decoding, precision: str, forms: tuple[str, ...], rounds: int
) -> tuple[list[Entry], float]:
    """Measures all contestants in turn; returns also the bytes of memory a second."""
    entries = {name: Entry(name) for name in ("motc", *(f"torch-{form}" for form in forms))}
    torch_process = Torch(precision, motc.threads)
    memory: list[float] = []
    try:
        # The first round of PyTorch compiles.
        for turn in range(rounds + 1):
            say(f"{precision}: round {turn} of {rounds}" if turn else f"{precision}: gets ready")
            if turn:
                memory.append(motc.measure(entries["motc"], precision))
            for form in forms:
                entry = entries[f"torch-{form}"]
                if entry.failed is not None:
                    continue
                try:
                    torch_process.measure(entry, form, memory[-1] if turn else None)
                except Failed as failure:
                    entry.failed = str(failure)
                    say(f"{entry.name} failed: {failure}")
    finally:
        torch_process.stop()
    return list(entries.values()), median(memory)


HEADER = ["", "", "tokens/s", "GB a token", "GB/s", "of memory", "motc is"]


def lines_of(precision: str, entries: list[Entry]) -> list[list[str]]:
    """Returns a precision's lines, motc's first."""
    lines = []
    for entry in entries:
        if entry.failed is not None:
            lines.append([precision, entry.name, "failed", "–", "–", "–", "–"])
            continue
        cells = [f"{entry.rate:.2f}", f"{entry.bytes / 1e9:.2f}"]
        cells += [f"{entry.bytes * entry.rate / 1e9:.1f}", f"{median(entry.shares):.0%}"]
        ratio = "–" if entry is entries[0] else f"{entries[0].rate / entry.rate:.2f}x"
        lines.append([precision, entry.name, *cells, ratio])
    return lines


def problems(precision: str, entries: list[Entry]) -> list[str]:
    """Returns what is wanted and was not reached."""
    motc, *peers = entries
    found = []
    share = median(motc.shares)
    if share < SHARE:
        found.append(f"{precision}: motc reaches {share:.0%} of the memory, not {SHARE:.0%}")
    best = max((peer.rate for peer in peers if peer.failed is None), default=0.0)
    if motc.rate < RATIO * best:
        found.append(f"{precision}: motc is {motc.rate / best:.2f}x PyTorch, not {RATIO:g}x")
    return found


def markdown(
    measured: dict[str, tuple[list[Entry], float]],
    errors: dict[str, float],
    rounds: int,
    threads: int,
    loads: list[float],
) -> str:
    """Returns the table and what it is to be read with."""
    date = datetime.datetime.now(datetime.UTC).date()
    streams = ", ".join(f"{memory / 1e9:.1f} GB/s ({p})" for p, (_, memory) in measured.items())
    about = (
        f"`Benchmarks/run.sh decode --docs`, {date}, on {machine.processor()} "
        f"({', '.join(machine.matrix_units())}), {threads} threads; torch "
        f"{machine.versions()['torch']}. Medians of {rounds} rounds, of PyTorch of {TOKENS} tokens "
        f"each.\nThe stream that only reads reached {streams}. Load of the host, a mean of the minute "
        f"before each precision and after the last: {', '.join(f'{load:.1f}' for load in loads)}."
    )
    agreement = (
        f"Logits of two layers, relative and by norm: PyTorch's one token at a time are its own all "
        f"at once to {errors['one at a time']:.1e}, and motc's to {errors['motc']:.1e}."
    )
    lines = [line for p, (entries, _) in measured.items() for line in lines_of(p, entries)]
    failures = [
        f"- {p}: {e.name} failed: {e.failed}"
        for p, (entries, _) in measured.items()
        for e in entries
        if e.failed is not None
    ]
    parts = [about, "", *pages.table(HEADER, lines), "", agreement, ""]
    return "\n".join([*parts, *failures, ""] if failures else parts)


def parse() -> argparse.Namespace:
    """Returns the options."""
    parser = console.options("decode", "Measures motc and PyTorch decoding, in turn.")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (5)")
    parser.add_argument("--forms", nargs="*", default=FORMS, choices=FORMS, help="of PyTorch")
    parser.add_argument("--quick", action="store_true", help="only compare logits")
    parser.add_argument("--docs", action="store_true", help="write the table to docs/benchmarks.md")
    return parser.parse_args()


def main() -> None:
    """Runs what the options say."""
    options = parse()
    threads = options.threads or len(os.sched_getaffinity(0))
    try:
        motc = Decoding(threads)
        errors = check(motc)
        say(", ".join(f"{what}: logits off by {error:.1e}" for what, error in errors.items()))
        if options.quick:
            return
        measured, loads = {}, []
        for precision in PRECISIONS:
            loads.append(os.getloadavg()[0])
            measured[precision] = measure(motc, precision, tuple(options.forms), options.rounds)
        loads.append(os.getloadavg()[0])
    except CannotRun as error:
        say(str(error))
        sys.exit(2)
    text = markdown(measured, errors, options.rounds, threads, loads)
    print(text)
    if options.docs:
        pages.replace(ROOT / "docs/benchmarks.md", BEGIN, END, text)
    missed = [p for name, (entries, _) in measured.items() for p in problems(name, entries)]
    for problem in missed:
        say(problem)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
