"""Activations, each in one buffer."""

from functools import singledispatch

import numpy as np

from minigan.backend import Array


@singledispatch
def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) for any shape and any x.

    The textbook's four temporaries become one buffer. Where e^-x overflows to infinity, 1 / (1 +
    infinity) = 0 is right. Unlike (1 + tanh(x/2)) / 2 this keeps its relative accuracy for very
    negative x, which log D(G(z)) needs.
    """
    y: Array = np.multiply(x, -1.0)[...]  # [...] makes an array again of a 0-d x's scalar
    with np.errstate(over="ignore"):
        np.exp(y, out=y)
    y += 1
    return np.divide(1, y, out=y)


@singledispatch
def leaky_relu(x: Array, alpha: float) -> Array:
    """max(x, alpha * x) for any shape and alpha in [0, 1]."""
    y: Array = np.multiply(x, alpha)[...]  # as above
    return np.maximum(x, y, out=y)
