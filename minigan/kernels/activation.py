"""Activations, each in one buffer, block by block."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from minigan.backend import Array
from minigan.kernels.threads import even_parts, in_shares, number_of_parts

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

    def work(share: Sequence[Any]) -> None:
        for block in share:
            np.multiply(x[block], alpha, out=y[block])
            np.maximum(x[block], y[block], out=y[block])

    in_shares(work, _blocks(x), x)
    return y


@singledispatch
def damped(g: Array, kept: Array, alpha: float) -> Array:
    """g where kept, else alpha * g: leaky relu's gradient, for x >= 0.

    By a factor, 1 or alpha, since np.where would be 9 times slower. 0.8 million numbers take 0.28
    ms: 0.49 if they are compared with alpha itself, and not with an array full of it.
    """
    y: Array = np.empty_like(g)
    blocks = _blocks(g)
    alphas = np.full_like(g[blocks[-1]], alpha)  # the last block is the longest

    def work(share: Sequence[Any]) -> None:
        for block in share:
            factor = y[block]
            factor[...] = kept[block]
            np.maximum(factor, alphas[: len(factor)] if y.ndim else alphas, out=factor)
            factor *= g[block]

    in_shares(work, blocks, g)
    return y


def _blocks(x: Array) -> list[Any]:
    """x in parts that stay in the cache from one pass to the next."""
    return even_parts(len(x), number_of_parts(x.size, BLOCK, len(x))) if x.ndim else [...]
