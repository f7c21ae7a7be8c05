"""Convolution on arrays: where a kernel meets an image, and the matrix products this makes.

    Geometry                                  both sizes, strides, padding, dilation
    columns                                   every patch under the kernel as a row (im2col)
    fold                                      its adjoint: every patch added back (col2im)
    conv2d, conv2d_transpose, conv2d_filter   one matrix product each

Images are (N, H, W, C), kernels (KH, KW, I, O), patches (N, H', W', KH * KW, C), where H' x W' is
the size of the convolution's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from math import prod
from operator import index
from typing import Any, TypeAlias

import numpy as np

from minigan.backend import Array
from minigan.errors import ConfigError
from minigan.kernels.normalization import add_to_channels
from minigan.kernels.product import product

Pair: TypeAlias = tuple[int, int]  # for rows and for columns
Size: TypeAlias = int | Sequence[int]  # the same for both, or a pair
Padding: TypeAlias = str | Sequence[Sequence[int]]  # a word, or ((top, bottom), (left, right))

# ── geometry ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Geometry:
    """Where a kernel meets an image: all of a convolution but its numbers.

    image     H, W
    kernel    KH, KW
    strides   how far apart the patches of neighbouring output pixels are
    padding   zeros around the image: (top, bottom), (left, right)
    dilation  how far apart the pixels are that neighbouring taps of the kernel meet
    """

    image: Pair
    kernel: Pair
    strides: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair

    @classmethod
    def of(
        cls, image: Pair, kernel: Size, strides: Size, padding: Padding, dilation: Size = 1
    ) -> Geometry:
        """The geometry that TensorFlow's arguments stand for.

        Errors: ConfigError.
        """
        kernel, strides = pair(kernel, "kernel_size"), pair(strides, "strides")
        dilation = pair(dilation, "dilation")
        extents = extent(kernel, dilation)
        word = padding.lower() if isinstance(padding, str) else ""
        if word == "same":
            rows, columns = map(same_padding, image, extents, strides)
        elif word == "valid":
            rows, columns = (0, 0), (0, 0)
        else:
            rows, columns = explicit_padding(padding)
        return cls(image, kernel, strides, (rows, columns), dilation)

    @property
    def output(self) -> Pair:
        """H', W': how many patches fit; not positive if none does."""
        extents = extent(self.kernel, self.dilation)
        rows, columns = (
            (n + before + after - e) // s + 1
            for n, (before, after), e, s in zip(
                self.image, self.padding, extents, self.strides, strict=True
            )
        )
        return rows, columns

    def windows(self) -> list[tuple[slice, slice, slice]]:
        """For each tap of the kernel, row by row, the pixels of the padded images that it meets."""
        rows, columns = (
            [slice(tap * d, tap * d + n * s, s) for tap in range(k)]
            for k, d, n, s in zip(
                self.kernel, self.dilation, self.output, self.strides, strict=True
            )
        )
        return [(slice(None), i, j) for i in rows for j in columns]


def same_padding(n: int, extent: int, stride: int) -> Pair:
    """Zeros before and after n pixels, so that there are ceil(n / stride) patches.

    An odd one goes after: at the bottom or on the right, as in TensorFlow.

    >>> same_padding(28, 5, 2), same_padding(7, 5, 2)
    ((1, 2), (2, 2))
    """
    patches = -(-n // stride)
    total = max((patches - 1) * stride + extent - n, 0)
    return total // 2, total - total // 2


def extent(kernel: Pair, dilation: Pair) -> Pair:
    """How many pixels a kernel spans, from its first tap to its last."""
    (KH, KW), (rows, columns) = kernel, dilation
    return (KH - 1) * rows + 1, (KW - 1) * columns + 1


def transposed_image(
    output: Pair, kernel: Size, strides: Size, padding: Padding, dilation: Size
) -> Pair:
    """The image size that `conv2d_transpose` makes of `output` pixels unless it is told another.

    It is n * stride + max(extent - stride, 0) less the padding, which for SAME is n * stride.
    Source: Keras' `deconv_output_length`, behind tf.layers.conv2d_transpose.

    >>> transposed_image((7, 7), 5, 2, "same", 1), transposed_image((7, 7), 5, 2, "valid", 1)
    ((14, 14), (17, 17))
    """
    # SAME pads every multiple of the stride alike, an image of 0 pixels included
    geometry = Geometry.of((0, 0), kernel, strides, padding, dilation)
    extents = extent(geometry.kernel, geometry.dilation)
    height, width = (
        n * s + max(e - s, 0) - sum(zeros)
        for n, s, e, zeros in zip(output, geometry.strides, extents, geometry.padding, strict=True)
    )
    return height, width


def pair(value: Size, name: str) -> Pair:
    """An option as a number for rows and one for columns.

    Errors: ConfigError.
    """
    try:
        rows, columns = (value, value) if isinstance(value, int | np.integer) else value
        sizes = index(rows), index(columns)
    except (TypeError, ValueError):
        sizes = 0, 0
    if min(sizes) < 1:
        raise ConfigError(
            f"{name} is {value!r}, but must be a whole number from 1, or one for rows and one for "
            f"columns. Try: {name}=2 or {name}=(2, 2)."
        )
    return sizes


def explicit_padding(padding: Any) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)) as tuples.

    Errors: ConfigError.
    """
    try:
        (top, bottom), (left, right) = padding
        sides = (index(top), index(bottom)), (index(left), index(right))
    except (TypeError, ValueError):
        sides = (-1, -1), (-1, -1)
    if min(map(min, sides)) < 0:
        raise ConfigError(
            f'padding is {padding!r}, but must be "same", "valid" or ((top, bottom), (left, '
            f'right)) in pixels. Try: padding="same".'
        )
    return sides


