"""The tables that judge every op, layer and loss must themselves be right."""

from collections import Counter

import numpy as np
import pytest

from minigan.errors import ConfigError
from minigan.testing.specifications import Specification, all_specifications
from minigan.testing.specifications.specification import (
    between,
    constant,
    distinct,
    mask,
    nonzero,
    normal,
    positive,
    probability,
    small,
    whole,
)

SPECIFICATIONS = all_specifications()
every_specification = pytest.mark.parametrize("specification", SPECIFICATIONS, ids=str)


def is_differentiable(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def converted(inputs, dtype):
    return [x.astype(dtype) if is_differentiable(x) else x for x in inputs]


# ── references against what NumPy and textbooks say ──────────────────────────────────────────


def added_at(x, index, shape):
    y = np.zeros(shape)
    np.add.at(y, index, x)
    return y


NUMPY = {
    "negative": np.negative,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "square": np.square,
    "abs": np.abs,
    "sigmoid": lambda x: (1 + np.tanh(x / 2)) / 2,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "softplus": lambda x: np.logaddexp(x, 0),
    "leaky_relu": lambda x, alpha=0.2: np.maximum(x, alpha * x),
    "clip": np.clip,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "sigmoid_cross_entropy_with_logits": lambda t, x: np.logaddexp(0, x) - t * x,
    "mean_sigmoid_cross_entropy": lambda t, x: (np.logaddexp(0, x) - t * x).mean(),
    "negative_log_likelihood": lambda p: np.log(1 / p).mean(),
    "where": np.where,
    "sum": np.sum,
    "mean": np.mean,
    "var": np.var,
    "max": np.max,
    "sum_rows": lambda x: np.sum(x, axis=0),
    "log_softmax": lambda x: x - np.logaddexp.reduce(x, -1, keepdims=True),
    "softmax_cross_entropy_with_logits": lambda t, x: (
        t.sum(-1) * np.logaddexp.reduce(x, -1) - (t * x).sum(-1)
    ),
    "matmul": np.matmul,
    "dense": lambda x, w, b: x @ w + b,
    "reshape": np.reshape,
    "transpose": np.transpose,
    "swapaxes": np.swapaxes,
    "expand_dims": np.expand_dims,
    "squeeze": np.squeeze,
    "broadcast_to": np.broadcast_to,
    "concatenate": lambda *parts, axis=0: np.concatenate(parts, axis),
    "_join": lambda axis, *parts: np.concatenate(parts, axis),
    "stack": lambda *parts, axis=0: np.stack(parts, axis),
    "split": lambda x, sections, axis=0: np.split(x, sections, axis)[1],
    "pad": np.pad,
    "getitem": lambda x, index: x[index],
    "put": added_at,
    "astype": lambda x, dtype: x,
    "to_device": lambda x, device: x,
    "L1": lambda w, scale=0.01: scale * np.abs(w).sum(),
    "L2": lambda w, scale=0.01: scale * np.linalg.norm(w) ** 2,
}


@pytest.mark.parametrize("specification", [s for s in SPECIFICATIONS if s.name in NUMPY], ids=str)
def test_the_reference_is_what_numpy_computes(specification):
    inputs = specification.draw(3)
    expected = NUMPY[specification.name](*inputs, **specification.keywords)
    actual = specification.expected(*inputs)
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("discriminator_loss", ([[0.0]], [[0.0]]), 2 * np.log(2)),  # D has no idea
        ("discriminator_loss", ([[50.0]], [[-50.0]]), 0.0),  # D is right, and sure
        ("generator_loss", ([[0.0]],), np.log(2)),
        ("minimax_generator_loss", ([[0.0]],), -np.log(2)),
        ("log_discriminator_loss", ([[0.5]], [[0.5]]), 2 * np.log(2)),
        ("log_generator_loss", ([[0.25]],), 2 * np.log(2)),
        ("log D", ([[0.0]], [[0.0]]), 2 * np.log(2)),
        ("Sigmoid", ([0.0, np.log(3)],), [0.5, 0.75]),
        ("MLPDiscriminator", ([[1.0, -1.0]], np.eye(2), [0, 0], [[3.0], [5.0]], [0.5]), [[3.5]]),
    ],
)
def test_the_reference_knows_the_textbooks_values(name, inputs, expected):
    specification = next(s for s in SPECIFICATIONS if s.name == name)
    actual = specification.expected(*map(np.array, inputs))
    np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=1e-14)


