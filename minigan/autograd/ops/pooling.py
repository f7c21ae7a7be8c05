"""Pooling, which makes images smaller, and upsampling, which makes them larger.

Pooling with "valid" leaves out the rows and columns that fill no whole window; with "same" a
window may reach over the edge, where there are no pixels.
"""

import math

import numpy as np

from minigan.autograd.engine import Value, array_of, op
from minigan.autograd.ops.convolution import check_images, checked_geometry
from minigan.autograd.ops.shape import broadcast_to, expand_dims
from minigan.backend import Array
from minigan.errors import ConfigError
from minigan.kernels import convolution as kernels
from minigan.kernels.convolution import Geometry, Padding, Size, pair


@op
def columns(x: Value, geometry: Geometry) -> Value:
    """Every patch of the images that the kernel meets: (N, H, W, C) -> (N, H', W', KH * KW, C)."""
    return kernels.columns(x, geometry)


@op
def fold(patches: Value, geometry: Geometry) -> Value:
    """The adjoint of columns: (N, H', W', KH * KW, C) -> (N, H, W, C)."""
    return kernels.fold(patches, geometry)


columns.pullbacks(lambda g, y, x, geometry: fold(g, geometry))
fold.pullbacks(lambda g, y, patches, geometry: columns(g, geometry))


@op
def average_pooling2d(
    x: Value, pool_size: Size = 2, strides: Size | None = None, padding: Padding = "valid"
) -> Value:
    """The mean of each window of x; strides are pool_size unless given. Padding is not counted.

    Shapes: (N, H, W, C) -> (N, H', W', C).
    Errors: ShapeError, ConfigError (an option that makes no sense).
    """
    geometry = _geometry("average_pooling2d", x, pool_size, strides, padding)
    return kernels.columns(x, geometry).sum(axis=3) / _pixels(x, geometry)


def _average_pullback(
    g: Value, y: Value, x: Value, pool_size: Size, strides: Size | None, padding: Padding
) -> Value:
    geometry = _geometry("average_pooling2d", x, pool_size, strides, padding)
    N, H, W, C = y.shape
    share = expand_dims(g / _pixels(array_of(x), geometry), 3)
    return fold(broadcast_to(share, (N, H, W, math.prod(geometry.kernel), C)), geometry)


average_pooling2d.pullbacks(_average_pullback)


def _pixels(x: Array, geometry: Geometry) -> Array:
    """How many pixels of the image each window holds: (1, H', W', 1)."""
    ones = np.ones_like(x, shape=(1, *geometry.image, 1))
    return kernels.columns(ones, geometry).sum(axis=3)  # type: ignore[no-any-return]


@op
def max_pooling2d(
    x: Value, pool_size: Size = 2, strides: Size | None = None, padding: Padding = "valid"
) -> Value:
    """The maximum of each window of x; strides are pool_size unless given.

    Of equal maxima the first one, row by row, has the gradient, as in TensorFlow.
    Shapes: (N, H, W, C) -> (N, H', W', C).
    Errors: ShapeError, ConfigError (an option that makes no sense).
    """
    geometry = _geometry("max_pooling2d", x, pool_size, strides, padding)
    return _windows(x, geometry).max(axis=3)


def _max_pullback(
    g: Value, y: Value, x: Value, pool_size: Size, strides: Size | None, padding: Padding
) -> Value:
    geometry = _geometry("max_pooling2d", x, pool_size, strides, padding)
    windows = _windows(array_of(x), geometry)
    largest = windows == windows.max(axis=3, keepdims=True)
    first = largest & (largest.cumsum(axis=3) == 1)
    return fold(expand_dims(g, 3) * first, geometry)


max_pooling2d.pullbacks(_max_pullback)


def _windows(x: Array, geometry: Geometry) -> Array:
    """The windows of x; where they reach over its edge, a number that is no maximum."""
    lowest = -np.inf if x.dtype.kind in "fc" else np.iinfo(x.dtype).min
    return kernels.columns(x, geometry, lowest)


@op
def upsample2d(x: Value, size: Size = 2) -> Value:
    """Every pixel repeated: its nearest neighbours in an image `size` times as large.

    Shapes: (N, H, W, C) -> (N, H * size, W * size, C); size is a number or (rows, columns).
    Errors: ShapeError, ConfigError (a size below 1).
    """
    check_images("upsample2d", x)
    rows, columns = pair(size, "size")
    return x.repeat(rows, axis=1).repeat(columns, axis=2)


def _upsample_pullback(g: Value, y: Value, x: Value, size: Size) -> Value:
    (N, H, W, C), (rows, columns) = x.shape, pair(size, "size")
    return g.reshape((N, H, rows, W, columns, C)).sum(axis=(2, 4))


upsample2d.pullbacks(_upsample_pullback)


def _geometry(
    name: str, x: Value, pool_size: Size, strides: Size | None, padding: Padding
) -> Geometry:
    check_images(name, x)
    pool_size = pair(pool_size, "pool_size")
    geometry = checked_geometry(
        name, x, pool_size, pool_size if strides is None else strides, padding
    )
    if any(max(sides) >= n for sides, n in zip(geometry.padding, pool_size, strict=True)):
        raise ConfigError(
            f"{name}: padding {padding} is as wide as a window of {pool_size}, so some windows "
            f'would hold no pixel. Try: padding="same".'
        )
    return geometry
