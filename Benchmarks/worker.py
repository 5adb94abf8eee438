"""The process of one contestant: `python3 -m Benchmarks.worker`.

It builds the model, runs it twice, compares the results with motc's, and says so in a line of JSON.
Then each line `measure` on stdin is answered by the seconds that one run took, so that contestants
can take turns without starting anew.
"""

import argparse
import gc
import json
import os
import pathlib
import sys
import time
import traceback
from typing import Any, TextIO

from .contestants import PEERS
from .machine import peak_memory, reset_peak_memory, resident_memory
from .models import MODELS
from .reference import compare, load_job

# A measurement is the mean of runs that take as long as this together, as in `motc bench`.
SHORTEST_SECONDS = 0.3


def seconds_of(run) -> float:
    """Returns the mean seconds of runs that take at least SHORTEST_SECONDS together."""
    start, count, seconds = time.perf_counter(), 0, 0.0
    while seconds < SHORTEST_SECONDS:
        run()
        count += 1
        seconds = time.perf_counter() - start
    return seconds / count


def start(options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Returns a contestant that is ready, and what it says of itself."""
    contestant = next(peer for peer in PEERS if peer.name == options.contestant)
    contestant.load()
    before = resident_memory()
    sizes = MODELS[options.model]
    job = load_job(options.data, sizes, options.task, options.precision, options.threads)
    begin = time.perf_counter()
    subject = contestant.build(job)
    subject.run()
    first_seconds = time.perf_counter() - begin
    first = subject.results()
    first = {name: value.copy() for name, value in first.items()}
    subject.run()
    agreement = compare(options.data, job, first, subject.results())
    return subject, {
        **agreement.facts,
        "first_step_seconds": first_seconds,
        "library_memory": before,
    }


def serve(subject: Any, lines: TextIO, answer) -> None:
    """Measures as often as it is told to."""
    gc.collect()
    gc.disable()
    reset_peak_memory()
    for line in lines:
        if line.strip() != "measure":
            return
        seconds = seconds_of(subject.run)
        answer({"seconds": seconds, "peak_memory": peak_memory()})


def main() -> None:
    """Does what the driver says on stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--contestant", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    options = parser.parse_args()
    # What libraries print is for the log; answers have a channel of their own.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: dict[str, Any]) -> None:
        print(json.dumps(value), file=channel, flush=True)

    try:
        subject, ready = start(options)
    except Exception as error:
        traceback.print_exc()
        reason = str(error).strip().splitlines() or [""]
        answer({"failed": f"{type(error).__name__}: {reason[0][:200]}"})
        return
    answer(ready)
    serve(subject, sys.stdin, answer)


if __name__ == "__main__":
    main()
