"""The models that are measured: the sizes of examples/benchmark*.swift-spec.

The names and shapes of the parameters that motc writes for a spec must be those of these sizes, and
every contestant's results must be motc's, so that the two descriptions cannot drift apart.
"""

from dataclasses import dataclass

import numpy as np

EPSILON = 1e-5
ROPE_BASE = 10_000.0
IGNORED = -100


@dataclass(frozen=True)
class Sizes:
    """One model."""

    name: str
    spec: str
    modalities: tuple[tuple[str, int, int], ...]
    """Name, first id and end of the ids of each modality."""
    width: int
    layers: int
    heads: int
    hidden: int
    batch: int
    sequence: int

    @property
    def head_width(self) -> int:
        """W"""
        return self.width // self.heads

    @property
    def tokens(self) -> int:
        """T"""
        return self.batch * self.sequence

    @property
    def vocabulary(self) -> int:
        """V"""
        return max(end for _, _, end in self.modalities)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the modalities."""
        return tuple(name for name, _, _ in self.modalities)

    @property
    def forward_flops(self) -> float:
        """Matrix arithmetic of one forward pass, causal attention at half."""
        linears = 4 * self.width**2 + 3 * self.width * self.hidden
        attention = self.width * self.sequence
        head = self.width * self.vocabulary
        return 2.0 * self.tokens * (self.layers * (linears + attention) + head)


MODELS = {
    sizes.name: sizes
    for sizes in (
        Sizes(
            name="benchmark",
            spec="examples/benchmark.swift-spec",
            modalities=(("text", 0, 2048), ("image", 2048, 4096)),
            width=512,
            layers=8,
            heads=8,
            hidden=1536,
            batch=4,
            sequence=512,
        ),
        Sizes(
            name="benchmark-small",
            spec="examples/benchmark-small.swift-spec",
            modalities=(("text", 0, 512), ("image", 512, 1024), ("speech", 1024, 1280)),
            width=256,
            layers=6,
            heads=4,
            hidden=768,
            batch=1,
            sequence=128,
        ),
        Sizes(
            name="benchmark-long",
            spec="examples/benchmark-long.swift-spec",
            modalities=(("text", 0, 4096), ("image", 4096, 6144), ("speech", 6144, 8192)),
            width=768,
            layers=6,
            heads=12,
            hidden=2048,
            batch=1,
            sequence=2048,
        ),
    )
}

# One token at a time, behind as many as the sequence has: not among the models of whole sequences.
DECODE = Sizes(
    name="benchmark-decode",
    spec="examples/benchmark-decode.swift-spec",
    modalities=(("text", 0, 4096), ("image", 4096, 8192)),
    width=1024,
    layers=24,
    heads=16,
    hidden=2816,
    batch=1,
    sequence=512,
)

# What loss curves are of.
SHAPES = Sizes(
    name="shapes",
    spec="examples/shapes.swift-spec",
    modalities=(("text", 0, 258), ("image", 258, 770)),
    width=192,
    layers=4,
    heads=6,
    hidden=512,
    batch=8,
    sequence=256,
)


@dataclass(frozen=True)
class Batch:
    """Rows of one batch, in sequence order. [T] each."""

    tokens: np.ndarray
    modality: np.ndarray
    targets: np.ndarray


def make_batch(sizes: Sizes, seed: int = 1) -> Batch:
    """Returns random tokens, in equal contiguous spans of each modality in every sequence."""
    random = np.random.default_rng(seed)
    kinds = len(sizes.modalities)
    modality = np.tile(np.arange(sizes.sequence) * kinds // sizes.sequence, sizes.batch)
    first = np.array([first for _, first, _ in sizes.modalities])[modality]
    end = np.array([end for _, _, end in sizes.modalities])[modality]
    tokens = random.integers(first, end)
    targets = tokens.reshape(sizes.batch, sizes.sequence)
    targets = np.pad(targets[:, 1:], ((0, 0), (0, 1)), constant_values=IGNORED)
    return Batch(tokens, modality, targets.reshape(-1))


@dataclass(frozen=True)
class Plan:
    """Where rows stand when they are grouped by modality, stable inside each."""

    order: np.ndarray
    """The row in sequence order that stands in each grouped place. [T]"""
    inverse: np.ndarray
    """The grouped place of each row in sequence order. [T]"""
    offsets: tuple[int, ...]
    """Where each modality's rows begin, and the end of the last. [K + 1]"""

    @property
    def is_identity(self) -> bool:
        """True if grouped order is sequence order."""
        return bool((self.order == np.arange(len(self.order))).all())


def make_plan(sizes: Sizes, modality: np.ndarray) -> Plan:
    """Returns the plan of rows with these modalities. modality: [T]"""
    order = np.argsort(modality, kind="stable")
    counts = np.bincount(modality, minlength=len(sizes.modalities))
    offsets = (0, *(int(end) for end in np.cumsum(counts)))
    return Plan(order, np.argsort(order), offsets)


def rotation(
    sizes: Sizes, positions: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns cosines and sines of the interleaved rotary positions, f32 [T, W / 2] each.

    positions: [T]; those of whole sequences if there are none
    """
    if positions is None:
        positions = np.tile(np.arange(sizes.sequence), sizes.batch)
    half = np.arange(sizes.head_width // 2)
    angles = positions.astype(np.float64)[:, None] * ROPE_BASE ** (-2.0 * half / sizes.head_width)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
