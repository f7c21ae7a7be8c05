"""How Winograd's convolution takes images and kernels apart: phases, tiles and points.

Polyphase. A convolution with strides of 2 is four without: take apart the even and the odd rows of
the image, and of the kernel; columns, too. Output row p adds up what tap i makes of image row
2p + i: even taps meet even rows, odd ones odd rows. A kernel of 5 x 5 falls into four phases,
(i % 2, j % 2), of 3 x 3, 3 x 2, 2 x 3 and 2 x 2 taps, whose outputs add up to the one. With strides
of 1 there is one phase, the whole.

Toom-Cook. Convolution is a product of polynomials, and such a product is known from its values at
as many points as it has coefficients: evaluate, multiply the values, interpolate. Transposed, this
makes 4 outputs in a row, of 6 pixels d and 3 taps g, by 6 multiplications in place of 12:

    y = AT ((G g) * (BT d))

and a tile of 4 x 4 outputs by 6 x 6 in place of 144, with the matrices on rows and on columns. The
points are 0, 1, -1, 2, -1/2 and infinity, where the value of a polynomial is its last coefficient.
A phase of 2 taps is one of 3 whose last is 0, and so is its product at infinity.

Sources: Winograd 1980, "Arithmetic complexity of computations"; Lavin & Gray 2016, "Fast algorithms
for convolutional neural networks".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigan.backend import HostArray
from minigan.kernels.convolution import Geometry

POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)  # and infinity: small numbers, so that little is lost
OUTPUTS = 4  # of a tile, in each direction
WINDOW = len(POINTS) + 1  # points, and the pixels that a tile needs
TAPS = WINDOW - OUTPUTS + 1

MAPPING = 48  # multiplications: 40 were measured

# ── Toom-Cook ────────────────────────────────────────────────────────────────────────────────


class Matrices(NamedTuple):
    """y = AT ((G g) * (BT d)), for taps g and pixels d."""

    AT: HostArray  # (OUTPUTS, WINDOW)
    G: HostArray  # (WINDOW, TAPS)
    BT: HostArray  # (WINDOW, WINDOW)


@cache
def matrices(dtype: Any, outputs: int = OUTPUTS) -> Matrices:
    """G evaluates at the points; AT is the transpose of evaluating, BT that of interpolating.

    For fewer outputs the last points are left out: their rows of BT and columns of AT are 0. At the
    others G stays as it is, so that all tiles meet the same values of the kernel.

    >>> AT, G, BT = matrices("float64")
    >>> taps, pixels = np.array([1, 10, 100]), np.array([1, 2, 3, 4, 5, 6])
    >>> (AT @ ((G @ taps) * (BT @ pixels))).round(9)
    array([321., 432., 543., 654.])
    >>> AT, G, BT = matrices("float64", 2)
    >>> (AT @ ((G @ taps) * (BT @ pixels))).round(9)
    array([321., 432.,   0.,   0.])
    """
    AT, G, BT = np.zeros((OUTPUTS, WINDOW)), np.zeros((WINDOW, TAPS)), np.zeros((WINDOW, WINDOW))
    points = POINTS[: outputs + TAPS - 2]
    for i, point in enumerate(POINTS):
        G[i] = point ** np.arange(TAPS) / _distance(point, POINTS)
    for i, point in enumerate(points):
        AT[:outputs, i] = point ** np.arange(outputs)
        others = [other for other in points if other != point]
        interpolation = np.poly(others)[::-1] / _distance(point, points)  # from the lowest power
        BT[i, : len(points)] = interpolation * _distance(point, POINTS)
    AT[outputs - 1, -1] = G[-1, -1] = 1
    BT[-1, : len(points) + 1] = np.poly(points)[::-1]
    return Matrices(AT.astype(dtype), G.astype(dtype), BT.astype(dtype))


def _distance(point: float, points: Sequence[float]) -> float:
    """The product of the distances to all the others."""
    return prod(point - other for other in points if other != point)


@dataclass(frozen=True)
class Tiles:
    """The tiles along an axis, of OUTPUTS each; the last one may have fewer."""

    length: int

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return ceil_divide(self.length, OUTPUTS)

    @cached_property
    def at(self) -> list[int]:
        """How many have a value at each of the points."""
        return [self.count - (self._last < p < WINDOW - 1) for p in range(WINDOW)]

    @cached_property
    def _last(self) -> int:
        return self.length - OUTPUTS * (self.count - 1)

    def from_points(self, dtype: Any) -> HostArray:
        """Each tile's AT: (tiles, OUTPUTS, WINDOW)."""
        return _of_tiles(dtype, self.count, self._last).AT

    def to_points(self, dtype: Any) -> HostArray:
        """Each tile's BT: (tiles, WINDOW, WINDOW)."""
        return _of_tiles(dtype, self.count, self._last).BT


