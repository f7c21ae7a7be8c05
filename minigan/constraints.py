"""Projections that an optimizer applies to a parameter right after each update of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from minigan.backend import Array

Constraint: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True)
class MaxNorm:
    """Each output's weights, a column, scaled down to a Euclidean norm of at most `limit`.

    Source: Srivastava et al. 2014, "Dropout"; w * clip(n, 0, limit) / (1e-7 + n) as in Keras.
    """

    limit: float = 2.0

    def __call__(self, w: Array) -> Array:
        """The projection of w."""
        norms = np.sqrt((w * w).sum(axis=0, keepdims=True))
        scales: Array = np.clip(norms, 0, self.limit) / (1e-7 + norms)
        return w * scales


@dataclass(frozen=True)
class NonNeg:
    """Negative weights become 0."""

    def __call__(self, w: Array) -> Array:
        """The projection of w."""
        return np.maximum(w, 0)


@dataclass(frozen=True)
class ClipValue:
    """Weights held between -limit and limit, as the critic of a Wasserstein GAN asks."""

    limit: float = 0.01

    def __call__(self, w: Array) -> Array:
        """The projection of w."""
        return np.clip(w, -self.limit, self.limit)
