"""detect_anomaly names the op, its inputs and the line of the first value that is not finite."""

import sys
import warnings

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, detect_anomaly, grad, ops
from minigan.errors import NonFiniteError

# what goes wrong in the forward pass: the op's name, the value it gives, the faulty line
FORWARD = {
    "log of 0": ("log", "-inf", lambda x: ops.log(x * 0.0)),
    "log of a negative number": ("log", "nan", lambda x: ops.log(x - 10.0)),
    "log1p of -1": ("log1p", "-inf", lambda x: ops.log1p(x * 0.0 - 1.0)),
    "divide by 0": ("divide", "inf", lambda x: x / (x - x)),
    "0 / 0": ("divide", "nan", lambda x: (x - x) / (x - x)),
    "exp": ("exp", "inf", lambda x: ops.exp(x * 1e4)),
    "sqrt of a negative number": ("sqrt", "nan", lambda x: ops.sqrt(x - 10.0)),
    "square": ("square", "inf", lambda x: ops.square(x * 1e200)),
    "multiply": ("multiply", "inf", lambda x: (x * 1e200) * (x * 1e200)),
    "power": ("power", "inf", lambda x: (x - x) ** -1.0),
    "sum": ("sum", "inf", lambda x: ops.sum(x * 0.8e308, axis=0, keepdims=True)),
    "matmul": ("matmul", "inf", lambda x: (x * 1e200).reshape(2, 1) @ (x * 1e200).reshape(1, 2)),
}

# what only the backward pass notices: the op's name, the line
BACKWARD = {
    "sqrt at 0": ("sqrt", lambda x: ops.sqrt(x - x)),
    "power at 0": ("power", lambda x: (x - x) ** 0.5),
    "log of a tiny number": ("log", lambda x: ops.log(x * 1e-320)),
    "divide by a tiny number": ("divide", lambda x: (x - x) / (x * 1e-320)),
    "multiply": ("multiply", lambda x: ((x * 1e-300) * 1e300) * 1e300),
    "matmul": ("matmul", lambda x: ((x * 1e-300) @ Tensor(x.data * 1e300)) * 1e300),
}


def healthy(x, n):
    for _ in range(n):
        x = x * 0.5 + 1.0
    return x


@pytest.fixture
def leaf(on_device):
    def make(values):
        return Tensor(on_device(values, "float64"), requires_grad=True)

    return make


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 3), (3, 0)])
@pytest.mark.parametrize("fault", FORWARD)
def test_forward_fault(fault, before, after, leaf):
    name, value, faulty = FORWARD[fault]
    with pytest.raises(NonFiniteError) as caught, detect_anomaly():
        healthy(faulty(healthy(leaf([1.0, 2.0]), before)), after)
    message = str(caught.value)
    line = faulty.__code__.co_firstlineno
    assert message.startswith(
        f"first non-finite value: {name} at test_anomaly.py:{line} gives {value} at index (0"
    )
    assert "; inputs: (2" in message
    assert " float64 from " in message
    assert ". Try: " in message


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 3), (3, 0)])
@pytest.mark.parametrize("fault", BACKWARD)
def test_backward_fault(fault, before, after, leaf):
    name, faulty = BACKWARD[fault]
    x = leaf([1.0, 2.0])
    with pytest.raises(NonFiniteError) as caught, detect_anomaly():
        grad(healthy(faulty(healthy(x, before)), after).sum(), x)
    message = str(caught.value)
    line = faulty.__code__.co_firstlineno
    assert message.startswith(
        f"first non-finite gradient: backward through {name} at test_anomaly.py:{line} gives "
    )
    assert "inf at index (0,) for input 0; inputs: (2,) float64 from " in message
    assert ". Try: " in message


def test_the_whole_sentences(leaf):
    x = leaf([[0.5, 0.0], [1.0, 2.0]])
    line = sys._getframe().f_lineno + 2
    with pytest.raises(NonFiniteError) as caught, detect_anomaly():
        ops.log(x)
    assert str(caught.value) == (
        f"first non-finite value: log at test_anomaly.py:{line} gives -inf at index (0, 1); "
        "inputs: (2, 2) float64 from 0 to 2. "
        "Try: sigmoid_cross_entropy_with_logits, which never takes log of 0."
    )
    line = sys._getframe().f_lineno + 2
    with pytest.raises(NonFiniteError) as caught, detect_anomaly():
        grad(ops.sqrt(x).sum(), x)
    assert str(caught.value) == (
        f"first non-finite gradient: backward through sqrt at test_anomaly.py:{line} gives inf at "
        "index (0, 1) for input 0; inputs: (2, 2) float64 from 0 to 2. "
        "Try: sqrt(x + epsilon): its slope at 0 is infinite."
    )
    with detect_anomaly():  # the tries
        grad(ops.sqrt(x + 1e-12).sum(), x)
        ops.sigmoid_cross_entropy_with_logits(1.0, x)


def test_second_derivatives_are_watched_too(leaf):
    x = leaf([4.0, 1e-210])
    y = ops.sqrt(x).sum()
    (g,) = grad(y, x, create_graph=True)
    with pytest.raises(NonFiniteError, match="first non-finite gradient"), detect_anomaly():
        grad(g.sum(), x)


def test_a_number_that_is_not_finite_is_shown_without_an_index(leaf):
    with pytest.raises(NonFiniteError) as caught, detect_anomaly():
        ops.log(leaf(0.0))
    assert "gives -inf; inputs: () float64 from 0 to 0. " in str(caught.value)


def test_integers_and_finite_values_pass(leaf, on_device):
    x = leaf([1.0, -2.0])
    with detect_anomaly():
        loss = (ops.exp(x) * Tensor(on_device([1, 2]))).sum()
        assert (Tensor(on_device([1, 2])) + 1).dtype.kind == "i"
        (g,) = grad(loss, x)
    np.testing.assert_allclose(backend.to_host(g), [np.exp(1), 2 * np.exp(-2)])


def test_numpy_does_not_warn_inside_and_does_outside():
    x = Tensor([0.0], requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(NonFiniteError), detect_anomaly():
            ops.log(x)
        assert caught == []
        ops.log(x)
    assert "divide by zero" in str(caught[0].message)


def test_outside_the_block_nothing_is_checked(leaf):
    with detect_anomaly():
        x = leaf([1.0])
    with np.errstate(divide="ignore"):
        assert float(ops.log(x * 0.0).data[0]) == -np.inf