@cache
def _of_tiles(dtype: Any, count: int, last: int) -> Matrices:
    """Those of so many tiles, of which the last one has so many outputs; G is common."""
    each = [matrices(dtype)] * (count - 1) + [matrices(dtype, last)]
    return Matrices(np.stack([a.AT for a in each]), each[0].G, np.stack([a.BT for a in each]))


# ── polyphase ────────────────────────────────────────────────────────────────────────────────


class Place(NamedTuple):
    """Which rows or columns of an image are meant: first, first + step, ...; some lie outside."""

    first: int
    step: int

    def inside(self, length: int, pixels: int) -> tuple[slice, slice]:
        """Those of the `length` rows meant that an image of `pixels` has; their places there."""
        start = max(0, ceil_divide(-self.first, self.step))
        stop = max(start, min(length, ceil_divide(pixels - self.first, self.step)))
        end = max(0, self.first + (stop - 1) * self.step + 1)
        return slice(start, stop), slice(self.first + start * self.step, end, self.step)


Grid: TypeAlias = tuple[Tiles, Tiles]  # of rows and of columns
Places: TypeAlias = Sequence[tuple[Place, Place]]  # rows and columns of each phase
EVERYWHERE: Places = [(Place(0, 1), Place(0, 1))]  # one phase, and that is the image


@dataclass(frozen=True)
class Axis:
    """The rows of a geometry, or its columns."""

    image: int
    kernel: int
    stride: int
    before: int  # zeros before the image
    output: int

    def taps(self, phase: int) -> int:
        """How many of the kernel's taps a phase has."""
        return ceil_divide(self.kernel - phase, self.stride)

    def points(self, phase: int) -> int:
        """At how many points its products are not 0: not at infinity without a last tap."""
        return WINDOW if self.taps(phase) == TAPS else WINDOW - 1

    def place(self, phase: int) -> Place:
        """The phase's rows of the image."""
        return Place(phase - self.before, self.stride)

    def windows(self) -> range:
        """Where in the output the windows begin that the image's gradient is made of.

        Row k of a phase is made of as many output rows as the phase has taps, and k is the last.
        """
        begins = [
            ceil_divide(row - phase + self.before, self.stride) - self.taps(phase) + 1
            for phase in range(self.stride)
            for row in (0, self.image)
        ]
        return range(min(begins), max(begins))

    def window_place(self) -> Place:
        """The rows of the output that these windows hold."""
        return Place(self.windows().start, 1)

    def gradient_place(self, phase: int) -> Place:
        """The phase's rows of the image that these windows make."""
        k = self.windows().start + self.taps(phase) - 1
        return Place(k * self.stride + phase - self.before, self.stride)


class KernelMap(NamedTuple):
    """From a phase of a kernel to its values."""

    taps: tuple[slice, slice]  # of (KH, KW, ..), those of the phase
    points: tuple[slice, slice, int]  # of (WINDOW, WINDOW, S, ..), those with values
    rows: HostArray  # (points, taps)
    columns: HostArray


