"""Reductions over an axis, several axes or everything: sum, mean, variance, maximum.

`axis` and `keepdims` are NumPy's. A reduction's pullback first puts the lost axes back as axes of
length 1; broadcasting does the rest.
"""

from typing import TypeAlias

from minigan.autograd.engine import Value, op
from minigan.autograd.ops.shape import broadcast_to

Axis: TypeAlias = int | tuple[int, ...] | None


@op
def sum(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The sum."""
    return x.sum(axis=axis, keepdims=keepdims)


sum.pullbacks(
    lambda g, y, x, axis, keepdims: broadcast_to(_with_lost_axes(g, x, axis), x.shape),
)


@op
def mean(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The mean."""
    return x.mean(axis=axis, keepdims=keepdims)


mean.pullbacks(
    lambda g, y, x, axis, keepdims: broadcast_to(
        _with_lost_axes(g, x, axis) / _count(x, y), x.shape
    ),
)


@op
def var(x: Value, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Value:
    """The variance: the sum of squared distances from the mean, over n - ddof.

    ddof = 0 (biased) is what TensorFlow and batch norm use, ddof = 1 (Bessel) is PyTorch's default.
    """
    return x.var(axis=axis, keepdims=keepdims, ddof=ddof)


var.pullbacks(
    lambda g, y, x, axis, keepdims, ddof: (
        (_with_lost_axes(g, x, axis) * 2 / (_count(x, y) - ddof))
        * (x - x.mean(axis=axis, keepdims=True))
    ),
)


@op
def max(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The maximum. Tied elements share the gradient equally."""
    return x.max(axis=axis, keepdims=keepdims)


def _max_pullback(g: Value, y: Value, x: Value, axis: Axis, keepdims: bool) -> Value:
    largest = (x == _with_lost_axes(y, x, axis)).astype(x.dtype)
    return _with_lost_axes(g, x, axis) * (largest / largest.sum(axis=axis, keepdims=True))


max.pullbacks(_max_pullback)


def _with_lost_axes(g: Value, x: Value, axis: Axis) -> Value:
    """g with the shape that keepdims=True would have given it; one number broadcasts anyway."""
    if g.ndim == 0:
        return g
    lost = _lost_axes(x, axis)
    return g.reshape(tuple(1 if i in lost else n for i, n in enumerate(x.shape)))


def _count(x: Value, y: Value) -> int:
    """How many elements of x meet in one of y."""
    count: int = x.size // y.size if y.size else 0
    return count


def _lost_axes(x: Value, axis: Axis) -> set[int]:
    if axis is None:
        return set(range(x.ndim))
    return {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
