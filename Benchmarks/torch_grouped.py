"""The model in PyTorch as one would write it by hand for speed.

Rows are permuted once, ahead of the step, so that each modality's are contiguous: a linear map is
a matrix product for each slice. Rows go to sequence order for attention alone. Queries, keys and
values are one product, and so are gate and up.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .models import Plan, Sizes, rotation
from .torch_parts import Weights, attend, normalize, parameter, rotate


class GroupedLayer(nn.Module):
    """One layer; lists have an entry a modality."""

    def __init__(self, sizes: Sizes, weights: Weights, index: int):
        super().__init__()
        self.hidden = sizes.hidden

        def by_modality(*names: str) -> nn.ParameterList:
            return nn.ParameterList(
                parameter(*(weights[f"layers.{index}.{name}.{m}.weight"] for name in names))
                for m in sizes.names
            )

        self.attention_gain = by_modality("attention_norm")
        self.qkv = by_modality("attention.q", "attention.k", "attention.v")
        self.query_key_gain = by_modality("attention.q_norm", "attention.k_norm")
        self.o = by_modality("attention.o")
        self.feed_forward_gain = by_modality("feed_forward_norm")
        self.gate_up = by_modality("feed_forward.gate", "feed_forward.up")
        self.down = by_modality("feed_forward.down")

    def feed_forward(self, x: Tensor, group: int) -> Tensor:
        """Returns SwiGLU of one modality's rows. [t, D]"""
        gate, up = F.linear(x, self.gate_up[group]).split(self.hidden, -1)
        return F.linear(F.silu(gate) * up, self.down[group])


class GroupedModel(nn.Module):
    """The model for one layout of modalities."""

    def __init__(self, sizes: Sizes, plan: Plan, weights: Weights):
        super().__init__()
        self.sizes = sizes
        self.spans = [slice(a, b) for a, b in zip(plan.offsets, plan.offsets[1:])]
        self.permutes = not plan.is_identity
        self.embedding = parameter(weights["embedding.weight"])
        self.layers = nn.ModuleList(
            GroupedLayer(sizes, weights, index) for index in range(sizes.layers)
        )
        self.gain = nn.ParameterList(parameter(weights[f"norm.{m}.weight"]) for m in sizes.names)
        self.head = parameter(weights["head.weight"])
        self.register_buffer("order", torch.from_numpy(plan.order))
        self.register_buffer("inverse", torch.from_numpy(plan.inverse))
        for name, table in zip(("cos", "sin"), rotation(sizes)):
            # In grouped order, beside the query heads and the key heads. [T, 1, 1, W / 2]
            self.register_buffer(name, torch.from_numpy(table[plan.order])[:, None, None])

    def grouped(self, rows: Tensor) -> Tensor:
        """Returns rows of sequence order in grouped order. [T, ...]"""
        return rows.index_select(0, self.order) if self.permutes else rows

    def sequential(self, rows: Tensor) -> Tensor:
        """Returns rows of grouped order in sequence order. [T, ...]"""
        return rows.index_select(0, self.inverse) if self.permutes else rows

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Returns attention of rows in sequence order. [T, H, W] each, and [T, D]"""
        return attend(q, k, v, self.sizes)

    def attention(self, x: Tensor, layer: GroupedLayer) -> Tensor:
        """Returns what attention adds to x. [T, D]"""
        n = normalize(x)
        parts = [
            F.linear(n[span] * gain, weight)
            for span, gain, weight in zip(self.spans, layer.attention_gain, layer.qkv)
        ]
        qkv = torch.cat(parts).unflatten(-1, (3, self.sizes.heads, self.sizes.head_width))
        query_key = normalize(qkv[:, :2])
        gains = [gain.view(2, 1, -1) for gain in layer.query_key_gain]
        query_key = torch.cat([query_key[span] * gain for span, gain in zip(self.spans, gains)])
        query_key = self.sequential(rotate(query_key, self.cos, self.sin).to(qkv.dtype))
        v = self.sequential(qkv[:, 2])
        out = self.grouped(self.attend(query_key[:, 0], query_key[:, 1], v))
        return torch.cat([F.linear(out[span], weight) for span, weight in zip(self.spans, layer.o)])

    def feed_forward(self, x: Tensor, layer: GroupedLayer) -> Tensor:
        """Returns what the feed-forward networks add to x. [T, D]"""
        n = normalize(x)
        parts = [
            layer.feed_forward(n[span] * gain, group)
            for group, (span, gain) in enumerate(zip(self.spans, layer.feed_forward_gain))
        ]
        return torch.cat(parts)

    def rows(self, tokens: Tensor) -> Tensor:
        """Returns what the head reads, in grouped order. tokens: grouped [T]; [T, D]"""
        x = F.embedding(tokens, self.embedding)
        for layer in self.layers:
            x = x + self.attention(x, layer)
            x = x + self.feed_forward(x, layer)
        n = normalize(x)
        return torch.cat([n[span] * gain for span, gain in zip(self.spans, self.gain)])

    def logits(self, tokens: Tensor) -> Tensor:
        """Returns logits in sequence order. tokens: grouped [T]; [T, V]"""
        return F.linear(self.sequential(self.rows(tokens)), self.head)

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Returns the mean cross-entropy. tokens and targets: grouped [T]"""
        return F.cross_entropy(F.linear(self.rows(tokens), self.head).float(), targets)
