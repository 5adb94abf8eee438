"""What a contestant is to the process that measures it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .models import Batch, Plan, Sizes

# The settings of `motc bench`.
RATE, BETAS, ADAM_EPSILON, DECAY, CLIP = 1e-4, (0.9, 0.95), 1e-8, 0.1, 1.0


@dataclass(frozen=True)
class Job:
    """What is to be measured, and with what."""

    sizes: Sizes
    batch: Batch
    plan: Plan
    weights: dict[str, np.ndarray]
    task: str
    """train or forward"""
    precision: str
    """f32 or bf16"""
    threads: int


class Subject(Protocol):
    """A model that is loaded and compiled."""

    def run(self) -> None:
        """Does one training step or one forward pass, whose results are there when it returns."""

    def results(self) -> dict[str, np.ndarray]:
        """Returns what the last run computed.

        Training: `loss` [] before the step and `gradient_norm` []. Forward: `logits` [T, V].
        """


def is_decayed(name: str) -> bool:
    """True if weight decay applies to the parameter: to matrices, not to gains."""
    return "norm" not in name
