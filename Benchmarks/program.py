"""The programs that are measured: motc, and Python processes that answer line by line."""

import json
import os
import subprocess
import sys

from . import machine
from .heat import ROOT, Failed, environment
from .reference import CannotRun

CACHES = ROOT / ".build/bench-caches"


class Motc:
    """The release build of motc, on cores of its own."""

    def __init__(self, threads: int):
        self.program = ROOT / ".build/release/motc"
        if not self.program.exists():
            raise CannotRun(f"there is no {self.program}: run `swift build -c release`")
        self.threads, self.cores = threads, machine.cores(threads)
        self.environment = environment(threads, CACHES)

    def run(self, *arguments: object) -> None:
        """Runs motc, whose messages are shown if it fails."""
        done = self._start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise CannotRun(f"motc {' '.join(map(str, arguments))}\n{done.stderr}")

    def show(self, *arguments: object) -> None:
        """Runs motc, whose messages are shown as they come."""
        if self._start(arguments, stdout=sys.stderr, stderr=sys.stderr).returncode != 0:
            raise CannotRun(f"motc {' '.join(map(str, arguments))} failed")

    def _start(self, arguments: tuple[object, ...], **streams) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(part) for part in (self.program, *arguments)],
            env=self.environment,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cores),
            **streams,
        )


class Worker:
    """A process of a module of Benchmarks, which answers each line by a line of JSON."""

    def __init__(self, module: str, arguments: list[str], threads: int, **variables: str):
        cores = machine.cores(threads)
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "--threads", str(threads)],
            cwd=ROOT,
            env=environment(threads, CACHES) | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def ask(self, line: str) -> dict:
        """Returns the answer to a line."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed("its process ended") from None
        answer = json.loads(self.process.stdout.readline() or '{"failed": "its process ended"}')
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def stop(self) -> None:
        """Ends the process, which reads to the end of its input."""
        try:
            self.process.communicate()
        except BrokenPipeError:
            self.process.wait()
