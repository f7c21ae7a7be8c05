"""Layers that only move numbers."""

import math

from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value
from minigan.layers.module import Module


class Flatten(Module):
    """Each example as one row, in NHWC order: (N, ...) -> (N, product)."""

    def forward(self, x: Value) -> Tensor:
        """The rows."""
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


class Reshape(Module):
    """Each example in another shape: (N, ...) -> (N, *shape); one -1 is worked out."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def forward(self, x: Value) -> Tensor:
        """The reshaped examples."""
        return ops.reshape(x, (x.shape[0], *self.shape))

    def details(self) -> str:
        """The shape, for `repr`."""
        return ", ".join(map(str, self.shape))
