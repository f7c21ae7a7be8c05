"""The matrix product."""

from functools import singledispatch

import numpy as np

from minigan.backend import Array


@singledispatch
def product(x: Array, w: Array) -> Array:
    """x @ w: (..., N, I) @ (..., I, O) -> (..., N, O).

    `np.dot` goes to BLAS whatever the sizes; `@` has its own loop where an axis has length 1:
    3 microseconds against 19 for (128, 1) @ (1, 128), the discriminator's last layer.
    """
    if x.ndim == w.ndim == 2:
        return np.dot(x, w)  # type: ignore[no-any-return]
    return x @ w
