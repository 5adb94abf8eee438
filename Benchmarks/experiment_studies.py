"""What the experiment compares: studies, each of systems that differ in a line or two of one spec."""

import pathlib
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class System:
    """One way to share weights between modalities."""

    name: str
    what: str
    seeds: int
    """How many runs, of the seeds from 0."""
    changes: tuple[tuple[str, str], ...] = ()
    """What of the spec is replaced by what."""


@dataclass(frozen=True)
class Settings:
    """What all runs of a study have in common."""

    pictures: int = 8000
    spoken: int = 6000
    steps: int = 3000
    evaluations: int = 40
    """Validations of a run, each on everything that is held back."""
    held_back: float = 0.03
    rate: float = 1e-3
    warmup: int = 100
    most_seeds: int = 3
    batch: int = 8
    sequence: int = 256
    precision: str = "bf16"

    def options(self, seed: int) -> list[object]:
        """Returns the options of `motc train`."""
        every = max(1, self.steps // self.evaluations)
        return [
            *("--batch", self.batch, "--sequence", self.sequence, "--precision", self.precision),
            *("--steps", self.steps, "--learning-rate", self.rate, "--warmup", self.warmup),
            *("--seed", seed, "--log-every", 2 * every, "--validate-every", every),
            *("--validation-batches", 1000, "--checkpoint-every", 5 * every, "--keep", 1),
        ]


@dataclass(frozen=True)
class Study:
    """Systems, what they are trained on, and what their tables are to be read with."""

    name: str
    """Also that of its folder in the folder of the experiment."""
    spec: str
    """The spec that the systems change, whose model is called as the file is."""
    modalities: tuple[str, ...]
    total: str
    """What the loss of all objectives is."""
    systems: tuple[System, ...]
    """The first is what the others are matched with."""
    paper: dict[str, dict[str, str]]
    """Figures of the paper (arXiv 2411.04996): shares of the dense model's steps, or seconds, by loss."""
    settings: Settings
    quick: Settings

    @property
    def base(self) -> System:
        """What the others are matched with."""
        return self.systems[0]

    @property
    def losses(self) -> tuple[str, ...]:
        """The loss of all objectives, and that of each."""
        return ("loss", *(f"loss.{name}" for name in self.modalities))

    @property
    def runs(self) -> list[tuple[System, int]]:
        """All runs: a system and a seed, seed by seed, so that each seed can be compared once it is done."""
        return [
            (system, seed)
            for seed in range(self.settings.most_seeds)
            for system in self.systems
            if seed < system.seeds
        ]

    @property
    def marks(self) -> tuple[str, str]:
        """The lines of the page between which its tables stand."""
        what = f"written by make experiment, {self.name}"
        return f"<!-- {what}: begin -->", f"<!-- {what}: end -->"

    def picture(self, what: str) -> str:
        """Returns the name of the file of a picture."""
        return f"experiment-{self.name}-{what}.svg"

    def shortly(self) -> "Study":
        """Returns the study with a few steps, which prove nothing."""
        return replace(self, settings=self.quick)

    def text(self, system: System, text: str) -> str:
        """Returns the spec of a system, whose model has the system's name, of the text of the study's spec."""
        model = f'"{pathlib.Path(self.spec).name.partition(".")[0]}"'
        for old, new in ((model, f'"{system.name}"'), *system.changes):
            if text.count(old) != 1:
                raise ValueError(f"{self.spec} has '{old}' {text.count(old)} times, not once")
            text = text.replace(old, new)
        return text


def run_name(system: System, seed: int) -> str:
    """Returns the name of a run's folder."""
    return f"{system.name}-{seed}"


UNTIED = "untied: .all"
FEED_FORWARD = "FeedForward(hidden: 512)"
EXPERTS = "Experts(4, hidden: 512)"


def untied(name: str, what: str, value: str, seeds: int = 1) -> System:
    """Returns a system that differs in what is untied."""
    return System(name, what, seeds, ((UNTIED, f"untied: {value}"),))


QUICK = Settings(
    pictures=60, spoken=40, steps=8, evaluations=8, held_back=0.2, warmup=2, most_seeds=2, batch=2
)

CHAMELEON = Study(
    name="chameleon",
    spec="examples/spoken-shapes.swift-spec",
    modalities=("text", "image", "speech"),
    total="the sum of the others",
    systems=(
        untied("dense", "one set of weights for every token", ".none", seeds=3),
        System(
            "moe-4x",
            "four experts, which choose their tokens, in place of each feed-forward network",
            seeds=3,
            changes=((UNTIED, "untied: .none"), (FEED_FORWARD, EXPERTS)),
        ),
        System("mot", "all but embedding and head by modality", seeds=3),
        System(
            "mot-moe-4x",
            "the same, with four experts in the text tower",
            seeds=3,
            changes=((FEED_FORWARD, f"{FEED_FORWARD}.replaced(on: text, by: {EXPERTS})"),),
        ),
        untied("mot-merged", "two towers: text; image and speech", ".all.merging([image, speech])"),
        untied("untied-ffn", "feed-forward networks by modality", ".components(.feedForward)"),
        untied(
            "untied-qkv",
            "and queries, keys, values",
            ".components(.feedForward, .attention(.query, .key, .value))",
        ),
        untied("untied-o", "and outputs of attention", ".components(.feedForward, .attention)"),
    ),
    paper={
        "steps, Chameleon 7B": {"loss": "55.8 %", "loss.text": "55.8 %", "loss.image": "34.8 %"},
        "steps, Chameleon with speech": {"loss.speech": "37.2 %"},
        "wall clock, Chameleon 7B": {"loss.text": "75.6 %", "loss.image": "47.2 %"},
    },
    settings=Settings(),
    quick=QUICK,
)

TRANSFUSION = Study(
    name="transfusion",
    spec="examples/transfusion.swift-spec",
    modalities=("text", "image"),
    total="that of text and five times that of images, the mean square of what is wrong with the noise",
    systems=(
        System(
            "dense",
            "one set of weights for every token",
            seeds=2,
            changes=(("sequence: 256)", "sequence: 256, untied: .none)"),),
        ),
        System("mot", "all but embedding and head by modality", seeds=2),
    ),
    paper={"steps, Transfusion 7B": {"loss.image": "a third"}},
    # Some 15 minutes on two cores.
    settings=Settings(spoken=0, steps=2400, most_seeds=2),
    quick=replace(QUICK, spoken=0, most_seeds=1),
)

STUDIES = (CHAMELEON, TRANSFUSION)
