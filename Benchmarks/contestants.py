"""Who takes part."""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .subject import Job, Subject

TASKS = ("train", "forward")
PRECISIONS = ("f32", "bf16")


@dataclass(frozen=True)
class Contestant:
    """One way to run a model."""

    name: str
    module: str
    """The module whose `build` makes the subject."""
    arguments: dict[str, Any]
    tasks: tuple[str, ...] = TASKS
    precisions: tuple[str, ...] = PRECISIONS
    quick: bool = False
    """True if it takes part in the short form."""

    def load(self) -> ModuleType:
        """Returns the module, and with it the libraries that it needs."""
        return importlib.import_module(f"{__package__}.{self.module}")

    def build(self, job: Job) -> Subject:
        """Returns the subject for a job."""
        return self.load().build(job, **self.arguments)


def _torch(layout: str, mode: str, **options: Any) -> Contestant:
    arguments = {"layout": layout, "mode": mode}
    return Contestant(f"torch-{layout}-{mode}", "torch_subject", arguments, **options)


PEERS = (
    _torch("masks", "eager", quick=True),
    _torch("masks", "compiled"),
    _torch("masks", "frozen", tasks=("forward",)),
    _torch("grouped", "eager", quick=True),
    _torch("grouped", "compiled"),
    _torch("grouped", "frozen", tasks=("forward",)),
    Contestant("jax-grouped", "jax_grouped", {}),
    Contestant("onnxruntime-grouped", "onnx_grouped", {}, tasks=("forward",), precisions=("f32",)),
)
