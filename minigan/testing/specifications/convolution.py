"""Convolution, pooling and batch norm, a second time: by loops over pixels and by their formulas.

The geometries are those where mistakes show: oblong images and kernels, strides unlike the kernel,
odd and even sizes, padding that differs from side to side, dilation, one channel, one picture.
"""

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np

from minigan.autograd import ops
from minigan.kernels.convolution import Geometry
from minigan.testing.specifications.specification import (
    Draw,
    HostArray,
    Table,
    constant,
    distinct,
    normal,
    positive,
)

TABLE = Table(
    {
        "normalize": ops.normalize,
        "conv_cond_concat": ops.conv_cond_concat,
    }
)
specify, SPECIFICATIONS = TABLE.specify, TABLE.rows


# ── which pixel meets which tap ──────────────────────────────────────────────────────────────


def both(option: Any) -> Any:
    """The option for rows and for columns."""
    return (option, option) if isinstance(option, int) else option


def first_and_count(n: int, k: int, stride: int, dilation: int, padding: Any) -> tuple[int, int]:
    """Where the kernel's first tap starts on n pixels, and how often the kernel is put down."""
    last = (k - 1) * dilation  # how far the last tap is from the first
    if isinstance(padding, str) and padding.lower() == "same":
        count = len(range(0, n, stride))
        missing = stride * (count - 1) + last + 1 - n
        return -(missing // 2 if missing > 0 else 0), count
    before, after = (0, 0) if isinstance(padding, str) else padding
    return -before, len(range(-before, n + after - last, stride))


Meeting = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def output_size(
    image: tuple[int, int],
    kernel: Any,
    strides: Any = 1,
    padding: Any = "same",
    dilation: Any = 1,
) -> tuple[int, int]:
    """How many rows and columns of output pixels there are."""
    sides = (padding, padding) if isinstance(padding, str) else padding
    height, width = (
        first_and_count(*options)[1]
        for options in zip(image, both(kernel), both(strides), both(dilation), sides, strict=True)
    )
    return height, width


def meetings(
    image: tuple[int, int],
    kernel: Any,
    strides: Any = 1,
    padding: Any = "same",
    dilation: Any = 1,
) -> Iterator[Meeting]:
    """Every (output pixel, image pixel, tap) that meet in a convolution."""
    sides = (padding, padding) if isinstance(padding, str) else padding
    axes = []
    for n, k, s, d, pads in zip(
        image, both(kernel), both(strides), both(dilation), sides, strict=True
    ):
        first, count = first_and_count(n, k, s, d, pads)
        places = [(out, first + out * s + tap * d, tap) for out in range(count) for tap in range(k)]
        axes.append([place for place in places if 0 <= place[1] < n])
    for row, column in product(*axes):
        yield tuple(zip(row, column, strict=True))  # type: ignore[misc]


def zeros(shape: tuple[int, ...], *arrays: HostArray) -> HostArray:
    """Zeros of the dtype that the arrays' product has."""
    return np.zeros(shape, np.result_type(*arrays))


# ── the trio ─────────────────────────────────────────────────────────────────────────────────


def convolution(x: HostArray, w: HostArray, **options: Any) -> HostArray:
    """Every output pixel gathers the pixels that it meets, each times its tap."""
    size = output_size(x.shape[1:3], w.shape[:2], **options)
    y = zeros((len(x), *size, w.shape[3]), x, w)
    for out, pixel, tap in meetings(x.shape[1:3], w.shape[:2], **options):
        y[:, *out] += np.einsum("ni,io->no", x[:, *pixel], w[tap])
    return y


def transposed(x: HostArray, w: HostArray, output_shape: Any = None, **options: Any) -> HostArray:
    """Every pixel of x is spread over the pixels that it meets, times the tap."""
    if output_shape is None:
        image = spread_size(x.shape[1:3], w.shape[:2], **options)
    else:
        image = output_shape[1:3] if len(output_shape) == 4 else output_shape
    y = zeros((len(x), *image, w.shape[2]), x, w)
    for pixel, out, tap in meetings(image, w.shape[:2], **options):
        y[:, *out] += np.einsum("ni,oi->no", x[:, *pixel], w[tap])
    return y


def spread_size(
    pixels: tuple[int, int],
    kernel: tuple[int, int],
    strides: Any = 1,
    padding: Any = "same",
    dilation: Any = 1,
) -> tuple[int, int]:
    """SAME: stride pixels for each. Else room for every tap and every stride, less the padding."""
    if padding == "same":
        height, width = np.multiply(pixels, strides)
    else:
        last = np.multiply(np.subtract(kernel, 1), dilation)
        room = np.multiply(np.subtract(pixels, 1), strides) + np.maximum(last + 1, strides)
        height, width = room - (0 if isinstance(padding, str) else np.sum(padding, axis=1))
    return int(height), int(width)


def taps(x: HostArray, g: HostArray, kernel_size: Any, **options: Any) -> HostArray:
    """Every tap gathers the products of the pixels that meet at it."""
    w = zeros((*both(kernel_size), x.shape[3], g.shape[3]), x, g)
    for out, pixel, tap in meetings(x.shape[1:3], kernel_size, **options):
        w[tap] += np.einsum("ni,no->io", x[:, *pixel], g[:, *out])
    return w


GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    # images, kernel, options
    ((2, 4, 3, 2), (3, 2, 2, 3), {}),
    ((1, 5, 4, 1), (2, 3, 1, 2), {"padding": "VALID"}),
    ((2, 4, 4, 1), (3, 3, 1, 2), {"strides": 2}),  # one zero, below and on the right
    ((1, 5, 7, 2), (3, 3, 2, 1), {"strides": 2}),  # odd sizes: a zero on every side
    ((1, 7, 4, 1), (5, 5, 1, 1), {"strides": 2}),  # the tutorials' kernel
    ((1, 7, 5, 1), (2, 2, 1, 2), {"strides": (3, 4), "padding": "same"}),  # pixels left out
    ((1, 6, 7, 2), (2, 3, 2, 1), {"strides": (3, 2), "padding": "valid"}),
    ((1, 2, 3, 2), (5, 4, 2, 1), {}),  # a kernel larger than the image
    ((2, 3, 3, 2), (1, 1, 2, 2), {}),
    ((2, 3, 4, 2), (1, 1, 2, 1), {"strides": 2}),
    ((1, 7, 6, 1), (3, 2, 1, 2), {"dilation": 2}),
    ((1, 7, 8, 1), (2, 3, 1, 1), {"dilation": (3, 2), "strides": (2, 3), "padding": "valid"}),
    ((1, 4, 5, 2), (3, 2, 2, 1), {"padding": ((2, 0), (1, 3))}),
    ((1, 4, 5, 1), (3, 3, 1, 2), {"padding": ((0, 3), (4, 1)), "strides": (2, 3)}),
    ((2, 1, 1, 2), (3, 3, 2, 2), {}),
    ((0, 4, 3, 2), (3, 2, 2, 1), {"strides": 2}),
]
for images, kernel, options in GEOMETRIES:
    size = output_size((images[1], images[2]), kernel[:2], **options)
    outputs = normal(images[0], *size, kernel[3])
    zero = ("w",) if images[0] == 0 else ()
    specify("conv2d", convolution, normal(*images), normal(*kernel), zero=zero, **options)
    specify(
        "conv2d_transpose", transposed, outputs, normal(*kernel),
        zero=zero, output_shape=images[1:3], **options,
    )  # fmt: skip
    specify("conv2d_filter", taps, normal(*images), outputs, kernel[:2], **options)
