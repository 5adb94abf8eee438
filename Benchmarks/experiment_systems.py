"""What the experiment compares: systems that differ in a line or two of one spec, and how all are trained."""

from dataclasses import dataclass

SPEC = "examples/spoken-shapes.swift-spec"
MODALITIES = ("text", "image", "speech")
# The loss of all objectives, and that of each.
LOSSES = ("loss", *(f"loss.{name}" for name in MODALITIES))

MODEL = '"spoken-shapes"'
UNTIED = "untied: .all"
FEED_FORWARD = "FeedForward(hidden: 512)"
EXPERTS = "Experts(4, hidden: 512)"


@dataclass(frozen=True)
class System:
    """One way to share weights between modalities."""

    name: str
    what: str
    seeds: int
    """How many runs, of the seeds from 0."""
    changes: tuple[tuple[str, str], ...] = ()
    """What of the spec is replaced by what."""

    def spec(self, text: str) -> str:
        """Returns the spec of the system, whose model has the system's name."""
        for old, new in ((MODEL, f'"{self.name}"'), *self.changes):
            if text.count(old) != 1:
                raise ValueError(f"{SPEC} has '{old}' {text.count(old)} times, not once")
            text = text.replace(old, new)
        return text


def untied(name: str, what: str, value: str, seeds: int = 1) -> System:
    """Returns a system that differs in what is untied."""
    return System(name, what, seeds, ((UNTIED, f"untied: {value}"),))


# The first is what the others are matched with.
SYSTEMS = (
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
)


@dataclass(frozen=True)
class Settings:
    """What all runs have in common."""

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

    @property
    def runs(self) -> list[tuple[System, int]]:
        """All runs: a system and a seed, seed by seed, so that each seed can be compared once it is done."""
        return [
            (system, seed)
            for seed in range(self.most_seeds)
            for system in SYSTEMS
            if seed < system.seeds
        ]

    def options(self, seed: int) -> list[object]:
        """Returns the options of `motc train`."""
        every = max(1, self.steps // self.evaluations)
        return [
            *("--batch", self.batch, "--sequence", self.sequence, "--precision", self.precision),
            *("--steps", self.steps, "--learning-rate", self.rate, "--warmup", self.warmup),
            *("--seed", seed, "--log-every", 2 * every, "--validate-every", every),
            *("--validation-batches", 1000, "--checkpoint-every", 5 * every, "--keep", 1),
        ]


QUICK = Settings(
    pictures=60, spoken=40, steps=8, evaluations=8, held_back=0.2, warmup=2, most_seeds=2, batch=2
)


def run_name(system: System, seed: int) -> str:
    """Returns the name of a run's folder."""
    return f"{system.name}-{seed}"
