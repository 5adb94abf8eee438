"""The matrix products that `Benchmarks.matmul` measures: linear maps, as a model has them.

Legend: T rows, K their width, N the results' width; y[T, N] = x[T, K] w[N, K]ᵀ, each group of rows
with weights of its own.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Product:
    """One product."""

    groups: tuple[int, ...]
    """The rows of each group, one after the other."""
    depth: int
    """K"""
    width: int
    """N"""

    @property
    def rows(self) -> int:
        """T"""
        return sum(self.groups)

    @property
    def name(self) -> str:
        """How tables call it: rows, K and N."""
        rows = f"{self.rows:,}"
        if len(self.groups) == 2:
            rows = f"({' + '.join(f'{count:,}' for count in self.groups)})"
        elif len(self.groups) > 2:
            rows = f"{rows} in {len(self.groups)} groups"
        return f"{rows} × {self.depth:,} × {self.width:,}"

    @property
    def flops(self) -> float:
        """Multiplications and additions."""
        return 2.0 * self.rows * self.depth * self.width

    @property
    def slices(self) -> list[slice]:
        """The rows of each group."""
        ends = np.cumsum(self.groups).tolist()
        return [slice(end - count, end) for end, count in zip(ends, self.groups)]

    def operands(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns x[T, K] and w[groups, N, K], the same in every process."""
        random = np.random.default_rng(0)
        x = random.standard_normal((self.rows, self.depth), np.float32)
        w = random.standard_normal((len(self.groups), self.width, self.depth), np.float32)
        return x, w

    def error(self, y: np.ndarray) -> float:
        """Returns how far `y` is from the result, by norm."""
        x, w = self.operands()
        expected = np.concatenate([x[rows] @ w[group].T for group, rows in enumerate(self.slices)])
        return float(np.linalg.norm(y - expected) / np.linalg.norm(expected))


PRODUCTS = [
    Product((256,), 512, 512),
    Product((512,), 1536, 512),
    Product((1024,), 2048, 512),
    Product((2048,), 2048, 2048),
    Product((64,), 1024, 1024),
    Product((1337, 711), 512, 1536),
    Product((391, 57, 498, 123, 310, 41, 402, 226), 512, 1536),
]
