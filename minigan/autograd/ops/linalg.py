"""Matrix products."""

import numpy as np

from minigan.autograd.engine import Value, op
from minigan.autograd.ops.shape import broadcast_to
from minigan.errors import ShapeError
from minigan.kernels.product import product
from minigan.kernels.reduction import sum_rows as sum_rows_kernel


@op
def matmul(x: Value, w: Value) -> Value:
    """x @ w with NumPy's rules: matrices, stacks of matrices that broadcast, vectors.

    Shapes: (..., N, I) @ (..., I, O) -> (..., N, O).
    """
    return product(x, w)


def _matmul_pullback_to_x(g: Value, y: Value, x: Value, w: Value) -> Value:
    if x.ndim == w.ndim == 2:  # matrices, before all that stacks and vectors need
        return g @ w.T
    if w.ndim == 1:
        return g.reshape((*y.shape, 1)) * w  # each row of x met w in one dot product
    if x.ndim == 1:
        g = g.reshape((*y.shape[:-1], 1, y.shape[-1]))
        return (g @ w.swapaxes(-1, -2)).reshape((*w.shape[:-2], x.shape[0]))
    return g @ w.swapaxes(-1, -2)


def _matmul_pullback_to_w(g: Value, y: Value, x: Value, w: Value) -> Value:
    if x.ndim == w.ndim == 2:
        return x.T @ g
    if x.ndim == 1 and w.ndim == 1:
        return g * x
    if x.ndim == 1:
        return x.reshape((-1, 1)) * g.reshape((*y.shape[:-1], 1, y.shape[-1]))
    if w.ndim == 1:
        return (x.swapaxes(-1, -2) @ g.reshape((*y.shape, 1))).reshape((*x.shape[:-2], w.shape[0]))
    return x.swapaxes(-1, -2) @ g


matmul.pullbacks(_matmul_pullback_to_x, _matmul_pullback_to_w)


@op
def sum_rows(x: Value) -> Value:
    """The sum over the rows of a matrix: (N, O) -> (O,)."""
    return sum_rows_kernel(x)


sum_rows.pullbacks(lambda g, y, x: broadcast_to(g, x.shape))


@op
def dense(x: Value, w: Value, b: Value) -> Value:
    """x @ w + b in one op: a layer of neurons.

    Shapes: x (N, I), w (I, O), b (O,) -> (N, O).
    """
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[0]:
        raise ShapeError(
            f"dense: x is {x.shape}, but the kernel is {w.shape}: they need shapes (N, I) and "
            f"(I, O). Try: flatten x to (N, {w.shape[0]})."
        )
    if b.shape != w.shape[1:]:
        raise ShapeError(
            f"dense: the bias is {b.shape}, but the kernel is {w.shape}. "
            f"Try: a bias of shape {w.shape[1:]}."
        )
    y = product(x, w)
    return np.add(y, b, out=y) if b.dtype == y.dtype else y + b


dense.pullbacks(
    lambda g, y, x, w, b: matmul(g, w.T),
    lambda g, y, x, w, b: matmul(x.T, g),
    lambda g, y, x, w, b: sum_rows(g),
)
