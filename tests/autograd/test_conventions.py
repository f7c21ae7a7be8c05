"""What the table of ops can't say: kinks, extremes, dtypes of mixed operands, refusals."""

import operator

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.autograd.engine import array_of
from minigan.errors import ConfigError, DtypeError, GraphError, ShapeError

FLOATS = ["float16", "float32", "float64"]


@pytest.fixture
def leaf(on_device):
    def make(values, dtype="float64"):
        return Tensor(on_device(values, dtype), requires_grad=True)

    return make


def host(x):
    return backend.to_host(array_of(x))


def gradients(y, *xs):
    return [host(g).tolist() for g in grad(y.sum(), xs)]


# ── at the corner ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (ops.abs, 0),
        (ops.relu, 0),
        (ops.leaky_relu, 1),
        (lambda x: ops.leaky_relu(x, 0.0), 1),
        (lambda x: ops.clip(x, 0.0, 1.0), 1),
        (lambda x: ops.clip(x, -1.0, 0.0), 1),
        (lambda x: ops.clip(x, 0.0, 0.0), 1),
        (lambda x: ops.maximum(x, 0.0), 1),
        (lambda x: ops.maximum(0.0, x), 0),
        (lambda x: ops.minimum(x, 0.0), 1),
        (lambda x: ops.minimum(0.0, x), 0),
    ],
)
def test_gradient_at_zero(function, expected, leaf):
    x = leaf([0.0, -0.0])
    assert gradients(function(x), x) == [[expected, expected]]


@pytest.mark.parametrize("function", [ops.maximum, ops.minimum])
def test_a_tie_goes_to_the_first(function, leaf):
    x, w = leaf([2.0, 3.0]), leaf([2.0])
    first = function is ops.maximum
    assert gradients(function(x, w), x, w) == [[1, first], [1 - first]]


