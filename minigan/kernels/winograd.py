"""Winograd's convolution: the same sums from a third of the multiplications, for small kernels.

A tile of 4 x 4 outputs of a 5 x 5 convolution with strides of 2 takes 400 multiplications for each
pair of channels. Here it takes 121, one for each phase at each pair of points (winograd_tiling.py
says what these are): 25 * 4 at the finite ones, + 5 * 2 + 5 * 2 + 1 with infinity.

1. Take images and kernel to the points: small matrices on rows, then on columns.
2. Multiply: one matrix product for each pair of points sums over the phases and channels,
   (tiles, phases * I) @ (phases * I, O).
3. Take the products back.

The two adjoints take the same road: conv2d_transpose sends windows of its input to all phases of
its output, with the taps back to front, and conv2d_filter takes the transposes of the three maps.
Threads share the images in 1 and 3, and the pairs of points in 2.

On one thread in float32, 64 images of 32 x 32 x 64 to 16 x 16 x 128 take 36 ms in place of 74 by
columns. The rms error is up to 2.5e-6 of the result's, 3 to 8 times that of columns; in float64 it
is 1e-14. Arrays are of one floating-point dtype and not empty: the planner sees to it.

    letters   p, q a pair of points   S phases   R, Q rows and columns of tiles   N, H, W, I, O
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np

from minigan.backend import HostArray
from minigan.kernels.convolution import Geometry
from minigan.kernels.threads import Team, even_parts, in_turn, length_of, team
from minigan.kernels.winograd_tiling import (
    EVERYWHERE,
    OUTPUTS,
    POINTS,
    WINDOW,
    Grid,
    Places,
    Tiling,
    ceil_divide,
)
from minigan.kernels.workspace import workspace

BLOCK = 2**20  # bytes of images, so that they stay in a core's cache from step to step
KERNEL_BLOCK = 2**23  # bytes of a kernel's values
CHUNK = 2**25  # bytes: of the images whose values at all points are kept at once

Calls: TypeAlias = list[Callable[[], object]]  # of NumPy, in this order
Jobs: TypeAlias = list[Callable[[], None]]  # for a team to run, in any order

# ── images and kernels, to points and back ───────────────────────────────────────────────────


def images_to_points(
    threads: Team, rows: HostArray, columns: HostArray,
    x: HostArray, places: Places, v: HostArray,
) -> Jobs:  # fmt: skip
    """The values of each window: (N, H, W, C) -> (WINDOW, WINDOW, R, Q, N * S * C).

    rows, columns  what takes a tile's pixels to the points: (R or Q, WINDOW, pixels)
    """
    _, H, W, C = x.shape
    *_, R, Q, _ = v.shape
    S, width = len(places), rows.shape[2]
    height, breadth = OUTPUTS * (R - 1) + width, OUTPUTS * (Q - 1) + width
    inside = [(i.inside(height, H), j.inside(breadth, W)) for i, j in places]
    pixels = [x[:, from_i, from_j].transpose(1, 2, 0, 3) for (_, from_i), (_, from_j) in inside]
    values = v.transpose(2, 3, 0, 1, 4)

    def work(share: slice) -> None:
        blocks = _blocks(share, height * breadth * S * C * x.itemsize, BLOCK)
        longest = length_of(blocks[0])
        shapes = (height, breadth, longest, S, C), (R, Q, width, WINDOW, longest * S * C)
        with workspace(x.dtype, *shapes) as (padded, half):
            windows = _windows(padded.reshape(height, breadth, longest * S * C), R, Q, width)
            phases = [padded[i, j, :, s] for s, ((i, _), (j, _)) in enumerate(inside)]
            calls: Calls = [partial(np.copyto, padded, 0)]
            for images in blocks:
                N, L = length_of(images), length_of(images) * S * C
                calls += [
                    partial(np.copyto, phase[:, :, :N], of_phase[:, :, images])
                    for phase, of_phase in zip(phases, pixels, strict=True)
                ]
                calls += _on_both_axes(
                    rows, columns, windows[..., :L], half[..., :L],
                    values[..., images.start * S * C : images.stop * S * C],
                )  # fmt: skip
            in_turn(calls)

    return _jobs(work, threads, len(x))


def points_to_images(threads: Team, grid: Grid, m: HostArray, places: Places, y: HostArray) -> Jobs:
    """The adjoint, by AT: (WINDOW, WINDOW, R, Q, N * S * C) -> (N, H, W, C)."""
    _, H, W, C = y.shape
    *_, R, Q, _ = m.shape
    S, (rows, columns) = len(places), (axis.from_points(y.dtype) for axis in grid)
    height, breadth = OUTPUTS * R, OUTPUTS * Q
    inside = [(i.inside(height, H), j.inside(breadth, W)) for i, j in places]
    pixels = [y[:, to_i, to_j].transpose(1, 2, 0, 3) for (_, to_i), (_, to_j) in inside]
    values = m.transpose(2, 3, 0, 1, 4)

    def work(share: slice) -> None:
        blocks = _blocks(share, height * breadth * S * C * y.itemsize, BLOCK)
        longest = length_of(blocks[0])
        shapes = (R, Q, WINDOW, OUTPUTS, longest * S * C), (R, OUTPUTS, Q, OUTPUTS, longest * S * C)
        with workspace(y.dtype, *shapes) as (half, tiled):
            tiles = tiled.reshape(height, breadth, longest, S, C)
            phases = [tiles[i, j, :, s] for s, ((i, _), (j, _)) in enumerate(inside)]
            calls: Calls = []
            for images in blocks:
                N, L = length_of(images), length_of(images) * S * C
                calls += _on_both_axes(
                    rows, columns, values[..., images.start * S * C : images.stop * S * C],
                    half[..., :L], tiled[..., :L].swapaxes(1, 2),
                )  # fmt: skip
                calls += [
                    partial(np.copyto, of_phase[:, :, images], phase[:, :, :N])
                    for phase, of_phase in zip(phases, pixels, strict=True)
                ]
            in_turn(calls)

    return _jobs(work, threads, len(y))


def kernel_to_points(
    threads: Team, w: HostArray, tiling: Tiling, u: HostArray, backwards: bool = False
) -> Jobs:
    """G on each phase, its taps in order or back to front: (KH, KW, I, O) -> (6, 6, S, I, O)."""
    w, u = w.reshape(*w.shape[:2], -1), u.reshape(*u.shape[:3], -1)
    maps = tiling.kernel_maps(w.dtype, backwards)
    return _on_phases(threads, u, [(m.rows, m.columns, w[m.taps], u[m.points]) for m in maps])


def points_to_kernel(threads: Team, u: HostArray, tiling: Tiling, w: HostArray) -> Jobs:
    """The adjoint: (6, 6, S, I, O) -> (KH, KW, I, O)."""
    w, u = w.reshape(*w.shape[:2], -1), u.reshape(*u.shape[:3], -1)
    maps = tiling.kernel_maps(w.dtype)
    return _on_phases(threads, u, [(m.rows.T, m.columns.T, u[m.points], w[m.taps]) for m in maps])


def _on_phases(
    threads: Team, u: HostArray, phases: list[tuple[HostArray, HostArray, HostArray, HostArray]]
) -> Jobs:
    """On both axes of each phase, (rows, columns, x, y), in parts of the last axis."""
    n, p = max(x.shape[1] for _, _, x, _ in phases), max(len(rows) for rows, *_ in phases)

    def work(share: slice) -> None:
        parts = _blocks(share, u[..., 0].nbytes, KERNEL_BLOCK)
        with workspace(u.dtype, (n, p, length_of(parts[0]))) as (half,):
            in_turn(
                call
                for part in parts
                for rows, columns, x, y in phases
                for call in _on_both_axes(
                    rows, columns, x[..., part],
                    half[: x.shape[1], : len(rows), : length_of(part)], y[..., part],
                )
            )  # fmt: skip

    return _jobs(work, threads, u.shape[-1])


def _on_both_axes(
    rows: HostArray, columns: HostArray, x: HostArray, half: HostArray, y: HostArray
) -> Calls:
    """y[p, q, :] = sum of rows[p, i] * columns[q, j] * x[i, j, :], by way of half[j, p, :].

    For tiles (R, Q) all have these axes in front, rows and columns a matrix for each of them.
    """
    if x.ndim > 3:
        rows, columns = rows[:, None, None], columns[:, None]
    return [
        partial(np.matmul, rows, x.swapaxes(-3, -2), out=half),
        partial(np.matmul, columns, half.swapaxes(-3, -2), out=y),
    ]


def _windows(x: HostArray, R: int, Q: int, width: int) -> HostArray:
    """Views of width x width pixels, OUTPUTS apart: (.., .., L) -> (R, Q, width, width, L)."""
    rows, columns, numbers = x.strides
    strides = OUTPUTS * rows, OUTPUTS * columns, rows, columns, numbers
    return np.ndarray((R, Q, width, width, x.shape[2]), x.dtype, x, 0, strides)


def _jobs(work: Callable[[slice], None], threads: Team, n: int) -> Jobs:
    """The work on n items, an even share of them for each thread."""
    return [partial(work, share) for share in even_parts(n, min(n, threads.size))]


def _blocks(share: slice, itemsize: int, block: int) -> list[slice]:
    """A share in parts of so many bytes, the longest first."""
    n = length_of(share)
    return even_parts(n, min(n, ceil_divide(n * itemsize, block)), share.start)[::-1]


# ── the three products ───────────────────────────────────────────────────────────────────────

# At a pair of points v are the image's values, (tiles, S * I), u the kernel's, (S * I, O), and m
# the output's, (tiles, O): from two of them comes the third.


def conv2d(
    x: HostArray, w: HostArray, geometry: Geometry, bias: HostArray | None = None
) -> HostArray:
    """(N, H, W, I), (KH, KW, I, O) -> (N, H', W', O)."""
    tiling = Tiling.of(geometry)
    tiles = tiling.tiles
    rows, columns = (axis.to_points(x.dtype) for axis in tiles)
    y = np.empty((len(x), *geometry.output, w.shape[3]), x.dtype)
    with team() as threads, workspace(x.dtype, tiling.kernel_shape(*w.shape[2:])) as (u,):
        of_kernel = kernel_to_points(threads, w, tiling, u)
        for images, v, m in _chunks(len(x), tiles, u):
            of_images = images_to_points(threads, rows, columns, x[images], tiling.places, v)
            threads.run(of_images if images.start else of_kernel + of_images)
            _multiply(threads, _to_output, tiling, tiles, v, u, m)
            _add_bias(m, bias)
            threads.run(points_to_images(threads, tiles, m, EVERYWHERE, y[images]))
    return y


def conv2d_transpose(
    g: HostArray, w: HostArray, geometry: Geometry, bias: HostArray | None = None
) -> HostArray:
    """(N, H', W', O), (KH, KW, I, O) -> (N, H, W, I)."""
    tiling = Tiling.of(geometry)
    tiles = tiling.gradient_tiles
    rows, columns = (axis.to_points(g.dtype) for axis in tiles)
    x = np.empty((len(g), *geometry.image, w.shape[2]), g.dtype)
    with team() as threads, workspace(g.dtype, tiling.kernel_shape(*w.shape[2:])) as (u,):
        of_kernel = kernel_to_points(threads, w, tiling, u, backwards=True)
        for images, v, m in _chunks(len(g), tiles, u):
            of_images = images_to_points(threads, rows, columns, g[images], tiling.window_places, m)
            threads.run(of_images if images.start else of_kernel + of_images)
            _multiply(threads, _to_image, tiling, tiles, v, u, m)
            _add_bias(v, bias)
            threads.run(points_to_images(threads, tiles, v, tiling.gradient_places, x[images]))
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
            threads.run(
                images_to_points(threads, rows, columns, x[images], tiling.places, v)
                + images_to_points(threads, g_rows, g_columns, g[images], EVERYWHERE, m)
            )
            step = _add_to_kernel if images.start else _to_kernel
            _multiply(threads, step, tiling, tiles, v, u, m)
        threads.run(points_to_kernel(threads, u, tiling, w))
    return w


# Which lines of tiles have a value at a point, and which tiles of a line: a last tile of fewer
# outputs has fewer points.
Present: TypeAlias = tuple[slice, slice]


def _to_output(v: HostArray, u: HostArray, m: HostArray, present: Present, k: slice) -> None:
    y = m[present]
    if y.size < m.size:
        m[:] = 0
    np.matmul(v[present][..., k], u[k], out=y)


def _to_image(v: HostArray, u: HostArray, m: HostArray, present: Present, k: slice) -> None:
    g = m[present]
    if g.size < m.size:
        v[:] = 0
    v[..., : k.start] = v[..., k.stop :] = 0
    np.matmul(g, u[k].T, out=v[present][..., k])


def _to_kernel(v: HostArray, u: HostArray, m: HostArray, present: Present, k: slice) -> None:
    first, others = (slice(1), present[1]), (slice(1, present[0].stop), present[1])
    np.matmul(v[first][0, :, k].T, m[first][0], out=u[k])
    _add_to_kernel(v, u, m, others, k)


def _add_to_kernel(v: HostArray, u: HostArray, m: HostArray, present: Present, k: slice) -> None:
    for x, g in zip(v[present], m[present], strict=True):
        u[k] += x[:, k].T @ g


def _multiply(
    threads: Team, step: Callable[..., None], tiling: Tiling, tiles: Grid,
    v: HostArray, u: HostArray, m: HostArray,
) -> None:  # fmt: skip
    """The step at each pair of points: on the tiles, and the columns k of v, that are there."""
    S, I, O = u.shape[2:]  # noqa: E741
    rows, columns = tiles
    images = m[0, 0, 0, 0].size // O
    u = u.reshape(WINDOW, WINDOW, S * I, O)
    apart, in_one = (
        (v.reshape(WINDOW, WINDOW, lines, -1, S * I), m.reshape(WINDOW, WINDOW, lines, -1, O))
        for lines in (rows.count, 1)
    )

    def work(pair: tuple[int, int, range]) -> None:
        p, q, phases = pair
        R, Q = rows.at[p], columns.at[q]
        if columns.count == Q:  # lines of tiles are neighbours: one product
            (v, m), present = in_one, (slice(1), slice(R * Q * images))
        else:
            (v, m), present = apart, (slice(R), slice(Q * images))
        step(v[p, q], u[p, q], m[p, q], present, slice(phases.start * I, phases.stop * I))

    threads.each(work, tiling.products)


def _add_bias(values: HostArray, bias: HostArray | None) -> None:
    """Add a number to each channel of the images that (WINDOW, WINDOW, R, Q, N * S * C) will make.

    AT has a column of ones for the point 1: what is added there is added to all outputs of a tile.
    """
    if bias is not None:
        one = POINTS.index(1)
        at_one = values[one, one].reshape(-1, len(bias))
        at_one += bias


def _chunks(n: int, tiles: Grid, u: HostArray) -> Iterator[tuple[slice, HostArray, HostArray]]:
    """n images in parts that fit into the workspace, with v and m for each."""
    S, I, O = u.shape[2:]  # noqa: E741
    R, Q = (axis.count for axis in tiles)
    image = WINDOW**2 * R * Q * (S * I + O) * u.itemsize  # bytes
    for images in even_parts(n, ceil_divide(n, max(1, CHUNK // max(1, image)))):
        N, points = length_of(images), (WINDOW, WINDOW, R, Q)
        with workspace(u.dtype, (*points, N * S * I), (*points, N * O)) as (v, m):
            yield images, v, m