specify("conv2d_filter", taps, normal(1, 4, 3, 2), normal(1, 4, 3, 1), kernel_size=3)

TRANSPOSED: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 3, 2), (3, 2, 1, 2), {}),
    ((1, 2, 3, 2), (5, 5, 1, 2), {"strides": 2}),
    ((1, 2, 3, 2), (5, 4, 1, 2), {"strides": 2, "output_shape": (1, 3, 5, 1)}),
    ((1, 2, 3, 1), (2, 5, 2, 1), {"strides": (3, 2), "output_shape": [4, 6]}),
    ((1, 3, 2, 2), (4, 3, 1, 2), {"strides": (2, 3), "padding": "valid"}),
    ((1, 3, 2, 1), (2, 2, 2, 1), {"strides": 3, "padding": "Valid"}),
    ((1, 2, 2, 1), (3, 2, 1, 1), {"strides": 2, "padding": "valid", "output_shape": (6, 5)}),
    ((1, 3, 2, 1), (3, 2, 1, 1), {"padding": "valid", "dilation": (1, 3)}),
    ((1, 2, 3, 1), (4, 4, 2, 1), {"strides": 2, "padding": ((1, 2), (0, 1))}),
    ((1, 2, 3, 1), (2, 2, 2, 1), {"strides": 2, "dilation": 2}),
]  # fmt: skip
for images, kernel, options in TRANSPOSED:
    specify("conv2d_transpose", transposed, normal(*images), normal(*kernel), **options)


