"""Every op against NumPy: one table of cases, and the checks that each case must pass.

A case is an op, its inputs (arrays of float64 away from kinks; others are not differentiated),
its keywords and a NumPy function that computes the same without minigan. That function is
differentiated numerically, in extended precision, to judge the op's pullbacks. An op, a pullback
or a keyword that no case uses fails the suite.
"""

import inspect
from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.autograd.engine import Op, array_of
from minigan.autograd.operators import registry

RNG = np.random.default_rng(7)


class Case(NamedTuple):
    name: str
    reference: Callable[..., Any]
    inputs: tuple[Any, ...]
    keywords: dict[str, Any]

    def __str__(self):
        parts = [f"{x.shape}" if isinstance(x, np.ndarray) else repr(x) for x in self.inputs]
        parts += [f"{name}={value}" for name, value in self.keywords.items()]
        return f"{self.name}({', '.join(parts)})".replace("\n", "").replace(" ", "")


CASES: list[Case] = []


def case(name, reference, *inputs, **keywords):
    inputs = tuple(np.asarray(x) if isinstance(x, np.generic) else x for x in inputs)
    CASES.append(Case(name, reference, inputs, keywords))


def is_differentiable(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


# ── samplers ─────────────────────────────────────────────────────────────────────────────────


def normal(*shape):
    return RNG.normal(size=shape)


def positive(*shape):
    return RNG.uniform(0.5, 2.0, shape)


def nonzero(*shape):
    return RNG.uniform(0.2, 1.5, shape) * RNG.choice([-1.0, 1.0], shape)


def on_the_grid(*shape):
    """Multiples of 1/2: at least 1/4 from every number that `between` draws."""
    return RNG.integers(-4, 5, shape) / 2


def between(*shape):
    return on_the_grid(*shape) + 0.25


def distinct(*shape):
    return RNG.permutation(np.prod(shape, dtype=int)).reshape(shape) / 4 - 1


def probability(*shape):
    return RNG.uniform(0.1, 0.9, shape)


def mask(*shape):
    return RNG.random(shape) < 0.5


# ── the table: elementwise ───────────────────────────────────────────────────────────────────


def softplus(x):
    return np.log(1 + np.exp(x))


def logistic(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(labels, logits):
    return -labels * np.log(logistic(logits)) - (1 - labels) * np.log(1 - logistic(logits))


UNARY = {
    "negative": (lambda x: 0 - x, normal),
    "exp": (lambda x: np.exp(x / 2) ** 2, normal),
    "log": (lambda x: np.log2(x) * np.log(np.longdouble(2)), positive),
    "log1p": (lambda x: np.log(1 + x), positive),
    "sqrt": (lambda x: x**0.5, positive),
    "square": (lambda x: x**2, normal),
    "abs": (lambda x: x * np.sign(x), nonzero),
    "sigmoid": (logistic, normal),
    "tanh": (lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), normal),
    "relu": (lambda x: x * (x > 0), nonzero),
    "softplus": (softplus, normal),
}
for name, (reference, sampler) in UNARY.items():
    for shape in [(2, 3), (), (0,), (2, 1, 2)]:
        case(name, reference, sampler(*shape))

case("leaky_relu", lambda x: np.where(x < 0, x / 5, x), nonzero(2, 3))
case("leaky_relu", lambda x, alpha: np.where(x < 0, alpha * x, x), nonzero(4), alpha=0.01)
case("leaky_relu", lambda x, alpha: np.where(x < 0, alpha * x, x), np.array(-0.7), alpha=0.5)
case("clip", lambda x, a, b: np.where(x < a, a, np.where(x > b, b, x)), between(3, 4), -1.0, 1.5)
case("astype", lambda x, dtype: x, normal(2, 3), "float64")
case("to_device", lambda x, device: x, normal(2, 3), "cpu")

BINARY = {
    "add": (lambda x, w: x - (-w), normal, normal),
    "subtract": (lambda x, w: x + (-w), normal, normal),
    "multiply": (lambda x, w: x / (1 / w), nonzero, nonzero),
    "divide": (lambda x, w: x * w**-1.0, normal, nonzero),
    "power": (lambda x, w: np.exp(w * np.log(x)), positive, nonzero),
    "maximum": (lambda x, w: np.where(x > w, x, w), on_the_grid, between),
    "minimum": (lambda x, w: np.where(x > w, w, x), on_the_grid, between),
    "sigmoid_cross_entropy_with_logits": (cross_entropy, probability, normal),
}
BROADCASTS = [
    ((2, 3), (2, 3)), ((2, 3), (3,)), ((3, 1), (1, 4)), ((2, 1, 3), (4, 1)),
    ((), (2, 3)), ((2, 3), ()), ((), ()), ((0, 3), (3,)), ((1,), (0,)), ((2, 3), (1, 1)),
]  # fmt: skip
for name, (reference, first, second) in BINARY.items():
    for shape, other in BROADCASTS:
        case(name, reference, first(*shape), second(*other))
    case(name, reference, 1.6, second(3))
    if not name.startswith("sigmoid"):  # one logit for many labels is no use
        case(name, reference, first(2, 3), 1.6)

case("power", lambda x, p: x * x * x, nonzero(4), 3)
case("power", lambda x, p: x * x, np.array([0.0, -1.0, 2.0]), 2.0)
case("power", lambda x, p: x, np.array([0.0, -1.0, 2.0]), 1)
case("power", lambda x, p: 1 + 0 * x, np.array([0.0, -1.0, 2.0]), 0)
case("power", lambda x, p: 1 / x, nonzero(4), -1.0)


def choose(condition, x, w):
    condition = np.asarray(condition) != 0
    return condition * x + ~condition * w


case("where", choose, mask(2, 3), normal(2, 3), normal(2, 3))
case("where", choose, mask(3), normal(2, 3), normal(2, 1))
case("where", choose, mask(2, 1), normal(), normal(3))
case("where", choose, mask(0, 3), normal(3), normal(1, 1))
case("where", choose, mask(4).astype(np.uint8) * 255, normal(4), 0.0)
case("where", choose, mask(4), 1.0, normal(4))

# ── the table: reductions ────────────────────────────────────────────────────────────────────


def variance(x, axis=None, keepdims=False, ddof=0):
    mean = np.sum(x, axis, keepdims=True) / (x.size / np.sum(x, axis, keepdims=True).size)
    count = x.size / mean.size
    return np.sum((x - mean) ** 2, axis, keepdims=keepdims) / (count - ddof)


def average(x, axis=None, keepdims=False):
    total = np.sum(x, axis, keepdims=keepdims)
    return total * (total.size / x.size)


AXES = [{}, {"axis": 0}, {"axis": -1}, {"axis": (0, 2)}, {"axis": (-1, 1)}, {"axis": ()},
        {"keepdims": True}, {"axis": 1, "keepdims": True}, {"axis": (0, 1, 2)}]  # fmt: skip
for keywords in AXES:
    case("sum", np.add.reduce if "axis" in keywords else np.sum, normal(2, 3, 2), **keywords)
    case("mean", average, normal(2, 3, 2), **keywords)
    case("var", variance, normal(2, 3, 2), **keywords)
    case("max", np.max, distinct(2, 3, 2), **keywords)
case("var", variance, normal(4, 3), ddof=1)
case("var", variance, normal(4, 3), axis=0, keepdims=True, ddof=1)
for name, reference in [("sum", np.sum), ("mean", average), ("var", variance), ("max", np.max)]:
    case(name, reference, np.array(0.7))
    case(name, reference, normal(1))
case("sum", np.sum, normal(0, 3), axis=0)
case("sum", np.sum, normal(0, 3), axis=1)
case("mean", lambda x, axis: x[:, 0], normal(0, 3), axis=1)
case("var", lambda x, axis: x[:, 0], normal(0, 3), axis=1)
case("sum_rows", lambda x: np.add.reduce(x, 0), normal(4, 3))
case("sum_rows", lambda x: np.add.reduce(x, 0), normal(0, 3))


def log_softmax(x):
    return np.log(np.exp(x) / np.exp(x).sum(-1, keepdims=True))


case("log_softmax", log_softmax, normal(5))
case("log_softmax", log_softmax, normal(2, 3, 4))
case("log_softmax", log_softmax, normal(0, 4))
for shape in [(4,), (3, 4), (2, 3, 2)]:
    case(
        "softmax_cross_entropy_with_logits",
        lambda labels, logits: -(labels * log_softmax(logits)).sum(-1),
        probability(*shape), normal(*shape),
    )  # fmt: skip

# ── the table: matrix products ───────────────────────────────────────────────────────────────

PRODUCTS = [
    ("ni,io->no", (2, 3), (3, 4)), ("bni,io->bno", (2, 3, 2), (2, 4)),
    ("ni,bio->bno", (2, 3), (2, 3, 2)), ("bni,bio->bno", (2, 2, 3), (2, 3, 2)),
    ("abni,bio->abno", (2, 3, 2, 2), (3, 2, 1)), ("abni,bio->abno", (2, 1, 2, 2), (3, 2, 2)),
    ("i,i->", (3,), (3,)), ("i,io->o", (3,), (3, 2)), ("ni,i->n", (2, 3), (3,)),
    ("i,bio->bo", (3,), (2, 3, 2)), ("bni,i->bn", (2, 2, 3), (3,)),
    ("ni,io->no", (0, 3), (3, 2)), ("ni,io->no", (2, 0), (0, 3)),
]  # fmt: skip
for subscripts, shape, other in PRODUCTS:
    einsum = lambda x, w, s=subscripts: np.einsum(s, x, w)  # noqa: E731
    case("matmul", einsum, normal(*shape), normal(*other))
for rows in (4, 0):
    affine = lambda x, w, b: np.einsum("ni,io->no", x, w) + b  # noqa: E731
    case("dense", affine, normal(rows, 3), normal(3, 2), normal(2))

# ── the table: shapes, joining, cutting, indexing ────────────────────────────────────────────

case("reshape", lambda x, shape: np.array(list(x.flat)).reshape(6, 2), normal(3, 4), (6, 2))
case("reshape", lambda x, shape: np.array(list(x.flat)).reshape(2, 3), normal(6), (2, -1))
case("reshape", lambda x, shape: x.sum(), normal(1, 1), ())
case("transpose", lambda x: np.einsum("abc->cba", x), normal(2, 3, 4))
case("transpose", lambda x, axes: np.einsum("abc->cab", x), normal(2, 3, 4), axes=(2, 0, 1))
case("transpose", lambda x, axes: np.einsum("abc->bca", x), normal(2, 3, 4), axes=(1, -1, 0))
case("transpose", lambda x: x, np.array(0.3))
case("swapaxes", lambda x, i, j: np.einsum("abc->cba", x), normal(2, 3, 4), 0, -1)
case("expand_dims", lambda x, axis: x[:, None], normal(2, 3), 1)
case("expand_dims", lambda x, axis: x[None, :, :, None], normal(2, 3), (0, -1))
case("squeeze", lambda x: x[0, :, 0], normal(1, 3, 1))
case("squeeze", lambda x, axis: x[:, :, 0], normal(1, 3, 1), axis=-1)
case("squeeze", lambda x, axis: x[0, :, 0], normal(1, 3, 1), axis=(0, 2))
case("broadcast_to", lambda x, shape: x + np.zeros(shape), normal(3, 1), (2, 3, 4))
case("broadcast_to", lambda x, shape: x + np.zeros(shape), normal(), (2, 2))
case("broadcast_to", lambda x, shape: x + np.zeros(shape), normal(1, 3), (0, 3))


def join_columns(*parts, axis=0):
    y = np.zeros((2, sum(part.shape[1] for part in parts)), parts[0].dtype)
    end = 0
    for part in parts:
        end += part.shape[1]
        y[:, end - part.shape[1] : end] = part
    return y


case("concatenate", lambda *parts: np.array([row for part in parts for row in part]),
     normal(2, 3), normal(1, 3), normal(4, 3))  # fmt: skip
case("concatenate", join_columns, normal(2, 3), normal(2, 0), normal(2, 2), axis=-1)
case("_join", lambda axis, *parts: join_columns(*parts), 1, normal(2, 1), normal(2, 2))
case("stack", lambda *parts: np.array(parts), normal(2, 3), normal(2, 3))
case("stack", lambda *parts, axis: np.array(parts).transpose(1, 2, 0),
     normal(2, 3), normal(2, 3), axis=-1)  # fmt: skip
case("split", lambda x, sections: x[2:4], normal(6, 2), 3)
case("split", lambda x, sections, axis: x[:, 1:4], normal(2, 5), [1, 4], axis=1)
case("split", lambda x, sections, axis: x[..., 1:2], normal(2, 3, 2), 2, axis=-1)


def surround(x, pad_width):
    y = np.zeros([a + n + b for n, (a, b) in zip(x.shape, pad_width, strict=True)], x.dtype)
    y[tuple(slice(a, a + n) for n, (a, b) in zip(x.shape, pad_width, strict=True))] = x
    return y


case("pad", surround, normal(2, 3), ((1, 2), (0, 3)))
case("pad", surround, normal(0, 2), [(1, 0), (0, 0)])

INDICES = {
    "row": ((4, 3), 1),
    "last": ((4, 3), -1),
    "element": ((4, 3), (2, 0)),
    "slice": ((4, 3), slice(1, None, 2)),
    "backwards": ((4, 3), (slice(None, None, -1), 1)),
    "new axis": ((4, 3), (..., None, slice(0, 2))),
    "repeated rows": ((4, 3), [0, 2, 0, 0]),
    "pairs": ((4, 3), (np.array([0, 1, 0]), np.array([2, 2, 2]))),
    "column of rows": ((4, 3), (np.array([[0], [1]]), slice(None))),
    "mask": ((2, 2), np.array([[True, False], [True, True]])),
    "nothing": ((4, 3), slice(2, 2)),
    "number": ((), ...),
    "number, new axis": ((), None),
}
for shape, index in INDICES.values():
    case("getitem", lambda x, index: np.array(x)[index], normal(*shape), index)


def scatter(x, index, shape):
    """Each place of x to its place in y, one after the other."""
    y = np.zeros(shape, x.dtype)
    places = np.arange(y.size).reshape(shape)[index]
    for place, value in zip(np.ravel(places), np.ravel(x), strict=True):
        y.flat[place] += value
    return y


for shape, index in INDICES.values():
    case("put", scatter, normal(*np.zeros(shape)[index].shape), index, shape)

# ── the table is complete ────────────────────────────────────────────────────────────────────

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    **{name: op for name, op in registry.items() if op.forward.__module__.startswith("minigan.")},
    "concatenate": lambda *parts, **keywords: ops.concatenate(parts, **keywords),
    "stack": lambda *parts, **keywords: ops.stack(parts, **keywords),
    "split": lambda *inputs, **keywords: ops.split(*inputs, **keywords)[1],
    "softmax_cross_entropy_with_logits": ops.softmax_cross_entropy_with_logits,
}


