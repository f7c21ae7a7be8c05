"""Sums over the rows of a matrix."""

from functools import singledispatch

import numpy as np

from minigan.backend import Array


@singledispatch
def sum_rows(x: Array) -> Array:
    """x.sum(axis=0) for a matrix, (N, O) -> (O,).

    As the product of a row of ones with x, it runs in BLAS: 5 microseconds against 9 for
    128 x 784 in float32.
    """
    return np.dot(np.ones_like(x, shape=x.shape[:1]), x)  # type: ignore[no-any-return]
