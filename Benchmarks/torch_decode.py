"""Decoding in PyTorch: one token at a time, with the keys and values of those before it kept.

A token is of one modality, whose weights Python picks: nothing is masked, gathered or scattered.
`python3 -m Benchmarks.torch_decode` holds one modality's weights, reads the name of a form from each
line of stdin, and answers by the seconds of some tokens in the last place of the context.
"""

import argparse
import contextlib
import json
import os
import sys
import time
import traceback

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .models import DECODE, EPSILON, Sizes, rotation
from .torch_parts import Weights, parameter, rotate

FORMS = ("eager", "compiled", "frozen", "autotuned")
# Tokens of a measurement.
TOKENS = 20
WARM_UP = 5
# Of logits, relative to those of eager f32, by norm: in bf16, rounding in 24 layers shows.
TOLERANCE = {"f32": 1e-3, "bf16": 1e-1}
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Tower(nn.Module):
    """One modality's weights; lists have an entry a layer."""

    def __init__(self, sizes: Sizes, weights: Weights, modality: str):
        super().__init__()

        def by_layer(*names: str) -> nn.ParameterList:
            return nn.ParameterList(
                parameter(*(weights[f"layers.{index}.{name}.{modality}.weight"] for name in names))
                for index in range(sizes.layers)
            )

        self.attention_gain = by_layer("attention_norm")
        self.qkv = by_layer("attention.q", "attention.k", "attention.v")
        self.q_gain, self.k_gain = by_layer("attention.q_norm"), by_layer("attention.k_norm")
        self.o = by_layer("attention.o")
        self.feed_forward_gain = by_layer("feed_forward_norm")
        self.gate_up = by_layer("feed_forward.gate", "feed_forward.up")
        self.down = by_layer("feed_forward.down")
        self.gain = parameter(weights[f"norm.{modality}.weight"])


class Decoder(nn.Module):
    """The model with its caches. L layers, H heads, S slots, W head width"""

    def __init__(self, sizes: Sizes, weights: Weights, modalities: tuple[str, ...]):
        super().__init__()
        self.sizes = sizes
        self.embedding = parameter(weights["embedding.weight"])
        self.head = parameter(weights["head.weight"])
        self.towers = nn.ModuleList(Tower(sizes, weights, name) for name in modalities)
        slots = (sizes.layers, 1, sizes.heads, sizes.sequence, sizes.head_width)
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(slots))
        for name, table in zip(("cos", "sin"), rotation(sizes)):
            self.register_buffer(name, torch.from_numpy(table))

    def norm(self, x: Tensor, gain: Tensor) -> Tensor:
        """Returns x over the root mean square of its last dimension, times gain."""
        return F.rms_norm(x, x.shape[-1:], gain, EPSILON)

    def attention(self, x: Tensor, tower: Tower, layer: int, place: int) -> Tensor:
        """Returns what attention adds to x, and keeps the token's key and value. [1, D]"""
        n = self.norm(x, tower.attention_gain[layer])
        qkv = F.linear(n, tower.qkv[layer]).view(3, self.sizes.heads, self.sizes.head_width)
        cos, sin = self.cos[place], self.sin[place]
        q = rotate(self.norm(qkv[0], tower.q_gain[layer]), cos, sin).to(x.dtype)
        k = rotate(self.norm(qkv[1], tower.k_gain[layer]), cos, sin).to(x.dtype)
        keys, values = self.keys[layer], self.values[layer]
        keys[0, :, place] = k
        values[0, :, place] = qkv[2]
        seen = slice(0, place + 1)
        out = F.scaled_dot_product_attention(q[None, :, None], keys[:, :, seen], values[:, :, seen])
        return F.linear(out.view(1, -1), tower.o[layer])

    def feed_forward(self, x: Tensor, tower: Tower, layer: int) -> Tensor:
        """Returns what the feed-forward network adds to x. [1, D]"""
        n = self.norm(x, tower.feed_forward_gain[layer])
        gate, up = F.linear(n, tower.gate_up[layer]).split(self.sizes.hidden, -1)
        return F.linear(F.silu(gate) * up, tower.down[layer])

    def forward(self, token: Tensor, modality: int, place: int) -> Tensor:
        """Returns the logits behind a token in this place. token: [1]; [1, V]"""
        tower = self.towers[modality]
        x = F.embedding(token, self.embedding)
        for layer in range(self.sizes.layers):
            x = x + self.attention(x, tower, layer, place)
            x = x + self.feed_forward(x, tower, layer)
        return F.linear(self.norm(x, tower.gain), self.head)

    @property
    def bytes_of_token(self) -> int:
        """Bytes that a token in the last place cannot do without: matrices, keys and values."""
        matrices = [p for p in self.towers[0].parameters() if p.dim() > 1]
        read = [*matrices, self.head, self.keys, self.values]
        return sum(tensor.numel() * tensor.element_size() for tensor in read)


