"""motc in a heat: its own `motc bench`, once a round."""

import json
import subprocess
import tempfile
import time
from pathlib import Path

from safetensors.numpy import load_file

from .heat import ROOT, Entry, Failed, Heat
from .reference import Agreement, forward_errors, gradient_norm, training_errors

NAME = "motc"


class MotcRunner:
    """The release build of motc, whose f32 results are what all others are compared with."""

    def __init__(self, heat: Heat):
        self.heat = heat
        self.common = ["--precision", heat.precision, "--threads", heat.threads]

    def prepare(self, entry: Entry) -> None:
        """Checks bf16 against f32, and measures a first step."""
        errors = {} if self.heat.precision == "f32" else self._errors()
        agreement = Agreement(errors, self.heat.precision)
        entry.facts = agreement.facts
        if agreement.problems:
            raise Failed(f"its bf16 results are not its f32 results: {agreement.problems[0]}")
        if self.heat.task == "train":
            entry.facts["first_step_seconds"] = self._first_step()

    def _motc(self, verb: str, *arguments: object, **variables: str) -> None:
        """Runs motc."""
        spec = ROOT / self.heat.sizes.spec
        command = [self.heat.motc, verb, spec, *self.common, *arguments]
        with tempfile.TemporaryFile("w+") as messages:
            process = subprocess.Popen(
                [str(part) for part in command],
                env=self.heat.environment | variables,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                preexec_fn=self.heat.pin,
            )
            if process.wait() != 0:
                messages.seek(0)
                raise Failed(f"status {process.returncode}: {messages.read().strip()[:200]}")

    def _run(self, output: Path, *arguments: object, **variables: str) -> None:
        data = self.heat.data
        files = ["--weights", data / "weights.safetensors", "--input", data / "input.safetensors"]
        self._motc("run", *files, "-o", output, *arguments, **variables)

    def _errors(self) -> dict[str, float]:
        """Returns the relative errors of the results against those of f32."""
        sizes, data, trains = self.heat.sizes, self.heat.data, self.heat.task == "train"
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "output.safetensors"
            self._run(output, *(["--grad"] if trains else ["--outputs", "logits"]))
            results = load_file(output)
        if trains:
            norm = gradient_norm(results)
            return training_errors(data, {"loss": results["loss"], "gradient_norm": norm})
        return forward_errors(data, sizes, results["logits"].reshape(sizes.tokens, -1))

    def _first_step(self) -> float:
        """Returns the seconds from the start to gradients in a file, with an empty cache."""
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            self._run(Path(folder) / "output", "--grad", MOTC_CACHE=f"{folder}/cache")
            return time.perf_counter() - start

    def measure(self, entry: Entry) -> None:
        """Adds a measurement, and the peak that motc measures beside it, to `entry`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bench.json"
            task = ["--compare", "fused", "--tasks", self.heat.task]
            self._motc("bench", *task, "--repeat", 1, "--json", path)
            report = json.loads(path.read_text())
        # Without the arrays by which motc measures what memory can do.
        memory = report["memory"]["most"]
        entry.seconds.append(report[self.heat.task]["fused"]["seconds_per_step"])
        entry.facts["peak_memory"] = max(memory, entry.facts.get("peak_memory", 0))
        entry.facts.setdefault("peak_gflops", []).append(report["machine"]["peak_gflops"])

    def stop(self) -> None:
        """Nothing runs between measurements."""
