"""The model in JAX: rows grouped by hand as in torch_grouped.py, and a step that is one program.

The step takes parameters and moments as donated buffers. In bf16, matrix products take bf16
operands and add in f32; parameters and rows are f32.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .models import EPSILON, IGNORED, rotation
from .subject import ADAM_EPSILON, BETAS, CLIP, DECAY, RATE, Job, is_decayed

Array = jax.Array
Parameters = dict[str, Any]


def build(job: Job):
    """Returns the subject of a job."""
    parameters = {name: jnp.asarray(value) for name, value in grouped_weights(job).items()}
    program = Program(job)
    return (
        TrainingStep(program, parameters)
        if job.task == "train"
        else ForwardPass(program, parameters)
    )


def grouped_weights(job: Job) -> dict[str, np.ndarray]:
    """Returns the parameters, those that share their operand as one: [inputs, outputs]."""
    merged = {
        "attention.qkv": ("attention.q", "attention.k", "attention.v"),
        "feed_forward.gate_up": ("feed_forward.gate", "feed_forward.up"),
        "attention.o": ("attention.o",),
        "feed_forward.down": ("feed_forward.down",),
    }
    gains = ("attention_norm", "feed_forward_norm", "attention.q_norm", "attention.k_norm")
    weights = {name: job.weights[name] for name in ("embedding.weight",)}
    weights["head.weight"] = job.weights["head.weight"].T
    for m in job.sizes.names:
        weights[f"norm.{m}"] = job.weights[f"norm.{m}.weight"]
        for index in range(job.sizes.layers):
            stem = f"layers.{index}"
            for name, parts in merged.items():
                matrices = [job.weights[f"{stem}.{part}.{m}.weight"] for part in parts]
                weights[f"{stem}.{name}.{m}"] = np.ascontiguousarray(np.concatenate(matrices).T)
            for name in gains:
                weights[f"{stem}.{name}.{m}"] = job.weights[f"{stem}.{name}.{m}.weight"]
    return weights


class Program:
    """The mathematics for one batch's layout."""

    def __init__(self, job: Job):
        self.sizes, self.plan = job.sizes, job.plan
        self.operand = jnp.bfloat16 if job.precision == "bf16" else jnp.float32
        self.spans = list(zip(job.plan.offsets, job.plan.offsets[1:]))
        self.tokens = jnp.asarray(job.batch.tokens[job.plan.order], jnp.int32)
        self.targets = jnp.asarray(job.batch.targets[job.plan.order], jnp.int32)
        cos, sin = (table[job.plan.order] for table in rotation(job.sizes))
        self.cos, self.sin = jnp.asarray(cos)[:, None, :], jnp.asarray(sin)[:, None, :]

    def product(self, x: Array, w: Array) -> Array:
        """Returns x @ w in f32, from operands of the precision that is measured."""
        return jnp.dot(
            x.astype(self.operand), w.astype(self.operand), preferred_element_type=jnp.float32
        )

    def grouped(self, rows: Array) -> Array:
        """Returns rows of sequence order in grouped order."""
        return rows if self.plan.is_identity else rows[self.plan.order]

    def sequential(self, rows: Array) -> Array:
        """Returns rows of grouped order in sequence order."""
        return rows if self.plan.is_identity else rows[self.plan.inverse]

    def norm(self, x: Array, p: Parameters, name: str) -> Array:
        """Returns x normalised over its last dimension, with gains by modality. x: [T, ..., n]"""
        normal = x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPSILON)
        gains = [p[f"{name}.{m}"] for m in self.sizes.names]
        return jnp.concatenate([normal[a:b] * gain for (a, b), gain in zip(self.spans, gains)])

    def linear(self, x: Array, p: Parameters, name: str) -> Array:
        """Returns each modality's rows times its matrix. x: [T, n]"""
        matrices = [p[f"{name}.{m}"] for m in self.sizes.names]
        return jnp.concatenate([self.product(x[a:b], w) for (a, b), w in zip(self.spans, matrices)])

    def rotate(self, x: Array) -> Array:
        """Returns x with neighbours rotated as pairs. [T, H, W]"""
        a, b = x[..., 0::2], x[..., 1::2]
        turned = jnp.stack((a * self.cos - b * self.sin, a * self.sin + b * self.cos), -1)
        return turned.reshape(x.shape)

    def attention(self, x: Array, p: Parameters, name: str) -> Array:
        """Returns causal attention of normalised rows. [T, D]"""
        s = self.sizes
        qkv = self.linear(x, p, f"{name}.qkv").reshape(s.tokens, 3, s.heads, s.head_width)
        q = self.rotate(self.norm(qkv[:, 0], p, f"{name}.q_norm"))
        k = self.rotate(self.norm(qkv[:, 1], p, f"{name}.k_norm"))
        shape = (s.batch, s.sequence, s.heads, s.head_width)
        rows = (self.sequential(rows).reshape(shape) for rows in (q, k, qkv[:, 2]))
        q, k, v = (row.transpose(0, 2, 1, 3).astype(self.operand) for row in rows)
        # Blocks of queries, each with the keys that its last one sees: half of the arithmetic.
        size = max(128, min(512, s.sequence // 4))
        starts = range(0, s.sequence, size)
        blocks = [self.attend(q[:, :, a : a + size], k, v, a) for a in starts]
        out = jnp.concatenate(blocks, 2).transpose(0, 2, 1, 3).reshape(s.tokens, s.width)
        return self.linear(self.grouped(out), p, f"{name}.o")

    def attend(self, q: Array, k: Array, v: Array, first: int) -> Array:
        """Returns attention of the queries from place `first`. q: [B, H, n, W]"""
        end = first + q.shape[2]
        k, v = k[:, :, :end], v[:, :, :end]
        scores = jnp.einsum("bhqw,bhkw->bhqk", q, k, preferred_element_type=jnp.float32)
        seen = np.arange(end) <= np.arange(first, end)[:, None]
        weights = jax.nn.softmax(jnp.where(seen, scores * q.shape[-1] ** -0.5, -jnp.inf))
        weights = weights.astype(self.operand)
        return jnp.einsum("bhqk,bhkw->bhqw", weights, v, preferred_element_type=jnp.float32)

    def feed_forward(self, x: Array, p: Parameters, name: str) -> Array:
        """Returns SwiGLU of normalised rows. [T, D]"""
        gate, up = jnp.split(self.linear(x, p, f"{name}.gate_up"), 2, -1)
        return self.linear(jax.nn.silu(gate) * up, p, f"{name}.down")

    def rows(self, p: Parameters) -> Array:
        """Returns what the head reads, in grouped order. [T, D]"""
        x = p["embedding.weight"][self.tokens]
        for index in range(self.sizes.layers):
            stem = f"layers.{index}"
            x += self.attention(self.norm(x, p, f"{stem}.attention_norm"), p, f"{stem}.attention")
            n = self.norm(x, p, f"{stem}.feed_forward_norm")
            x += self.feed_forward(n, p, f"{stem}.feed_forward")
        return self.norm(x, p, "norm")

    def logits(self, p: Parameters) -> Array:
        """Returns logits in sequence order. [T, V]"""
        return self.product(self.sequential(self.rows(p)), p["head.weight"])

    def loss(self, p: Parameters) -> Array:
        """Returns the mean cross-entropy over targets that are not ignored."""
        logits = self.product(self.rows(p), p["head.weight"])
        learned = self.targets != IGNORED
        targets = jnp.where(learned, self.targets, 0)
        chosen = jnp.take_along_axis(logits, targets[:, None], 1)[:, 0]
        each = jax.nn.logsumexp(logits, -1) - chosen
        return jnp.sum(each * learned) / jnp.sum(learned)


def clipped_adamw(p: Parameters, gradients: Parameters, first, second, step: Array):
    """Returns parameters and moments after an update, and the gradients' norm before clipping."""
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in gradients.values()))
    factor = jnp.minimum(1.0, CLIP / (norm + 1e-6))
    corrections = [1 - beta**step for beta in BETAS]
    values = ({}, {}, {})
    for name, gradient in gradients.items():
        g = gradient * factor
        m = BETAS[0] * first[name] + (1 - BETAS[0]) * g
        v = BETAS[1] * second[name] + (1 - BETAS[1]) * g * g
        change = (m / corrections[0]) / (jnp.sqrt(v / corrections[1]) + ADAM_EPSILON)
        decay = DECAY if is_decayed(name) else 0.0
        for target, value in zip(values, (p[name] - RATE * (change + decay * p[name]), m, v)):
            target[name] = value
    return *values, norm