def test_every_op_has_a_case():
    assert {c.name for c in CASES} == set(FUNCTIONS)
    assert set(ops.__all__) <= set(FUNCTIONS)


@pytest.mark.parametrize("name", ops.__all__)
def test_every_keyword_has_a_case_with_another_value_than_the_default(name):
    function = getattr(ops, name)
    signature = function.signature if isinstance(function, Op) else inspect.signature(function)
    cases = [c for c in CASES if c.name == name]
    for parameter in signature.parameters.values():
        if parameter.default is not parameter.empty:
            values = [c.keywords[parameter.name] for c in cases if parameter.name in c.keywords]
            assert any(v != parameter.default for v in values), parameter.name


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if isinstance(f, Op)])
def test_every_pullback_has_a_case(name):
    inputs = list(zip(*[c.inputs for c in CASES if c.name == name], strict=False))
    differentiated = [any(map(is_differentiable, column)) for column in inputs]
    rules = registry[name].rules
    if registry[name].variadic:
        assert any(differentiated)
    else:
        assert [i for i, d in enumerate(differentiated) if d] == [
            i for i, rule in enumerate(rules) if rule is not None
        ]


# ── numerical derivatives of the references, in extended precision ───────────────────────────

STEP = np.longdouble("1e-3")


def slope(f):
    """f'(0) by the five-point stencil, whose error is of fourth order in the step."""
    near, far = f(STEP) - f(-STEP), f(2 * STEP) - f(-2 * STEP)
    return (8 * near - far) / (12 * STEP)