class RandomWeights(dict):
    """Weights of one modality by name, made when they are asked for."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes, self.random = sizes, np.random.default_rng(0)
        d, f, w = sizes.width, sizes.hidden, sizes.head_width
        square = {f"attention.{part}": (d, d) for part in "qkvo"}
        gains = {"attention.q_norm": (w,), "attention.k_norm": (w,)}
        wide = {"feed_forward.gate": (f, d), "feed_forward.up": (f, d)}
        self.shapes = square | gains | wide | {"feed_forward.down": (d, f)}

    def __missing__(self, name: str) -> np.ndarray:
        if name in ("embedding.weight", "head.weight"):
            shape = (self.sizes.vocabulary, self.sizes.width)
        else:
            # layers.INDEX.NAME.MODALITY.weight
            part = ".".join(name.split(".")[2:-2])
            shape = self.shapes.get(part, (self.sizes.width,))
        if len(shape) == 1:
            return np.ones(shape, np.float32)
        return self.random.standard_normal(shape, np.float32) * np.float32(0.02)


def compiled(model: Decoder, form: str):
    """Returns the model in a form."""
    if form == "eager":
        return model, {}
    options = {
        "compiled": {},
        "frozen": {"freezing": True},
        "autotuned": {"freezing": True, "max_autotune": True},
    }[form]
    torch._dynamo.reset()
    return torch.compile(model, dynamic=False, fullgraph=True, options=options), options


class Subject:
    """The model of the benchmark, in forms that are compiled when they are first measured."""

    def __init__(self, precision: str):
        self.precision = precision
        self.model = Decoder(DECODE, RandomWeights(DECODE), DECODE.names[:1])
        self.model.requires_grad_(False).eval()
        generator = torch.Generator().manual_seed(1)
        for cache in (self.model.keys, self.model.values):
            cache.normal_(generator=generator)
        self.token = torch.tensor([1])
        self.place = DECODE.sequence - 1
        self.forms = {}
        with torch.inference_mode():
            self.expected = self.model(self.token, 0, self.place)
        self.model.to(TYPES[precision])

    def measure(self, form: str) -> dict[str, object]:
        """Returns the seconds of each of some tokens, and what a token reads."""
        import torch._inductor.config as inductor

        options = {}
        if form not in self.forms:
            self.forms[form], options = compiled(self.model, form)
        run, seconds = self.forms[form], []
        patch = inductor.patch(options) if options else contextlib.nullcontext()
        with torch.inference_mode(), patch:
            for index in range(WARM_UP + TOKENS):
                start = time.perf_counter()
                logits = run(self.token, 0, self.place)
                if index >= WARM_UP:
                    seconds.append(time.perf_counter() - start)
        error = float((logits.float() - self.expected).norm() / self.expected.norm())
        if not error <= TOLERANCE[self.precision]:
            raise ValueError(f"its logits are off by {error:.1e} from eager's in f32")
        return {"seconds": seconds, "bytes": self.model.bytes_of_token}


def main() -> None:
    """Does what the driver says on stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", choices=TYPES, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    # What libraries print is for the log; answers have a channel of their own.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    subject = Subject(options.precision)
    for line in sys.stdin:
        try:
            answer = subject.measure(line.strip())
        except Exception as error:
            traceback.print_exc()
            reason = str(error).strip().splitlines() or [""]
            answer = {"failed": f"{type(error).__name__}: {reason[0][:200]}"}
        print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main()
