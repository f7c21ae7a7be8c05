"""The gradient checks that other frameworks publish, rewritten for functions of minigan.

The mutants run through each of them, so that what a check notices can be compared with what
minigan's own check notices. Steps, directions and tolerances are the peers' defaults; where a
peer leaves a choice to its user, the docstring says which was made. minigan's gradients are under
test: its J^T g stands where the peer has its own. Peers with a fixed seed are given the caller's
generator instead, so that 20 seeds are 20 checks.

Letters: f takes several values xs to several values ys; J is its Jacobian, us are directions in
which the xs move, gs are cotangents of the ys. MyGrad and tinygrad ship no such check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator

from minigan.autograd import Tensor, grad
from minigan.autograd.engine import Value, array_of
from minigan.backend import HostArray

Function: TypeAlias = Callable[[Sequence[Value]], list[Value]]
PullBack: TypeAlias = Callable[[Sequence[Value]], list[Value]]
Protocol: TypeAlias = Callable[[Callable[..., Any], Sequence[Any], Generator], None]
# (f, inputs, rng): f(*inputs) is a function of Tensors or arrays; its floating-point inputs are
# differentiated, anything else is passed on. An AssertionError is what the peer would report.


def pytorch_gradcheck(f: Callable[..., Any], inputs: Sequence[Any], rng: Generator) -> None:
    """The whole Jacobian, row by row and twice, against central differences of every element.

    Of the further default checks one applies: a cotangent of zeros must give zeros. Undefined
    cotangents don't exist here; shapes and dtypes are fitted by the engine, as by PyTorch's.
    Source: torch.autograd.gradcheck and _slow_gradcheck in torch/autograd/gradcheck.py.
    """
    function, xs = _of_floats(f, inputs)
    ys, pull_back = _vjp(function, xs)
    numerical = _jacobian_numerical(function, xs, 1e-6)
    jacobian = _pytorch_rows(ys, pull_back, list(_unit_directions(ys)))
    _check_close(jacobian, numerical, rtol=1e-3, atol=1e-5)


def pytorch_gradcheck_fast(f: Callable[..., Any], inputs: Sequence[Any], rng: Generator) -> None:
    """g^T J u for each input, with u and g drawn uniformly from [0, 1) and scaled to length 1.

    An error of atol in each element of J would be sum(u) * sum(g) * atol, so that is allowed.
    Source: _fast_gradcheck, _make_vectors, _adjusted_atol in torch/autograd/gradcheck.py.
    """
    function, xs = _of_floats(f, inputs)
    ys, pull_back = _vjp(function, xs)
    us = [_unit(rng.random(x.shape)) for x in xs]
    gs = [_unit(rng.random(y.shape)) for y in ys]
    directions = [[u if i == j else np.zeros_like(u) for j, u in enumerate(us)]
                  for i in range(len(us))]  # fmt: skip
    numerical = [_inner(gs, _jvp_numerical(function, xs, us, 1e-6)) for us in directions]
    (gradient,) = _pytorch_rows(ys, pull_back, [gs])
    for us, expected in zip(directions, numerical, strict=True):
        allowed = 1e-5 * _flat(us).sum() * _flat(gs).sum()
        _check_close(_flat(us) @ gradient, expected, rtol=1e-3, atol=allowed)


def _pytorch_rows(
    ys: Sequence[Value], pull_back: PullBack, cotangents: Sequence[Sequence[HostArray]]
) -> HostArray:
    """J^T gs for each cotangent, twice: any difference is reported, as is a J^T 0 that is not 0."""
    rows = np.array([_flat(pull_back(gs)) for gs in cotangents])
    again = np.array([_flat(pull_back(gs)) for gs in cotangents])
    if not np.array_equal(rows, again):
        raise AssertionError("two backward passes through one graph differ.")
    if np.any(_flat(pull_back([np.zeros_like(y) for y in ys])) != 0):
        raise AssertionError("a cotangent of zeros gives a gradient that is not zero.")
    return rows


def jax_check_grads(f: Callable[..., Any], inputs: Sequence[Any], rng: Generator) -> None:
    """J u and <J^T g, u> in one normal direction, of f and of its derivatives; for float64.

    The order has no default; most of JAX's own tests (tests/lax_autodiff_test.py) take 2. Both
    modes are checked, as by default: one rule serves both, there as in minigan's J u.
    Source: check_grads, check_jvp, check_vjp in jax/_src/public_test_util.py.
    """
    function, xs = _of_floats(f, inputs)
    _jax_check(function, xs, 2, rng)


def _jax_check(f: Function, xs: list[HostArray], order: int, rng: Generator) -> None:
    us = _normal_like(xs, rng)
    for exact, numerical in zip(_jvp(f, xs, us), _jvp_numerical(f, xs, us, 1e-4), strict=True):
        _check_close(exact, numerical, rtol=1e-5 * exact.size, atol=1e-5 * exact.size)
    _check_close(*_projections(f, xs, rng, 1e-4), rtol=1e-5, atol=1e-5)
    if order > 1:
        count = len(xs)

        def forward(values: Sequence[Value]) -> list[Value]:
            xs, us = values[:count], values[count:]
            return [*f(xs), *_jvp(f, xs, us, record=True)]

        def reverse(xs: Sequence[Value]) -> list[Value]:
            ys, pull_back = _vjp(f, xs, record=True)
            return pull_back(ys)

        _jax_check(forward, [*xs, *xs], order - 1, rng)
        _jax_check(reverse, xs, order - 1, rng)


def chainer_check_backward(f: Callable[..., Any], inputs: Sequence[Any], rng: Generator) -> None:
    """<J^T g, u> for one unit vector u over all inputs, without components near 0.

    g is uniform in [-1, 1), as chainer.testing.FunctionTestCase draws it. The search for kinks
    is off by default.
    Source: check_backward and _CheckBackward in chainer/gradient_check.py.
    """
    function, xs = _of_floats(f, inputs)
    ys, pull_back = _vjp(function, xs)
    gs = [rng.uniform(-1, 1, y.shape) for y in ys]
    us = _chainer_direction(xs, rng)
    numerical = _inner(gs, _jvp_numerical(function, xs, us, 1e-3))
    _check_close(numerical, _inner(us, pull_back(gs)), rtol=1e-4, atol=1e-5)


def _chainer_direction(xs: list[HostArray], rng: Generator) -> list[HostArray]:
    """A unit vector; every one of its n components is at least 0.1 / sqrt(n)."""
    u = _unit(rng.normal(size=sum(x.size for x in xs)))
    u = np.copysign(np.sqrt(0.99 * u**2 + 0.01 / u.size), u)
    ends = np.cumsum([x.size for x in xs])
    return [part.reshape(x.shape) for part, x in zip(np.split(u, ends[:-1]), xs, strict=True)]


def autograd_check_grads(f: Callable[..., Any], inputs: Sequence[Any], rng: Generator) -> None:
    """<J^T g, u> for normal g and u, of f and (order 2) of J^T g as a function of xs and gs.

    All inputs are one argument, a tuple. Mode "fwd", the other half of the default, checks forward
    rules, which are written apart from the pullbacks.
    Source: check_grads, check_vjp and scalar_close in autograd/test_util.py.
    """
    function, xs = _of_floats(f, inputs)
    count = len(xs)

    def gradient(values: Sequence[Value]) -> list[Value]:
        _, pull_back = _vjp(function, values[:count], record=True)
        return pull_back(values[count:])

    _autograd_check_vjp(function, xs, rng)
    _autograd_check_vjp(gradient, [*xs, *_normal_like(function(xs), rng)], rng)


def _autograd_check_vjp(f: Function, xs: list[HostArray], rng: Generator) -> None:
    exact, numerical = _projections(f, xs, rng, 0.5e-6)
    error = abs(exact - numerical)
    if not (error < 1e-6 or error < 1e-6 * abs(exact + numerical)):
        raise AssertionError(f"the gradient is off by {error:.2g} in a random direction.")


def minitorch_grad_check(f: Callable[..., Any], inputs: Sequence[Any], rng: Generator) -> None:
    """The gradient of the sum of f, at one random index of each input.

    Source: grad_check and grad_central_difference in minitorch/tensor_functions.py.
    """
    function, xs = _of_floats(f, inputs)
    ys, pull_back = _vjp(function, xs)
    gradient = _flat(pull_back([np.ones_like(y) for y in ys]))
    directions = list(_unit_directions(xs))
    for x, end in zip(xs, np.cumsum([x.size for x in xs]), strict=True):
        index = rng.integers(end - x.size, end)
        numerical = _flat(_jvp_numerical(function, xs, directions[index], 1e-6)).sum()
        _check_close(gradient[index], numerical, rtol=1e-2, atol=1e-2)


def dezero_gradient_check(f: Callable[..., Any], inputs: Sequence[Any], rng: Generator) -> None:
    """The gradient of the sum of f, at every element; one input after the other.

    Source: gradient_check and numerical_grad in dezero/utils.py.
    """
    function, xs = _of_floats(f, inputs)
    numerical = _jacobian_numerical(function, xs, 1e-4).sum(axis=0)
    ys, pull_back = _vjp(function, xs)
    gradient = _flat(pull_back([np.ones_like(y) for y in ys]))
    _check_close(numerical, gradient, rtol=1e-4, atol=1e-5)


PROTOCOLS: dict[str, Protocol] = {
    "PyTorch gradcheck": pytorch_gradcheck,
    "PyTorch gradcheck, fast mode": pytorch_gradcheck_fast,
    "JAX check_grads": jax_check_grads,
    "Chainer check_backward": chainer_check_backward,
    "autograd check_grads": autograd_check_grads,
    "minitorch grad_check": minitorch_grad_check,
    "DeZero gradient_check": dezero_gradient_check,
}


# ── derivatives ──────────────────────────────────────────────────────────────────────────────


def _of_floats(f: Callable[..., Any], inputs: Sequence[Any]) -> tuple[Function, list[HostArray]]:
    """f as a function of its floating-point inputs alone, and those inputs."""
    floats = [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]

    def function(xs: Sequence[Value]) -> list[Value]:
        chosen = dict(zip(floats, xs, strict=True))
        return [f(*(chosen.get(i, x) for i, x in enumerate(inputs)))]

    return function, [inputs[i] for i in floats]


def _vjp(f: Function, xs: Sequence[Value], record: bool = False) -> tuple[list[Value], PullBack]:
    """f(xs), and gs -> J^T gs; Tensors that can be differentiated again if recorded."""
    leaves = [x if isinstance(x, Tensor) else Tensor(x, requires_grad=True) for x in xs]
    ys = f(leaves)

    def pull_back(gs: Sequence[Value]) -> list[Value]:
        gradients = grad(ys, leaves, gs, create_graph=record, retain_graph=True)
        zeros = [np.zeros_like(x.data) for x in leaves]
        return [(Tensor(zero) if record else zero) if gradient is None else gradient
                for gradient, zero in zip(gradients, zeros, strict=True)]  # fmt: skip

    return (ys if record else [y.data for y in ys]), pull_back


def _jvp(
    f: Function, xs: Sequence[Value], us: Sequence[Value], record: bool = False
) -> list[Value]:
    """J us: J^T gs is linear in gs, so its own vector-Jacobian product with us is J us."""
    ys, pull_back = _vjp(f, xs, record=True)
    _, push_forward = _vjp(pull_back, [np.zeros_like(y.data) for y in ys], record)
    return push_forward(us)


def _jvp_numerical(
    f: Function, xs: Sequence[HostArray], us: Sequence[HostArray], eps: float
) -> list[HostArray]:
    """J us by a central difference: (f(x + eps u) - f(x - eps u)) / 2 eps."""
    above = f([x + eps * u for x, u in zip(xs, us, strict=True)])
    below = f([x - eps * u for x, u in zip(xs, us, strict=True)])
    return [(array_of(a) - array_of(b)) / (2 * eps) for a, b in zip(above, below, strict=True)]


def _jacobian_numerical(f: Function, xs: Sequence[HostArray], eps: float) -> HostArray:
    """J, one row per element of the ys and one column per element of the xs."""
    columns = [_flat(_jvp_numerical(f, xs, us, eps)) for us in _unit_directions(xs)]
    return np.array(columns).T


def _projections(
    f: Function, xs: list[HostArray], rng: Generator, eps: float
) -> tuple[float, float]:
    """<J^T g, u> by minigan and <g, J u> by a central difference, for normal u and g."""
    ys, pull_back = _vjp(f, xs)
    us, gs = _normal_like(xs, rng), _normal_like(ys, rng)
    return _inner(us, pull_back(gs)), _inner(gs, _jvp_numerical(f, xs, us, eps))


# ── vectors, and the verdict ──────────────────────────────────────────────────────────────────


def _unit_directions(xs: Sequence[HostArray]) -> Iterator[list[HostArray]]:
    """Every direction that moves one element of one array by 1."""
    for i, x in enumerate(xs):
        for index in np.ndindex(x.shape):
            us = [np.zeros_like(x) for x in xs]
            us[i][index] = 1
            yield us


def _normal_like(xs: Sequence[HostArray], rng: Generator) -> list[HostArray]:
    return [np.asarray(rng.normal(size=np.shape(x))) for x in xs]


def _unit(u: Any) -> HostArray:
    return np.asarray(u / np.linalg.norm(u))


def _flat(xs: Sequence[HostArray]) -> HostArray:
    return np.concatenate([np.ravel(x) for x in xs])


def _inner(us: Sequence[HostArray], vs: Sequence[HostArray]) -> float:
    return float(_flat(us) @ _flat(vs))


def _check_close(found: Any, reference: Any, rtol: float, atol: float) -> None:
    """|found - reference| <= atol + rtol * |reference|, NumPy's and PyTorch's rule."""
    if not np.allclose(found, reference, rtol, atol):
        worst = np.max(np.abs(found - reference))
        raise AssertionError(f"the gradient and its numerical value differ by up to {worst:.2g}.")
