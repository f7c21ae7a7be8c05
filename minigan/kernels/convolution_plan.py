"""Which form a convolution of NumPy arrays takes: found from shapes and dtype alone.

    plain      convolution.py as it stands: what all the others are tested against
    columns    the same products, a few images at a time, in threads
    winograd   fewer multiplications, to an accuracy of 2.5e-6 in place of 4e-7

float64 is always plain: it is there for gradient checks and comparisons. So are other array types,
which do not come here.
"""

from functools import cache
from math import prod
from typing import Any

import numpy as np

from minigan.backend import HostArray
from minigan.kernels import convolution as plain
from minigan.kernels import convolution_columns, winograd, winograd_tiling
from minigan.kernels.convolution import Geometry

SMALL = 2**21  # multiplications: they take less time than to hand work to a thread


@cache
def form(geometry: Geometry, images: int, inputs: int, outputs: int, *dtypes: Any) -> str:
    """The name of the form; one geometry has the same in all three products.

    >>> form(Geometry.of((32, 32), 5, 2, "same"), 64, 64, 128, np.dtype("float32"))
    'winograd'
    """
    pairs = images * inputs * outputs
    multiplications = pairs * prod(geometry.output) * prod(geometry.kernel)
    empty = 0 in geometry.image
    if {*dtypes} != {np.dtype("float32")} or multiplications < SMALL or empty:
        return "plain"
    if not winograd_tiling.possible(geometry):
        return "columns"
    cost = winograd_tiling.Tiling.of(geometry).cost(images, inputs, outputs)
    return "winograd" if cost < multiplications else "columns"


# ── the trio on NumPy arrays ─────────────────────────────────────────────────────────────────

CONV2D = {
    "plain": plain.conv2d.dispatch(object),
    "columns": convolution_columns.conv2d,
    "winograd": winograd.conv2d,
}
CONV2D_TRANSPOSE = {
    "plain": plain.conv2d_transpose.dispatch(object),
    "columns": convolution_columns.conv2d_transpose,
    "winograd": winograd.conv2d_transpose,
}
CONV2D_FILTER = {
    "plain": plain.conv2d_filter.dispatch(object),
    "columns": convolution_columns.conv2d_filter,
    "winograd": winograd.conv2d_filter,
}


@plain.conv2d.register(np.ndarray)
def conv2d(
    x: HostArray, w: HostArray, geometry: Geometry, bias: HostArray | None = None
) -> HostArray:
    """(N, H, W, I), (KH, KW, I, O) -> (N, H', W', O)."""
    chosen = form(geometry, len(x), *w.shape[2:], *_dtypes(x, w, bias))
    return CONV2D[chosen](x, w, geometry, bias)


@plain.conv2d_transpose.register(np.ndarray)
def conv2d_transpose(
    g: HostArray, w: HostArray, geometry: Geometry, bias: HostArray | None = None
) -> HostArray:
    """(N, H', W', O), (KH, KW, I, O) -> (N, H, W, I)."""
    chosen = form(geometry, len(g), *w.shape[2:], *_dtypes(g, w, bias))
    return CONV2D_TRANSPOSE[chosen](g, w, geometry, bias)


@plain.conv2d_filter.register(np.ndarray)
def conv2d_filter(x: HostArray, g: HostArray, geometry: Geometry) -> HostArray:
    """(N, H, W, I), (N, H', W', O) -> (KH, KW, I, O)."""
    chosen = form(geometry, len(x), x.shape[3], g.shape[3], *_dtypes(x, g))
    return CONV2D_FILTER[chosen](x, g, geometry)


def _dtypes(*arrays: HostArray | None) -> list[Any]:
    return [array.dtype for array in arrays if array is not None]