def extended(case):
    return [x.astype(np.longdouble) if is_differentiable(x) else x for x in case.inputs]


def moved(inputs, directions, t):
    """The inputs, the differentiable ones a step of t further in their directions."""
    directions = iter(directions)
    return [x + t * next(directions) if is_differentiable(x) else x for x in inputs]


def numerical_gradients(f, inputs):
    """df/dx for every element of every differentiable input; f gives one number."""
    gradients = []
    for position, x in enumerate(inputs):
        if not is_differentiable(x):
            continue
        gradient = np.zeros_like(x)
        for place in np.ndindex(x.shape):

            def f_of_element(t, position=position, place=place, x=x):
                nearby = x.copy()
                nearby[place] += t
                return f(*inputs[:position], nearby, *inputs[position + 1 :])

            gradient[place] = slope(f_of_element)
        gradients.append(gradient)
    return gradients


# ── the checks ───────────────────────────────────────────────────────────────────────────────

every_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture
def place_tensors(on_device):
    """The inputs of a case on the device, the differentiable ones as Tensors; and those alone."""

    def place(case, dtype="float64"):
        inputs = place_inputs(case, on_device, lambda x: on_device(x, dtype))
        return inputs, [x for x in inputs if isinstance(x, Tensor)]

    return place


def place_inputs(case, on_device, lay_out):
    """The inputs on the device; `lay_out` places those that become Tensors."""

    def place(x):
        if is_differentiable(x):
            return Tensor(lay_out(x), requires_grad=True)
        if isinstance(x, tuple):
            return tuple(map(place, x))
        return on_device(x) if isinstance(x, np.ndarray) else x

    return [place(x) for x in case.inputs]


