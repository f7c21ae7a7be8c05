"""Jacobian products and higher derivatives against numerical ones."""

import numpy as np
import pytest

from minigan.autograd import Tensor, grad, hvp, jvp, ops, vjp

RNG = np.random.default_rng(3)
X, W = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 2))
STEP = 1e-3


def layer(x, w):
    return ops.tanh(ops.matmul(x, w)) * ops.sigmoid(ops.matmul(x, w))


def energy(x, w):
    return ops.sum(layer(x, w) ** 2.0)


def in_numpy(x, w):
    a = np.asarray(x, np.longdouble) @ np.asarray(w, np.longdouble)
    return np.tanh(a) / (1 + np.exp(-a))


def slope(f):
    """f'(0) by the five-point stencil."""
    return (8 * (f(STEP) - f(-STEP)) - (f(2 * STEP) - f(-2 * STEP))) / (12 * STEP)


def test_jvp_is_the_directional_derivative():
    v, u = RNG.normal(size=X.shape), RNG.normal(size=W.shape)
    expected = slope(lambda t: in_numpy(X + t * v, W + t * u)).astype(float)
    np.testing.assert_allclose(jvp(layer, [X, W], [v, u]), expected, rtol=1e-9, atol=1e-11)


def test_vjp_is_its_adjoint():
    v, u, g = RNG.normal(size=X.shape), RNG.normal(size=W.shape), RNG.normal(size=(4, 2))
    y, pull_back = vjp(layer, X, W)
    np.testing.assert_allclose(y, in_numpy(X, W).astype(float), rtol=1e-14)
    forward = slope(lambda t: in_numpy(X + t * v, W + t * u)).astype(float)
    for scale in (1.0, 2.0):  # pull_back can be asked again
        to_x, to_w = pull_back(scale * g)
        assert (to_x * v).sum() + (to_w * u).sum() == pytest.approx(
            scale * (g * forward).sum(), rel=1e-9
        )


def test_hvp_is_the_derivative_of_the_gradient():
    v, u = RNG.normal(size=X.shape), RNG.normal(size=W.shape)

    def gradients(t):
        x, w = Tensor(X + t * v, requires_grad=True), Tensor(W + t * u, requires_grad=True)
        return np.concatenate([g.ravel() for g in grad(energy(x, w), [x, w])])

    products = np.concatenate([h.ravel() for h in hvp(energy, [X, W], [v, u])])
    np.testing.assert_allclose(products, slope(gradients), rtol=1e-8, atol=1e-9)


def test_the_hessian_is_symmetric():
    a, b = RNG.normal(size=(2, *X.shape))
    f = lambda x: energy(x, W)  # noqa: E731
    assert (hvp(f, [X], [a])[0] * b).sum() == pytest.approx(
        (hvp(f, [X], [b])[0] * a).sum(), rel=1e-12
    )


def test_a_linear_or_constant_function_has_zeros():
    zeros = np.zeros_like(X).tolist()
    assert hvp(lambda x, w: ops.sum(x) * 2.0, [X, W], [X, W])[0].tolist() == zeros
    assert jvp(lambda x: Tensor(np.ones(2)), [X], [X]).tolist() == [0, 0]
    _, pull_back = vjp(lambda x, w: w * 2.0, X, W)
    to_x, to_w = pull_back(np.ones_like(W))
    assert to_x.tolist() == zeros
    assert to_w.tolist() == np.full_like(W, 2).tolist()


def test_the_third_derivative_of_a_composite():
    """f(x) = tanh(x)^3 e^x, differentiated three times by hand."""
    x = Tensor(np.array([0.3, -0.7, 1.1]), requires_grad=True)
    f = ops.tanh(x) ** 3.0 * ops.exp(x)
    (first,) = grad(f.sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x)

    t = np.tanh(x.data)
    s = 1 - t * t
    u1 = 3 * t**2 * s  # (t^3)' with t' = s, s' = -2 t s
    u2 = 6 * t * s**2 - 6 * t**3 * s
    u3 = 6 * s**3 - 42 * t**2 * s**2 + 12 * t**4 * s
    np.testing.assert_allclose(second.data, np.exp(x.data) * (u2 + 2 * u1 + t**3), rtol=1e-12)
    np.testing.assert_allclose(third, np.exp(x.data) * (u3 + 3 * u2 + 3 * u1 + t**3), rtol=1e-12)


def test_ten_derivatives_of_a_power():
    x = Tensor(2.0, requires_grad=True)
    y = x**10.0
    for _ in range(9):
        (y,) = grad(y, x, create_graph=True)
    assert float(y) == pytest.approx(3628800 * 2.0, rel=1e-12)
    (tenth,) = grad(y, x, create_graph=True)
    assert float(tenth) == pytest.approx(3628800, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_keep_the_dtype(dtype):
    x = X.astype(dtype)
    assert jvp(ops.exp, [x], [x]).dtype == dtype
    assert hvp(lambda x: ops.sum(ops.exp(x)), [x], [x])[0].dtype == dtype
    y, pull_back = vjp(ops.exp, x)
    assert y.dtype == dtype
    assert pull_back(np.ones_like(x))[0].dtype == dtype