def test_tied_maxima_share_equally(leaf):
    x = leaf([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    third = 1 / 3
    assert gradients(x.max(axis=1), x) == [[[0, 0.5, 0.5], [third, third, third]]]
    assert gradients(x.max(), x) == [[[0, 0.5, 0.5], [0, 0, 0]]]


def test_power_at_zero(leaf):
    x, p = leaf([0.0, 0.0, 0.0]), leaf([2.0, 1.0, 0.0])
    assert host(x**p).tolist() == [0, 0, 1]
    assert gradients(x**p, x, p) == [[0, 1, 0], [0, 0, 0]]


def test_where_keeps_an_infinite_gradient_out_of_the_other_branch(leaf, on_device):
    x, w = leaf([0.0, 0.0]), leaf([0.0, 0.0])
    y = ops.where(on_device([True, False]), x, w)
    to_x, to_w = grad(y, [x, w], on_device([np.inf, -np.inf]))
    assert host(to_x).tolist() == [np.inf, 0]
    assert host(to_w).tolist() == [0, -np.inf]


# ── far out ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", FLOATS)
def test_logits_of_ten_thousand_are_exact_and_silent(dtype, leaf):
    logits = leaf([-1e4, 1e4], dtype)
    for label, expected, slopes in [(0.0, [0, 1e4], [0, 1]), (1.0, [1e4, 0], [-1, 0])]:
        loss = ops.sigmoid_cross_entropy_with_logits(label, logits)
        assert host(loss).tolist() == expected
        assert loss.dtype == dtype
        tiny = float(np.finfo(dtype).tiny)
        np.testing.assert_allclose(gradients(loss, logits)[0], slopes, atol=tiny)

    assert host(ops.softplus(logits)).tolist() == [0, 1e4]
    y = ops.sigmoid(logits)
    assert host(y)[1] == 1
    assert 0 <= host(y)[0] <= np.finfo(dtype).tiny
    assert np.isfinite(host(grad(y.sum(), logits)[0])).all()
    pair = leaf([[1e4, -1e4]], dtype)
    assert host(ops.log_softmax(pair)).tolist() == [[0, -2e4]]
    assert gradients(ops.log_softmax(pair), pair) == [[[-1, 1]]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_keeps_its_relative_accuracy_far_out(dtype, leaf):
    x = np.linspace(-80, 40, 241).astype(dtype)
    exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    error = np.abs(host(ops.sigmoid(leaf(x, dtype))) / exact - 1)
    assert error.max() < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", FLOATS)
def test_infinite_inputs_of_bounded_functions(dtype, leaf):
    x = leaf([-np.inf, np.inf], dtype)
    assert host(ops.tanh(x)).tolist() == [-1, 1]
    assert host(ops.softplus(x)).tolist() == [0, np.inf]
    assert host(ops.sigmoid(x))[1] == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log1p_of_tiny_numbers(dtype, leaf):
    x = leaf([1e-30], dtype)
    assert host(ops.log1p(x)) == host(x)


# ── dtypes ───────────────────────────────────────────────────────────────────────────────────

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow,
         ops.maximum, ops.minimum]  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", BINARY)
@pytest.mark.parametrize("number", [2, 0.5, True])
def test_python_numbers_do_not_change_the_dtype(function, number, dtype, leaf):
    x = leaf([0.5, 1.5], dtype)
    for y in [function(x, number), function(number, x)]:
        assert y.dtype == dtype
        for create_graph in (True, False):
            (g,) = grad(y.sum(), x, create_graph=create_graph)
            assert g.dtype == dtype


@pytest.mark.parametrize("dtype", FLOATS)
def test_python_numbers_in_ops_with_three_inputs(dtype, leaf, on_device):
    x = leaf([0.5, 1.5], dtype)
    for y in [
        ops.where(on_device([True, False]), x, 0.25),
        ops.where(on_device([True, False]), 3, x),
        ops.clip(x, 1, 2.5),
        ops.leaky_relu(x, 0.3),
        ops.sigmoid_cross_entropy_with_logits(1.0, x),
        ops.sigmoid_cross_entropy_with_logits(1, x),
    ]:
        assert y.dtype == dtype
        assert grad(y.sum(), x)[0].dtype == dtype


@pytest.mark.parametrize("function", BINARY)
def test_mixed_dtypes_promote_as_numpy_does_and_gradients_come_back(function, leaf):
    x, w = leaf([0.5, 1.5], "float32"), leaf([0.75, 0.25], "float64")
    y = function(x, w)
    assert y.dtype == "float64"
    for create_graph in (True, False):
        to_x, to_w = grad(y.sum(), [x, w], create_graph=create_graph)
        assert (to_x.dtype, to_w.dtype) == ("float32", "float64")


def test_matrix_products_promote_too(leaf):
    x, w, b = leaf(np.ones((2, 3)), "float32"), leaf(np.ones((3, 4))), leaf(np.ones(4))
    for y in [x @ w, ops.dense(x, w, b), ops.dense(x, leaf(np.ones((3, 4)), "float32"), b)]:
        assert y.dtype == "float64"
        assert grad(y.sum(), x)[0].dtype == "float32"


def test_astype_brings_the_gradient_back_in_the_old_dtype(leaf):
    x = leaf([1.5, 2.5], "float32")
    y = x.astype("float64")
    assert y.dtype == "float64"
    (g,) = grad((y * y).sum(), x)
    assert g.dtype == "float32"
    assert host(g).tolist() == [3, 5]


def test_integers_have_no_gradients(leaf, on_device):
    with pytest.raises(DtypeError, match=r"not int64\. Try: Tensor\(x\.astype"):
        leaf([1, 2], "int64")
    rounded = leaf([1.5]).astype("int64")
    assert not rounded.requires_grad
    labels = Tensor(on_device([0, 1]))
    logits = leaf([0.0, 0.0])
    assert gradients(ops.sigmoid_cross_entropy_with_logits(labels, logits), logits) == [[0.5, -0.5]]


# ── refusals: named errors, never another number ─────────────────────────────────────────────


def test_an_input_without_a_pullback_says_so(leaf):
    x, low = leaf([0.5]), leaf([0.0])
    y = ops.clip(x, low, 1.0)
    with pytest.raises(GraphError, match=r"clip has no pullback for its input 'low'. Try: low.det"):
        grad(y.sum(), low)
    assert gradients(ops.clip(x, low.detach(), 1.0), x) == [[1]]


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_leaky_relu_refuses_a_slope_outside_0_to_1(alpha, leaf):
    with pytest.raises(ConfigError, match=f"alpha is {alpha}, but must be in"):
        ops.leaky_relu(leaf([-1.0, 1.0]), alpha)


@pytest.mark.parametrize(
    ("x", "w", "b", "trouble"),
    [
        ((2, 3), (4, 5), (5,), r"x is \(2, 3\), but the kernel is \(4, 5\)"),
        ((2, 2, 3), (3, 5), (5,), r"x is \(2, 2, 3\)"),
        ((2, 3), (3,), (3,), r"the kernel is \(3,\)"),
        ((2, 3), (3, 5), (1, 5), r"the bias is \(1, 5\)"),
        ((2, 3), (3, 5), (3,), r"the bias is \(3,\)"),
        ((2, 3), (3, 5), (), r"the bias is \(\)"),
    ],
)
def test_dense_refuses_shapes_that_do_not_fit(x, w, b, trouble, leaf):
    with pytest.raises(ShapeError, match=trouble):
        ops.dense(leaf(np.ones(x)), leaf(np.ones(w)), leaf(np.ones(b)))


@pytest.mark.parametrize("pad_width", [1, (1, 2), [(1, 2)], [(1, 1)] * 3])
def test_pad_wants_a_pair_for_each_axis(pad_width, leaf):
    with pytest.raises(ShapeError, match=r"\(before, after\) for each of the 2 axes"):
        ops.pad(leaf(np.ones((2, 3))), pad_width)


def test_split_names_the_divisors_way_out(leaf):
    x = leaf(np.ones((2, 7)))
    with pytest.raises(ShapeError, match=r"length 7 can't be cut into 2 .* such as \[3\]"):
        ops.split(x, 2, axis=1)
    assert [part.shape for part in ops.split(x, [3], axis=1)] == [(2, 3), (2, 4)]
    assert [part.shape for part in ops.split(x, 7, axis=-1)] == [(2, 1)] * 7


def test_the_note_names_the_op_and_its_inputs(leaf):
    x, w = leaf(np.ones((2, 3))), leaf(np.ones((2, 4)), "float32")
    with pytest.raises(ValueError, match="broadcast") as caught:
        x + w
    assert caught.value.__notes__ == ["in add((2, 3) float64, (2, 4) float32)"]
    with pytest.raises((ValueError, TypeError)) as caught:
        ops.sum(x, axis=5)
    assert caught.value.__notes__ == ["in sum((2, 3) float64, 5, False)"]
