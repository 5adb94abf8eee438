"""PyTorch, in every form: by masks or grouped, eager, compiled or frozen, f32 or bf16."""

import contextlib

import numpy as np
import torch
from torch import Tensor, nn

from .subject import ADAM_EPSILON, BETAS, CLIP, DECAY, RATE, Job
from .torch_grouped import GroupedModel
from .torch_masks import MasksModel

MODELS = {"masks": MasksModel, "grouped": GroupedModel}


def build(job: Job, layout: str, mode: str):
    """Returns the subject of a layout (masks, grouped) in a mode (eager, compiled, frozen)."""
    torch.set_num_threads(job.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = MODELS[layout](job.sizes, job.plan, job.weights)
    inputs = _inputs(job, layout)
    if job.task == "train":
        return TrainingStep(model, inputs, _targets(job, layout), job.precision, mode)
    return ForwardPass(model, inputs, job.precision, mode)


def _inputs(job: Job, layout: str) -> tuple[Tensor, ...]:
    """Returns what the model takes: tokens [T], and for masks [K, T]."""
    if layout == "grouped":
        return (torch.from_numpy(job.batch.tokens[job.plan.order]),)
    kinds = np.arange(len(job.sizes.modalities))[:, None]
    return torch.from_numpy(job.batch.tokens), torch.from_numpy(job.batch.modality == kinds)


def _targets(job: Job, layout: str) -> Tensor:
    targets = job.batch.targets
    return torch.from_numpy(targets[job.plan.order] if layout == "grouped" else targets)


class TrainingStep:
    """Forward, backward, clipping and AdamW.

    In bf16 the matrix products take bf16 operands by autocast; parameters, gradients and moments
    are f32.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: tuple[Tensor, ...],
        targets: Tensor,
        precision: str,
        mode: str,
    ):
        self.inputs = (*inputs, targets)
        self.parameters = list(model.parameters())
        decayed = [value for value in self.parameters if value.dim() > 1]
        others = [value for value in self.parameters if value.dim() == 1]
        groups = [
            {"params": decayed, "weight_decay": DECAY},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, lr=RATE, betas=BETAS, eps=ADAM_EPSILON, fused=True
        )
        self.precision = precision
        self.loss = torch.compile(model.loss) if mode == "compiled" else model.loss

    def run(self) -> None:
        """Does one step."""
        with autocast(self.precision):
            loss = self.loss(*self.inputs)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, CLIP, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.last = {"loss": loss.detach(), "gradient_norm": norm}

    def results(self) -> dict[str, np.ndarray]:
        """Returns loss and gradient norm of the last step."""
        return {name: value.numpy() for name, value in self.last.items()}


class ForwardPass:
    """The forward pass to the logits. In bf16, parameters and rows are bf16."""

    def __init__(self, model: nn.Module, inputs: tuple[Tensor, ...], precision: str, mode: str):
        self.inputs = inputs
        if precision == "bf16":
            for value in model.parameters():
                value.data = value.data.bfloat16()
        model.requires_grad_(False).eval()
        if mode == "frozen":
            import torch._inductor.config as inductor

            inductor.freezing = True
        self.logits = model.logits if mode == "eager" else torch.compile(model.logits)

    def run(self) -> None:
        """Does one forward pass."""
        with torch.no_grad():
            self.last = self.logits(*self.inputs)

    def results(self) -> dict[str, np.ndarray]:
        """Returns the logits of the last pass."""
        return {"logits": self.last.float().numpy()}


def autocast(precision: str) -> contextlib.AbstractContextManager:
    """Returns the context in which matrix products take operands of this precision."""
    if precision == "f32":
        return contextlib.nullcontext()
    return torch.autocast("cpu", dtype=torch.bfloat16)
