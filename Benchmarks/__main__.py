"""`python3 -m Benchmarks`: measures, prints a table, and writes docs/benchmarks.md."""

import argparse
import datetime
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import sys

from . import console, docs, machine, report
from .contestants import PEERS, PRECISIONS, TASKS, Contestant
from .heat import ROOT, Heat, Runner, run_heat
from .models import MODELS
from .motc_runner import NAME as MOTC
from .motc_runner import MotcRunner
from .reference import CannotRun, prepare
from .worker_runner import WorkerRunner

say = console.progress("bench")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Returns the options."""
    parser = argparse.ArgumentParser(
        prog="python3 -m Benchmarks",
        description="Measures motc and its peers in turn, on the same threads of the same machine.",
    )
    lists = {"nargs": "*", "metavar": "GLOB", "default": ["*"]}
    parser.add_argument("--models", **lists, help=f"of {', '.join(MODELS)}")
    parser.add_argument("--tasks", **lists, help=f"of {', '.join(TASKS)}")
    parser.add_argument("--precisions", **lists, help=f"of {', '.join(PRECISIONS)}")
    names = ", ".join(peer.name for peer in PEERS)
    parser.add_argument("--only", **lists, help=f"of {names}; motc always takes part")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (5)")
    parser.add_argument("--threads", type=int, help="by default all cores of this process")
    parser.add_argument(
        "--quick", action="store_true", help="eager PyTorch, small model, one round"
    )
    parser.add_argument("--cold", action="store_true", help="empty the compilers' caches first")
    parser.add_argument("--into", type=pathlib.Path, help="the run's folder; may hold other parts")
    parser.add_argument("--report", action="store_true", help="only report what --into holds")
    parser.add_argument("--docs", action="store_true", help="write the table to docs/benchmarks.md")
    options = parser.parse_args(arguments)
    if options.quick:
        options.models, options.precisions, options.rounds = ["benchmark-small"], ["f32"], 1
    if options.report and not options.into:
        parser.error("--report takes --into, the folder of a run")
    return options


def chosen(names: list[str], globs: list[str]) -> list[str]:
    """Returns the names that a pattern fits."""
    return [name for name in names if any(fnmatch.fnmatchcase(name, glob) for glob in globs)]


def peers_of(options: argparse.Namespace, task: str, precision: str) -> list[Contestant]:
    """Returns the peers of a heat."""
    only = chosen([peer.name for peer in PEERS], options.only)
    return [
        peer
        for peer in PEERS
        if peer.name in only
        and task in peer.tasks
        and precision in peer.precisions
        and (peer.quick or not options.quick)
    ]


def measure(options: argparse.Namespace, folder: pathlib.Path) -> None:
    """Runs the heats and writes their results to `folder`."""
    build = ROOT / ".build"
    motc = build / "release/motc"
    if not motc.exists():
        raise CannotRun(f"there is no {motc}: run `swift build -c release`")
    threads = options.threads or len(os.sched_getaffinity(0))
    caches = folder / "caches" if options.cold else build / "bench-caches"
    shutil.rmtree(folder / "caches", ignore_errors=True)
    for model in chosen(list(MODELS), options.models):
        sizes = MODELS[model]
        data = build / "bench-data" / model
        say(f"{model}: weights, tokens and results to agree with")
        prepare(motc, ROOT, sizes, data)
        for task in chosen(list(TASKS), options.tasks):
            for precision in chosen(list(PRECISIONS), options.precisions):
                heat = Heat(
                    sizes=sizes,
                    task=task,
                    precision=precision,
                    threads=threads,
                    cores=machine.cores(threads),
                    data=data,
                    logs=folder,
                    motc=motc,
                    caches=caches,
                )
                runners: dict[str, Runner] = {MOTC: MotcRunner(heat)}
                for peer in peers_of(options, task, precision):
                    runners[peer.name] = WorkerRunner(peer, heat)
                results = run_heat(heat, runners, options.rounds, say)
                results |= about(options, motc, threads)
                path = folder / f"{heat.name}.json"
                path.write_text(json.dumps(results, indent=1) + "\n")


def about(options: argparse.Namespace, motc: pathlib.Path, threads: int) -> dict[str, object]:
    """Returns what a result is to be read with."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "arguments": " ".join(sys.argv[1:]),
        "rounds": options.rounds,
        "threads": threads,
        "processor": machine.processor(),
        "matrix_units": machine.matrix_units(),
        "memory_gib": machine.memory_gib(),
        "versions": {"motc": version_of(motc), **machine.versions()},
        "cold": options.cold,
    }


def version_of(motc: pathlib.Path) -> str:
    """Returns what motc says of its version."""
    return subprocess.run([motc, "--version"], capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Runs what the options say."""
    options = parse(sys.argv[1:])
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = (options.into or ROOT / "runs" / f"bench-{now}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not options.report:
        try:
            measure(options, folder)
        except CannotRun as error:
            say(str(error))
            sys.exit(2)
    heats = report.load(folder)
    print(report.text(heats))
    print(f"results: {folder}")
    if options.docs and not options.quick:
        docs.write(ROOT / "docs/benchmarks.md", heats)
    sys.exit(1 if report.disagreements(heats) else 0)


if __name__ == "__main__":
    main()
