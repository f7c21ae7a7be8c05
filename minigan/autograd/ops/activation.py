"""Activation functions."""

import numpy as np

from minigan.autograd.engine import Value, op
from minigan.errors import ConfigError
from minigan.kernels import activation as kernels


@op
def sigmoid(x: Value) -> Value:
    """1 / (1 + e^-x), with no overflow for any x."""
    return kernels.sigmoid(x)


sigmoid.pullbacks(lambda g, y, x: g * (y * (1 - y)))


@op
def tanh(x: Value) -> Value:
    """The hyperbolic tangent."""
    return np.tanh(x)


tanh.pullbacks(lambda g, y, x: g * (1 - y * y))


@op
def relu(x: Value) -> Value:
    """max(x, 0). The gradient at 0 is 0, as in TensorFlow."""
    return np.maximum(x, 0)


relu.pullbacks(lambda g, y, x: g * (x > 0))


@op
def leaky_relu(x: Value, alpha: float = 0.2) -> Value:
    """x, or alpha * x where x is negative. The gradient at 0 is 1, as of maximum(x, alpha * x)."""
    if not 0 <= alpha <= 1:
        raise ConfigError(
            f"leaky_relu: alpha is {alpha}, but must be in [0, 1] for maximum(x, alpha * x) to be "
            f"the function. Try: alpha=0.2."
        )
    return kernels.leaky_relu(x, alpha)


@op
def damped(g: Value, kept: Value, alpha: float) -> Value:
    """g where `kept`, a mask, is true, and alpha * g elsewhere."""
    return kernels.damped(g, kept, alpha)


leaky_relu.pullbacks(lambda g, y, x, alpha: damped(g, x >= 0, alpha))

damped.pullbacks(lambda v, y, g, kept, alpha: damped(v, kept, alpha))


@op
def softplus(x: Value) -> Value:
    """log(1 + e^x), with no overflow: a smooth relu."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


softplus.pullbacks(lambda g, y, x: g * sigmoid(x))
