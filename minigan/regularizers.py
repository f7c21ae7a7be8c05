"""Penalties on weights or activations: called with a Tensor, they return one number.

As in TensorFlow they are only collected (`Module.regularization_loss`); the user adds them to
the loss.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from minigan.autograd import Tensor, ops

Regularizer: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class L1:
    """scale * sum(|w|)."""

    scale: float = 0.01

    def __call__(self, w: Tensor) -> Tensor:
        """The penalty."""
        return self.scale * ops.abs(w).sum()


@dataclass(frozen=True)
class L2:
    """scale * sum(w^2), as Keras's l2. TensorFlow 1's contrib l2_regularizer is half of it."""

    scale: float = 0.01

    def __call__(self, w: Tensor) -> Tensor:
        """The penalty."""
        return self.scale * ops.square(w).sum()
