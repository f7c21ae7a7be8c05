"""Derivatives of functions: vector-Jacobian, Jacobian-vector and Hessian-vector products."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigan.autograd.engine import Tensor, grad


def vjp(f: Callable[..., Tensor], *inputs: Any) -> tuple[Any, Callable[[Any], list[Any]]]:
    """f(*inputs), and the function g -> J^T g that pulls a cotangent back to every input.

    >>> y, pull_back = vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pull_back(np.array([1.0, 1.0]))
    [array([2., 4.])]
    """
    leaves = _leaves(inputs)
    y = f(*leaves)

    def pull_back(g: Any) -> list[Any]:
        return _zeros_for_none(grad(y, leaves, g, retain_graph=True), leaves)

    return y.data, pull_back


def jvp(f: Callable[..., Tensor], inputs: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """J v: how f moves when its inputs move along the tangents v (same shapes as the inputs).

    J^T g is linear in g, so its own vector-Jacobian product with v is J v.
    Source: J. Townsend, "A new trick for calculating Jacobian vector products" (2017).

    >>> jvp(lambda x: x * x, [np.array([1.0, 2.0])], [np.array([1.0, 0.5])])
    array([2., 2.])
    """
    leaves = _leaves(inputs)
    y = f(*leaves)
    g = Tensor(np.zeros_like(y.data), requires_grad=True)
    gradients = grad(y, leaves, g, create_graph=True)
    reached = [(u, v) for u, v in zip(gradients, tangents, strict=True) if u is not None]
    (product,) = grad([u for u, _ in reached], g, [v for _, v in reached])
    return np.zeros_like(y.data) if product is None else product


def hvp(f: Callable[..., Tensor], inputs: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
    """H v for a function f with one number as its result: the gradient of <grad f, v>.

    Source: Pearlmutter 1994, "Fast exact multiplication by the Hessian".

    >>> hvp(lambda x: (x * x * x).sum(), [np.array([1.0, 2.0])], [np.array([1.0, 0.0])])
    [array([6., 0.])]
    """
    leaves = _leaves(inputs)
    gradients = grad(f(*leaves), leaves, create_graph=True)
    reached = [(u, v) for u, v in zip(gradients, vectors, strict=True) if u is not None]
    products = grad([u for u, _ in reached], leaves, [v for _, v in reached])
    return _zeros_for_none(products, leaves)


def _leaves(inputs: Sequence[Any]) -> list[Tensor]:
    return [Tensor(x, requires_grad=True) for x in inputs]


def _zeros_for_none(gradients: list[Any], inputs: Sequence[Tensor]) -> list[Any]:
    return [np.zeros_like(x.data) if g is None else g
            for g, x in zip(gradients, inputs, strict=True)]  # fmt: skip
