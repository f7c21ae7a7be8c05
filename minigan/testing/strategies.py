"""Hypothesis strategies for whoever tests an op or a layer: inputs that bite, and shrink well.

    from hypothesis import given
    from minigan.testing import strategies as mgst

    @given(mgst.broadcast_shapes(2).flatmap(lambda shapes: mgst.smooth_arrays(*shapes)))
    def test_product(gradcheck, arrays):
        gradcheck(lambda x, w: x * w, *arrays)

A failing example shrinks to the fewest axes, the shortest lengths, the plainest layout and the
smallest network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from minigan.autograd import ops
from minigan.errors import ConfigError
from minigan.kernels.convolution import Geometry, Padding, Pair
from minigan.layers import Dense, Dropout, Flatten, LeakyReLU, Module, Reshape, Sequential

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
    from hypothesis.strategies import DrawFn, SearchStrategy
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "minigan.testing.strategies needs hypothesis. Try: pip install 'minigan[test]'.",
        name="hypothesis",
    ) from error

HostArray: TypeAlias = np.ndarray[Any, Any]
Shape: TypeAlias = tuple[int, ...]

# ── shapes and arrays ────────────────────────────────────────────────────────────────────────


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> SearchStrategy[Shape]:
    """Shapes of small arrays; min_side=0 for empty ones, too."""
    return hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def broadcast_shapes(
    count: int = 2, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> SearchStrategy[tuple[Shape, ...]]:
    """`count` shapes that NumPy broadcasts together, such as (3, 1) and (4,)."""
    return hnp.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=max_dims, min_side=min_side, max_side=max_side
    ).map(lambda shapes: shapes.input_shapes)


@st.composite
def smooth_array(
    draw: DrawFn,
    shape: Shape,
    low: float = -2.0,
    high: float = 2.0,
    kinks: Sequence[float] = (0.0,),
    distance: float = 1e-2,
) -> HostArray:
    """float64 numbers in [low, high], each at least `distance` from every kink.

    relu's kink is at 0, clip's are at its two bounds; kinks=() for a function without any. None is
    closer to 0 than `distance` either, but 0 itself: squares of tiny numbers would underflow.
    Errors: ConfigError if no number is left.
    """
    outside = [st.floats(a, b) for a, b in _intervals(low, high, kinks, distance)]
    if not outside:
        raise ConfigError(
            f"smooth_array: no number from {low} to {high} is {distance} away from all kinks "
            f"{tuple(kinks)}. Try: a smaller distance than {distance}."
        )
    return draw(hnp.arrays(np.float64, shape, elements=st.one_of(outside)))


def _intervals(
    low: float, high: float, kinks: Sequence[float], distance: float
) -> list[tuple[float, float]]:
    """[low, high] without what is too close to a kink, or to 0 but not 0; upwards of 0 first."""
    centres = sorted({0.0, *kinks})
    starts = [low, *(max(low, centre + distance) for centre in centres)]
    ends = [*(min(high, centre - distance) for centre in centres), high]
    pairs = [(a, b) for a, b in zip(starts, ends, strict=True) if a <= b]
    if low <= 0 <= high and all(abs(kink) >= distance for kink in kinks):
        pairs.append((0.0, 0.0))
    return sorted(pairs, key=lambda pair: (pair[0] < 0, abs(pair[0])))


def smooth_arrays(*shapes: Shape, **options: Any) -> SearchStrategy[tuple[HostArray, ...]]:
    """One `smooth_array` for each shape, with the same options."""
    return st.tuples(*(smooth_array(shape, **options) for shape in shapes))


@st.composite
def distinct_array(draw: DrawFn, shape: Shape, gap: float = 0.25) -> HostArray:
    """float64 numbers, no two closer than `gap`: a maximum without ties."""
    size = int(np.prod(shape))
    order = draw(st.permutations(range(size)))
    return np.array(order, dtype=np.float64).reshape(shape) * gap


# ── memory ───────────────────────────────────────────────────────────────────────────────────

LAYOUTS: dict[str, Callable[[HostArray], HostArray]] = {
    "row-major": lambda x: np.ascontiguousarray(x).reshape(x.shape),
    "column-major": lambda x: np.asfortranarray(x).reshape(x.shape, order="A"),
    "read-only": lambda x: _read_only(x.copy()),
    "every second element": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "backwards": lambda x: x[..., ::-1].copy()[..., ::-1],
}
CONSTANT_LAYOUTS: dict[str, Callable[[HostArray], HostArray]] = {  # of one number everywhere
    "zero strides": lambda x: np.broadcast_to(x.flat[0], x.shape),
}


def _read_only(x: HostArray) -> HostArray:
    x.flags.writeable = False
    return x


@dataclass(frozen=True, eq=False)
class LaidOut:
    """An array and how it lies in memory, in words that a failing example shows."""

    layout: str
    array: HostArray

    def __repr__(self) -> str:
        return f"LaidOut({self.layout!r}, {self.array!r})"


@st.composite
def laid_out(draw: DrawFn, arrays: SearchStrategy[HostArray]) -> LaidOut:
    """Arrays of a strategy in any memory layout: `.array` holds the same numbers as drawn."""
    array = draw(arrays)
    layouts = LAYOUTS
    if array.ndim == 0:
        layouts = {name: LAYOUTS[name] for name in ("row-major", "read-only")}
    elif array.size and (array == array.flat[0]).all():
        layouts = LAYOUTS | CONSTANT_LAYOUTS
    layout = draw(st.sampled_from([*layouts]))
    return LaidOut(layout, layouts[layout](array))


# ── convolutions ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Convolution:
    """The shapes and options of a conv2d whose output has at least one pixel.

    image (N, H, W, I), kernel (KH, KW, I, O), and the arguments of ops.conv2d.
    """

    image: tuple[int, int, int, int]
    kernel: tuple[int, int, int, int]
    strides: Pair = (1, 1)
    padding: Padding = "same"
    dilation: Pair = (1, 1)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments: conv2d(x, w, **convolution.options)."""
        return {"strides": self.strides, "padding": self.padding, "dilation": self.dilation}

    @property
    def geometry(self) -> Geometry:
        """The same as minigan's kernels see it."""
        return Geometry.of(
            self.image[1:3], self.kernel[:2], self.strides, self.padding, self.dilation
        )


