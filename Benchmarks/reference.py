"""What all contestants are given, and the results that they must agree with: motc's.

A model's folder holds `weights.safetensors` (`motc init`), `input.safetensors`, and motc's answers
in f32: `logits.npy`, and `reference.json` with the loss, the norm of all gradients, and the loss
after one update of AdamW, which is computed here from motc's gradients.
"""

import json
import pathlib
import subprocess
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from .models import Sizes, make_batch, make_plan
from .subject import ADAM_EPSILON, CLIP, DECAY, RATE, Job, is_decayed

# Relative to motc's f32 results.
TOLERANCE = {"f32": 1e-3, "bf16": 1e-2}
# Rounding of eight bits in every layer shows in single logits before it shows in their loss.
LOGITS_TOLERANCE = {"f32": 1e-3, "bf16": 3e-2}


class CannotRun(Exception):
    """A program that is needed did not do its work."""


def run_motc(motc: pathlib.Path, *arguments: object) -> None:
    """Runs motc, whose output is shown if it fails."""
    command = [str(part) for part in (motc, *arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotRun(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def prepare(motc: pathlib.Path, root: pathlib.Path, sizes: Sizes, folder: pathlib.Path) -> None:
    """Fills a model's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = root / sizes.spec
    weights, inputs, output = (
        folder / f"{name}.safetensors" for name in ("weights", "input", "output")
    )
    run_motc(motc, "init", spec, "--seed", 0, "-o", weights)
    batch = make_batch(sizes)
    shape = (sizes.batch, sizes.sequence)
    rows = {name: value.astype(np.int32).reshape(shape) for name, value in vars(batch).items()}
    save_file(rows, inputs)
    common = ("run", spec, "--input", inputs, "-o", output, "--weights")
    run_motc(motc, *common, weights, "--outputs", "logits")
    np.save(folder / "logits.npy", load_file(output)["logits"].reshape(sizes.tokens, -1))
    run_motc(motc, *common, weights, "--grad")
    answers = load_file(output)
    updated, norm = first_update(load_file(weights), answers)
    changed = folder / "updated.safetensors"
    save_file(updated, changed)
    run_motc(motc, *common, changed, "--outputs", "loss")
    reference = {
        "loss": float(answers["loss"]),
        "gradient_norm": norm,
        "loss_after_update": float(load_file(output)["loss"]),
    }
    (folder / "reference.json").write_text(json.dumps(reference, indent=2) + "\n")
    changed.unlink()
    output.unlink()


def first_update(
    weights: dict[str, np.ndarray], answers: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], float]:
    """Returns the weights after AdamW's first step, and the gradients' norm before clipping."""
    gradients = {name: answers[f"grad.{name}"] for name in weights}
    norm = gradient_norm(answers)
    factor = np.float32(min(1.0, CLIP / (norm + 1e-6)))
    updated = {}
    for name, value in weights.items():
        g = gradients[name] * factor
        decay = DECAY if is_decayed(name) else 0.0
        # Both moments of the first step, corrected, are the gradient and its square.
        updated[name] = value - np.float32(RATE) * (g / (np.abs(g) + ADAM_EPSILON) + decay * value)
    return {name: value.astype(np.float32) for name, value in updated.items()}, norm


def gradient_norm(answers: dict[str, np.ndarray]) -> float:
    """Returns the norm of all gradients together."""
    gradients = (value for name, value in answers.items() if name.startswith("grad."))
    return float(np.sqrt(sum(np.square(value, dtype=np.float64).sum() for value in gradients)))


def load_job(folder: pathlib.Path, sizes: Sizes, task: str, precision: str, threads: int) -> Job:
    """Returns the job that a model's folder describes."""
    batch = make_batch(sizes)
    plan = make_plan(sizes, batch.modality)
    weights = load_file(folder / "weights.safetensors")
    return Job(sizes, batch, plan, weights, task, precision, threads)


@dataclass(frozen=True)
class Agreement:
    """How results compare with motc's."""

    errors: dict[str, float]
    """Relative errors."""
    precision: str

    @property
    def problems(self) -> list[str]:
        """What is further off than is allowed, or not a number."""
        found = []
        for name, error in self.errors.items():
            allowed = (LOGITS_TOLERANCE if name == "logits" else TOLERANCE)[self.precision]
            if not error <= allowed:
                found.append(f"{name} off by {error:.1e}, and at most {allowed:.0e} is allowed")
        return found

    @property
    def facts(self) -> dict[str, object]:
        """What a contestant says of it."""
        return {"errors": self.errors, "agrees": not self.problems, "problems": self.problems}


def compare(
    folder: pathlib.Path, job: Job, first: dict[str, np.ndarray], second: dict[str, np.ndarray]
) -> Agreement:
    """Compares the results of the first two runs with motc's."""
    if job.task == "train":
        errors = training_errors(folder, first | {"loss_after_update": second["loss"]})
    else:
        errors = forward_errors(folder, job.sizes, first["logits"])
    return Agreement(errors, job.precision)


def training_errors(folder: pathlib.Path, found: dict[str, Any]) -> dict[str, float]:
    """Returns the errors of what is found of a training step."""
    wanted = json.loads((folder / "reference.json").read_text())
    return {name: abs(float(value) / wanted[name] - 1) for name, value in found.items()}


def forward_errors(folder: pathlib.Path, sizes: Sizes, logits: np.ndarray) -> dict[str, float]:
    """Returns the errors of logits [T, V], by norm, and of the loss that follows from them."""
    expected = np.load(folder / "logits.npy")
    wanted = json.loads((folder / "reference.json").read_text())["loss"]
    error = np.linalg.norm(logits - expected) / np.linalg.norm(expected)
    loss = mean_cross_entropy(logits, make_batch(sizes).targets)
    return {"logits": float(error), "loss": abs(loss / wanted - 1)}


def mean_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Returns the mean over targets that are not ignored. logits: [T, V]"""
    rows = np.flatnonzero(targets >= 0)
    chosen = logits[rows].astype(np.float64)
    top = chosen.max(-1)
    sums = np.log(np.exp(chosen - top[:, None]).sum(-1)) + top
    return float((sums - logits[rows, targets[rows]]).mean())
