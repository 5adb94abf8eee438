"""`python3 -m Benchmarks.experiment`: Mixture-of-Transformers against dense, by steps to equal losses.

For each study of experiment_studies.py it draws a corpus, trains every system on it, and matches
them with `motc match`. It can be stopped at any time: the same command goes on. It takes Python's
standard library, motc and espeak-ng; pictures take gnuplot.
"""

import argparse
import ctypes
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from . import console, pages
from .experiment_report import Results, Run, markdown
from .experiment_studies import STUDIES, Study, System, run_name

say = console.progress("experiment")

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/experiment.md"


class CannotRun(Exception):
    """What is missing, or did not do its work."""


class Experiment:
    """All runs of a study, in a folder that says how far they are."""

    def __init__(self, folder: pathlib.Path, study: Study, threads: int, at_once: int):
        self.motc = ROOT / ".build/release/motc"
        if not self.motc.exists():
            raise CannotRun(f"there is no {self.motc}: run `swift build -c release`")
        self.folder, self.study, self.settings = folder, study, study.settings
        self.threads, self.at_once = threads, at_once
        folder.mkdir(parents=True, exist_ok=True)
        # It stays open: the system gives the lock back when the process ends.
        self.lock = open(folder / ".lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotRun(f"another process works in {folder}") from None
        self._keep("settings.json", json.dumps(asdict(study.settings), indent=2) + "\n")

    def run_all(self) -> Results:
        """Makes the corpus and all runs, or what is missing of them, and matches the runs."""
        self._make("corpus", self._draw)
        self._make("shards", self._tokenize)
        runs = self.study.runs
        self._train_all(runs)
        parameters = {system.name: self._parameters(system) for system in self.study.systems}
        found = [Run(system, seed, self._metrics(system, seed)) for system, seed in runs]
        matches, seconds = self._matches(), self._step_seconds()
        return Results(self.study, self.threads, parameters, found, matches, seconds)

    def draw(self, folder: pathlib.Path) -> None:
        """Draws the curves and matches of the first seed into a folder."""
        study = self.study
        runs = [self._run(system, 0) for system in study.systems if system.seeds > 1]
        metrics = ["--metric", ",".join(study.losses[1:])]
        self._motc("plot", *runs, *metrics, "-o", folder / study.picture("curves"))
        runs = [self._run(system, 0) for system in study.systems]
        self._motc("match", *runs, "-o", folder / study.picture("match"))

    def _train_all(self, runs: list[tuple[System, int]]) -> None:
        """Trains what is not trained yet, `at_once` runs beside each other."""
        start = time.monotonic()
        done = 0

        def train(run: tuple[System, int]) -> None:
            nonlocal done
            self._train(*run)
            done += 1
            left = (len(runs) - done) * (time.monotonic() - start) / done / 60
            say(f"run {done} of {len(runs)} is done; {left:.0f} minutes left, if others take as long")

        with ThreadPoolExecutor(self.at_once) as pool:
            futures = [pool.submit(train, run) for run in runs]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    # Steps of the work, each of which is there as a whole or not at all.

    def _keep(self, name: str, text: str) -> None:
        """Writes a file of the folder that stays as it was at the first call."""
        path = self.folder / name
        if not path.exists():
            unfinished = self.folder / f".{name.replace('/', '-')}"
            unfinished.write_text(text)
            path.parent.mkdir(exist_ok=True)
            unfinished.rename(path)
        elif path.read_text() != text:
            raise CannotRun(
                f"{path} is not what it would be now: remove {self.folder}, or name another by --into"
            )

    def _make(self, name: str, make: Callable[[pathlib.Path], None]) -> None:
        """Makes a folder, unless it is there."""
        if (self.folder / name).exists():
            return
        unfinished = self.folder / f".{name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        make(unfinished)
        unfinished.rename(self.folder / name)

    def _draw(self, folder: pathlib.Path) -> None:
        settings = self.settings
        say(f"{settings.pictures:,} pictures, {settings.spoken:,} of their captions spoken")
        counts = ["--count", settings.pictures, "--spoken", settings.spoken]
        draw = [sys.executable, ROOT / "examples/shapes/draw.py", folder, *counts]
        self._call(draw, stdout=sys.stderr)

    def _tokenize(self, folder: pathlib.Path) -> None:
        files = ["--data", self.folder / "corpus", "-o", folder]
        share = ["--validation", self.settings.held_back]
        self._motc("tokenize", ROOT / self.study.spec, *files, *share, "--together")

    def _train(self, system: System, seed: int) -> None:
        say(f"{self.study.name}: {system.name}, seed {seed}")
        files = ["--data", self.folder / "shards", "--out", self._run(system, seed)]
        options = [*self.settings.options(seed), "--threads", max(1, self.threads // self.at_once)]
        self._motc("train", self._spec(system), *files, *options, "--resume", "auto")

    # What the steps leave.

    def _spec(self, system: System) -> pathlib.Path:
        name = f"specs/{system.name}.swift-spec"
        self._keep(name, self.study.text(system, (ROOT / self.study.spec).read_text()))
        return self.folder / name

    def _run(self, system: System, seed: int) -> pathlib.Path:
        return self.folder / "runs" / run_name(system, seed)

    def _metrics(self, system: System, seed: int) -> list[dict[str, float]]:
        text = (self._run(system, seed) / "metrics.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def _parameters(self, system: System) -> int:
        answer = self._motc("inspect", self._spec(system), "--json", stdout=subprocess.PIPE)
        return json.loads(answer)["parameterCount"]

    def _matches(self) -> dict[str, dict]:
        """Returns what `motc match` finds of each run but the dense ones, by its name."""
        matches = {}
        for seed in range(self.settings.most_seeds):
            systems = [system for system, other in self.study.runs if other == seed]
            runs = [self._run(system, seed) for system in systems]
            answer = self._motc("match", *runs, "--json", stdout=subprocess.PIPE)
            for run in json.loads(answer)["runs"]:
                losses = {loss["loss"]: loss for loss in run["losses"]}
                matches[pathlib.Path(run["run"]).name] = losses
        return matches

    def _step_seconds(self) -> dict[str, float]:
        """Measures a step of each system, in turn: of runs hours apart the machine's mood would be part."""
        systems = self.study.systems
        specs = [self._spec(system) for system in systems]
        others = [word for spec in specs[1:] for word in ("--against", spec)]
        report = self.folder / "bench.json"
        what = ["--tasks", "train", "--compare", "fused", "--threads", self.threads]
        shape = ["--batch", self.settings.batch, "--precision", self.settings.precision]
        self._motc("bench", specs[0], *others, *what, *shape, "--json", report)
        cases = json.loads(report.read_text())["train"]
        base = self.study.base.name
        names = {system.name: f"fused {system.name}" for system in systems} | {base: "fused"}
        return {name: cases[case]["seconds_per_step"] for name, case in names.items()}

    # Programs.

    def _motc(self, *arguments: object, **streams) -> str | None:
        return self._call([self.motc, *arguments], **{"stdout": sys.stderr} | streams)

    def _call(self, command: list[object], **streams) -> str | None:
        """Runs a program that does not outlive this one; returns its output where that is asked for."""
        words = [str(word) for word in command]
        with subprocess.Popen(words, text=True, preexec_fn=end_with_parent, **streams) as process:
            try:
                output, _ = process.communicate()
            except KeyboardInterrupt:
                # It was told too, and may have something to save.
                process.wait()
                raise
        if process.returncode != 0:
            raise CannotRun(f"this ended with code {process.returncode}: {' '.join(words)}")
        return output


def end_with_parent() -> None:
    """Lets the calling process end with the one that started it, however that ends."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def parse() -> argparse.Namespace:
    """Returns the options."""
    parser = console.options(
        "experiment", "Trains Mixture-of-Transformers and dense models, and matches their steps."
    )
    parser.add_argument("--at-once", type=int, help="runs that share the threads (one a thread)")
    parser.add_argument("--quick", action="store_true", help="a few steps, which prove nothing")
    names = [study.name for study in STUDIES]
    parser.add_argument("--study", choices=names, help="this one alone, in place of all")
    parser.add_argument("--into", type=pathlib.Path, help="the folder of runs (runs/experiment)")
    parser.add_argument("--docs", action="store_true", help=f"write {PAGE.name}; takes gnuplot")
    return parser.parse_args()


def perform(options: argparse.Namespace) -> None:
    """Runs what the options say."""
    folder = options.into or ROOT / "runs" / ("experiment-quick" if options.quick else "experiment")
    if options.quick and not options.into:
        shutil.rmtree(folder, ignore_errors=True)
    threads = options.threads or len(os.sched_getaffinity(0))
    has_gnuplot = shutil.which("gnuplot") is not None
    if options.docs and not options.quick and not has_gnuplot:
        raise CannotRun("pictures of the docs are drawn by gnuplot: install gnuplot-nox")
    for study in chosen(options):
        place = (folder / study.name).resolve()
        experiment = Experiment(place, study, threads, options.at_once or threads)
        text = markdown(experiment.run_all())
        (place / "report.md").write_text(text)
        print(text)
        print(f"results: {place}")
        if has_gnuplot:
            experiment.draw(place)
        if options.docs and not options.quick:
            for name in map(study.picture, ("curves", "match")):
                shutil.copy(place / name, PAGE.parent / name)
            pages.replace(PAGE, *study.marks, text)


def chosen(options: argparse.Namespace) -> list[Study]:
    """Returns the studies that the options ask for."""
    studies = [study for study in STUDIES if options.study in (None, study.name)]
    return [study.shortly() for study in studies] if options.quick else studies


def main() -> None:
    """Runs what the options say, and says what is missing."""
    options = parse()
    speaks = any(study.settings.spoken for study in chosen(options))
    if speaks and shutil.which("espeak-ng") is None:
        # Only the short form may do without.
        say("skipped, because this machine has no espeak-ng, which speaks: apt-get install espeak-ng")
        sys.exit(0 if options.quick else 2)
    try:
        perform(options)
    except CannotRun as error:
        say(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        say("stopped; the same command goes on")
        sys.exit(130)


if __name__ == "__main__":
    main()