def biased(linear: Callable[..., HostArray]) -> Callable[..., HostArray]:
    """A function of x and w, and a bias for each of its channels."""

    def affine(x: HostArray, w: HostArray, b: HostArray, **options: Any) -> HostArray:
        y: HostArray = linear(x, w, **options) + b
        return y

    return affine


specify("biased_conv2d", biased(convolution),
        normal(2, 4, 4, 1), normal(3, 3, 1, 2), normal(2), strides=2)  # fmt: skip
specify("biased_conv2d", biased(convolution), normal(1, 7, 8, 1), normal(2, 3, 1, 1), normal(1),
        dilation=(3, 2), strides=(2, 3), padding="valid")  # fmt: skip
specify("biased_conv2d_transpose", biased(transposed), normal(1, 2, 3, 2), normal(5, 4, 1, 2),
        normal(1), strides=2, output_shape=(1, 3, 5, 1))  # fmt: skip
specify("biased_conv2d_transpose", biased(transposed), normal(2, 3, 2, 1), normal(3, 2, 2, 1),
        normal(2), padding="valid", dilation=(1, 3))  # fmt: skip


# ── patches and pooling ──────────────────────────────────────────────────────────────────────


def options_of(geometry: Geometry) -> dict[str, Any]:
    """What `meetings` needs to know of it."""
    return {
        "strides": geometry.strides, "padding": geometry.padding, "dilation": geometry.dilation
    }  # fmt: skip


def gathered(x: HostArray, geometry: Geometry) -> HostArray:
    """Every patch that the kernel meets, one pixel after the other."""
    size = output_size(geometry.image, geometry.kernel, **options_of(geometry))
    y = zeros((len(x), *size, prod(geometry.kernel), x.shape[3]), x)
    for out, pixel, (i, j) in meetings(geometry.image, geometry.kernel, **options_of(geometry)):
        y[:, *out, i * geometry.kernel[1] + j] = x[:, *pixel]
    return y


def scattered(patches: HostArray, geometry: Geometry) -> HostArray:
    """Every pixel of every patch added where it comes from."""
    y = zeros((len(patches), *geometry.image, patches.shape[4]), patches)
    for out, pixel, (i, j) in meetings(geometry.image, geometry.kernel, **options_of(geometry)):
        y[:, *pixel] += patches[:, *out, i * geometry.kernel[1] + j]
    return y


def averages(
    x: HostArray, pool_size: Any = 2, strides: Any = None, padding: Any = "valid"
) -> HostArray:
    """The sum of each window's pixels, over how many there are."""
    options = {"strides": strides or pool_size, "padding": padding}
    size = output_size(x.shape[1:3], pool_size, **options)
    y, count = zeros((len(x), *size, x.shape[3]), x), np.zeros((*size, 1), int)
    for out, pixel, _ in meetings(x.shape[1:3], pool_size, **options):
        y[:, *out] += x[:, *pixel]
        count[out] += 1
    return y / count


