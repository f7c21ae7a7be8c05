"""Mutants of convolution, pooling and upsampling.

Letters: k kernel_size, s strides, p padding, o output_shape, d dilation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan.autograd.engine import Pullback, Tensor, Value, array_of, stop_gradient
from minigan.autograd.ops import conv2d, conv2d_filter, conv2d_transpose, pooling
from minigan.kernels import convolution as kernels
from minigan.kernels.convolution import Geometry, pair
from minigan.testing.mutants.mistakes import (
    ignoring_g,
    in_graphs,
    in_memory_order,
    last_element_off,
    on_arrays,
    only_if,
    only_in,
    right,
    times,
    with_one_buffer,
)
from minigan.testing.mutants.mutant import Row, of

# ── the trio ─────────────────────────────────────────────────────────────────────────────────


def flipped(w: Value) -> Value:
    """A kernel turned by 180 degrees, as in what mathematics calls a convolution."""
    return w[::-1, ::-1]


def without_border(images: Value) -> Value:
    """Zero along the border of each image."""
    mask = np.zeros(images.shape)
    mask[:, 1:-1, 1:-1] = 1
    return images * mask


def only_first_picture(images: Value) -> Value:
    """Zero for all pictures but the first."""
    return images * (np.arange(len(images)) == 0)[:, None, None, None]


def without_last_tap(w: Value) -> Value:
    """The kernel's last tap is zero."""
    mask = np.ones(w.shape)
    mask[-1, -1] = 0
    return w * mask


def zeros_around(x: Value, kernel: Any, strides: Any, padding: Any, dilation: Any) -> Any:
    """((top, bottom), (left, right)) of a convolution on images x."""
    return Geometry.of(x.shape[1:3], kernel, strides, padding, dilation).padding


def exchanged(padding: Any) -> Any:
    """An odd zero on the other side: PyTorch's habit, not TensorFlow's."""
    (top, bottom), (left, right) = padding
    return (bottom, top), (right, left)


def moved(padding: Any) -> Any:
    """One zero more above, one fewer below: everything is off by one row."""
    (top, bottom), columns = padding
    return ((top + 1, bottom - 1) if bottom else (top - 1, bottom + 1)), columns


def remembering_x() -> Pullback:
    """A rule that keeps the patches of the first images it sees, to save time."""
    seen: dict[Any, Value] = {}

    def wrong(g: Value, y: Value, x: Value, w: Value, *options: Any) -> Value:
        x = x if isinstance(x, Tensor) else seen.setdefault((x.shape, x.dtype), x)
        return TO_W[0](g, y, x, w, *options)

    return wrong


def zeroing_border(g: Value, gradient: Value) -> Value:
    """The gradient; the first row of g is set to zero on the way."""
    if isinstance(g, np.ndarray):
        g[:, 0] = 0
    return gradient


STRIDED_WITH_BIAS = r"\(2,4,4,1\),\(3,3,1,2\)"
MISTAKEN_BIASES: list[Row] = [
    ("factor or 1/N", "averaged over the batch", lambda g, y, x, w, b, *options: (
        g.sum((0, 1, 2)) / len(g))),
    ("un-broadcast", "only the first picture", lambda g, y, x, w, b, *options: g[0].sum((0, 1))),
    ("wrong axis", "all channels alike", lambda g, y, x, w, b, *options: (
        np.ones(b.shape) * g.sum() / len(b))),
    ("second order", "no graph", lambda g, y, x, w, b, *options: array_of(g).sum((0, 1, 2))),
]  # fmt: skip

FIRST = r"2d\(\(2,4,3,2\),\(3,2,2,3\)\)"  # SAME, no strides
STRIDED = r"\(\(2,4,4,1\),\(3,3,1,2\),strides=2\)"  # one zero, below and on the right
SQUARE = r"\(\(1,5,7,2\),\(3,3,2,1\),strides=2\)"
TO_X = right("conv2d"), right("conv2d_transpose"), right("conv2d_filter")
TO_W = right("conv2d", 1), right("conv2d_transpose", 1), right("conv2d_filter", 1)

