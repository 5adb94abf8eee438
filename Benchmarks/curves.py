"""`python3 -m Benchmarks.curves`: loss curves of motc, fused, unfused and in bf16, and of PyTorch.

All train examples/shapes.swift-spec with the same settings on the same batches, from the same
weights. PyTorch makes the steps of a shorter run, at a rate that does not amplify rounding.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from statistics import median

import numpy as np
from safetensors.numpy import load_file

from . import console, pages
from .curves_report import FIRST, RUNS, STEADY, Results, Run, Settings, markdown
from .heat import ROOT
from .models import SHAPES
from .program import Motc
from .reference import CannotRun
from .torch_corpus import Tensors, train

say = console.progress("curves")

BEGIN = "<!-- written by Benchmarks/run.sh curves: begin -->"
END = "<!-- written by Benchmarks/run.sh curves: end -->"
PICTURE = "docs/curves.svg"
# Batches that are timed together.
BATCHES = 1000

QUICK = Settings(pictures=40, steps=4, steady_steps=3, warmup=2)


class Trainer(Motc):
    """The release build of motc, for one folder of runs."""

    def __init__(self, folder: pathlib.Path, threads: int):
        super().__init__(threads)
        self.folder = folder

    def make_shards(self, pictures: int) -> None:
        """Draws the corpus and turns it into shards, unless they are there."""
        if (self.folder / "shards/manifest.json").exists():
            return
        draw = [ROOT / "examples/shapes/draw.py", self.folder / "pictures"]
        command = [sys.executable, *draw, "--count", str(pictures), "--seed", "1"]
        subprocess.run(command, check=True, stdout=sys.stderr)
        files = ["--data", self.folder / "pictures", "-o", self.folder / "shards"]
        self.run("tokenize", ROOT / SHAPES.spec, *files)

    def train(self, name: str, settings: Settings) -> Run:
        """Makes a run, or what is missing of it."""
        files = ["--data", self.folder / "shards", "--out", self.folder / name, "--resume", "auto"]
        threads = ["--threads", self.threads]
        self.show("train", ROOT / SHAPES.spec, *files, *settings.options, *RUNS.get(name, RUNS[FIRST]), *threads)
        text = (self.folder / name / "metrics.jsonl").read_text()
        return Run([json.loads(line) for line in text.splitlines()])

    def batch(self, step: int, path: pathlib.Path) -> None:
        """Writes the batch of a step, from 1."""
        files = ["--data", self.folder / "shards", "--step", step, "-o", path]
        self.run("batch", ROOT / SHAPES.spec, *files)

    def batches(self, count: int) -> Iterator[Tensors]:
        """Returns the batches of the first steps."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "batch.safetensors"
            for step in range(1, count + 1):
                self.batch(step, path)
                yield load_file(path)

    def batch_seconds(self, rounds: int) -> float:
        """Returns the time in which a batch is prepared: of `motc batch`, which prepares those before."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "batch.safetensors"

            def seconds(step: int) -> float:
                start = time.perf_counter()
                self.batch(step, path)
                return time.perf_counter() - start

            # In pairs, so that what else the machine does meets both.
            pairs = [(seconds(1), seconds(1 + BATCHES)) for _ in range(rounds)]
            return median(b - a for a, b in pairs) / BATCHES


def measure(settings: Settings, folder: pathlib.Path, threads: int) -> Results:
    """Makes all runs, one after the other."""
    motc = Trainer(folder, threads)
    motc.make_shards(settings.pictures)
    runs = {name: motc.train(name, settings) for name in RUNS}
    steady = settings.steady
    ours = motc.train(STEADY, steady)
    say(f"PyTorch makes {steady.steps} steps")
    batches = same_batches(motc.batches(steady.steps), ours)
    weights = load_file(folder / STEADY / "checkpoints/step-00000000/weights.safetensors")
    rates = [steady.rate_of(step) for step in range(1, steady.steps + 1)]
    theirs = train(SHAPES, weights, batches, rates, steady.decay, steady.clip, threads)
    seconds = motc.batch_seconds(rounds=1 if settings.pictures == QUICK.pictures else 7)
    return Results(settings, threads, runs, ours, Run(theirs), seconds)


def same_batches(batches: Iterator[Tensors], run: Run) -> Iterator[Tensors]:
    """Returns the batches, and complains if they have not as many tokens as the run's steps."""
    tokens = 0
    for batch, line in zip(batches, run.lines):
        tokens += int(np.count_nonzero(batch["modality"] >= 0))
        if tokens != line["tokens"]:
            raise CannotRun(f"the run trained on another batch at step {line['step']}")
        yield batch


def parse() -> argparse.Namespace:
    """Returns the options."""
    parser = console.options(
        "curves", "Trains one model fused, unfused, in bf16 and in PyTorch, and compares losses."
    )
    parser.add_argument("--rate", type=float, default=Settings.rate, help="the highest (3e-4)")
    parser.add_argument("--quick", action="store_true", help="a few steps, which prove nothing")
    parser.add_argument("--into", type=pathlib.Path, help="a folder of runs, which go on")
    parser.add_argument(
        "--docs", action="store_true", help=f"write docs/training.md and {PICTURE}; takes gnuplot"
    )
    return parser.parse_args()


def main() -> None:
    """Runs what the options say."""
    options = parse()
    settings = QUICK if options.quick else Settings(rate=options.rate)
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = (options.into or ROOT / "runs" / f"curves-{now}").resolve()
    threads = options.threads or len(os.sched_getaffinity(0))
    try:
        results = measure(settings, folder, threads)
        text = markdown(results)
        print(text)
        print(f"results: {folder}")
        if options.quick:
            return
        if options.docs:
            Motc(threads).run("plot", *(folder / name for name in RUNS), "-o", ROOT / PICTURE)
            pages.replace(ROOT / "docs/training.md", BEGIN, END, text)
    except CannotRun as error:
        say(str(error))
        sys.exit(2)
    for problem in results.problems:
        say(problem)
    sys.exit(1 if results.problems else 0)


if __name__ == "__main__":
    main()
