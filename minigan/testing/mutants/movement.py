"""Mutants of the operations that move numbers: reshaping, joining, cutting, indexing."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.autograd.engine import Value, array_of, stop_gradient
from minigan.autograd.ops import put
from minigan.testing.mutants.mistakes import (
    averaged_to,
    first_of,
    ignoring_g,
    in_memory_order,
    last_element_off,
    of_the_base,
    on_arrays,
    right,
    times,
)
from minigan.testing.mutants.mutant import of

SHAPES = [
    *of("reshape", 0,
        ("transposed or flipped", "column by column", lambda g, y, x, shape: (
            g.transpose().reshape(x.shape))),
        ("memory layout", "g as it lies in memory", lambda g, y, x, shape: (
            in_memory_order(g).reshape(x.shape))),
        ("ignores or bends g", "y back in the shape of x", lambda g, y, x, shape: (
            y.reshape(x.shape))),
        ("second order", "no graph", on_arrays(right("reshape"))),
        where=r"\(6,2\)",
    ),
    *of("transpose", 0,
        ("transposed or flipped", "not at all: g reshaped", lambda g, y, x, axes: (
            g.reshape(x.shape))),
        ("second order", "no graph", on_arrays(right("transpose"))),
        where=r"\(2,3,4\)\)",
    ),
    *of("transpose", 0,
        ("transposed or flipped", "the same axes, not the inverse", lambda g, y, x, axes: (
            g.transpose(axes).reshape(x.shape))),
        ("transposed or flipped", "always reversed", lambda g, y, x, axes: (
            g.transpose().reshape(x.shape))),
        ("aliases or mutates", "a view of x", lambda g, y, x, axes: (
            x[...] if isinstance(x, np.ndarray) else right("transpose")(g, y, x, axes))),
        where="axes=",
    ),
    *of("swapaxes", 0,
        ("transposed or flipped", "not at all: g reshaped", lambda g, y, x, i, j: (
            g.reshape(x.shape))),
        ("transposed or flipped", "all axes reversed", lambda g, y, x, i, j: (
            g.transpose().reshape(x.shape))),
        ("second order", "no graph", on_arrays(right("swapaxes"))),
        where=r"2,1\)",
    ),
    *of("expand_dims", 0,
        ("transposed or flipped", "column by column", lambda g, y, x, axis: (
            g.transpose().reshape(x.shape))),
        ("factor or 1/N", "off by 1.001", times(1.001, right("expand_dims"))),
        ("second order", "no graph", on_arrays(right("expand_dims"))),
    ),
    *of("squeeze", 0,
        ("transposed or flipped", "backwards", lambda g, y, x, axis: g.reshape(x.shape)[:, ::-1]),
        ("ignores or bends g", "always 1", ignoring_g(right("squeeze"))),
        ("second order", "no graph", on_arrays(right("squeeze"))),
    ),
    *of("broadcast_to", 0,
        ("un-broadcast", "averaged", averaged_to(0, right("broadcast_to"))),
        ("un-broadcast", "only the first", first_of(0, right("broadcast_to"))),
        ("factor or 1/N", "off by 1 + 1e-6", times(1 + 1e-6, right("broadcast_to"))),
        ("second order", "no graph", on_arrays(right("broadcast_to"))),
        where=r"\(2,3,4\)",
    ),
    *of("broadcast_to", 0,
        ("un-broadcast", "summed over new axes, averaged over stretched ones",
         lambda g, y, x, shape: g / shape[-1]),
        ("un-broadcast", "the largest", lambda g, y, x, shape: (
            g.max(axis=(0, 2)).reshape((3, 1)))),
        where=r"\(2,3,4\)",
    ),
]  # fmt: skip


def part(g: Value, axis: int, start: int, length: int) -> Value:
    """`length` slices of g along the axis."""
    index = [slice(None)] * g.ndim
    index[axis] = slice(start, start + length)
    return g[tuple(index)]


def lengths(axis: int, parts: Any) -> list[int]:
    """How long each part is along the axis."""
    return [x.shape[axis] for x in parts]


def inside(shape: tuple[int, ...]) -> Value:
    """1 inside, 0 at the border."""
    mask = np.zeros(shape)
    mask[tuple(slice(1, -1) if n > 2 else slice(0, 1) for n in shape)] = 1
    return mask


def emptied(g: Value, gradient: Value) -> Value:
    """The gradient; g is set to zero."""
    if isinstance(g, np.ndarray):
        g[...] = 0
    return gradient


JOINED = r"concatenate\(\(2,3\),\(1,3\),\(4,3\)\)"

JOINS = [
    *of("_join", 0,
        ("off by one", "all parts are taken from the start",
         lambda g, y, position, axis, *parts: (
            part(g, axis, 0, lengths(axis, parts)[position - 1]))),
        ("off by one", "all parts begin one too early", lambda g, y, position, axis, *parts: part(
            g, axis, max(sum(lengths(axis, parts)[: position - 1]) - 1, 0),
            lengths(axis, parts)[position - 1])),
        ("off by one", "all parts as long as the first", lambda g, y, position, axis, *parts: part(
            g, axis, lengths(axis, parts)[0] * (position - 1), lengths(axis, parts)[position - 1])),
        ("transposed or flipped", "from the end to the start", lambda g, y, position, axis, *parts:
         part(g, axis, sum(lengths(axis, parts)[position:]), lengths(axis, parts)[position - 1])),
        ("border", "the last part has none", lambda g, y, position, axis, *parts: (
            right("_join")(g, y, position, axis, *parts) * (position < len(parts)))),
        ("second order", "no graph", lambda g, y, position, axis, *parts: (
            stop_gradient(right("_join")(g, y, position, axis, *parts)))),
        where=JOINED,
    ),
    *of("_join", 0,
        ("wrong axis", "always cut along the first", lambda g, y, position, axis, *parts: (
            right("_join")(g, y, position, 0, *parts))),
        ("wrong axis", "stack's new axis is the first", lambda g, y, position, axis, *parts: (
            g.swapaxes(0, -1)[:1].reshape(parts[position - 1].shape))),
        where=r"stack\(.*axis=-1",
    ),
    *of("pad", 0,
        ("off by one", "begins one too early", lambda g, y, x, pad_width: g[tuple(
            slice(max(b - 1, 0), max(b - 1, 0) + n)
            for (b, _), n in zip(pad_width, x.shape, strict=True))]),
        ("off by one", "begins one too late", lambda g, y, x, pad_width: g[tuple(
            slice(min(b + 1, b + a), min(b + 1, b + a) + n)
            for (b, a), n in zip(pad_width, x.shape, strict=True))]),
        ("transposed or flipped", "before and after exchanged", lambda g, y, x, pad_width: g[tuple(
            slice(a, a + n) for (_, a), n in zip(pad_width, x.shape, strict=True))]),
        ("border", "the outermost elements have none", lambda g, y, x, pad_width: (
            right("pad")(g, y, x, pad_width) * inside(x.shape))),
        ("special case", "the second axis is not cut, but its front taken",
         lambda g, y, x, pad_width: g[: x.shape[0], : x.shape[1]]),
        ("memory layout", "g as it lies in memory", lambda g, y, x, pad_width: (
            right("pad")(in_memory_order(g), y, x, pad_width))),
        ("aliases or mutates", "g is emptied on the way", lambda g, y, x, pad_width: (
            emptied(g, right("pad")(g * 1, y, x, pad_width)))),
        ("second order", "no graph", on_arrays(right("pad"))),
    ),
    *of("pad", 0,
        ("special case", "g[before:-after], empty where after is 0", lambda g, y, x, pad_width: (
            g[tuple(slice(b, -a) for b, a in pad_width)])),
    ),
]  # fmt: skip


# ── indexing ─────────────────────────────────────────────────────────────────────────────────


def overwritten(g: Value, index: Any, shape: tuple[int, ...]) -> Value:
    """Zeros with g at the index; of several values for one place the last one stays."""
    y = np.zeros(shape, g.dtype)
    y[index] = array_of(g)
    return y


REPEATED = r"\[0,2,0,0\]|array\(\[0,1,0\]\)"

INDEXING = [
    *of("getitem", 0,
        ("overwrites", "y[index] = g, where the index names a place twice", lambda g, y, x, index: (
            overwritten(g, index, x.shape))),
        ("overwrites", "of several values for one place the mean", lambda g, y, x, index: (
            put(g, index, x.shape)
            / np.maximum(put(np.ones(y.shape), index, x.shape), 1))),
        where=REPEATED,
    ),
    *of("getitem", 0,
        ("missing term", "the step: from where the slice starts", lambda g, y, x, index: (
            put(g, slice(1, 3), x.shape))),
        ("off by one", "one place too early", lambda g, y, x, index: (
            put(g, slice(0, None, 2), x.shape))),
        ("border", "the last row has none", lambda g, y, x, index: (
            put(g, index, x.shape) * (np.arange(4) < 3)[:, None])),
        ("memory layout", "g as it lies in memory", lambda g, y, x, index: (
            put(in_memory_order(g), index, x.shape))),
        ("memory layout", "the memory g is a view of", lambda g, y, x, index: (
            put(of_the_base(g), index, x.shape))),
        ("special case", "the last element is off by 0.001", last_element_off(right("getitem"))),
        ("second order", "no graph", on_arrays(right("getitem"))),
        where=r"slice\(1,None,2\)",
    ),
    *of("getitem", 0,
        ("transposed or flipped", "a negative step is taken as positive", lambda g, y, x, index: (
            put(g[::-1], index, x.shape))),
        where=r"slice\(None,None,-1\)",
    ),
    *of("getitem", 0,
        ("transposed or flipped", "the mask is inverted", lambda g, y, x, index: (
            put(g[:1], ~index, x.shape))),
        where="True",
    ),
    *of("getitem", 0,
        ("special case", "-1 is taken as 1", lambda g, y, x, index: put(g, 1, x.shape)),
        where=r"\(4,3\),-1\)",
    ),
    *of("put", 0,
        ("transposed or flipped", "backwards", lambda g, y, x, index, shape: g[index][::-1]),
        ("off by one", "one place too early", lambda g, y, x, index, shape: g[0::2]),
        ("precision", "the result is float32", lambda g, y, x, index, shape: (
            g[index].astype("float32"))),
        ("second order", "no graph", on_arrays(right("put"))),
        where=r"slice\(1,None,2\)",
    ),
    *of("put", 0,
        ("overwrites", "only the last of several values for one place",
         lambda g, y, x, index, shape: g[index] * np.array([0, 1, 0, 1])[:, None]),
        ("factor or 1/N", "shared by the values that meet", lambda g, y, x, index, shape: (
            g[index] / put(np.ones(x.shape), index, shape)[index])),
        where=r"\[0,2,0,0\]",
    ),
]  # fmt: skip

MUTANTS = [*SHAPES, *JOINS, *INDEXING]
