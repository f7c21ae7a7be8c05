"""The sigmoid, in one buffer."""

from functools import singledispatch

import numpy as np

from minigan.backend import Array

_LARGEST_EXPONENT = {
    np.dtype(t): float(np.floor(np.log(np.finfo(t).max)))
    for t in (np.float16, np.float32, np.float64, np.longdouble)
}


@singledispatch
def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) for any shape and any x.

    The exponent is held where e^-x is still finite, so nothing overflows, and the textbook's four
    temporaries become one buffer. Unlike (1 + tanh(x/2)) / 2 it keeps its relative accuracy for
    very negative x, which log D(G(z)) needs.
    """
    y = (x * -1.0)[...]  # [...] makes an array again of the scalar NumPy returns for a 0-d x
    np.minimum(y, _LARGEST_EXPONENT[y.dtype], out=y)
    np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)