class TrainingStep:
    """Forward, backward, clipping and AdamW in one program."""

    def __init__(self, program: Program, parameters: Parameters):
        def step(state, count):
            p, first, second = state
            loss, gradients = jax.value_and_grad(program.loss)(p)
            *state, norm = clipped_adamw(p, gradients, first, second, count)
            return tuple(state), {"loss": loss, "gradient_norm": norm}

        zeros = [{name: jnp.zeros_like(v) for name, v in parameters.items()} for _ in range(2)]
        self.state, self.count = (parameters, *zeros), 0
        self.step = jax.jit(step, donate_argnums=0)

    def run(self) -> None:
        """Does one step."""
        self.count += 1
        self.state, self.last = self.step(self.state, jnp.float32(self.count))
        jax.block_until_ready((self.state, self.last))

    def results(self) -> dict[str, np.ndarray]:
        """Returns loss and gradient norm of the last step."""
        return {name: np.asarray(value) for name, value in self.last.items()}


class ForwardPass:
    """The forward pass to the logits."""

    def __init__(self, program: Program, parameters: Parameters):
        if program.operand != jnp.float32:
            parameters = {
                name: value if value.ndim == 1 else value.astype(program.operand)
                for name, value in parameters.items()
            }
        self.parameters = parameters
        self.logits = jax.jit(program.logits)

    def run(self) -> None:
        """Does one forward pass."""
        self.last = jax.block_until_ready(self.logits(self.parameters))

    def results(self) -> dict[str, np.ndarray]:
        """Returns the logits of the last pass."""
        return {"logits": np.asarray(self.last)}
