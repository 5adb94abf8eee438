"""The model in PyTorch as the public reference code of Mixture-of-Transformers writes it.

Rows stay in sequence order. A boolean mask for each modality picks the rows of a sub-layer, K small
products follow, and `out[mask] = ...` puts the results back.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .models import EPSILON, Plan, Sizes, rotation
from .torch_parts import Weights, attend, parameter, rotate


class Tower(nn.Module):
    """One modality's weights of one layer."""

    def __init__(self, sizes: Sizes, weights: Weights, index: int, modality: str):
        super().__init__()
        self.sizes = sizes

        def named(name: str) -> nn.Parameter:
            return parameter(weights[f"layers.{index}.{name}.{modality}.weight"])

        self.attention_gain = named("attention_norm")
        self.q, self.k, self.v, self.o = (named(f"attention.{part}") for part in "qkvo")
        self.q_gain, self.k_gain = named("attention.q_norm"), named("attention.k_norm")
        self.feed_forward_gain = named("feed_forward_norm")
        self.gate, self.up = named("feed_forward.gate"), named("feed_forward.up")
        self.down = named("feed_forward.down")

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns three times [t, H, W]."""
        heads = (self.sizes.heads, self.sizes.head_width)
        n = F.rms_norm(x, x.shape[-1:], self.attention_gain, EPSILON)
        q, k, v = (F.linear(n, w).unflatten(-1, heads) for w in (self.q, self.k, self.v))
        q = F.rms_norm(q, heads[1:], self.q_gain, EPSILON)
        k = F.rms_norm(k, heads[1:], self.k_gain, EPSILON)
        return q, k, v

    def feed_forward(self, x: Tensor) -> Tensor:
        """Returns SwiGLU of normalised rows. [t, D]"""
        n = F.rms_norm(x, x.shape[-1:], self.feed_forward_gain, EPSILON)
        return F.linear(F.silu(F.linear(n, self.gate)) * F.linear(n, self.up), self.down)


class MasksModel(nn.Module):
    """The model, for any layout of modalities."""

    def __init__(self, sizes: Sizes, plan: Plan, weights: Weights):
        super().__init__()
        self.sizes = sizes
        self.embedding = parameter(weights["embedding.weight"])
        self.layers = nn.ModuleList(
            nn.ModuleList(Tower(sizes, weights, index, m) for m in sizes.names)
            for index in range(sizes.layers)
        )
        self.gain = nn.ParameterList(parameter(weights[f"norm.{m}.weight"]) for m in sizes.names)
        self.head = parameter(weights["head.weight"])
        for name, table in zip(("cos", "sin"), rotation(sizes)):
            self.register_buffer(name, torch.from_numpy(table)[:, None])

    def merge(self, parts: list[Tensor], masks: Tensor) -> Tensor:
        """Returns the parts' rows where their masks are. masks: [K, T]; [T, ...]"""
        out = parts[0].new_empty(self.sizes.tokens, *parts[0].shape[1:])
        for part, mask in zip(parts, masks):
            out[mask] = part
        return out

    def attention(self, x: Tensor, towers: nn.ModuleList, masks: Tensor) -> Tensor:
        """Returns what attention adds to x. [T, D]"""
        parts = [tower.queries_keys_values(x[mask]) for tower, mask in zip(towers, masks)]
        q, k, v = (self.merge([part[i] for part in parts], masks) for i in range(3))
        q = rotate(q, self.cos, self.sin).to(v.dtype)
        k = rotate(k, self.cos, self.sin).to(v.dtype)
        out = attend(q, k, v, self.sizes)
        return self.merge([F.linear(out[m], tower.o) for tower, m in zip(towers, masks)], masks)

    def feed_forward(self, x: Tensor, towers: nn.ModuleList, masks: Tensor) -> Tensor:
        """Returns what the feed-forward networks add to x. [T, D]"""
        parts = [tower.feed_forward(x[mask]) for tower, mask in zip(towers, masks)]
        return self.merge(parts, masks)

    def logits(self, tokens: Tensor, masks: Tensor) -> Tensor:
        """Returns logits. tokens: [T], masks: [K, T]; [T, V]"""
        x = F.embedding(tokens, self.embedding)
        for towers in self.layers:
            x = x + self.attention(x, towers, masks)
            x = x + self.feed_forward(x, towers, masks)
        parts = [
            F.rms_norm(x[mask], x.shape[-1:], gain, EPSILON) for gain, mask in zip(self.gain, masks)
        ]
        return F.linear(self.merge(parts, masks), self.head)

    def loss(self, tokens: Tensor, masks: Tensor, targets: Tensor) -> Tensor:
        """Returns the mean cross-entropy. targets: [T]"""
        return F.cross_entropy(self.logits(tokens, masks).float(), targets)
