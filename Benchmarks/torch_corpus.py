"""Training in PyTorch on batches of a corpus, as `motc batch` writes them.

Positions begin at 0 in each document, attention stays inside of it, and the loss is the sum of the
objectives' means: one for each modality of the targets.
"""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .models import Plan, Sizes, make_plan, rotation
from .subject import ADAM_EPSILON, BETAS
from .torch_grouped import GroupedModel
from .torch_parts import Weights, attend

Tensors = dict[str, np.ndarray]


class CorpusModel(GroupedModel):
    """The grouped model, with another layout in every batch."""

    def __init__(self, sizes: Sizes, weights: Weights):
        rows = np.arange(sizes.tokens)
        super().__init__(sizes, Plan(rows, rows, (0,) * (len(sizes.names) + 1)), weights)

    def lay_out(self, batch: Tensors) -> None:
        """Takes the places of a batch's tokens. [B, S] each"""
        # Padding goes with the first modality: nothing that counts looks at it.
        plan = make_plan(self.sizes, np.maximum(batch["modality"].reshape(-1), 0))
        self.spans = [slice(a, b) for a, b in zip(plan.offsets, plan.offsets[1:])]
        self.permutes = True
        self.order, self.inverse = torch.from_numpy(plan.order), torch.from_numpy(plan.inverse)
        tables = rotation(self.sizes, batch["positions"].reshape(-1))
        self.cos, self.sin = (torch.from_numpy(table[plan.order])[:, None, None] for table in tables)
        documents = torch.from_numpy(batch["documents"])
        same = documents[:, None, :, None] == documents[:, None, None, :]
        self.mask = same.tril()

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Returns attention inside documents. [T, H, W] each, and [T, D]"""
        return attend(q, k, v, self.sizes, self.mask)

    def losses(self, batch: Tensors) -> list[Tensor]:
        """Returns the mean cross-entropy of each modality's targets. batch: [B, S] each"""
        self.lay_out(batch)
        tokens = torch.from_numpy(batch["tokens"].reshape(-1)).long()
        targets = torch.from_numpy(batch["targets"].reshape(-1)).long()[self.order]
        logits = F.linear(self.rows(tokens[self.order]), self.head)
        masks = [(targets >= first) & (targets < end) for _, first, end in self.sizes.modalities]
        return [F.cross_entropy(logits[mask], targets[mask]) for mask in masks]


def train(
    sizes: Sizes,
    weights: Weights,
    batches: Iterable[Tensors],
    rates: list[float],
    decay: float,
    clip: float,
    threads: int,
) -> list[dict[str, float]]:
    """Returns losses and gradient norm of each step, by the names that motc's metrics have."""
    torch.set_num_threads(threads)
    model = CorpusModel(sizes, weights)
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=BETAS, eps=ADAM_EPSILON)
    steps = []
    for batch, rate in zip(batches, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses = model.losses(batch)
        loss = sum(losses)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        parts = {f"loss.{name}": value.item() for name, value in zip(sizes.names, losses)}
        steps.append({"loss": loss.item(), **parts, "gradient_norm": norm.item()})
    return steps