@st.composite
def convolutions(draw: DrawFn, max_image: int = 7, max_kernel: int = 4) -> Convolution:
    """Geometries: odd and even, one pixel wide, strides beyond the kernel, uneven padding."""
    pair = st.tuples
    count, channels, filters = (draw(st.integers(1, 3)) for _ in range(3))
    kernel = draw(pair(st.integers(1, max_kernel), st.integers(1, max_kernel)))
    strides = draw(pair(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(pair(st.integers(1, 2), st.integers(1, 2)))
    sides = pair(st.integers(0, 2), st.integers(0, 2))
    padding: Any = draw(st.one_of(st.sampled_from(["same", "valid"]), pair(sides, sides)))
    smallest = [1, 1]
    if padding != "same":
        zeros = (0, 0) if padding == "valid" else (sum(padding[0]), sum(padding[1]))
        smallest = [
            max(1, (k - 1) * d + 1 - z) for k, d, z in zip(kernel, dilation, zeros, strict=True)
        ]
    height, width = (draw(st.integers(n, max(n, max_image))) for n in smallest)
    return Convolution(
        (count, height, width, channels), (*kernel, channels, filters), strides, padding, dilation
    )


# ── networks ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Network:
    """A network with its weights, and the shape of the inputs it takes."""

    module: Sequential
    input_shape: Shape


SMOOTH = (None, ops.tanh, ops.sigmoid, ops.softplus)


@st.composite
def networks(draw: DrawFn, max_layers: int = 3, smooth: bool = True) -> Network:
    """Small networks: dense layers, activations, dropout, (N, 2, K) flattened and back.

    smooth  only activations without kinks, so that every input can be checked
    Weights are drawn from a seed that hypothesis draws.
    """
    rows, width = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    flattened = draw(st.booleans())
    input_shape = (rows, 2, width) if flattened else (rows, width)
    layers: list[Module] = [Flatten()] if flattened else []
    features = 2 * width if flattened else width
    for _ in range(draw(st.integers(1, max_layers))):
        units = draw(st.integers(1, 4))
        activation = draw(st.sampled_from(SMOOTH if smooth else (*SMOOTH, ops.relu)))
        layers.append(Dense(units, activation, in_features=features))
        features = units
        extra = draw(st.sampled_from([None, "dropout", "reshape", "leaky relu"]))
        if extra == "dropout":
            layers.append(Dropout(0.5, seed=draw(st.integers(0, 9))))
        elif extra == "reshape":
            layers += [Reshape(features, 1), Flatten()]
        elif extra == "leaky relu" and not smooth:
            layers.append(LeakyReLU())
    return Network(Sequential(*layers).initialize(draw(st.integers(0, 9))), input_shape)