# ── patches ──────────────────────────────────────────────────────────────────────────────────


@singledispatch
def columns(x: Array, geometry: Geometry, fill: float = 0.0) -> Array:
    """The patches of x: (N, H, W, C) -> (N, H', W', KH * KW, C). The padding holds `fill`."""
    padded = np.pad(x, ((0, 0), *geometry.padding, (0, 0)), constant_values=fill)
    windows = geometry.windows()
    patches = np.empty_like(x, shape=(len(x), *geometry.output, len(windows), x.shape[3]))
    for tap, window in enumerate(windows):
        patches[:, :, :, tap] = padded[window]
    return patches


@singledispatch
def fold(patches: Array, geometry: Geometry) -> Array:
    """The patches added up where they lie: (N, H', W', KH * KW, C) -> (N, H, W, C)."""
    (H, W), ((top, bottom), (left, right)) = geometry.image, geometry.padding
    padded_shape = (len(patches), top + H + bottom, left + W + right, patches.shape[4])
    padded = np.zeros_like(patches, shape=padded_shape)
    for tap, window in enumerate(geometry.windows()):
        padded[window] += patches[:, :, :, tap]
    return padded[:, top : top + H, left : left + W]


# ── the three products ───────────────────────────────────────────────────────────────────────


@singledispatch
def conv2d(x: Array, w: Array, geometry: Geometry, bias: Array | None = None) -> Array:
    """(N, H, W, I), (KH, KW, I, O) -> (N, H', W', O). A bias (O,) is added."""
    y = product(_matrix(columns(x, geometry)), _matrix(w))
    y = y.reshape(len(x), *geometry.output, w.shape[3])
    return y if bias is None else add_to_channels(y, bias)


@singledispatch
def conv2d_transpose(g: Array, w: Array, geometry: Geometry, bias: Array | None = None) -> Array:
    """conv2d's adjoint in x: (N, H', W', O), (KH, KW, I, O) -> (N, H, W, I). A bias is (I,)."""
    patches = product(_matrix(g), _matrix(w).T)
    x = fold(patches.reshape(*g.shape[:3], prod(geometry.kernel), w.shape[2]), geometry)
    return x if bias is None else add_to_channels(x, bias)


@singledispatch
def conv2d_filter(x: Array, g: Array, geometry: Geometry) -> Array:
    """The adjoint of conv2d in w: (N, H, W, I), (N, H', W', O) -> (KH, KW, I, O)."""
    w = product(_matrix(columns(x, geometry)).T, _matrix(g))
    return w.reshape(*geometry.kernel, x.shape[3], g.shape[3])


def _matrix(x: Array) -> Array:
    """The first three axes as rows, the others as columns."""
    return x.reshape(prod(x.shape[:3]), prod(x.shape[3:]))
