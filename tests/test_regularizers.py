"""Penalties: their formulas, and their gradients on a Tensor."""

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad
from minigan.regularizers import L1, L2

W = np.array([[1.0, -2.0], [0.0, 3.0]])


@pytest.mark.parametrize(
    ("regularizer", "value", "gradient"),
    [
        (L1(0.5), 3.0, [[0.5, -0.5], [0, 0.5]]),
        (L2(0.5), 7.0, [[1, -2], [0, 3]]),
        (L1(), 0.06, [[0.01, -0.01], [0, 0.01]]),
        (L2(), 0.14, [[0.02, -0.04], [0, 0.06]]),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient(regularizer, value, gradient, dtype, on_device):
    w = Tensor(on_device(W, dtype), requires_grad=True)
    penalty = regularizer(w)
    assert penalty.shape == ()
    assert penalty.dtype == dtype
    assert float(penalty) == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(backend.to_host(grad(penalty, w)[0]), gradient, rtol=1e-6)
