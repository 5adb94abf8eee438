"""What loss curves say: final losses, how far they are apart, and a table of it."""

import datetime
import math
from dataclasses import dataclass, replace
from statistics import mean

from . import machine, pages
from .models import SHAPES

# The first is what the others are compared with.
RUNS = {
    "fused-f32": ["--precision", "f32"],
    "unfused-f32": ["--precision", "f32", "--fuse", "none"],
    "fused-bf16": ["--precision", "bf16"],
}
FIRST = next(iter(RUNS))
# The run whose steps PyTorch makes: as the first, at a tenth of its rate.
STEADY = "steady-f32"
# Relative, of final losses against the first run's; and of each of PyTorch's losses.
ALLOWED = {"unfused-f32": 0.005, "fused-bf16": 0.02}
ALLOWED_OF_TORCH = 1e-3
# What preparing a batch may take of a step.
ALLOWED_OF_DATA = 0.02
LAST = 20
LOSSES = ["loss", *(f"loss.{name}" for name in SHAPES.names)]
FINALS = LOSSES + [f"validation.{name}" for name in LOSSES]
# Those that are bounded: an objective's own loss, on some documents that are held back, says less.
BOUNDED = ["loss", "validation.loss"]


@dataclass(frozen=True)
class Settings:
    """What all runs have in common."""

    pictures: int = 2000
    steps: int = 1000
    steady_steps: int = 100
    rate: float = 3e-4
    warmup: int = 20
    decay: float = 0.1
    clip: float = 1.0

    @property
    def options(self) -> list[object]:
        """The options of `motc train`."""
        every = max(1, self.steps // 10)
        return [
            *("--steps", self.steps, "--learning-rate", self.rate, "--warmup", self.warmup),
            *("--schedule", "cosine", "--final-fraction", 0.1, "--weight-decay", self.decay),
            *("--clip", self.clip, "--seed", 0, "--log-every", every, "--validate-every", every),
            *("--checkpoint-every", self.steps),
        ]

    @property
    def steady(self) -> "Settings":
        """The settings of the run whose steps PyTorch makes."""
        return replace(self, steps=self.steady_steps, rate=3e-4)

    def rate_of(self, step: int) -> float:
        """Returns the learning rate of a step, from 1."""
        if step <= self.warmup:
            return self.rate * step / self.warmup
        progress = (step - self.warmup) / (self.steps - self.warmup)
        return self.rate * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)


@dataclass(frozen=True)
class Run:
    """The metrics of a run, a line a step."""

    lines: list[dict[str, float]]

    @property
    def finals(self) -> dict[str, float]:
        """The final losses: means of the last training steps, and the last validation."""
        last = self.lines[-LAST:]
        training = {name: mean(line[name] for line in last) for name in LOSSES}
        return training | {name: self.lines[-1][name] for name in FINALS if name not in training}

    @property
    def step_seconds(self) -> float:
        """The least time of a step: on a busy host the others say more of the host."""
        ends = [line["seconds"] for line in self.lines]
        return min(b - a for a, b in zip(ends, ends[1:]))

    def error(self, other: "Run", names: list[str] = BOUNDED) -> float:
        """Returns how far the final losses are from another run's, at most."""
        return max(abs(self.finals[name] / other.finals[name] - 1) for name in names)


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    settings: Settings
    threads: int
    runs: dict[str, Run]
    steady: Run
    torch: Run
    batch_seconds: float

    def torch_errors(self, name: str) -> list[float]:
        """Returns the relative error of each step of PyTorch's."""
        return [
            abs(theirs[name] / ours[name] - 1)
            for theirs, ours in zip(self.torch.lines, self.steady.lines, strict=True)
        ]

    @property
    def torch_error(self) -> float:
        """The largest of all losses."""
        return max(max(self.torch_errors(name)) for name in LOSSES)

    @property
    def data_share(self) -> float:
        """What preparing a batch takes of the shortest step."""
        return self.batch_seconds / min(run.step_seconds for run in self.runs.values())

    @property
    def problems(self) -> list[str]:
        """What is further off than is allowed, or not a number."""
        checks = [
            (f"final losses of {name}", self.runs[name].error(self.runs[FIRST]), allowed)
            for name, allowed in ALLOWED.items()
        ]
        checks.append(("PyTorch's losses", self.torch_error, ALLOWED_OF_TORCH))
        checks.append(("preparing a batch, of a step,", self.data_share, ALLOWED_OF_DATA))
        return [
            f"{what}: {value:.2%}, and at most {allowed:.2%} is allowed"
            for what, value, allowed in checks
            if not value <= allowed
        ]


HEADER = [
    *["", "loss", "text", "image", "validation", "text", "image"],
    *["off", "allowed", "objectives", "least ms"],
]


def markdown(results: Results) -> str:
    """Returns the table and what it is to be read with."""
    first = results.runs[FIRST]
    lines = []
    for name, run in results.runs.items():
        off = "–" if run is first else f"{run.error(first):.2%}"
        allowed = f"{ALLOWED[name]:.1%}" if name in ALLOWED else "–"
        cells = [f"{run.finals[loss]:.4f}" for loss in FINALS]
        objectives = "–" if run is first else f"{run.error(first, FINALS):.2%}"
        lines.append([name, *cells, off, allowed, objectives, f"{1000 * run.step_seconds:,.0f}"])
    return "\n".join([about(results), "", *pages.table(HEADER, lines), "", *sentences(results), ""])


def about(results: Results) -> str:
    """Returns the sentences that say what the figures are of."""
    settings, versions = results.settings, machine.versions()
    date = datetime.datetime.now(datetime.UTC).date()
    return "\n".join(
        [
            f"`Benchmarks/run.sh curves --docs`, {date}, on {machine.processor()} "
            f"({', '.join(machine.matrix_units())}), {results.threads} threads; torch "
            f"{versions['torch']}. {settings.pictures:,} pictures, {settings.steps:,} steps of "
            f"{SHAPES.batch} x {SHAPES.sequence} tokens, rate {settings.rate:g},",
            f"{settings.warmup} steps of warm-up, cosine, decay {settings.decay:g}, clip "
            f"{settings.clip:g}, seed 0. Means of the last {LAST} steps, and the last validation; "
            f"*off* is the larger relative difference of a row's two losses from {FIRST}'s, *objectives* the largest "
            f"of text and image too; *least ms* is of "
            f"the shortest step.",
        ]
    )


def sentences(results: Results) -> list[str]:
    """Returns what is to be said of PyTorch and of the data."""
    of_torch = {name: max(results.torch_errors(name)) for name in LOSSES}
    parts = ", ".join(f"{name} {error:.1e}" for name, error in of_torch.items())
    begin, end = results.torch.lines[0]["loss"], results.torch.lines[-1]["loss"]
    steady = results.settings.steady
    shortest = min(results.runs, key=lambda name: results.runs[name].step_seconds)
    return [
        f"A run of {steady.steps} steps at rate {steady.rate:g}, beside PyTorch in f32 from the same "
        f"weights on the same batches: its loss goes from {begin:.4f} to {end:.4f}.",
        f"The largest relative difference of a step: {parts}; at most {ALLOWED_OF_TORCH:.0e} is "
        f"allowed.",
        "",
        f"Preparing a batch takes {1e6 * results.batch_seconds:,.0f} µs of one core, beside the "
        f"step: {results.data_share:.2%} of the shortest step, {shortest}'s, if it stood before it; "
        f"at most {ALLOWED_OF_DATA:.0%} is allowed.",
    ]