CONVOLUTION = [
    *of("conv2d", 0,
        ("transposed or flipped", "the kernel is flipped", lambda g, y, x, w, s, p, d: (
            conv2d_transpose(g, flipped(w), s, p, x.shape[1:3], d))),
        ("transposed or flipped", "the kernel's rows are flipped", lambda g, y, x, w, s, p, d: (
            conv2d_transpose(g, w[::-1], s, p, x.shape[1:3], d))),
        ("factor or 1/N", "averaged over the taps", lambda g, y, x, w, s, p, d: (
            TO_X[0](g, y, x, w, s, p, d) / (w.shape[0] * w.shape[1]))),
        ("factor or 1/N", "off by 1.001", times(1.001, TO_X[0])),
        ("off by one", "the last tap is left out", lambda g, y, x, w, s, p, d: (
            TO_X[0](g, y, x, without_last_tap(w), s, p, d))),
        ("border", "zero along the border", lambda g, y, x, w, s, p, d: (
            without_border(TO_X[0](g, y, x, w, s, p, d)))),
        ("special case", "only the first picture of the batch", lambda g, y, x, w, s, p, d: (
            only_first_picture(TO_X[0](g, y, x, w, s, p, d)))),
        ("special case", "the last element is off by 0.001", last_element_off(TO_X[0])),
        ("special case", "wrong only in float32", only_in(
            "float32", times(1.001, TO_X[0]), TO_X[0])),
        ("memory layout", "the kernel as it lies in memory", lambda g, y, x, w, s, p, d: (
            TO_X[0](g, y, x, in_memory_order(w), s, p, d))),
        ("precision", "the kernel is rounded to float16", lambda g, y, x, w, s, p, d: (
            TO_X[0](g, y, x, w.astype("float16"), s, p, d))),
        ("second order", "the kernel is a constant", lambda g, y, x, w, s, p, d: (
            TO_X[0](g, y, x, stop_gradient(w), s, p, d))),
        ("second order", "g is a constant", lambda g, y, x, w, s, p, d: (
            TO_X[0](stop_gradient(g), y, x, w, s, p, d))),
        ("second order", "the kernel is flipped in graphs", in_graphs(
            lambda g, y, x, w, s, p, d: TO_X[0](g, y, x, flipped(w), s, p, d), TO_X[0])),
        where=STRIDED,
    ),
    *of("conv2d", 0,
        ("transposed or flipped", "the kernel is reshaped, not transposed",
         lambda g, y, x, w, s, p, d: conv2d_transpose(
            g, w.reshape((3, 2, 3, 2)).swapaxes(2, 3), s, p, x.shape[1:3], d)),
        where=FIRST,
    ),
    *of("conv2d", 0,
        ("off by one", "the odd zero above and on the left", lambda g, y, x, w, s, p, d: (
            conv2d_transpose(g, w, s, exchanged(zeros_around(x, w.shape[:2], s, p, d)),
                             x.shape[1:3], d))),
        ("off by one", "off by one row", lambda g, y, x, w, s, p, d: (
            conv2d_transpose(g, w, s, moved(zeros_around(x, w.shape[:2], s, p, d)),
                             x.shape[1:3], d))),
        ("special case", "wrong only for stride > 1", only_if(
            lambda x, w, s, p, d: s != 1, times(0.5, TO_X[0]), TO_X[0])),
        where=STRIDED,
    ),
    *of("conv2d", 0,
        ("transposed or flipped", "rows and columns of the kernel exchanged",
         lambda g, y, x, w, s, p, d: TO_X[0](g, y, x, w.swapaxes(0, 1), s, p, d)),
        ("special case", "wrong only for odd sizes: the last row", lambda g, y, x, w, s, p, d: (
            TO_X[0](g, y, x, w, s, p, d)
            * (np.arange(x.shape[1]) < x.shape[1] // 2 * 2)[:, None, None])),
        where=SQUARE,
    ),
    *of("conv2d", 0,
        ("special case", "the dilation is forgotten", lambda g, y, x, w, s, p, d: (
            conv2d_transpose(g, w, s, p, x.shape[1:3], 1))),
        where=r"dilation=2",
    ),
    *of("conv2d", 0,
        ("transposed or flipped", "the strides of rows and columns exchanged",
         lambda g, y, x, w, s, p, d: conv2d_transpose(g, w, s[::-1], p, x.shape[1:3], d)),
        where=r"strides=\(3,4\)",
    ),
    *of("conv2d", 0,
        ("transposed or flipped", "explicit padding: above and below exchanged",
         lambda g, y, x, w, s, p, d: conv2d_transpose(g, w, s, exchanged(p), x.shape[1:3], d)),
        where=r"padding=\(\(2,0\)",
    ),
    *of("conv2d", 0,
        ("transposed or flipped", "inputs and outputs of a square 1 x 1 kernel exchanged",
         lambda g, y, x, w, s, p, d: TO_X[0](g, y, x, w.swapaxes(2, 3), s, p, d)),
        where=r"\(1,1,2,2\)",
    ),
    *of("conv2d", 1,
        ("transposed or flipped", "the result is flipped", lambda g, y, x, w, s, p, d: (
            flipped(TO_W[0](g, y, x, w, s, p, d)))),
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, w, s, p, d: (
            TO_W[0](g, y, x, w, s, p, d) / len(x))),
        ("factor or 1/N", "averaged over the pixels", lambda g, y, x, w, s, p, d: (
            TO_W[0](g, y, x, w, s, p, d) / (y.shape[1] * y.shape[2]))),
        ("un-broadcast", "only the first picture of the batch", lambda g, y, x, w, s, p, d: (
            TO_W[0](g[:1], y, x[:1], w, s, p, d))),
        ("off by one", "the last tap is left out", lambda g, y, x, w, s, p, d: (
            without_last_tap(TO_W[0](g, y, x, w, s, p, d)))),
        ("border", "the border of x is left out", lambda g, y, x, w, s, p, d: (
            TO_W[0](g, y, without_border(x), w, s, p, d))),
        ("aliases or mutates", "g's border is zeroed in place", lambda g, y, x, w, s, p, d: (
            zeroing_border(g, TO_W[0](g, y, x, w, s, p, d)))),
        ("precision", "multiplied in float32", lambda g, y, x, w, s, p, d: (
            TO_W[0](g, y, x.astype("float32"), w, s, p, d))),
        ("ignores or bends g", "the sums of x", ignoring_g(TO_W[0])),
        ("memory layout", "x as it lies in memory", lambda g, y, x, w, s, p, d: (
            TO_W[0](g, y, in_memory_order(x), w, s, p, d))),
        ("memory layout", "g as it lies in memory", lambda g, y, x, w, s, p, d: (
            TO_W[0](in_memory_order(g), y, x, w, s, p, d))),
        ("second order", "x is a constant", lambda g, y, x, w, s, p, d: (
            TO_W[0](g, y, stop_gradient(x), w, s, p, d))),
        ("second order", "no graph", on_arrays(TO_W[0])),
        where=STRIDED,
    ),
    *of("conv2d", 1,
        ("border", "the border of g is left out", lambda g, y, x, w, s, p, d: (
            TO_W[0](without_border(g), y, x, w, s, p, d))),
        where=FIRST,
    ),
    *of("conv2d", 1,
        ("off by one", "the odd zero above and on the left", lambda g, y, x, w, s, p, d: (
            conv2d_filter(x, g, w.shape[:2], s,
                          exchanged(zeros_around(x, w.shape[:2], s, p, d)), d))),
        ("off by one", "off by one row", lambda g, y, x, w, s, p, d: conv2d_filter(
            x, g, w.shape[:2], s, moved(zeros_around(x, w.shape[:2], s, p, d)), d)),
        where=STRIDED,
    ),
    *of("conv2d", 1,
        ("special case", "the dilation is forgotten", lambda g, y, x, w, s, p, d: (
            conv2d_filter(x, g, w.shape[:2], s, p, 1))),
        where=r"dilation=2",
    ),
    *of("conv2d", 1,
        ("special case", "wrong only for one picture", only_if(
            lambda x, *_: len(x) == 1, times(1.001, TO_W[0]), TO_W[0])),
        where=SQUARE,
    ),
    *of("conv2d", 1,
        ("special case", "remembers the first x of a shape", remembering_x),
        ("aliases or mutates", "the same buffer at every call", with_one_buffer(TO_W[0])),
        where=STRIDED, remembers=True,
    ),
    *of("conv2d_transpose", 0,
        ("transposed or flipped", "the kernel is flipped", lambda g, y, x, w, s, p, o, d: (
            conv2d(g, flipped(w), s, p, d))),
        ("factor or 1/N", "shared by the strides", lambda g, y, x, w, s, p, o, d: (
            conv2d(g, w, s, p, d) / 4)),
        ("off by one", "off by one row", lambda g, y, x, w, s, p, o, d: (
            conv2d(g, w, s, moved(zeros_around(y, w.shape[:2], s, p, d)), d))),
        ("off by one", "the last tap is left out", lambda g, y, x, w, s, p, o, d: (
            conv2d(g, without_last_tap(w), s, p, d))),
        ("border", "the border of g is left out", lambda g, y, x, w, s, p, o, d: (
            conv2d(without_border(g), w, s, p, d))),
        ("second order", "the kernel is a constant", lambda g, y, x, w, s, p, o, d: (
            conv2d(g, stop_gradient(w), s, p, d))),
        ("second order", "no graph", on_arrays(TO_X[1])),
        where=r"\(\(2,2,2,2\),\(3,3,1,2\),output_shape=\(4,4\),strides=2\)",
    ),
    *of("conv2d_transpose", 0,
        ("off by one", "the odd zero above and on the left", lambda g, y, x, w, s, p, o, d: (
            conv2d(g, w, s, exchanged(zeros_around(y, w.shape[:2], s, p, d)), d))),
        where=r"output_shape=\(1,3,5,1\)",
    ),
    *of("conv2d_transpose", 0,
        ("special case", "the dilation is forgotten", lambda g, y, x, w, s, p, o, d: (
            conv2d(g, w, s, p, 1))),
        where=r"dilation=2",
    ),
    *of("conv2d_transpose", 1,
        ("transposed or flipped", "the result is flipped", lambda g, y, x, w, s, p, o, d: (
            flipped(TO_W[1](g, y, x, w, s, p, o, d)))),
        ("factor or 1/N", "off by 1 + 1e-6", times(1 + 1e-6, TO_W[1])),
        ("off by one", "off by one row", lambda g, y, x, w, s, p, o, d: conv2d_filter(
            g, x, w.shape[:2], s, moved(zeros_around(y, w.shape[:2], s, p, d)), d)),
        ("memory layout", "g as it lies in memory", lambda g, y, x, w, s, p, o, d: (
            TO_W[1](in_memory_order(g), y, x, w, s, p, o, d))),
        ("second order", "x is a constant", lambda g, y, x, w, s, p, o, d: (
            TO_W[1](g, y, stop_gradient(x), w, s, p, o, d))),
        ("second order", "g is a constant", lambda g, y, x, w, s, p, o, d: (
            TO_W[1](stop_gradient(g), y, x, w, s, p, o, d))),
        where=r"\(\(2,2,2,2\),\(3,3,1,2\),output_shape=\(4,4\),strides=2\)",
    ),
    *of("conv2d_filter", 0,
        ("transposed or flipped", "v is flipped", lambda v, y, x, g, k, s, p, d: (
            TO_X[2](flipped(v), y, x, g, k, s, p, d))),
        ("border", "zero along the border", lambda v, y, x, g, k, s, p, d: (
            without_border(TO_X[2](v, y, x, g, k, s, p, d)))),
        ("factor or 1/N", "averaged over the batch", lambda v, y, x, g, k, s, p, d: (
            TO_X[2](v, y, x, g, k, s, p, d) / len(x))),
        ("second order", "g is a constant", lambda v, y, x, g, k, s, p, d: (
            TO_X[2](v, y, x, stop_gradient(g), k, s, p, d))),
        where=r"\(\(2,4,4,1\),\(2,2,2,2\),\(3,3\)",
    ),
    *of("conv2d_filter", 1,
        ("transposed or flipped", "v is flipped", lambda v, y, x, g, k, s, p, d: (
            TO_W[2](flipped(v), y, x, g, k, s, p, d))),
        ("sign", "negative", times(-1, TO_W[2])),
        ("off by one", "off by one row", lambda v, y, x, g, k, s, p, d: (
            conv2d(x, v, s, moved(zeros_around(x, v.shape[:2], s, p, d)), d))),
        ("second order", "x is a constant", lambda v, y, x, g, k, s, p, d: (
            TO_W[2](v, y, stop_gradient(x), g, k, s, p, d))),
        ("second order", "no graph", on_arrays(TO_W[2])),
        where=r"\(\(2,4,4,1\),\(2,2,2,2\),\(3,3\)",
    ),
    *of("biased_conv2d", 0,
        ("transposed or flipped", "the kernel is flipped", lambda g, y, x, w, b, s, p, d: (
            conv2d_transpose(g, flipped(w), s, p, x.shape[1:3], d))),
        ("special case", "the dilation is forgotten", lambda g, y, x, w, b, s, p, d: (
            conv2d_transpose(g, w, s, p, x.shape[1:3], 1))),
        ("second order", "no graph", on_arrays(right("biased_conv2d"))),
        where=r"dilation=\(3,2\)",
    ),
    *of("biased_conv2d", 1,
        ("transposed or flipped", "the result is flipped", lambda g, y, x, w, b, s, p, d: (
            flipped(conv2d_filter(x, g, w.shape[:2], s, p, d)))),
        ("wrong term", "of x and y", lambda g, y, x, w, b, s, p, d: (
            conv2d_filter(x, g * y, w.shape[:2], s, p, d))),
        ("second order", "x is a constant", lambda g, y, x, w, b, s, p, d: (
            conv2d_filter(stop_gradient(x), g, w.shape[:2], s, p, d))),
        where=STRIDED_WITH_BIAS,
    ),
    *of("biased_conv2d", 2, *MISTAKEN_BIASES, where=STRIDED_WITH_BIAS),
    *of("biased_conv2d_transpose", 0,
        ("transposed or flipped", "the kernel is flipped", lambda g, y, x, w, b, s, p, o, d: (
            conv2d(g, flipped(w), s, p, d))),
        ("special case", "the strides are forgotten", lambda g, y, x, w, b, s, p, o, d: (
            conv2d(g, w, 1, p, d)[:, : x.shape[1], : x.shape[2]])),
        ("second order", "no graph", on_arrays(right("biased_conv2d_transpose"))),
        where="output_shape",
    ),
    *of("biased_conv2d_transpose", 1,
        ("transposed or flipped", "the result is flipped", lambda g, y, x, w, b, s, p, o, d: (
            flipped(conv2d_filter(g, x, w.shape[:2], s, p, d)))),
        ("second order", "x is a constant", lambda g, y, x, w, b, s, p, o, d: (
            conv2d_filter(g, stop_gradient(x), w.shape[:2], s, p, d))),
        where="output_shape",
    ),
    *of("biased_conv2d_transpose", 2, *MISTAKEN_BIASES, where=r"padding='valid'"),
]  # fmt: skip

# ── patches and pooling ──────────────────────────────────────────────────────────────────────


def laid(patches: Value, geometry: Geometry) -> Value:
    """The patches put where they lie; where they overlap, the last one stays."""
    patches = array_of(patches)
    (H, W), ((top, bottom), (left, right_side)) = geometry.image, geometry.padding
    shape = len(patches), top + H + bottom, left + W + right_side, patches.shape[4]
    padded = np.zeros(shape, patches.dtype)
    for tap, window in enumerate(geometry.windows()):
        padded[window] = patches[:, :, :, tap]
    return padded[:, top : top + H, left : left + W]


def overlaps(geometry: Geometry, like: Value) -> Value:
    """How many patches each pixel belongs to; at least 1."""
    ones = np.ones((1, *geometry.output, math.prod(geometry.kernel), 1))
    return np.maximum(kernels.fold(ones, geometry), 1)


def pooling_geometry(x: Value, pool_size: Any, strides: Any, padding: Any) -> Geometry:
    """Where the windows lie."""
    return Geometry.of(x.shape[1:3], pool_size, strides or pool_size, padding)


def windows_of(x: Value, geometry: Geometry) -> Value:
    """The pixels of each window; -infinity in the padding."""
    return kernels.columns(array_of(x), geometry, -np.inf)


def spread(share: Value, geometry: Geometry, masks: Value = 1.0) -> Value:
    """A number for each window added to its pixels, where the masks are 1."""
    N, H, W, C = share.shape
    taps = math.prod(geometry.kernel)
    return pooling.fold(share.reshape((N, H, W, 1, C)) * np.ones((taps, 1)) * masks, geometry)


def largest(x: Value, geometry: Geometry) -> Value:
    """1 where a window has its maximum."""
    windows = windows_of(x, geometry)
    return windows == windows.max(axis=3, keepdims=True)


def largest_of_all(x: Value, geometry: Geometry) -> Value:
    """1 where a window has the maximum of all channels."""
    windows = windows_of(x, geometry)
    return windows == windows.max(axis=(3, 4), keepdims=True)


def smallest(x: Value, geometry: Geometry) -> Value:
    """1 where a window has its minimum."""
    windows = windows_of(x, geometry)
    return windows == windows.min(axis=3, keepdims=True)


OVERLAP = "pool_size=3,strides=2"

POOLING = [
    *of("columns", 0,
        ("overwrites", "overlapping patches overwrite each other", lambda g, y, x, geometry: (
            laid(g, geometry))),
        ("factor or 1/N", "overlapping patches are averaged", lambda g, y, x, geometry: (
            right("columns")(g, y, x, geometry) / overlaps(geometry, x))),
        ("border", "zero along the border", lambda g, y, x, geometry: (
            without_border(right("columns")(g, y, x, geometry)))),
        ("transposed or flipped", "the taps backwards", lambda g, y, x, geometry: (
            right("columns")(g[:, :, :, ::-1], y, x, geometry))),
        ("second order", "no graph", on_arrays(right("columns"))),
        where=r"\(2,3,4,2\)",
    ),
    *of("fold", 0,
        ("factor or 1/N", "shared by overlapping patches", lambda g, y, patches, geometry: (
            pooling.columns(g / overlaps(geometry, g), geometry))),
        ("transposed or flipped", "the taps backwards", lambda g, y, patches, geometry: (
            pooling.columns(g, geometry)[:, :, :, ::-1])),
        ("off by one", "the padding is off by one row", lambda g, y, patches, geometry: (
            pooling.columns(g, Geometry(geometry.image, geometry.kernel, geometry.strides,
                                        moved(geometry.padding), geometry.dilation)))),
        ("second order", "no graph", on_arrays(right("fold"))),
        where=r"\(1,3,2,6,2\)",
    ),
    *of("average_pooling2d", 0,
        ("factor or 1/N", "not divided", lambda g, y, x, *options: (
            spread(g, pooling_geometry(x, *options)))),
        ("factor or 1/N", "divided by rows only", lambda g, y, x, *options: (
            spread(g / pooling_geometry(x, *options).kernel[0], pooling_geometry(x, *options)))),
        ("missing term", "only the first pixel of each window", lambda g, y, x, *options: (
            spread(g / 4, pooling_geometry(x, *options), np.array([1, 0, 0, 0])[:, None]))),
        ("second order", "no graph", on_arrays(right("average_pooling2d"))),
        where=r"\(\(2,4,6,2\)\)",
    ),
    *of("average_pooling2d", 0,
        ("border", "the padding is counted, too", lambda g, y, x, *options: (
            spread(g / math.prod(pooling_geometry(x, *options).kernel),
                   pooling_geometry(x, *options)))),
        where="padding=(.SAME|.same)",
    ),
    *of("average_pooling2d", 0,
        ("overwrites", "overlapping windows overwrite each other", lambda g, y, x, *options: (
            laid(g[:, :, :, None] / 9 * np.ones((9, 1)), pooling_geometry(x, *options)))),
        ("special case", "overlapping windows are averaged", lambda g, y, x, *options: (
            right("average_pooling2d")(g, y, x, *options)
            / overlaps(pooling_geometry(x, *options), x))),
        where=OVERLAP,
    ),
    *of("average_pooling2d", 0,
        ("special case", "the row left out has a share, too", lambda g, y, x, *options: (
            np.repeat(np.repeat(array_of(g), 2, 1)[:, [0, 1, 2, 3, 3]], 2, 2) / 4)),
        where=r"\(1,5,4,1\)\)",
    ),
    *of("max_pooling2d", 0,
        ("missing term", "all pixels of the window", lambda g, y, x, *options: (
            spread(g, pooling_geometry(x, *options)))),
        ("factor or 1/N", "shared by all pixels of the window", lambda g, y, x, *options: (
            spread(g / 4, pooling_geometry(x, *options)))),
        ("wrong term", "the first pixel of the window", lambda g, y, x, *options: (
            spread(g, pooling_geometry(x, *options), np.array([1, 0, 0, 0])[:, None]))),
        ("sign", "the smallest pixel", lambda g, y, x, *options: spread(
            g, pooling_geometry(x, *options), smallest(x, pooling_geometry(x, *options)))),
        ("wrong axis", "the largest pixel of all channels", lambda g, y, x, *options: spread(
            g, pooling_geometry(x, *options), largest_of_all(x, pooling_geometry(x, *options)))),
        ("ignores or bends g", "the mask alone", ignoring_g(right("max_pooling2d"))),
        ("second order", "no graph", on_arrays(right("max_pooling2d"))),
        where=r"\(2,4,6,2\)\)",
    ),
    *of("max_pooling2d", 0,
        ("overwrites", "overlapping windows overwrite each other", lambda g, y, x, *options: (
            laid(g[:, :, :, None] * largest(x, pooling_geometry(x, *options)),
                 pooling_geometry(x, *options)))),
        where=OVERLAP,
    ),
    *of("upsample2d", 0,
        ("factor or 1/N", "the mean of the copies", lambda g, y, x, size: (
            right("upsample2d")(g, y, x, size) / math.prod(pair(size, "size")))),
        ("un-broadcast", "only the first copy", lambda g, y, x, size: (
            g[:, :: pair(size, "size")[0], :: pair(size, "size")[1]])),
        ("second order", "no graph", on_arrays(right("upsample2d"))),
    ),
    *of("upsample2d", 0,
        ("transposed or flipped", "copies and rows exchanged", lambda g, y, x, size: (
            g.reshape((2, 2, 3, 2, 2, 2)).sum(axis=(1, 3)))),
        where=r"\(\(2,3,2,2\)\)",
    ),
    *of("upsample2d", 0,
        ("transposed or flipped", "rows and columns exchanged", lambda g, y, x, size: (
            right("upsample2d")(g.swapaxes(1, 2).reshape(y.shape), y, x, size))),
        where=r"size=\(3,1\)",
    ),
]  # fmt: skip


MUTANTS = [*CONVOLUTION, *POOLING]
