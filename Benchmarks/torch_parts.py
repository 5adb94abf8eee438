"""What both PyTorch models are made of."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .models import EPSILON, Sizes

Weights = dict[str, np.ndarray]


def parameter(*parts: np.ndarray) -> nn.Parameter:
    """Returns the matrices, one above the other, as one parameter."""
    return nn.Parameter(torch.from_numpy(np.concatenate(parts)))


def normalize(x: Tensor) -> Tensor:
    """Returns x over the root mean square of its last dimension."""
    return F.rms_norm(x, x.shape[-1:], None, EPSILON)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Returns x with neighbours rotated as pairs. x: [..., W], cos and sin: [..., W / 2]"""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def attend(q: Tensor, k: Tensor, v: Tensor, sizes: Sizes, mask: Tensor | None = None) -> Tensor:
    """Returns attention over whole sequences, causal or as mask has it. [T, H, W] each, and [T, D]

    mask: true where a row sees another, [B, 1, S, S]
    """

    def split(rows: Tensor) -> Tensor:
        shape = (sizes.batch, sizes.sequence, sizes.heads, sizes.head_width)
        return rows.view(shape).transpose(1, 2)

    parts = (split(q), split(k), split(v))
    out = F.scaled_dot_product_attention(*parts, attn_mask=mask, is_causal=mask is None)
    return out.transpose(1, 2).reshape(sizes.tokens, sizes.width)
