"""Every op of minigan, one row for each way to call it: op, formula, inputs, keywords.

The formula on the right of a name computes the same in another way, in plain NumPy. An op, a
pullback or a keyword that no row uses fails the tests.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value
from minigan.autograd.operators import registry
from minigan.testing.specifications.specification import (
    Draw,
    HostArray,
    Table,
    constant,
    distinct,
    mask,
    nonzero,
    normal,
    positive,
    probability,
    small,
)

# ── functions made of ops, with the arrays one by one ────────────────────────────────────────


def concatenate(*parts: Value, axis: int = 0) -> Tensor:
    """`ops.concatenate`."""
    return ops.concatenate(parts, axis)


def stack(*parts: Value, axis: int = 0) -> Tensor:
    """`ops.stack`."""
    return ops.stack(parts, axis)


def split(x: Value, sections: int | Sequence[int], axis: int = 0) -> Tensor:
    """The second section of `ops.split`."""
    return ops.split(x, sections, axis)[1]


TABLE = Table(
    {
        "concatenate": concatenate,
        "stack": stack,
        "split": split,
        "softmax_cross_entropy_with_logits": ops.softmax_cross_entropy_with_logits,
    }
)
specify, SPECIFICATIONS = TABLE.specify, TABLE.rows

# ── elementwise, one input ───────────────────────────────────────────────────────────────────


def magnitude(x: HostArray) -> Any:
    """|x|, analytic away from 0."""
    return np.where(x.real < 0, -x, x)


def rectified(x: HostArray) -> Any:
    """max(x, 0)."""
    return x * (x.real > 0)


def logistic(x: HostArray) -> Any:
    """1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


UNARY: list[tuple[str, Callable[[HostArray], Any], Callable[..., Draw]]] = [
    ("negative", lambda x: 0 - x, normal),
    ("exp", lambda x: np.exp(x / 2) ** 2, normal),
    ("log", lambda x: np.log(x * x) / 2, positive),
    ("log1p", lambda x: np.log(1 + x), positive),
    ("sqrt", lambda x: np.exp(np.log(x) / 2), positive),
    ("square", lambda x: x**2, normal),
    ("abs", magnitude, nonzero),
    ("sigmoid", logistic, normal),
    ("tanh", lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), normal),
    ("relu", rectified, nonzero),
    ("softplus", lambda x: np.log(1 + np.exp(x)), normal),
]
for name, reference, draw in UNARY:
    for shape in [(2, 3), (), (0,), (2, 1, 2)]:
        specify(name, reference, draw(*shape))


def leaky(x: HostArray, alpha: float = 0.2) -> Any:
    """x, or alpha * x where x is negative."""
    return np.where(x.real < 0, alpha * x, x)


def dampened(g: HostArray, kept: HostArray, alpha: float) -> Any:
    """g, or alpha * g where it is not kept."""
    return np.where(kept, g, alpha * g)


def clipped(x: HostArray, low: float, high: float) -> Any:
    """x held between low and high."""
    return np.where(x.real < low, low, np.where(x.real > high, high, x))


specify("leaky_relu", leaky, nonzero(2, 3))
specify("leaky_relu", leaky, nonzero(4), alpha=0.01)
specify("leaky_relu", leaky, constant(-0.7), alpha=0.5)
for shape in [(2, 3), (4, 1, 2), ()]:
    kept = constant(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3 == 0)
    specify("damped", dampened, normal(*shape), kept, alpha=0.3)
specify("clip", clipped, distinct(3, 4), -0.6, 1.1)
specify("astype", lambda x, dtype: x, normal(2, 3), "float64")
specify("to_device", lambda x, device: x, normal(2, 3), "cpu")

# ── elementwise, two inputs that broadcast ───────────────────────────────────────────────────


def cross_entropy(labels: HostArray, logits: HostArray) -> Any:
    """-labels log p - (1 - labels) log(1 - p), p the logistic function of the logits."""
    return -labels * np.log(logistic(logits)) - (1 - labels) * np.log(1 - logistic(logits))


Binary = Callable[[HostArray, HostArray], Any]
BINARY: list[tuple[str, Binary, Callable[..., Draw], Callable[..., Draw]]] = [
    ("add", lambda x, w: x - (-w), normal, normal),
    ("subtract", lambda x, w: x + (-w), normal, normal),
    ("multiply", lambda x, w: x / (1 / w), nonzero, nonzero),
    ("divide", lambda x, w: x * (1 / w), normal, nonzero),
    ("power", lambda x, p: np.exp(p * np.log(x)), positive, nonzero),
    ("sigmoid_cross_entropy_with_logits", cross_entropy, probability, normal),
]
SHAPES = [
    ((2, 3), (2, 3)), ((2, 3), (3,)), ((3, 1), (1, 4)), ((2, 1, 3), (4, 1)),
    ((), (2, 3)), ((2, 3), ()), ((), ()), ((2, 3), (1, 1)),
]  # fmt: skip
for name, binary, first, second in BINARY:
    for shape, other in SHAPES:
        specify(name, binary, first(*shape), second(*other))
    x_name, w_name = registry[name].signature.parameters
    specify(name, binary, first(0, 3), second(3), zero=(w_name,))
    specify(name, binary, first(1), second(0), zero=(x_name,))
    specify(name, binary, 1.0 if name.startswith("sigmoid") else 1.6, second(3))
    if not name.startswith("sigmoid"):  # one logit for many labels is no use
        specify(name, binary, first(2, 3), 1.6)

