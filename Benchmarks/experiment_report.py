"""What the experiment found: sizes, losses and matched steps, as tables."""

import datetime
from dataclasses import dataclass
from statistics import mean

from . import machine, pages
from .experiment_systems import LOSSES, MODALITIES, SYSTEMS, Settings, System, run_name

BASE = SYSTEMS[0]
# Figures of the paper (arXiv 2411.04996): percent of the dense model's steps, or seconds, by what they are of.
PAPER = {
    "steps, Chameleon 7B": {"loss": "55.8 %", "loss.text": "55.8 %", "loss.image": "34.8 %"},
    "steps, Chameleon with speech": {"loss.speech": "37.2 %"},
    "steps, Transfusion 7B": {"loss.image": "a third"},
    "wall clock, Chameleon 7B": {"loss.text": "75.6 %", "loss.image": "47.2 %"},
}


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

    @property
    def step_seconds(self) -> float:
        """The mean time of a step."""
        return self.lines[-1]["seconds"] / self.lines[-1]["step"]

    def final(self, loss: str) -> float:
        """Returns the last validation loss."""
        return self.lines[-1][f"validation.{loss}"]


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    settings: Settings
    threads: int
    parameters: dict[str, int]
    runs: list[Run]
    matches: dict[str, dict]
    """What `motc match` says of a run, by its name and the loss."""

    def of(self, system: System) -> list[Run]:
        """Returns the runs of a system."""
        return [run for run in self.runs if run.system is system]

    def shares(self, system: System, loss: str, axis: str) -> list[float]:
        """Returns what the runs of a system take of their dense runs, in percent, where there is a line."""
        found = [self.matches[run_name(system, run.seed)][loss]["share"] for run in self.of(system)]
        return [100 * share[axis] for share in found if axis in share]

    def missed(self, system: System) -> int:
        """Returns how many of the dense runs' losses the runs of a system do not come down to."""
        of_runs = [self.matches[run_name(system, run.seed)] for run in self.of(system)]
        return sum(match[loss]["notReached"] for match in of_runs for loss in LOSSES)


def markdown(results: Results) -> str:
    """Returns all tables and what they are to be read with."""
    parts = [about(results), *sizes(results), ""]
    parts += ["Share of the dense model's steps that reaches the same validation loss:", ""]
    parts += [*shares(results, "steps"), ""]
    parts += ["The same of seconds of training:", "", *shares(results, "seconds"), ""]
    parts += ["Beside the paper:", "", *beside_paper(results), ""]
    parts += [
        "![Losses of the systems with several seeds, in training and on what is held back.]"
        "(experiment-curves.svg)",
        "",
        "![Steps of the systems at the losses of the dense model, and lines through the origin.]"
        "(experiment-match.svg)",
        "",
    ]
    return "\n".join(parts)


def about(results: Results) -> str:
    """Returns the sentences that say what the figures are of."""
    settings = results.settings
    date = datetime.datetime.now(datetime.UTC).date()
    return (
        f"`make experiment`, {date}, on {machine.processor()} "
        f"({', '.join(machine.matrix_units())}), {results.threads} threads. "
        f"{settings.pictures:,} pictures, {settings.spoken:,} spoken captions, {settings.steps:,} "
        f"steps of {settings.batch} x {settings.sequence} tokens in {settings.precision}, rate "
        f"{settings.rate:g}, {settings.evaluations} validations. Where a system has several seeds, "
        f"figures are means, with the least and the most behind them.\n"
    )


def sizes(results: Results) -> list[str]:
    """Returns the table of systems and their last losses."""
    header = ["system", "", "seeds", "parameters", "GFLOPs a step", "ms a step", "loss", *MODALITIES]
    lines = []
    for system in SYSTEMS:
        runs = results.of(system)
        lines.append(
            [
                system.name,
                system.what,
                str(len(runs)),
                f"{results.parameters[system.name] / 1e6:.2f} M",
                f"{runs[0].step_flops / 1e9:.2f}",
                f"{1000 * mean(run.step_seconds for run in runs):.1f}",
                *(spread([run.final(loss) for run in runs], 4) for loss in LOSSES),
            ]
        )
    return pages.table(header, lines)


def shares(results: Results, axis: str) -> list[str]:
    """Returns the table of what systems take of the dense runs."""
    lines = [
        [
            system.name,
            *(percent(results.shares(system, loss, axis)) for loss in LOSSES),
            str(results.missed(system)),
        ]
        for system in SYSTEMS
        if system is not BASE
    ]
    return pages.table(["system", "loss", *MODALITIES, "losses not reached"], lines)


def beside_paper(results: Results) -> list[str]:
    """Returns the paper's figures, and those of this Mixture-of-Transformers."""
    mot = next(system for system in SYSTEMS if system.name == "mot")
    figures = {
        f"{axis}, here": {loss: percent(results.shares(mot, loss, axis)) for loss in LOSSES}
        for axis in ("steps", "seconds")
    }
    figures |= {f"{name}, the paper": values for name, values in PAPER.items()}
    rows = [[name, *(of.get(loss, "–") for loss in LOSSES)] for name, of in figures.items()]
    return pages.table(["MoT of dense", "loss", *MODALITIES], rows)


def percent(values: list[float]) -> str:
    """Returns the mean of shares, and how far they go."""
    return f"{spread(values, 1)} %" if values else "–"


def spread(values: list[float], digits: int) -> str:
    """Returns the mean of values, with the least and the most where there are several."""
    text = f"{mean(values):.{digits}f}"
    if len(values) == 1:
        return text
    return f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"
