"""Projections: what they do to weights inside and outside the allowed set."""

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor
from minigan.constraints import ClipValue, MaxNorm, NonNeg
from minigan.layers import Parameter
from minigan.optimizers import SGD

W = np.array([[3.0, 0.3, 0.0], [-4.0, 0.4, 0.0]])


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (MaxNorm(1.0), [[0.6, 0.3, 0], [-0.8, 0.4, 0]]),
        (MaxNorm(), [[1.2, 0.3, 0], [-1.6, 0.4, 0]]),
        (NonNeg(), [[3, 0.3, 0], [0, 0.4, 0]]),
        (ClipValue(0.35), [[0.35, 0.3, 0], [-0.35, 0.35, 0]]),
        (ClipValue(), [[0.01, 0.01, 0], [-0.01, 0.01, 0]]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_projection(constraint, expected, dtype, on_device):
    w = on_device(W, dtype)
    projected = constraint(w)
    assert projected.dtype == dtype
    np.testing.assert_allclose(backend.to_host(projected), expected, rtol=1e-6)
    np.testing.assert_array_equal(backend.to_host(w), W.astype(dtype))
    again = backend.to_host(constraint(projected))
    np.testing.assert_allclose(again, backend.to_host(projected), rtol=1e-6)


def test_max_norm_as_keras_writes_it():
    w = np.random.default_rng(0).normal(size=(5, 4))
    norms = np.sqrt((w**2).sum(0))
    expected = w * (np.clip(norms, 0, 1.5) / (1e-7 + norms))
    np.testing.assert_allclose(MaxNorm(1.5)(w), expected, rtol=1e-12)


def test_an_optimizer_projects_after_its_update_and_only_what_it_updated(on_device):
    w, other = (
        Parameter(on_device([-1.0, 1.0], "float32"), constraint=NonNeg(), name=name)
        for name in ("w", "other")
    )
    g = on_device([-2.0, 2.0], "float32")
    SGD(1.0).apply_gradients([(g, w), (None, other)])
    assert w.numpy().tolist() == [1.0, 0.0]
    assert other.numpy().tolist() == [-1.0, 1.0]


def test_a_function_of_ones_own_is_a_constraint():
    w = Parameter(np.float32([3.0, 4.0]), constraint=lambda w: w / np.sqrt((w * w).sum()))
    SGD(1.0).apply_gradients([(np.zeros(2, np.float32), w)])
    np.testing.assert_allclose(w.data, [0.6, 0.8], rtol=1e-6)


def test_a_plain_tensor_has_no_constraint():
    w = Tensor(np.float32([-1.0]), requires_grad=True)
    SGD(1.0).apply_gradients([(np.float32([1.0]), w)])
    assert w.data.tolist() == [-2.0]