specify("power", lambda x, p: x * x * x, nonzero(4), 3)
specify("power", lambda x, p: x * x, constant([0.0, -1.0, 2.0]), 2.0)
specify("power", lambda x, p: x, constant([0.0, -1.0, 2.0]), 1)
specify("power", lambda x, p: 1 + 0 * x, constant([0.0, -1.0, 2.0]), 0, zero=("x",))
specify("power", lambda x, p: 1 / x, nonzero(4), -1.0)


def larger(x: HostArray, w: HostArray) -> Any:
    """The larger of two numbers, element by element."""
    return np.where(np.real(x) > np.real(w), x, w)


def smaller(x: HostArray, w: HostArray) -> Any:
    """The smaller of two numbers, element by element."""
    return np.where(np.real(x) > np.real(w), w, x)


EXTREMES = [
    (nonzero(2, 3), small(2, 3)), (nonzero(2, 3), small(3)), (nonzero(3, 1), small(1, 4)),
    (small(2, 1, 3), nonzero(4, 1)), (small(), nonzero(2, 3)), (nonzero(2, 3), small()),
    (nonzero(2, 3), small(1, 1)), (0.0, nonzero(3)), (nonzero(2, 3), 0.0),
]  # fmt: skip
for name, binary in [("maximum", larger), ("minimum", smaller)]:
    for x, w in EXTREMES:
        specify(name, binary, x, w)
    specify(name, binary, nonzero(0, 3), small(3), zero=("w",))
    specify(name, binary, nonzero(1), small(0), zero=("x",))
    loser, winner = ("w", "x") if name == "maximum" else ("x", "w")
    specify(name, binary, constant(0.7), constant(-0.3), zero=(loser,))
    specify(name, binary, constant(-0.7), constant(0.3), zero=(winner,))


def choose(condition: HostArray, x: HostArray, w: HostArray) -> Any:
    """x where the condition holds, else w."""
    return (condition != 0) * x + (condition == 0) * w


pixels = Draw(lambda rng: mask(4)(rng).astype(np.uint8) * 255, "uint8(4,)")
specify("where", choose, mask(2, 3), normal(2, 3), normal(2, 3))
specify("where", choose, mask(3), normal(2, 3), normal(2, 1))
specify("where", choose, mask(2, 1), normal(), normal(3))
specify("where", choose, mask(0, 3), normal(3), normal(1, 1), zero=("x", "w"))
specify("where", choose, pixels, normal(4), 0.0)
specify("where", choose, mask(4), 1.0, normal(4))

# ── reductions ───────────────────────────────────────────────────────────────────────────────

Axis = int | tuple[int, ...] | None