def evaluate(case, inputs):
    return FUNCTIONS[case.name](*inputs, **case.keywords)


def cotangent(y):
    """A dense random one, where y is."""
    g = np.random.default_rng(1).normal(size=y.shape)
    return backend.asarray(g.astype(y.dtype), device=y.device)


def host(x):
    return backend.to_host(array_of(x))


def assert_close(actual, expected, message=""):
    """The inputs are of order 1, so an absolute 1e-10 hides nothing."""
    expected = expected.astype(np.float64)
    assert actual.shape == expected.shape, message
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10, err_msg=message)


@every_case
def test_value(case, place_tensors):
    y = evaluate(case, place_tensors(case)[0])
    expected = np.asarray(case.reference(*extended(case), **case.keywords), np.float64)
    np.testing.assert_allclose(host(y), expected, rtol=1e-14, atol=1e-14)
    assert y.shape == expected.shape


@every_case
def test_arrays_in_array_out(case, place_tensors):
    inputs, _ = place_tensors(case)
    y = evaluate(case, [array_of(x) for x in inputs])
    assert not isinstance(y, Tensor)
    np.testing.assert_array_equal(
        np.asarray(y) if isinstance(y, np.generic) else backend.to_host(y),
        host(evaluate(case, inputs)),
    )


def check_gradient(case, place_tensors):
    inputs, targets = place_tensors(case)
    y = evaluate(case, inputs)
    g = cotangent(y)
    expected = numerical_gradients(
        lambda *inputs: (host(g) * case.reference(*inputs, **case.keywords)).sum(), extended(case)
    )
    for position, pair in enumerate(zip(grad(y, targets, g), expected, strict=True)):
        assert_close(host(pair[0]), pair[1], f"{case.name}, gradient to input {position}")


