"""Mutants of sums, means, variances, maxima, softmax, cross-entropies and matrix products."""

from __future__ import annotations

import math

import numpy as np

from minigan.autograd.engine import Tensor, Value, array_of, stop_gradient
from minigan.autograd.ops import broadcast_to, exp, matmul, mean, sigmoid, sum_rows
from minigan.testing.mutants.mistakes import (
    first_of,
    ignoring_g,
    in_graphs,
    in_memory_order,
    last_element_off,
    of_the_base,
    on_arrays,
    only_if,
    only_in,
    right,
    squaring_g,
    times,
    with_one_buffer,
)
from minigan.testing.mutants.mutant import of

# ── sums over axes ───────────────────────────────────────────────────────────────────────────


def axes_of(x: Value, axis: int | tuple[int, ...] | None) -> list[int]:
    """The axes that are lost, counted from the front."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return sorted(a % x.ndim for a in axes)


def count(x: Value, axis: int | tuple[int, ...] | None) -> int:
    """How many elements of x meet in one of the output."""
    return math.prod(x.shape[a] for a in axes_of(x, axis))


def kept(g: Value, x: Value, axis: int | tuple[int, ...] | None) -> Value:
    """g with the lost axes put back."""
    lost = axes_of(x, axis)
    return g.reshape(tuple(1 if i in lost else n for i, n in enumerate(x.shape)))


def only_first(gradient: Value, axes: list[int]) -> Value:
    """Zero but for the first place along the axes."""
    mask = np.zeros(gradient.shape)
    mask[tuple(slice(0, 1) if i in axes else slice(None) for i in range(mask.ndim))] = 1
    return gradient * mask


def is_largest(x: Value, axis: int | tuple[int, ...] | None) -> Value:
    """1 where x is as large as the maximum along the axis, else 0."""
    x = array_of(x)
    return (x == x.max(axis=axis, keepdims=True)).astype(x.dtype)


def written_over(x: Value, gradient: Value) -> Value:
    """The gradient, in the memory of x."""
    x[...] = gradient
    return x


SOME_AXES = r"axis=(0|-1|1|\(0,2\)|\(-1,1\))[,)]"

SUMS = [
    *of("sum", 0,
        ("factor or 1/N", "the mean's 1/N", right("mean")),
        ("factor or 1/N", "off by 1.001", times(1.001, right("sum"))),
        ("factor or 1/N", "off by 1 + 1e-6", times(1 + 1e-6, right("sum"))),
        ("ignores or bends g", "always 1", lambda g, y, x, axis, keepdims: np.ones_like(x.data)
         if isinstance(x, Tensor) else np.ones_like(x)),
        ("ignores or bends g", "squares g", squaring_g(right("sum"))),
        ("un-broadcast", "only the first summand", lambda g, y, x, axis, keepdims: (
            only_first(right("sum")(g, y, x, axis, keepdims), axes_of(x, axis)))),
        ("aliases or mutates", "written over x", lambda g, y, x, axis, keepdims: (
            right("sum")(g, y, x, axis, keepdims) if isinstance(x, Tensor)
            else written_over(x, right("sum")(g, y, x, axis, keepdims)))),
        ("second order", "no graph", on_arrays(right("sum"))),
    ),
    *of("sum", 0,
        ("wrong axis", "the lost axis is put back at the front", lambda g, y, x, axis, keepdims: (
            broadcast_to(g.reshape((1, *y.shape)), x.shape))),
        ("wrong axis", "the lost axis is put back at the end", lambda g, y, x, axis, keepdims: (
            broadcast_to(g.reshape((*y.shape, 1)), x.shape))),
        ("wrong axis", "the other two axes are exchanged", lambda g, y, x, axis, keepdims: (
            broadcast_to(kept(g.swapaxes(0, -1), x, axis), x.shape))),
        where=r"axis=1,keepdims|axis=(0|-1)\)",
    ),
    *of("mean", 0,
        ("factor or 1/N", "no 1/N", right("sum")),
        ("factor or 1/N", "1 / (N - 1)", lambda g, y, x, axis, keepdims: (
            right("sum")(g, y, x, axis, keepdims) / max(count(x, axis) - 1, 1))),
        ("factor or 1/N", "1 / N twice", lambda g, y, x, axis, keepdims: (
            right("mean")(g, y, x, axis, keepdims) / count(x, axis))),
        ("precision", "divided in float32", lambda g, y, x, axis, keepdims: (
            right("mean")(g.astype("float32"), y, x, axis, keepdims))),
        ("precision", "whole numbers: g // N", lambda g, y, x, axis, keepdims: (
            right("sum")(g, y, x, axis, keepdims) if isinstance(g, Tensor)
            else right("sum")(np.floor_divide(g.real, count(x, axis)), y, x, axis, keepdims))),
        ("second order", "no graph", on_arrays(right("mean"))),
    ),
    *of("mean", 0,
        ("wrong axis", "N is the size of all of x", lambda g, y, x, axis, keepdims: (
            right("sum")(g, y, x, axis, keepdims) / x.size)),
        ("wrong axis", "N is the length of the first axis", lambda g, y, x, axis, keepdims: (
            right("sum")(g, y, x, axis, keepdims) / x.shape[0])),
        ("wrong axis", "N is the size of the output", lambda g, y, x, axis, keepdims: (
            right("sum")(g, y, x, axis, keepdims) / y.size)),
        where=r"axis=(-1|\(-1,1\)|1,keepdims)",
    ),
    *of("mean", 0,
        ("special case", "of several axes only the first is counted", lambda g, y, x, axis, _: (
            broadcast_to(kept(g, x, axis) / x.shape[axis[0]], x.shape))),
        where=r"axis=\(0,2\)",
    ),
    *of("var", 0,
        ("sign", "mean - x", times(-1, right("var"))),
        ("factor or 1/N", "no 2", times(0.5, right("var"))),
        ("factor or 1/N", "no 1/N", lambda g, y, x, axis, keepdims, ddof: (
            right("var")(g, y, x, axis, keepdims, ddof) * (count(x, axis) - ddof))),
        ("ddof", "N - 1 where it should be N", lambda g, y, x, axis, keepdims, ddof: (
            right("var")(g, y, x, axis, keepdims, ddof + 1))),
        ("missing term", "no mean: x", lambda g, y, x, axis, keepdims, ddof: (
            kept(g, x, axis) * 2 / (count(x, axis) - ddof) * x)),
        ("second order", "the mean is a constant", lambda g, y, x, axis, keepdims, ddof: (
            kept(g, x, axis) * 2 / (count(x, axis) - ddof)
            * (x - stop_gradient(mean(x, axis, keepdims=True))))),
        ("second order", "x - mean is a constant", lambda g, y, x, axis, keepdims, ddof: (
            kept(g, x, axis) * 2 / (count(x, axis) - ddof)
            * stop_gradient(x - mean(x, axis, keepdims=True)))),
        ("second order", "no graph", on_arrays(right("var"))),
        where=r"\(2,3,2\)",
    ),
    *of("var", 0,
        ("wrong axis", "the mean over all of x", lambda g, y, x, axis, keepdims, ddof: (
            kept(g, x, axis) * 2 / (count(x, axis) - ddof) * (x - mean(x)))),
        ("wrong axis", "N is the size of all of x", lambda g, y, x, axis, keepdims, ddof: (
            kept(g, x, axis) * 2 / (x.size - ddof) * (x - mean(x, axis, keepdims=True)))),
        where=SOME_AXES,
    ),
    *of("var", 0,
        ("ddof", "N where it should be N - 1", lambda g, y, x, axis, keepdims, ddof: (
            right("var")(g, y, x, axis, keepdims, 0))),
        ("ddof", "N - 2: taken off twice", lambda g, y, x, axis, keepdims, ddof: (
            right("var")(g, y, x, axis, keepdims, 2 * ddof))),
        ("ddof", "N + 1: the wrong sign", lambda g, y, x, axis, keepdims, ddof: (
            right("var")(g, y, x, axis, keepdims, -ddof))),
        where="ddof=1",
    ),
    *of("max", 0,
        ("missing term", "no mask: every element", right("sum")),
        ("factor or 1/N", "shared by all elements", right("mean")),
        ("sign", "the minimum", lambda g, y, x, axis, keepdims: (
            kept(g, x, axis) * (array_of(x) == array_of(x).min(axis=axis, keepdims=True)))),
        ("ignores or bends g", "the mask alone", ignoring_g(right("max"))),
        ("second order", "no graph", on_arrays(right("max"))),
    ),
    *of("max", 0,
        ("wrong axis", "only the largest of all of x", lambda g, y, x, axis, keepdims: (
            kept(g, x, axis) * is_largest(x, None))),
        where=SOME_AXES,
    ),
    *of("max", 0,
        ("wrong axis", "the largest along the first axis", lambda g, y, x, axis, keepdims: (
            kept(g, x, axis) * is_largest(x, 0))),
        where=r"axis=(-1|1)[,)]",
    ),
    *of("sum_rows", 0,
        ("factor or 1/N", "the mean's 1/N", lambda g, y, x: broadcast_to(g / len(x), x.shape)),
        ("un-broadcast", "only the first row", lambda g, y, x: (
            only_first(broadcast_to(g, x.shape), [0]))),
        ("off by one", "all rows but the last", lambda g, y, x: (
            broadcast_to(g, x.shape) * (np.arange(len(x)) < len(x) - 1)[:, None])),
        ("ignores or bends g", "always 1", lambda g, y, x: np.ones(x.shape)),
        ("second order", "no graph", on_arrays(right("sum_rows"))),
    ),
]  # fmt: skip


SOFTMAX = [
    *of("log_softmax", 0,
        ("sign", "g + softmax * sum g", lambda g, y, x: (
            g + exp(y) * g.sum(axis=-1, keepdims=True))),
        ("missing term", "no normaliser: g", lambda g, y, x: g * 1),
        ("missing term", "no sum: g - softmax * g", lambda g, y, x: g - exp(y) * g),
        ("missing term", "no sum of g: g - softmax", lambda g, y, x: g - exp(y)),
        ("wrong term", "y for the softmax", lambda g, y, x: g - y * g.sum(axis=-1, keepdims=True)),
        ("wrong term", "e^x, not normalised", lambda g, y, x: (
            g - exp(x) * g.sum(axis=-1, keepdims=True))),
        ("wrong term", "the softmax's pullback", lambda g, y, x: (
            exp(y) * (g - (g * exp(y)).sum(axis=-1, keepdims=True)))),
        ("factor or 1/N", "the mean of g for its sum", lambda g, y, x: (
            g - exp(y) * g.mean(axis=-1, keepdims=True))),
        ("second order", "the softmax is a constant", lambda g, y, x: (
            g - stop_gradient(exp(y)) * g.sum(axis=-1, keepdims=True))),
        ("second order", "the sum of g is a constant", lambda g, y, x: (
            g - exp(y) * stop_gradient(g.sum(axis=-1, keepdims=True)))),
        ("second order", "the sum is lost in graphs", in_graphs(
            lambda g, y, x: g - exp(y) * g, right("log_softmax"))),
    ),
    *of("log_softmax", 0,
        ("wrong axis", "summed over the first axis", lambda g, y, x: (
            g - exp(y) * g.sum(axis=0, keepdims=True))),
        ("wrong axis", "summed over all axes", lambda g, y, x: g - exp(y) * g.sum()),
        where=r"\(2,3,4\)",
    ),
    *of("mean_sigmoid_cross_entropy", 1,
        ("sign", "label - probabilities", lambda g, y, label, logits: (
            g * (label - sigmoid(logits)) / logits.size)),
        ("missing term", "no label", lambda g, y, label, logits: (
            g * sigmoid(logits) / logits.size)),
        ("factor or 1/N", "the sum for the mean", lambda g, y, label, logits: (
            g * (sigmoid(logits) - label))),
        ("second order", "the sigmoid is a constant", lambda g, y, label, logits: (
            g * (stop_gradient(sigmoid(logits)) - label) / logits.size)),
    ),
    *of("negative_log_likelihood", 0,
        ("sign", "g / p", lambda g, y, p: g / (p * p.size)),
        ("factor or 1/N", "the sum for the mean", lambda g, y, p: -g / p),
        ("wrong term", "1 - p for p", lambda g, y, p: -g / ((1 - p) * p.size)),
        ("second order", "the probabilities are constants", lambda g, y, p: (
            -g / (stop_gradient(p) * p.size))),
    ),
    *of("sigmoid_cross_entropy_with_logits", 0,
        ("sign", "g logits", lambda g, y, labels, logits: g * logits),
        ("missing term", "0, as for constants", lambda g, y, labels, logits: g * 0),
        ("wrong term", "the probabilities for the logits", lambda g, y, labels, logits: (
            -g * sigmoid(logits))),
        ("second order", "the logits are constants", lambda g, y, labels, logits: (
            -g * stop_gradient(logits))),
    ),
    *of("sigmoid_cross_entropy_with_logits", 1,
        ("sign", "labels - probabilities", lambda g, y, labels, logits: (
            g * (labels - sigmoid(logits)))),
        ("missing term", "no labels", lambda g, y, labels, logits: g * sigmoid(logits)),
        ("missing term", "no sigmoid", lambda g, y, labels, logits: g * (logits - labels)),
        ("wrong term", "the slope of the sigmoid once more", lambda g, y, labels, logits: (
            g * (sigmoid(logits) - labels) * sigmoid(logits) * (1 - sigmoid(logits)))),
        ("factor or 1/N", "the mean over the batch", lambda g, y, labels, logits: (
            g * (sigmoid(logits) - labels) / y.shape[0] if y.ndim else g)),
        ("epsilon", "probabilities clipped from 1e-3", lambda g, y, labels, logits: (
            g * (sigmoid(logits) * (1 - 2e-3) + 1e-3 - labels))),
        ("precision", "the labels are rounded to float16", lambda g, y, labels, logits: (
            g * (sigmoid(logits) - labels.astype("float16")))),
        ("second order", "the sigmoid is a constant", lambda g, y, labels, logits: (
            g * (stop_gradient(sigmoid(logits)) - labels))),
        ("second order", "the labels are constants", lambda g, y, labels, logits: (
            g * (sigmoid(logits) - stop_gradient(labels)))),
        ("second order", "all is a constant but g", lambda g, y, labels, logits: (
            g * stop_gradient(sigmoid(logits) - labels))),
        where=r"\(2,3\),\(2,3\)",
    ),
]  # fmt: skip

# ── matrix products ──────────────────────────────────────────────────────────────────────────


def flip_of(w: Value) -> Value:
    """The shape of the transpose, but the numbers in the order of w."""
    return w.reshape((*w.shape[:-2], w.shape[-1], w.shape[-2]))


def transpose_of(w: Value) -> Value:
    """The last two axes exchanged."""
    return w.swapaxes(-1, -2)


MATRICES = r"matmul\(\(2,3\),\(3,4\)\)"
STACKS = r"\(2,2,3\),\(2,3,2\)"
ROWS_ONLY = r"matmul\(\(3,\),\(3,2\)\)"

PRODUCTS = [
    *of("matmul", 0,
        ("transposed or flipped", "g w, not transposed", lambda g, y, x, w: g @ w),
        ("transposed or flipped", "w reshaped, not transposed", lambda g, y, x, w: g @ flip_of(w)),
        ("factor or 1/N", "off by 1.001", times(1.001, right("matmul"))),
        ("factor or 1/N", "1 / N", lambda g, y, x, w: g @ transpose_of(w) / x.shape[0]),
        ("ignores or bends g", "squares g", squaring_g(right("matmul"))),
        ("ignores or bends g", "the sums of w's rows", ignoring_g(right("matmul"))),
        ("memory layout", "w as it lies in memory", lambda g, y, x, w: (
            g @ transpose_of(in_memory_order(w)))),
        ("second order", "w is a constant", lambda g, y, x, w: g @ transpose_of(stop_gradient(w))),
        ("second order", "g is a constant", lambda g, y, x, w: stop_gradient(g) @ transpose_of(w)),
        where=MATRICES,
    ),
    *of("matmul", 1,
        ("transposed or flipped", "g^T x", lambda g, y, x, w: transpose_of(g) @ x),
        ("transposed or flipped", "(g^T x) reshaped", lambda g, y, x, w: (
            flip_of(transpose_of(g) @ x))),
        ("transposed or flipped", "x reshaped, not transposed", lambda g, y, x, w: flip_of(x) @ g),
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, w: (
            transpose_of(x) @ g / x.shape[0])),
        ("precision", "multiplied in float32", lambda g, y, x, w: (
            transpose_of(x.astype("float32")) @ g)),
        ("memory layout", "the memory x is a view of", lambda g, y, x, w: (
            transpose_of(of_the_base(x)) @ g)),
        ("memory layout", "g as it lies in memory", lambda g, y, x, w: (
            transpose_of(x) @ in_memory_order(g))),
        ("special case", "wrong only in float32", only_in(
            "float32", times(1.001, right("matmul", 1)), right("matmul", 1))),
        ("second order", "x is a constant", lambda g, y, x, w: transpose_of(stop_gradient(x)) @ g),
        ("second order", "no graph", on_arrays(right("matmul", 1))),
        ("second order", "no graph where x is an array", only_if(
            lambda x, w: not isinstance(x, Tensor), on_arrays(right("matmul", 1)),
            right("matmul", 1))),
        where=MATRICES,
    ),
    *of("matmul", 0,
        ("transposed or flipped", "stacks: g is transposed", lambda g, y, x, w: (
            transpose_of(g) @ transpose_of(w))),
        where=STACKS,
    ),
    *of("matmul", 1,
        ("transposed or flipped", "stacks: g is transposed, too", lambda g, y, x, w: (
            transpose_of(x) @ transpose_of(g))),
        where=STACKS,
    ),
    *of("matmul", 1,
        ("un-broadcast", "only the first of the stack", first_of(1, right("matmul", 1))),
        ("un-broadcast", "averaged over the stack", lambda g, y, x, w: (
            (transpose_of(x) @ g).mean(axis=0))),
        where=r"\(2,3,2\),\(2,4\)",
    ),
    *of("matmul", 1,
        ("transposed or flipped", "a vector's outer product, transposed", lambda g, y, x, w: (
            (g.reshape((-1, 1)) * x).reshape(w.shape))),
        ("second order", "a vector's outer product: no graph", on_arrays(right("matmul", 1))),
        where=ROWS_ONLY,
    ),
    *of("matmul", 1,
        ("transposed or flipped", "of a dot product: g w", lambda g, y, x, w: g * w),
        where=r"matmul\(\(3,\),\(3,\)\)",
    ),
    *of("dense", 0,
        ("transposed or flipped", "w reshaped, not transposed", lambda g, y, x, w, b: (
            matmul(g, flip_of(w)))),
        ("second order", "w is a constant", lambda g, y, x, w, b: matmul(g, stop_gradient(w.T))),
        ("second order", "w is transposed once too often in graphs", in_graphs(
            lambda g, y, x, w, b: matmul(g, flip_of(w)), right("dense"))),
        where=r"dense\(\(4,3\)",
    ),
    *of("dense", 1,
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, w, b: (
            matmul(x.T, g) / len(x))),
        ("factor or 1/N", "off by 1 + 1e-6", times(1 + 1e-6, right("dense", 1))),
        ("sign", "ready to be added: -x^T g", times(-1, right("dense", 1))),
        ("wrong term", "with weight decay", lambda g, y, x, w, b: matmul(x.T, g) + 1e-4 * w),
        ("off by one", "the last row is left out", lambda g, y, x, w, b: (
            matmul(x[:-1].T, g[:-1]))),
        ("special case", "the last element is off by 0.001", last_element_off(right("dense", 1))),
        ("precision", "x is rounded to float16", lambda g, y, x, w, b: (
            matmul(x.astype("float16").T, g))),
        ("second order", "x is a constant", lambda g, y, x, w, b: matmul(stop_gradient(x.T), g)),
        where=r"dense\(\(4,3\)",
    ),
    *of("dense", 1,
        ("special case", "wrong only for a batch of one", only_if(
            lambda x, w, b: len(x) == 1, times(0.5, right("dense", 1)), right("dense", 1))),
        where=r"dense\(\(1,3\)",
    ),
    *of("dense", 1,
        ("aliases or mutates", "the same buffer at every call",
         with_one_buffer(right("dense", 1))),
        remembers=True,
    ),
    *of("dense", 2,
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, w, b: (
            sum_rows(g) / g.shape[0])),
        ("un-broadcast", "only the first row", lambda g, y, x, w, b: g[0]),
        ("un-broadcast", "only the last row", lambda g, y, x, w, b: g[-1]),
        ("wrong axis", "summed over the columns", lambda g, y, x, w, b: g.sum(axis=1)),
        ("wrong axis", "summed over everything", lambda g, y, x, w, b: g.sum() * np.ones(b.shape)),
        ("missing term", "0, as for a constant", lambda g, y, x, w, b: b * 0),
        ("ignores or bends g", "N", lambda g, y, x, w, b: len(x) * np.ones(b.shape)),
        ("precision", "added up in float16", lambda g, y, x, w, b: (
            g.astype("float16").sum(axis=0))),
        ("second order", "no graph", on_arrays(right("dense", 2))),
        where=r"dense\(\(4,3\)",
    ),
]  # fmt: skip

MUTANTS = [*SUMS, *SOFTMAX, *PRODUCTS]