# ── references in every precision ────────────────────────────────────────────────────────────


@every_specification
@pytest.mark.parametrize("dtype", ["float64", "longdouble", "complex128", "clongdouble"])
def test_the_reference_keeps_the_precision_and_the_value(specification, dtype):
    inputs = specification.draw(1)
    y = np.asarray(specification.expected(*converted(inputs, dtype)))
    assert y.dtype == np.dtype(dtype)
    exact = specification.expected(*converted(inputs, "longdouble"))
    np.testing.assert_allclose(y.real, np.asarray(exact, y.real.dtype), rtol=1e-13, atol=1e-13)


@every_specification
def test_the_reference_is_analytic(specification):
    """The complex step gives the slope that real differences in long double give."""
    inputs = converted(specification.draw(2), np.longdouble)
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=x.shape) if is_differentiable(x) else None for x in inputs]

    def moved(step):
        return specification.expected(
            *[x if v is None else x + step * v for x, v in zip(inputs, directions, strict=True)]
        )

    h, tiny = np.longdouble(2) ** -17, np.longdouble("1e-30")
    near, far = moved(h) - moved(-h), moved(2 * h) - moved(-2 * h)
    slope = np.asarray((8 * near - far) / (12 * h), np.float64)
    by_complex_step = np.asarray(moved(np.clongdouble(tiny * 1j)).imag / tiny, np.float64)
    np.testing.assert_allclose(by_complex_step, slope, rtol=1e-9, atol=1e-11)


# ── draws ────────────────────────────────────────────────────────────────────────────────────


@every_specification
def test_draws_are_keyed_by_the_seed(specification):
    one, again, other = (specification.draw(seed) for seed in (1, 1, 2))
    for x, same, different, how in zip(one, again, other, specification.inputs, strict=True):
        if is_differentiable(x):
            assert x.dtype == np.float64
            assert x is not same
            np.testing.assert_array_equal(x, same)
            if how.words.startswith(("(", "positive", "nonzero", "small", "probability")):
                assert x.size == 0 or (x != different).any()


def test_no_two_inputs_of_a_row_are_the_same_numbers():
    x, w = Specification("add", np.add, np.add, (normal(3), normal(3))).draw(0)
    assert (x != w).all()


def test_every_row_has_a_name_of_its_own():
    assert Counter(map(str, SPECIFICATIONS)).most_common(1)[0][1] == 1


def test_a_row_reads_like_a_call():
    row = Specification("sum", np.sum, np.sum, (normal(2, 3), constant([1.5])), {"axis": (0, 1)})
    assert str(row) == "sum((2,3),[1.5],axis=(0,1))"


def test_without_a_reference_nothing_is_expected():
    with pytest.raises(ConfigError, match="has no reference"):
        Specification("Noise", np.sin, None, (normal(2),)).expected(np.ones(2))


@pytest.mark.parametrize("seed", range(20))
def test_draws_stay_where_they_promise(seed):
    def drawn(draw):
        x = draw(np.random.default_rng(seed))
        assert x.shape == (3, 4)
        return x

    x = drawn(nonzero(3, 4))
    assert (x > 0).sum() == (x < 0).sum() == 6
    assert (np.abs(x) >= 0.2).all()
    assert (np.abs(drawn(small(3, 4))) <= 0.1).all()
    assert (drawn(positive(3, 4)) >= 0.5).all()
    p = drawn(probability(3, 4))
    assert ((p >= 0.1) & (p < 0.9)).all()
    assert np.diff(np.sort(drawn(distinct(3, 4)), axis=None)).min() == 0.25
    assert drawn(mask(3, 4)).sum() == 6
    sums = drawn(whole(3, 4)) @ drawn(whole(3, 4)).T + between(3)(np.random.default_rng(seed))
    assert (np.abs(sums) >= 0.5).all()


def test_a_lone_number_is_positive_and_a_lone_mask_true():
    rng = np.random.default_rng(0)
    assert all(nonzero()(rng) > 0 for _ in range(10))
    assert all(mask(1)(rng) for _ in range(10))
