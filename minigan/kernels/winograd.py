"""Winograd's convolution: the same sums from a third of the multiplications, for small kernels.

A tile of 4 x 4 outputs of a 5 x 5 convolution with strides of 2 takes 400 multiplications for each
pair of channels. Here it takes 121:

1. Polyphase. Take apart the even and the odd rows of the image, and of the kernel; columns, too.
   Output row p adds up what tap i makes of image row 2p + i: even taps meet even rows, odd ones odd
   rows. Four convolutions with strides of 1, of 3 x 3, 3 x 2, 2 x 3 and 2 x 2 taps, add up to the
   one: its phases (i % 2, j % 2). With strides of 1 there is one phase, the whole.

2. Toom-Cook. Convolution is a product of polynomials, and such a product is known from its values
   at as many points as it has coefficients: evaluate, multiply the values, interpolate. Transposed,
   this makes 4 outputs in a row, of 6 pixels d and 3 taps g, by 6 multiplications in place of 12:

       y = AT ((G g) * (BT d))

   and 4 x 4 outputs by 6 x 6 in place of 144, with the matrices on rows and on columns. The points
   are 0, 1, -1, 2, -1/2 and infinity, where the value of a polynomial is its last coefficient. A
   phase of 2 taps is one of 3 whose last is 0, and so is its product at infinity. Pairs of finite
   points times 4 phases, and those with infinity: 25 * 4 + 5 * 2 + 5 * 2 + 1 = 121.

3. One matrix product for each pair of points sums over the phases and channels: it is
   (tiles, phases * I) @ (phases * I, O).

The two adjoints take the same road: conv2d_transpose sends windows of its input to all phases of
its output, with the taps back to front, and conv2d_filter takes the transposes of the three maps.

On one thread in float32, 64 images of 32 x 32 x 64 to 16 x 16 x 128 take 38 ms in place of 74 by
columns. The rms error is up to 2.5e-6 of the result's, 3 to 8 times that of columns; in float64 it
is 1e-14.
Sources: Winograd 1980, "Arithmetic complexity of computations"; Lavin & Gray 2016, "Fast algorithms
for convolutional neural networks".

    letters   p, q a pair of points   S phases   R, Q rows and columns of tiles   N, H, W, I, O
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigan.backend import HostArray
from minigan.kernels.convolution import Geometry
from minigan.kernels.threads import Team, even_parts, team
from minigan.kernels.workspace import workspace

POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)  # and infinity: small numbers, so that little is lost
OUTPUTS = 4  # of a tile, in each direction
WINDOW = len(POINTS) + 1  # points, and the pixels that a tile needs
TAPS = WINDOW - OUTPUTS + 1

BLOCK = 2**21  # bytes of images: smaller ones make calls so short that threads wait for each other
KERNEL_BLOCK = 2**23  # bytes of a kernel's values
MAPPING = 48  # multiplications: 40 were measured
CHUNK = 2**25  # bytes: of the images whose values at all points are kept at once

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

    @property
    def count(self) -> int:
        """How many there are."""
        return _ceil(self.length, OUTPUTS)

    def at(self, p: int) -> int:
        """How many have a value at a point."""
        return self.count - (self._last < p < WINDOW - 1)

    @property
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


def on_both_axes(rows: HostArray, columns: HostArray, x: HostArray, y: HostArray) -> None:
    """y[..., p, q, :] = sum of rows[p, i] * columns[q, j] * x[..., i, j, :]."""
    *batch, _, n, length = x.shape
    with workspace(x.dtype, (*batch, n, rows.shape[-2], length)) as (half,):
        np.matmul(rows, x.swapaxes(-3, -2), out=half)
        np.matmul(columns, half.swapaxes(-3, -2), out=y)


# ── polyphase ────────────────────────────────────────────────────────────────────────────────


class Place(NamedTuple):
    """Which rows or columns of an image are meant: first, first + step, ...; some lie outside."""

    first: int
    step: int

    def inside(self, length: int, pixels: int) -> tuple[slice, slice]:
        """Those of the `length` rows meant that an image of `pixels` has; their places there."""
        start = max(0, _ceil(-self.first, self.step))
        stop = max(start, min(length, _ceil(pixels - self.first, self.step)))
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
        return _ceil(self.kernel - phase, self.stride)

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
            _ceil(row - phase + self.before, self.stride) - self.taps(phase) + 1
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


@dataclass(frozen=True)
class Tiling:
    """A geometry in phases and tiles."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, geometry: Geometry) -> "Tiling":
        """The tiling of a geometry without dilation."""
        before = [zeros for zeros, _ in geometry.padding]
        sizes = geometry.image, geometry.kernel, geometry.strides, before, geometry.output
        return cls(*(Axis(*axis) for axis in zip(*sizes, strict=True)))

    @property
    def phases(self) -> list[tuple[int, int]]:
        """Ordered so that those with a product at infinity are neighbours."""
        order = (0, 1), (0, 0), (1, 0), (1, 1)
        return [(i, j) for i, j in order if i < self.rows.stride and j < self.columns.stride]

    @property
    def tiles(self) -> Grid:
        """Those of the output."""
        return Tiles(self.rows.output), Tiles(self.columns.output)

    @property
    def gradient_tiles(self) -> Grid:
        """Those of each phase of the image."""
        return Tiles(len(self.rows.windows())), Tiles(len(self.columns.windows()))

    def kernel_shape(self, inputs: int, outputs: int) -> tuple[int, ...]:
        """A kernel's values at the points."""
        return WINDOW, WINDOW, len(self.phases), inputs, outputs

    def products(self, channels: int) -> list[tuple[int, int, slice]]:
        """Each pair of points, with the channels of the phases that have a product there.

        The largest come first, so that threads end together.
        """
        pairs = [(p, q, self._phases_at(p, q)) for p, q in product(range(WINDOW), repeat=2)]
        pairs.sort(key=lambda pair: len(pair[2]), reverse=True)
        return [(p, q, slice(s.start * channels, s.stop * channels)) for p, q, s in pairs]

    def _phases_at(self, p: int, q: int) -> range:
        there = [p < self.rows.points(i) and q < self.columns.points(j) for i, j in self.phases]
        start = there.index(True) if any(there) else 0
        return range(start, start + sum(there))

    def cost(self, images: int, inputs: int, outputs: int) -> int:
        """In multiplications; to take a number to a point, or back, takes the time of MAPPING."""
        rows, columns = self.tiles
        products: int = sum(
            rows.at(p) * columns.at(q) * (k.stop - k.start) for p, q, k in self.products(1)
        )
        tiles, phases = images * rows.count * columns.count, len(self.phases)
        mapped = phases * inputs * outputs + tiles * (phases * inputs + outputs)
        return images * inputs * outputs * products + MAPPING * WINDOW**2 * mapped

    def places(self) -> Places:
        """The phases of the image."""
        return [(self.rows.place(i), self.columns.place(j)) for i, j in self.phases]

    def window_places(self) -> Places:
        """What conv2d_transpose reads, which is one phase."""
        return [(self.rows.window_place(), self.columns.window_place())]

    def gradient_places(self) -> Places:
        """The phases of the image as conv2d_transpose makes them."""
        return [
            (self.rows.gradient_place(i), self.columns.gradient_place(j)) for i, j in self.phases
        ]