@dataclass(frozen=True)
class Tiling:
    """A geometry in phases and tiles: found once, and then looked up."""

    rows: Axis
    columns: Axis

    @classmethod
    @cache
    def of(cls, geometry: Geometry) -> "Tiling":
        """The tiling of a geometry without dilation."""
        before = [zeros for zeros, _ in geometry.padding]
        sizes = geometry.image, geometry.kernel, geometry.strides, before, geometry.output
        return cls(*(Axis(*axis) for axis in zip(*sizes, strict=True)))

    @cached_property
    def phases(self) -> list[tuple[int, int]]:
        """Ordered so that those with a product at infinity are neighbours."""
        order = (0, 1), (0, 0), (1, 0), (1, 1)
        return [(i, j) for i, j in order if i < self.rows.stride and j < self.columns.stride]

    @cached_property
    def tiles(self) -> Grid:
        """Those of the output."""
        return Tiles(self.rows.output), Tiles(self.columns.output)

    @cached_property
    def gradient_tiles(self) -> Grid:
        """Those of each phase of the image."""
        return Tiles(len(self.rows.windows())), Tiles(len(self.columns.windows()))

    def kernel_shape(self, inputs: int, outputs: int) -> tuple[int, ...]:
        """A kernel's values at the points."""
        return WINDOW, WINDOW, len(self.phases), inputs, outputs

    @cache  # noqa: B019  tilings are few, and kept
    def kernel_maps(self, dtype: Any, backwards: bool = False) -> list[KernelMap]:
        """What takes the kernel of each phase to its points, its taps in order or back to front."""
        G, order = matrices(dtype).G, slice(None, None, -1 if backwards else 1)

        def matrix(axis: Axis, phase: int) -> HostArray:
            return G[: axis.points(phase), : axis.taps(phase)][:, order].copy()

        maps = []
        for s, (i, j) in enumerate(self.phases):
            rows, columns = matrix(self.rows, i), matrix(self.columns, j)
            taps = slice(i, None, self.rows.stride), slice(j, None, self.columns.stride)
            points = slice(len(rows)), slice(len(columns)), s
            maps.append(KernelMap(taps, points, rows, columns))
        return maps

    @cached_property
    def products(self) -> list[tuple[int, int, range]]:
        """Each pair of points, with the phases that have a product there.

        The largest come first, so that threads end together.
        """
        pairs = [(p, q, self._phases_at(p, q)) for p, q in product(range(WINDOW), repeat=2)]
        return sorted(pairs, key=lambda pair: len(pair[2]), reverse=True)

    def _phases_at(self, p: int, q: int) -> range:
        there = [p < self.rows.points(i) and q < self.columns.points(j) for i, j in self.phases]
        start = there.index(True) if any(there) else 0
        return range(start, start + sum(there))

    def cost(self, images: int, inputs: int, outputs: int) -> int:
        """In multiplications; to take a number to a point, or back, takes the time of MAPPING."""
        rows, columns = self.tiles
        products = sum(rows.at[p] * columns.at[q] * len(phases) for p, q, phases in self.products)
        tiles, phases = images * rows.count * columns.count, len(self.phases)
        mapped = phases * inputs * outputs + tiles * (phases * inputs + outputs)
        return images * inputs * outputs * products + MAPPING * WINDOW**2 * mapped

    @cached_property
    def places(self) -> Places:
        """The phases of the image."""
        return [(self.rows.place(i), self.columns.place(j)) for i, j in self.phases]

    @cached_property
    def window_places(self) -> Places:
        """What conv2d_transpose reads, which is one phase."""
        return [(self.rows.window_place(), self.columns.window_place())]

    @cached_property
    def gradient_places(self) -> Places:
        """The phases of the image as conv2d_transpose makes them."""
        return [
            (self.rows.gradient_place(i), self.columns.gradient_place(j)) for i, j in self.phases
        ]


def ceil_divide(n: int, divisor: int) -> int:
    """n / divisor, rounded up."""
    return -(-n // divisor)


def possible(geometry: Geometry) -> bool:
    """Whether these matrices serve a geometry: up to 3 taps for each of one or two phases."""
    return geometry.dilation == (1, 1) and all(
        stride <= 2 and stride <= taps <= TAPS * stride
        for taps, stride in zip(geometry.kernel, geometry.strides, strict=True)
    )
