"""Activation functions as modules, for `Sequential`."""

from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value
from minigan.layers.module import Module


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Value) -> Tensor:
        """The activation of x."""
        return ops.relu(x)


class LeakyReLU(Module):
    """x, or alpha * x where x is negative."""

    def __init__(self, alpha: float = 0.2) -> None:
        self.alpha = alpha

    def forward(self, x: Value) -> Tensor:
        """The activation of x."""
        return ops.leaky_relu(x, self.alpha)

    def details(self) -> str:
        """The slope, for `repr`."""
        return f"alpha={self.alpha}"


class Sigmoid(Module):
    """1 / (1 + e^-x)."""

    def forward(self, x: Value) -> Tensor:
        """The activation of x."""
        return ops.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Value) -> Tensor:
        """The activation of x."""
        return ops.tanh(x)


class Softplus(Module):
    """log(1 + e^x)."""

    def forward(self, x: Value) -> Tensor:
        """The activation of x."""
        return ops.softplus(x)