def _ceil(n: int, divisor: int) -> int:
    return -(-n // divisor)


def possible(geometry: Geometry) -> bool:
    """Whether these matrices serve a geometry: up to 3 taps for each of one or two phases."""
    return geometry.dilation == (1, 1) and all(
        stride <= 2 and stride <= taps <= TAPS * stride
        for taps, stride in zip(geometry.kernel, geometry.strides, strict=True)
    )


# ── images and kernels, to points and back ───────────────────────────────────────────────────


def images_to_points(
    threads: Team, rows: HostArray, columns: HostArray,
    x: HostArray, places: Places, v: HostArray,
) -> None:  # fmt: skip
    """The values of each window: (N, H, W, C) -> (WINDOW, WINDOW, R, Q, N * S * C).

    rows, columns  what takes a tile's pixels to the points: (R or Q, WINDOW, pixels)
    """
    _, H, W, C = x.shape
    *_, R, Q, _ = v.shape
    S, width = len(places), rows.shape[2]
    height, breadth = OUTPUTS * (R - 1) + width, OUTPUTS * (Q - 1) + width

    def work(images: slice) -> None:
        N = images.stop - images.start
        with workspace(x.dtype, (height, breadth, N, S, C)) as (padded,):
            for s, (i, j) in enumerate(places):
                (to_i, from_i), (to_j, from_j) = i.inside(height, H), j.inside(breadth, W)
                phase = padded[:, :, :, s]
                phase[: to_i.start] = phase[to_i.stop :] = 0
                phase[:, : to_j.start] = phase[:, to_j.stop :] = 0
                phase[to_i, to_j] = x[images, from_i, from_j].transpose(1, 2, 0, 3)
            windows = _windows(padded.reshape(height, breadth, N * S * C), R, Q, width)
            values = v[..., images.start * S * C : images.stop * S * C]
            values = values.transpose(2, 3, 0, 1, 4)
            on_both_axes(rows[:, None, None], columns[:, None], windows, values)

    threads.each(work, _blocks(threads, len(x), height * breadth * S * C * x.itemsize, BLOCK))


def points_to_images(
    threads: Team, tiles: Grid, m: HostArray, places: Places, y: HostArray
) -> None:
    """The adjoint, by AT: (WINDOW, WINDOW, R, Q, N * S * C) -> (N, H, W, C)."""
    _, H, W, C = y.shape
    *_, R, Q, _ = m.shape
    S, (rows, columns) = len(places), (axis.from_points(y.dtype) for axis in tiles)
    height, breadth = OUTPUTS * R, OUTPUTS * Q

    def work(images: slice) -> None:
        N = images.stop - images.start
        with workspace(y.dtype, (R, OUTPUTS, Q, OUTPUTS, N * S * C)) as (pixels,):
            values = m[..., images.start * S * C : images.stop * S * C].transpose(2, 3, 0, 1, 4)
            on_both_axes(rows[:, None, None], columns[:, None], values, pixels.swapaxes(1, 2))
            pixels = pixels.reshape(height, breadth, N, S, C)
            for s, (i, j) in enumerate(places):
                (from_i, to_i), (from_j, to_j) = i.inside(height, H), j.inside(breadth, W)
                y[images, to_i, to_j] = pixels[from_i, from_j, :, s].transpose(2, 0, 1, 3)

    threads.each(work, _blocks(threads, len(y), height * breadth * S * C * y.itemsize, BLOCK))


def _windows(x: HostArray, R: int, Q: int, width: int) -> HostArray:
    """Views of width x width pixels, OUTPUTS apart: (.., .., L) -> (R, Q, width, width, L)."""
    rows, columns, numbers = x.strides
    strides = OUTPUTS * rows, OUTPUTS * columns, rows, columns, numbers
    return as_strided(x, (R, Q, width, width, x.shape[2]), strides)


def kernel_to_points(
    threads: Team, w: HostArray, tiling: Tiling, u: HostArray, backwards: bool = False
) -> None:
    """G on each phase, its taps in order or back to front: (KH, KW, I, O) -> (6, 6, S, I, O)."""
    w, u = w.reshape(*w.shape[:2], -1), u.reshape(*u.shape[:3], -1)

    def work(part: slice) -> None:
        for taps, values, rows, columns in _by_phase(tiling, w[..., part], u[..., part]):
            if backwards:
                rows, columns = rows[:, ::-1], columns[:, ::-1]
            on_both_axes(rows.copy(), columns.copy(), taps, values)

    threads.each(work, _blocks(threads, w.shape[-1], u[..., 0].nbytes, KERNEL_BLOCK))


def points_to_kernel(threads: Team, u: HostArray, tiling: Tiling, w: HostArray) -> None:
    """The adjoint: (6, 6, S, I, O) -> (KH, KW, I, O)."""
    w, u = w.reshape(*w.shape[:2], -1), u.reshape(*u.shape[:3], -1)

    def work(part: slice) -> None:
        for taps, values, rows, columns in _by_phase(tiling, w[..., part], u[..., part]):
            on_both_axes(rows.T.copy(), columns.T.copy(), values, taps)

    threads.each(work, _blocks(threads, w.shape[-1], u[..., 0].nbytes, KERNEL_BLOCK))


def _by_phase(
    tiling: Tiling, w: HostArray, u: HostArray
) -> Iterator[tuple[HostArray, HostArray, HostArray, HostArray]]:
    """Each phase's taps, their values at the points, and the G of its rows and of its columns."""
    G = matrices(w.dtype).G
    rows, columns = tiling.rows, tiling.columns
    for s, (i, j) in enumerate(tiling.phases):
        p, q = rows.points(i), columns.points(j)
        taps, values = w[i :: rows.stride, j :: columns.stride], u[:p, :q, s]
        yield taps, values, G[:p, : rows.taps(i)], G[:q, : columns.taps(j)]


def _blocks(threads: Team, n: int, itemsize: int, block: int) -> list[slice]:
    """n items in parts of so many bytes, one at least for each thread."""
    return even_parts(n, min(n, max(threads.size, _ceil(n * itemsize, block))))


# ── the three products ───────────────────────────────────────────────────────────────────────

# At a pair of points v are the image's values, (tiles, S * I), u the kernel's, (S * I, O), and m
# the output's, (tiles, O): from two of them comes the third.


def conv2d(x: HostArray, w: HostArray, geometry: Geometry) -> HostArray:
    """(N, H, W, I), (KH, KW, I, O) -> (N, H', W', O)."""
    tiling = Tiling.of(geometry)
    tiles = tiling.tiles
    rows, columns = (axis.to_points(x.dtype) for axis in tiles)
    y = np.empty((len(x), *geometry.output, w.shape[3]), x.dtype)
    with team() as threads, workspace(x.dtype, tiling.kernel_shape(*w.shape[2:])) as (u,):
        kernel_to_points(threads, w, tiling, u)
        for images, v, m in _chunks(len(x), tiles, u):
            images_to_points(threads, rows, columns, x[images], tiling.places(), v)
            _multiply(threads, _to_output, tiling, tiles, v, u, m)
            points_to_images(threads, tiles, m, EVERYWHERE, y[images])
    return y


def conv2d_transpose(g: HostArray, w: HostArray, geometry: Geometry) -> HostArray:
    """(N, H', W', O), (KH, KW, I, O) -> (N, H, W, I)."""
    tiling = Tiling.of(geometry)
    tiles = tiling.gradient_tiles
    rows, columns = (axis.to_points(g.dtype) for axis in tiles)
    x = np.empty((len(g), *geometry.image, w.shape[2]), g.dtype)
    with team() as threads, workspace(g.dtype, tiling.kernel_shape(*w.shape[2:])) as (u,):
        kernel_to_points(threads, w, tiling, u, backwards=True)
        for images, v, m in _chunks(len(g), tiles, u):
            images_to_points(threads, rows, columns, g[images], tiling.window_places(), m)
            _multiply(threads, _to_image, tiling, tiles, v, u, m)
            points_to_images(threads, tiles, v, tiling.gradient_places(), x[images])
    return x


def conv2d_filter(x: HostArray, g: HostArray, geometry: Geometry) -> HostArray:
    """(N, H, W, I), (N, H', W', O) -> (KH, KW, I, O)."""
    tiling = Tiling.of(geometry)
    tiles = tiling.tiles
    rows, columns = (axis.to_points(x.dtype) for axis in tiles)
    g_rows, g_columns = (axis.from_points(x.dtype).transpose(0, 2, 1).copy() for axis in tiles)
    w = np.empty((*geometry.kernel, x.shape[3], g.shape[3]), x.dtype)
    with team() as threads, workspace(x.dtype, tiling.kernel_shape(*w.shape[2:])) as (u,):
        for images, v, m in _chunks(len(x), tiles, u):
            images_to_points(threads, rows, columns, x[images], tiling.places(), v)
            images_to_points(threads, g_rows, g_columns, g[images], EVERYWHERE, m)
            step = _add_to_kernel if images.start else _to_kernel
            _multiply(threads, step, tiling, tiles, v, u, m)
        points_to_kernel(threads, u, tiling, w)
    return w


Where: TypeAlias = tuple[slice, slice]  # the tiles that are there: rows of them, numbers in one


def _to_output(v: HostArray, u: HostArray, m: HostArray, there: Where, k: slice) -> None:
    if m[there].size < m.size:
        m[:] = 0
    np.matmul(v[there][..., k], u[k], out=m[there])


def _to_image(v: HostArray, u: HostArray, m: HostArray, there: Where, k: slice) -> None:
    if m[there].size < m.size:
        v[:] = 0
    v[..., : k.start] = v[..., k.stop :] = 0
    np.matmul(m[there], u[k].T, out=v[there][..., k])


def _to_kernel(v: HostArray, u: HostArray, m: HostArray, there: Where, k: slice) -> None:
    first, others = (slice(1), there[1]), (slice(1, there[0].stop), there[1])
    np.matmul(v[first][0, :, k].T, m[first][0], out=u[k])
    _add_to_kernel(v, u, m, others, k)


def _add_to_kernel(v: HostArray, u: HostArray, m: HostArray, there: Where, k: slice) -> None:
    for x, g in zip(v[there], m[there], strict=True):
        u[k] += x[:, k].T @ g


def _multiply(
    threads: Team, step: Callable[..., None], tiling: Tiling, tiles: Grid,
    v: HostArray, u: HostArray, m: HostArray,
) -> None:  # fmt: skip
    """The step at each pair of points: on the tiles, and the columns k of v, that are there."""
    S, I, O = u.shape[2:]  # noqa: E741
    rows, columns = tiles
    tile = v[0, 0, 0, 0].size // (S * I)  # as many numbers as there are images

    def work(pair: tuple[int, int, slice]) -> None:
        p, q, k = pair
        R, Q = rows.at(p), columns.at(q)
        if columns.count == Q:  # all rows of tiles are neighbours: one product
            lines, there = 1, (slice(None), slice(R * Q * tile))
        else:
            lines, there = rows.count, (slice(R), slice(Q * tile))
        v_lines, m_lines = v[p, q].reshape(lines, -1, S * I), m[p, q].reshape(lines, -1, O)
        step(v_lines, u[p, q].reshape(S * I, O), m_lines, there, k)

    threads.each(work, tiling.products(I))


def _chunks(n: int, tiles: Grid, u: HostArray) -> Iterator[tuple[slice, HostArray, HostArray]]:
    """n images in parts that fit into the workspace, with v and m for each."""
    S, I, O = u.shape[2:]  # noqa: E741
    R, Q = (axis.count for axis in tiles)
    image = WINDOW**2 * R * Q * (S * I + O) * u.itemsize  # bytes
    for images in even_parts(n, _ceil(n, max(1, CHUNK // max(1, image)))):
        N, points = images.stop - images.start, (WINDOW, WINDOW, R, Q)
        with workspace(u.dtype, (*points, N * S * I), (*points, N * O)) as (v, m):
            yield images, v, m