def maxima(
    x: HostArray, pool_size: Any = 2, strides: Any = None, padding: Any = "valid"
) -> HostArray:
    """A larger pixel takes the place of a smaller one."""
    options = {"strides": strides or pool_size, "padding": padding}
    size = output_size(x.shape[1:3], pool_size, **options)
    y = zeros((len(x), *size, x.shape[3]), x) - np.inf
    for out, pixel, _ in meetings(x.shape[1:3], pool_size, **options):
        y[:, *out] = np.where(x[:, *pixel].real > y[:, *out].real, x[:, *pixel], y[:, *out])
    return y


def enlarged(x: HostArray, size: Any = 2) -> HostArray:
    """Each pixel of the larger image is the one that lies under it."""
    rows, columns = both(size)
    N, H, W, C = x.shape
    y = zeros((N, H * rows, W * columns, C), x)
    for i, j in np.ndindex(H * rows, W * columns):
        y[:, i, j] = x[:, i // rows, j // columns]
    return y


PATCHES = [
    Geometry((3, 4), (2, 3), (1, 2), ((0, 1), (2, 0)), (1, 1)),
    Geometry((5, 4), (2, 2), (3, 1), ((0, 0), (0, 0)), (2, 1)),
]
for geometry in PATCHES:
    specify("columns", gathered, normal(2, *geometry.image, 2), geometry)
    specify("fold", scattered, normal(1, *geometry.output, prod(geometry.kernel), 2), geometry)

POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 4, 6, 2), {}),
    ((1, 5, 4, 1), {}),  # a row left out
    ((1, 5, 3, 2), {"padding": "SAME"}),  # windows over the edge
    ((1, 5, 7, 1), {"pool_size": 3, "strides": 2}),  # windows that overlap
    ((2, 5, 4, 1), {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"}),
    ((1, 5, 6, 1), {"pool_size": 1, "strides": 2}),
    ((1, 4, 4, 1), {"pool_size": 3, "padding": ((1, 2), (0, 2))}),
    ((1, 2, 3, 1), {"pool_size": 4, "padding": "same"}),  # a window larger than the image
    ((0, 4, 4, 2), {}),
]
for shape, options in POOLS:
    specify("average_pooling2d", averages, normal(*shape), **options)
    specify("max_pooling2d", maxima, distinct(*shape), **options)

specify("upsample2d", enlarged, normal(2, 3, 2, 2))
specify("upsample2d", enlarged, normal(1, 2, 3, 1), size=(3, 1))
specify("upsample2d", enlarged, normal(0, 2, 3, 1), size=3)


# ── batch norm, labels ───────────────────────────────────────────────────────────────────────


def mean_and_variance(x: HostArray, batches: int = 1) -> HostArray:
    """E x above E x^2 - (E x)^2, with E the average of all values of a channel in its batch."""
    rows = x.reshape(batches, -1, x.shape[-1])
    average = rows.sum(1) / rows.shape[1]
    y = np.stack([average, (rows * rows).sum(1) / rows.shape[1] - average * average])
    return y[:, 0] if batches == 1 else y


def for_each_example(vector: HostArray, x: HostArray) -> HostArray:
    """A vector (C,), or (B, C) for B batches in x, in front of every example of x."""
    channels = vector.shape[-1]
    rows = vector.reshape(-1, channels)
    repeated = np.repeat(rows, len(x) // len(rows), axis=0)
    return repeated.reshape(len(x), *[1] * (x.ndim - 2), channels) if x.ndim > 1 else vector


def stretched(x: HostArray, scale: HostArray) -> HostArray:
    """Each channel times its own factor."""
    return for_each_example(scale, x) * x


def straight_line(x: HostArray, center: HostArray, scale: HostArray, shift: HostArray) -> HostArray:
    """A line through (center, shift) for each channel."""
    return stretched(x, scale) + for_each_example(shift - scale * center, x)


def comoment(g: HostArray, x: HostArray, center: HostArray) -> HostArray:
    """The sum of g x less the center's share."""
    batches = center.size // center.shape[-1]
    g_rows, x_rows = (a.reshape(batches, -1, a.shape[-1]) for a in (g, x))
    y = np.einsum("bnc,bnc->bc", g_rows, x_rows).reshape(center.shape)
    return y - center * g_rows.sum(1).reshape(center.shape)  # type: ignore[no-any-return]


def normalized(
    x: HostArray, mean: Any, variance: Any, gamma: Any, beta: Any, epsilon: float = 1e-5
) -> HostArray:
    """x as an affine function, channel by channel."""
    slope = gamma * (variance + epsilon) ** -0.5
    return stretched(x, slope) + for_each_example(beta - slope * mean, x)


def batch_normalized(
    x: HostArray, gamma: HostArray, beta: HostArray, epsilon: float = 1e-5
) -> HostArray:
    """Normalised by the squares of the distances between all pairs of values.

    Their average is twice the variance, without a difference of large numbers.
    """
    rows = x.reshape(-1, x.shape[-1])
    distances = rows[:, None] - rows
    variance = (distances * distances).sum((0, 1)) / (2 * len(rows) ** 2)
    return normalized(x, rows.sum(0) / len(rows), variance, gamma, beta, epsilon)


def beside(x: HostArray, labels: HostArray) -> HostArray:
    """The channels of x, then the labels, pixel by pixel."""
    N, H, W, C = x.shape
    K = labels.shape[-1]
    y = zeros((N, H, W, C + K), x, labels)
    for i, j in np.ndindex(H, W):
        y[:, i, j, :C], y[:, i, j, C:] = x[:, i, j], labels.reshape(N, K)
    return y


narrow = Draw(lambda rng: 3e-3 * rng.normal(size=(4, 2)), "narrow(4, 2)")

specify("moments", mean_and_variance, normal(5, 3))
specify("moments", mean_and_variance, normal(2, 2, 3, 2))
specify("moments", mean_and_variance, normal(2))
specify("moments", mean_and_variance, normal(4, 1, 3, 2), batches=2)
for shape in [(5, 3), (2, 2, 3, 2), (3, 1), (2,)]:
    channels = normal(shape[-1])
    specify("scale_and_shift", straight_line, normal(*shape), channels, channels, channels)
    specify("sum_of_products", comoment, normal(*shape), normal(*shape), channels)
    specify("scale_channels", stretched, normal(*shape), channels)
for shape in [(6, 2), (3, 2, 1, 2)]:
    batches = normal(3, 2)
    specify("scale_and_shift", straight_line, normal(*shape), batches, batches, batches)
    specify("sum_of_products", comoment, normal(*shape), normal(*shape), batches)
    specify("scale_channels", stretched, normal(*shape), batches)
    specify("normalize", normalized, normal(*shape), batches, positive(3, 2), normal(2), normal(2))
specify("scale_and_shift", straight_line, normal(0, 3), normal(3), normal(3), normal(3),
        zero=("center", "scale", "shift"))  # fmt: skip
specify("sum_of_products", comoment, normal(0, 3), normal(0, 3), normal(3), zero=("center",))
for shape in [(5, 3), (2, 2, 3, 2), (6, 1)]:
    channels = normal(shape[-1])
    specify("batch_norm", batch_normalized, normal(*shape), channels, channels)
    specify(
        "normalize", normalized, normal(*shape), channels, positive(shape[-1]), channels, channels
    )
specify("batch_norm", batch_normalized, normal(2, 3), normal(3), normal(3), epsilon=1e-3)
specify("batch_norm", batch_normalized, narrow, normal(2), normal(2))  # near epsilon
specify("batch_norm", batch_normalized, normal(3, 2, 2), constant([0.0, 1.0]), normal(2))
specify("batch_norm", batch_normalized, constant([[2.0], [2.0]]), normal(1), normal(1), epsilon=0.1,
        zero=("gamma",))  # fmt: skip
specify(
    "normalize", normalized, normal(2, 3), normal(3), positive(3), normal(3), normal(3), epsilon=0.1
)
specify("conv_cond_concat", beside, normal(2, 3, 2, 1), normal(2, 4))
specify("conv_cond_concat", beside, normal(2, 1, 3, 2), normal(2, 1, 1, 3))
