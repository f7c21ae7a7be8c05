"""Activation functions as modules, for `Sequential`."""

from typing import Any

from minigan.autograd import Tensor, ops
from minigan.layers.module import Module


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, *inputs: Any) -> Tensor:
        """The activation of the one input."""
        return ops.relu(*inputs)


class LeakyReLU(Module):
    """x, or alpha * x where x is negative."""

    def __init__(self, alpha: float = 0.2) -> None:
        self.alpha = alpha

    def forward(self, *inputs: Any) -> Tensor:
        """The activation of the one input."""
        return ops.leaky_relu(*inputs, alpha=self.alpha)

    def details(self) -> str:
        """The slope, for `repr`."""
        return f"alpha={self.alpha}"


class Sigmoid(Module):
    """1 / (1 + e^-x)."""

    def forward(self, *inputs: Any) -> Tensor:
        """The activation of the one input."""
        return ops.sigmoid(*inputs)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, *inputs: Any) -> Tensor:
        """The activation of the one input."""
        return ops.tanh(*inputs)


class Softplus(Module):
    """log(1 + e^x)."""

    def forward(self, *inputs: Any) -> Tensor:
        """The activation of the one input."""
        return ops.softplus(*inputs)
