"""What the experiment found: sizes, losses and matched steps, as tables."""

import datetime
import textwrap
from dataclasses import dataclass
from statistics import mean

from . import machine, pages
from .experiment_studies import Study, System, run_name

# What is matched, by its name in the answer of `motc match`.
AXES = {"steps": "steps", "flops": "arithmetic", "seconds": "time"}


@dataclass(frozen=True)
class Run:
    """The metrics of a run, a line a step."""

    system: System
    seed: int
    lines: list[dict[str, float]]

    @property
    def step_flops(self) -> float:
        """The matrix arithmetic of a step."""
        return self.lines[-1]["flops"] / self.lines[-1]["step"]

    def final(self, loss: str) -> float:
        """Returns the last validation loss."""
        return self.lines[-1][f"validation.{loss}"]


@dataclass(frozen=True)
class Results:
    """All that was measured of a study."""

    study: Study
    threads: int
    parameters: dict[str, int]
    runs: list[Run]
    matches: dict[str, dict]
    """What `motc match` says of a run, by its name and the loss."""
    step_seconds: dict[str, float]
    """The time of a step, by system."""

    def of(self, system: System) -> list[Run]:
        """Returns the runs of a system."""
        return [run for run in self.runs if run.system is system]

    def shares(self, system: System, loss: str, axis: str) -> list[float]:
        """Returns what the runs of a system take of their dense runs, in percent, where there is a line."""
        found = [self.matches[run_name(system, run.seed)][loss]["share"] for run in self.of(system)]
        if axis == "seconds":
            ratio = self.step_seconds[system.name] / self.step_seconds[self.study.base.name]
            return [100 * ratio * share["steps"] for share in found if "steps" in share]
        return [100 * share[axis] for share in found if axis in share]

    def missed(self, system: System) -> int:
        """Returns how many of the dense runs' losses the runs of a system do not come down to."""
        of_runs = [self.matches[run_name(system, run.seed)] for run in self.of(system)]
        return sum(match[loss]["notReached"] for match in of_runs for loss in self.study.losses)


def markdown(results: Results) -> str:
    """Returns all tables and what they are to be read with."""
    parts = [about(results), *sizes(results), ""]
    for axis, what in AXES.items():
        parts += [f"Share of the dense model's {what} at the same validation loss:", ""]
        parts += [*shares(results, axis), ""]
    parts += ["Beside the paper:", "", *beside_paper(results), ""]
    parts += [
        "![Losses of the systems with several seeds, in training and on what is held back.]"
        f"({results.study.picture('curves')})",
        "",
        "![Steps of the systems at the losses of the dense model, and lines through the origin.]"
        f"({results.study.picture('match')})",
        "",
    ]
    return "\n".join(parts)


def about(results: Results) -> str:
    """Returns the sentences that say what the figures are of."""
    settings = results.study.settings
    spoken = f"{settings.spoken:,} spoken captions, " if settings.spoken else ""
    date = datetime.datetime.now(datetime.UTC).date()
    text = (
        f"`make experiment`, {date}, on {machine.processor()} "
        f"({', '.join(machine.matrix_units())}), {results.threads} threads. "
        f"{settings.pictures:,} pictures, {spoken}{settings.steps:,} "
        f"steps of {settings.batch} x {settings.sequence} tokens in {settings.precision}, rate "
        f"{settings.rate:g}, {settings.evaluations} validations. Losses are of the last "
        f"validation; *loss* is {results.study.total}. Where a system has several seeds, figures "
        f"are means, with the least and the most behind them."
    )
    return textwrap.fill(text, 120) + "\n"


def sizes(results: Results) -> list[str]:
    """Returns the table of systems and their last losses."""
    study = results.study
    header = ["system", "", "seeds", "parameters", "GFLOPs a step", "ms a step"]
    header += ["loss", *study.modalities]
    lines = []
    for system in study.systems:
        runs = results.of(system)
        lines.append(
            [
                system.name,
                system.what,
                str(len(runs)),
                f"{results.parameters[system.name] / 1e6:.2f} M",
                f"{runs[0].step_flops / 1e9:.2f}",
                f"{1000 * results.step_seconds[system.name]:.1f}",
                *(spread([run.final(loss) for run in runs], 4) for loss in study.losses),
            ]
        )
    return pages.table(header, lines)


def shares(results: Results, axis: str) -> list[str]:
    """Returns the table of what systems take of the dense runs."""
    lines = [
        [
            system.name,
            *(percent(results.shares(system, loss, axis)) for loss in results.study.losses),
            str(results.missed(system)),
        ]
        for system in results.study.systems
        if system is not results.study.base
    ]
    header = ["system", "loss", *results.study.modalities, "losses not reached"]
    return pages.table(header, lines)


def beside_paper(results: Results) -> list[str]:
    """Returns the paper's figures, and those of this Mixture-of-Transformers."""
    study = results.study
    mot = next(system for system in study.systems if system.name == "mot")
    figures = {
        f"{axis}, here": {loss: percent(results.shares(mot, loss, axis)) for loss in study.losses}
        for axis in ("steps", "seconds")
    }
    figures |= {f"{name}, the paper": values for name, values in study.paper.items()}
    rows = [[name, *(of.get(loss, "–") for loss in study.losses)] for name, of in figures.items()]
    return pages.table(["MoT of dense", "loss", *study.modalities], rows)


def percent(values: list[float]) -> str:
    """Returns the mean of shares, and how far they go."""
    return f"{spread(values, 1)} %" if values else "–"


def spread(values: list[float], digits: int) -> str:
    """Returns the mean of values, with the least and the most where there are several."""
    text = f"{mean(values):.{digits}f}"
    if len(values) == 1:
        return text
    return f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"
