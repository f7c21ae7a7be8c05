"""Operations that move numbers and compute nothing: reshaping, joining, cutting, indexing.

Each one's pullback moves the numbers back.
"""

import builtins
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from minigan import backend
from minigan.autograd.engine import Tensor, Value, op
from minigan.errors import ShapeError

Shape: TypeAlias = tuple[int, ...]

# ── the same numbers in another shape ────────────────────────────────────────────────────────


@op
def reshape(x: Value, shape: Shape) -> Value:
    """The same numbers, row-major, in another shape; one -1 is worked out."""
    return x.reshape(shape)


reshape.pullbacks(lambda g, y, x, shape: g.reshape(x.shape))


@op
def transpose(x: Value, axes: Shape | None = None) -> Value:
    """Axes in another order; reversed if none is given."""
    return x.transpose(axes)


transpose.pullbacks(
    lambda g, y, x, axes: transpose(g, axes and tuple(_inverse(axes, x.ndim))),
)


def _inverse(axes: Shape, ndim: int) -> list[int]:
    places = [a % ndim for a in axes]
    return [places.index(i) for i in range(ndim)]


@op
def swapaxes(x: Value, axis1: int, axis2: int) -> Value:
    """Two axes exchanged."""
    return x.swapaxes(axis1, axis2)


swapaxes.pullbacks(lambda g, y, x, axis1, axis2: g.swapaxes(axis1, axis2))


@op
def expand_dims(x: Value, axis: int | Shape) -> Value:
    """A new axis of length 1 at each place named."""
    return np.expand_dims(x, axis)


expand_dims.pullbacks(lambda g, y, x, axis: g.reshape(x.shape))


@op
def squeeze(x: Value, axis: int | Shape | None = None) -> Value:
    """Without the axes of length 1, all or those named."""
    return x.squeeze(axis)


squeeze.pullbacks(lambda g, y, x, axis: g.reshape(x.shape))


@op
def broadcast_to(x: Value, shape: Shape) -> Value:
    """x repeated along new or length-1 axes, without copying."""
    return np.broadcast_to(x, shape)


broadcast_to.pullbacks(lambda g, y, x, shape: g)  # the engine sums g back to x's shape


# ── joining and cutting ──────────────────────────────────────────────────────────────────────


@op
def _join(axis: int, *parts: Value) -> Value:
    return np.concatenate(parts, axis)


def _join_pullback(g: Value, y: Value, position: int, axis: int, *parts: Value) -> Value:
    before = builtins.sum(part.shape[axis] for part in parts[: position - 1])
    index = [slice(None)] * y.ndim
    index[axis] = slice(before, before + parts[position - 1].shape[axis])
    return g[tuple(index)]


_join.pullbacks(_join_pullback)
_join.name = "concatenate"  # for messages and graphs


def concatenate(parts: Sequence[Value], axis: int = 0) -> Tensor:
    """Arrays joined along an axis they have (TensorFlow's concat)."""
    return _join(axis, *parts)


def stack(parts: Sequence[Value], axis: int = 0) -> Tensor:
    """Arrays of one shape joined along a new axis."""
    return _join(axis, *(expand_dims(part, axis) for part in parts))


def split(x: Value, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x cut along an axis: into equal sections, or at the given places (NumPy's split)."""
    length = x.shape[axis]
    if isinstance(sections, int):
        if sections < 1 or length % sections:
            raise ShapeError(
                f"split: an axis of length {length} can't be cut into {sections} equal sections. "
                f"Try: a divisor of {length}, or the places to cut at, such as [{length // 2}]."
            )
        sections = range(length // sections, length, length // sections)
    edges = [0, *sections, length]
    lead = (slice(None),) * (axis % x.ndim)
    return [x[(*lead, slice(a, b))] for a, b in pairwise(edges)]


@op
def pad(x: Value, pad_width: Sequence[tuple[int, int]]) -> Value:
    """Zeros around x: (before, after) for each axis."""
    if np.shape(pad_width) != (x.ndim, 2):
        raise ShapeError(
            f"pad: pad_width is {pad_width}, but must be (before, after) for each of the {x.ndim} "
            f"axes of x. Try: {[(1, 1)] * x.ndim}, which adds one zero on every side."
        )
    return np.pad(x, pad_width)


pad.pullbacks(
    lambda g, y, x, pad_width: g[
        tuple(slice(before, before + n) for (before, _), n in zip(pad_width, x.shape, strict=True))
    ],
)


# ── indexing ─────────────────────────────────────────────────────────────────────────────────


@op
def put(x: Value, index: Any, shape: Shape) -> Value:
    """Zeros of the given shape with x added at [index]: the adjoint of getitem.

    An element that the index names twice receives both values.
    """
    flat = np.zeros_like(x, shape=(math.prod(shape),))
    y = flat.reshape(shape)
    if _is_basic(index):
        y[index] = x
    elif backend.is_array(index):
        np.add.at(y, index, x)
    else:  # CuPy's add.at takes one array: where each element lies in the flat buffer
        places = backend.to_device(np.arange(flat.size), backend.device_of(x)).reshape(shape)
        np.add.at(flat, places[index], x)
    return y


put.pullbacks(lambda g, y, x, index, shape: g[index])


@op
def getitem(x: Value, index: Any) -> Value:
    """x[index], with all of NumPy's indexing: slices, integers, masks, arrays of integers."""
    return x[index]


getitem.pullbacks(lambda g, y, x, index: put(g, index, x.shape))


def _is_basic(index: Any) -> bool:
    """Whether each element is named at most once: slices and integers, no arrays."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is ... or isinstance(p, slice | int | np.integer) for p in parts)