def average(x: HostArray, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum, over how many numbers meet in one."""
    sums = np.sum(x, axis, keepdims=keepdims)
    return sums * (sums.size / x.size)


def variance(x: HostArray, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """The sum of squared distances from the mean, over n - ddof."""
    mean = average(x, axis, keepdims=True)
    count = x.size / mean.size
    return np.sum((x - mean) ** 2, axis, keepdims=keepdims) / (count - ddof)


def largest(x: HostArray, axis: Axis = None, keepdims: bool = False) -> Any:
    """The maximum, as the sum of x where x is as large as the maximum."""
    chosen = x.real == x.real.max(axis, keepdims=True)
    return np.sum(x * chosen, axis, keepdims=keepdims)


REDUCTIONS: list[tuple[str, Callable[..., Any], Callable[..., Draw]]] = [
    ("sum", np.sum, normal),
    ("mean", average, normal),
    ("var", variance, normal),
    ("max", largest, distinct),
]
AXES: list[dict[str, Any]] = [
    {}, {"axis": 0}, {"axis": -1}, {"axis": (0, 2)}, {"axis": (-1, 1)}, {"axis": (0, 1, 2)},
    {"keepdims": True}, {"axis": 1, "keepdims": True},
]  # fmt: skip
for name, reference, draw in REDUCTIONS:
    for keywords in AXES:
        specify(name, reference, draw(2, 3, 2), **keywords)
    zero = ("x",) if name == "var" else ()  # one number does not vary
    specify(name, reference, draw(2, 3, 2), axis=(), zero=zero)
    specify(name, reference, draw(), zero=zero)
    specify(name, reference, draw(1), zero=zero)
specify("var", variance, normal(4, 3), ddof=1)
specify("var", variance, normal(4, 3), axis=0, keepdims=True, ddof=1)
specify("var", variance, normal(2, 3, 2), axis=(0, -1), ddof=1)
specify("sum", np.sum, normal(0, 3), axis=0)
specify("sum", np.sum, normal(0, 3), axis=1)
specify("mean", lambda x, axis: x[:, 0], normal(0, 3), axis=1)
specify("var", lambda x, axis: x[:, 0], normal(0, 3), axis=1)
specify("sum_rows", lambda x: np.add.reduce(x, 0), normal(4, 3))
specify("sum_rows", lambda x: np.add.reduce(x, 0), normal(0, 3))


def log_softmax(x: HostArray) -> Any:
    """log(e^x / sum e^x) over the last axis."""
    return np.log(np.exp(x) / np.exp(x).sum(-1, keepdims=True))


def categorical_cross_entropy(labels: HostArray, logits: HostArray) -> Any:
    """-sum(labels * log softmax(logits)) over the last axis."""
    return -(labels * log_softmax(logits)).sum(-1)


for label in (0.0, 0.9, 1.0):
    specify(
        "mean_sigmoid_cross_entropy",
        lambda label, logits: cross_entropy(label, logits).mean(),
        label, normal(4, 1),
    )  # fmt: skip
for shape in [(4, 1), (2, 3)]:
    specify("negative_log_likelihood", lambda p: np.log(1 / p).mean(), probability(*shape))
specify("log_softmax", log_softmax, normal(5))
specify("log_softmax", log_softmax, normal(2, 3, 4))
specify("log_softmax", log_softmax, normal(0, 4))
for shape in [(4,), (3, 4), (2, 3, 2)]:
    specify(
        "softmax_cross_entropy_with_logits", categorical_cross_entropy,
        probability(*shape), normal(*shape),
    )  # fmt: skip

# ── matrix products ──────────────────────────────────────────────────────────────────────────


def einsum(subscripts: str) -> Callable[..., Any]:
    """The product as a sum over the letters that vanish."""
    return lambda x, w: np.einsum(subscripts, x, w)


specify("matmul", einsum("ni,io->no"), normal(2, 3), normal(3, 4))
specify("matmul", einsum("bni,io->bno"), normal(2, 3, 2), normal(2, 4))
specify("matmul", einsum("ni,bio->bno"), normal(2, 3), normal(2, 3, 2))
specify("matmul", einsum("bni,bio->bno"), normal(2, 2, 3), normal(2, 3, 2))
specify("matmul", einsum("abni,bio->abno"), normal(2, 3, 2, 2), normal(3, 2, 1))
specify("matmul", einsum("abni,bio->abno"), normal(2, 1, 2, 2), normal(3, 2, 2))
specify("matmul", einsum("i,i->"), normal(3), normal(3))
specify("matmul", einsum("i,io->o"), normal(3), normal(3, 2))
specify("matmul", einsum("ni,i->n"), normal(2, 3), normal(3))
specify("matmul", einsum("i,bio->bo"), normal(3), normal(2, 3, 2))
specify("matmul", einsum("bni,i->bn"), normal(2, 2, 3), normal(3))
specify("matmul", einsum("ni,io->no"), normal(0, 3), normal(3, 2), zero=("w",))
specify("matmul", einsum("ni,io->no"), normal(2, 0), normal(0, 3))


def affine(x: HostArray, w: HostArray, b: HostArray) -> Any:
    """x @ w + b."""
    return np.einsum("ni,io->no", x, w) + b


specify("dense", affine, normal(4, 3), normal(3, 2), normal(2))
specify("dense", affine, normal(1, 3), normal(3, 1), normal(1))
specify("dense", affine, normal(0, 3), normal(3, 2), normal(2), zero=("w", "b"))

# ── the same numbers in another shape ────────────────────────────────────────────────────────


def rows(*shape: int) -> Callable[..., Any]:
    """The numbers one after the other, in the shape."""
    return lambda x, _: np.array(list(x.flat)).reshape(shape)


specify("reshape", rows(6, 2), normal(3, 4), (6, 2))
specify("reshape", rows(2, 3), normal(6), (2, -1))
specify("reshape", lambda x, shape: x.sum(), normal(1, 1), ())
specify("transpose", lambda x: np.einsum("abc->cba", x), normal(2, 3, 4))
specify("transpose", lambda x, axes: np.einsum("abc->cab", x), normal(2, 3, 4), axes=(2, 0, 1))
specify("transpose", lambda x, axes: np.einsum("abc->bca", x), normal(2, 3, 4), axes=(1, -1, 0))
specify("transpose", lambda x: x, normal())
specify("swapaxes", lambda x, i, j: np.einsum("abc->cba", x), normal(2, 3, 4), 0, -1)
specify("swapaxes", lambda x, i, j: np.einsum("abc->acb", x), normal(2, 3, 4), 2, 1)
specify("expand_dims", lambda x, axis: x[:, None], normal(2, 3), 1)
specify("expand_dims", lambda x, axis: x[None, :, :, None], normal(2, 3), (0, -1))
specify("squeeze", lambda x: x[0, :, 0], normal(1, 3, 1))
specify("squeeze", lambda x, axis: x[:, :, 0], normal(1, 3, 1), axis=-1)
specify("squeeze", lambda x, axis: x[0, :, 0], normal(1, 3, 1), axis=(0, 2))
specify("broadcast_to", lambda x, shape: x + np.zeros(shape), normal(3, 1), (2, 3, 4))
specify("broadcast_to", lambda x, shape: x + np.zeros(shape), normal(), (2, 2))
specify("broadcast_to", lambda x, shape: x + np.zeros(shape), normal(1, 3), (0, 3), zero=("x",))

# ── joining and cutting ──────────────────────────────────────────────────────────────────────


def joined_rows(*parts: HostArray) -> Any:
    """The rows of one part after those of the other."""
    return np.array([row for part in parts for row in part])


def joined_columns(*parts: HostArray, axis: int = 1) -> Any:
    """The columns of one part after those of the other."""
    return np.array([column for part in parts for column in part.T]).T


def surrounded(x: HostArray, pad_width: Sequence[tuple[int, int]]) -> Any:
    """Zeros, and x among them."""
    widths = list(zip(x.shape, pad_width, strict=True))
    y = np.zeros([before + n + after for n, (before, after) in widths], x.dtype)
    y[tuple(slice(before, before + n) for n, (before, after) in widths)] = x
    return y


specify("concatenate", joined_rows, normal(2, 3), normal(1, 3), normal(4, 3))
specify("concatenate", joined_columns, normal(2, 3), normal(2, 0), normal(2, 2), axis=-1)
specify("_join", lambda axis, *parts: joined_columns(*parts), 1, normal(2, 1), normal(2, 2))
specify("stack", lambda *parts: np.array(parts), normal(2, 3), normal(2, 3))
specify("stack", lambda x, w, axis: np.array([x, w]).transpose(1, 2, 0),
        normal(2, 3), normal(2, 3), axis=-1)  # fmt: skip
specify("split", lambda x, sections: x[2:4], normal(6, 2), 3)
specify("split", lambda x, sections, axis: x[:, 1:4], normal(2, 5), [1, 4], axis=1)
specify("split", lambda x, sections, axis: x[..., 1:2], normal(2, 3, 2), 2, axis=-1)
specify("pad", surrounded, normal(2, 3), ((1, 2), (0, 3)))
specify("pad", surrounded, normal(2, 3), ((1, 0), (0, 2)))
specify("pad", surrounded, normal(0, 2), [(1, 0), (0, 0)])

# ── indexing ─────────────────────────────────────────────────────────────────────────────────


def scattered(x: HostArray, index: Any, shape: tuple[int, ...]) -> Any:
    """Each number of x to its place among zeros, one after the other."""
    y = np.zeros(shape, x.dtype)
    places = np.arange(y.size).reshape(shape)[index]
    for place, value in zip(np.ravel(places), np.ravel(x), strict=True):
        y.flat[place] += value
    return y


def picked(x: HostArray, index: Any) -> Any:
    """The numbers of x at the places that the index names, one after the other."""
    places = np.arange(x.size).reshape(x.shape)[index]
    return np.array([x.flat[place] for place in np.ravel(places)], x.dtype).reshape(places.shape)


INDICES: list[tuple[tuple[int, ...], Any]] = [
    ((4, 3), 1),
    ((4, 3), -1),
    ((4, 3), (2, 0)),
    ((4, 3), slice(1, None, 2)),
    ((4, 3), (slice(None, None, -1), 1)),
    ((4, 3), (..., None, slice(0, 2))),
    ((4, 3), [0, 2, 0, 0]),
    ((4, 3), (np.array([0, 1, 0]), np.array([2, 2, 2]))),
    ((4, 3), (np.array([[0], [1]]), slice(None))),
    ((2, 2), np.array([[True, False], [True, True]])),
    ((), ...),
    ((), None),
]
for shape, index in INDICES:
    specify("getitem", picked, normal(*shape), index)
    specify("put", scattered, normal(*np.zeros(shape)[index].shape), index, shape)
specify("getitem", picked, normal(4, 3), slice(2, 2), zero=("x",))
specify("put", scattered, normal(0, 3), slice(2, 2), (4, 3))
