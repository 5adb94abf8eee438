"""The model in ONNX Runtime: torch_grouped.py's forward pass, exported.

The exporter makes constants of parameters, and of the layout's slices and permutations.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from .subject import Job
from .torch_grouped import GroupedModel


class Logits(nn.Module):
    """The model as the exporter takes it: `forward` is what is exported."""

    def __init__(self, model: GroupedModel):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns logits in sequence order. tokens: grouped [T]; [T, V]"""
        return self.model.logits(tokens)


class ForwardPass:
    """A session over the exported model."""

    def __init__(self, job: Job):
        self.tokens = job.batch.tokens[job.plan.order]
        model = Logits(GroupedModel(job.sizes, job.plan, job.weights)).eval()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            path = Path(folder) / "model.onnx"
            torch.onnx.export(
                model,
                (torch.from_numpy(self.tokens),),
                path,
                dynamo=True,
                opset_version=18,
                verbose=False,
            )
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        self.input = self.session.get_inputs()[0].name

    def run(self) -> None:
        """Does one forward pass."""
        self.last = self.session.run(None, {self.input: self.tokens})[0]

    def results(self) -> dict[str, np.ndarray]:
        """Returns the logits of the last pass."""
        return {"logits": self.last}


def build(job: Job) -> ForwardPass:
    """Returns the subject of a job."""
    torch.set_num_threads(job.threads)
    return ForwardPass(job)