@every_case
def test_gradient(case, place_tensors):
    check_gradient(case, place_tensors)


@every_case
def test_second_order(case, place_tensors):
    """The derivatives of <gradients, v>: to every input, and to the cotangent (which is J v)."""
    inputs, targets = place_tensors(case)
    y = evaluate(case, inputs)
    g = Tensor(cotangent(y), requires_grad=True)
    directions = [cotangent(x) for x in targets]
    gradients = grad(y, targets, g, create_graph=True)
    *to_inputs, to_g = grad(gradients, [*targets, g], directions)

    v = [host(d) for d in directions]

    def product(*inputs):
        """<g, J v>, which is <gradients, v>."""
        return (host(g) * forward_mode(inputs)).sum()

    def forward_mode(inputs):
        return slope(lambda t: case.reference(*moved(inputs, v, t), **case.keywords))

    assert_close(host(to_g), np.asarray(forward_mode(extended(case))), "to the cotangent")
    for x, actual, expected in zip(
        targets, to_inputs, numerical_gradients(product, extended(case)), strict=True
    ):
        actual = np.zeros(x.shape) if actual is None else host(actual)
        assert_close(actual, expected, f"{case.name}, second order")


@every_case
def test_float32_stays_float32(case, place_tensors):
    inputs, targets = place_tensors(case, "float32")
    y = evaluate(case, inputs)
    assert y.dtype == (np.float64 if case.name == "astype" else np.float32)
    g = cotangent(y)
    exact, exact_targets = place_tensors(case)
    y_exact = evaluate(case, exact)
    np.testing.assert_allclose(host(y), host(y_exact), rtol=2e-5, atol=2e-5)
    expected = grad(y_exact, exact_targets, backend.asarray(g, "float64", y.device))
    for create_graph in (True, False):
        for actual, wanted in zip(grad(y, targets, g, create_graph), expected, strict=True):
            assert actual.dtype == np.float32
            np.testing.assert_allclose(host(actual), host(wanted), rtol=2e-5, atol=2e-5)


