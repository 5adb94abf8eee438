"""A peer in a heat: a Python process that lives as long as the heat. See worker.py."""

import json
import subprocess
import sys
from typing import Any

from .contestants import Contestant
from .heat import ROOT, Entry, Failed, Heat


class WorkerRunner:
    """One peer's process."""

    def __init__(self, contestant: Contestant, heat: Heat):
        self.contestant, self.heat = contestant, heat
        self.process: subprocess.Popen[str] | None = None

    def prepare(self, entry: Entry) -> None:
        """Starts the process and waits until it has run the model twice."""
        heat, name = self.heat, self.contestant.name
        command = [sys.executable, "-m", "Benchmarks.worker", "--contestant", name]
        command += ["--model", heat.sizes.name, "--task", heat.task, "--precision", heat.precision]
        command += ["--threads", str(heat.threads), "--data", str(heat.data)]
        with (heat.logs / f"{heat.name}.{name}.log").open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=heat.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=heat.pin,
            )
        entry.facts = self._answer()
        if not entry.facts["agrees"]:
            raise Failed(f"its results are not motc's: {'; '.join(entry.facts['problems'])}")

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"its process ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def measure(self, entry: Entry) -> None:
        """Adds a measurement to `entry`."""
        self.process.stdin.write("measure\n")
        self.process.stdin.flush()
        answer = self._answer()
        entry.seconds.append(answer["seconds"])
        entry.facts["peak_memory"] = answer["peak_memory"]

    def stop(self) -> None:
        """Ends the process, which reads to the end of its input."""
        if self.process is not None:
            self.process.communicate()
            self.process = None