# what a view of the same numbers looks like in memory; each function places it on the device
LAYOUTS = {
    "column-major": lambda x, place: place(x.T.copy()).T,
    "every second": lambda x, place: place(np.repeat(x, 2, axis=-1))[..., ::2],
    "backwards": lambda x, place: place(x[..., ::-1].copy())[..., ::-1],
    "zero strides": lambda x, place: np.broadcast_to(place(x[:1].copy()), x.shape),
}
VIEWS = {"reshape", "transpose", "swapaxes", "expand_dims", "squeeze", "broadcast_to", "getitem",
         "split", "to_device"}  # fmt: skip


@every_case
def test_memory_layouts_do_not_matter_and_no_memory_is_shared_or_written(case, on_device):
    for layout in LAYOUTS.values():

        def lay_out(x, layout=layout):
            x = layout(x, on_device) if x.ndim else on_device(x)
            if isinstance(x, np.ndarray):
                x.flags.writeable = False
            return x

        arrays = [lay_out(x) for x in case.inputs if is_differentiable(x)]
        contiguous = [on_device(backend.to_host(x).copy()) for x in arrays]
        y, targets = with_arrays(case, arrays, on_device)
        y_expected, targets_expected = with_arrays(case, contiguous, on_device)
        np.testing.assert_allclose(host(y), host(y_expected), rtol=1e-13)

        g = cotangent(y)
        g = lay_out(backend.to_host(g)) if y.device == backend.device_of(arrays[0]) else g
        expected = grad(y_expected, targets_expected, on_y(g, y))
        gradients = grad(y, targets, g)
        for actual, wanted in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(host(actual), host(wanted), rtol=1e-12, atol=1e-14)

        for array, x in zip(arrays, contiguous, strict=True):
            np.testing.assert_array_equal(backend.to_host(array), backend.to_host(x))
        outputs = gradients if case.name in VIEWS else [*gradients, y.data]
        for a, b in [*combinations(outputs, 2), *((a, b) for a in outputs for b in [*arrays, g])]:
            assert backend.device_of(a) != backend.device_of(b) or not np.may_share_memory(a, b)


def with_arrays(case, arrays, on_device):
    """The op's output, with other arrays for the differentiable inputs; and these as Tensors."""
    rest = iter(arrays)
    inputs = place_inputs(case, on_device, lambda x: next(rest))
    return evaluate(case, inputs), [x for x in inputs if isinstance(x, Tensor)]


def on_y(g, y):
    """A contiguous copy of a cotangent."""
    return backend.asarray(backend.to_host(g).copy(), device=y.device)


# ── the checks can fail ──────────────────────────────────────────────────────────────────────

RULES = [
    (name, position)
    for name, op in FUNCTIONS.items()
    if isinstance(op, Op)
    for position, rule in enumerate(op.rules)
    if rule is not None
]


@pytest.mark.parametrize(("name", "position"), RULES)
def test_a_pullback_wrong_by_a_thousandth_is_noticed(name, position, place_tensors, monkeypatch):
    op = registry[name]
    right = op.rules[position]
    rules = [*op.rules]
    rules[position] = lambda *inputs: 1.001 * right(*inputs)
    monkeypatch.setattr(op, "rules", tuple(rules))
    with pytest.raises(AssertionError, match=f"{name}, gradient to input"):
        check_gradients([c for c in CASES if c.name == name], place_tensors)


def check_gradients(cases, place_tensors):
    for c in cases:
        check_gradient(c, place_tensors)
