"""Mistakes that can be made in any pullback, as functions from a right rule to a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.autograd.engine import Pullback, Tensor, Value, array_of, sum_to
from minigan.autograd.operators import registry

RIGHT = {name: op.rules for name, op in registry.items()}  # before any mutant takes their place


def right(op: str, argument: int = 0) -> Pullback:
    """The op's own pullback."""
    rule: Pullback = RIGHT[op][argument]
    return rule


def times(factor: float, rule: Pullback) -> Pullback:
    """Off by a factor."""
    return lambda g, y, *inputs: factor * rule(g, y, *inputs)


def last_element_off(rule: Pullback) -> Pullback:
    """One element is off by 0.001 of its value, all others are right."""

    def wrong(g: Value, y: Value, *inputs: Any) -> Value:
        gradient = rule(g, y, *inputs)
        factors = np.ones(gradient.shape)
        factors.reshape(-1)[-1] = 1.001
        return gradient * factors

    return wrong


# ── what g is for ────────────────────────────────────────────────────────────────────────────


def ignoring_g(rule: Pullback) -> Pullback:
    """As if g were 1."""
    return lambda g, y, *inputs: rule(np.ones_like(array_of(g)), y, *inputs)


def squaring_g(rule: Pullback) -> Pullback:
    """g enters twice."""
    return lambda g, y, *inputs: rule(g * g, y, *inputs)


def over_g(rule: Pullback) -> Pullback:
    """The result is written into the memory of g, which is the caller's."""

    def wrong(g: Value, y: Value, *inputs: Any) -> Value:
        gradient = rule(g, y, *inputs)
        if isinstance(g, Tensor):
            return gradient
        g[...] = gradient
        return g

    return wrong


# ── memory ───────────────────────────────────────────────────────────────────────────────────


def with_one_buffer(rule: Pullback) -> Callable[[], Pullback]:
    """Each call writes its result into the array that the call before has returned."""

    def new() -> Pullback:
        buffers: dict[Any, Any] = {}

        def wrong(g: Value, y: Value, *inputs: Any) -> Value:
            gradient = rule(g, y, *inputs)
            if isinstance(gradient, Tensor):
                return gradient
            kind = gradient.shape, gradient.dtype
            buffer = buffers.setdefault(kind, np.empty(*kind))
            buffer[...] = gradient
            return buffer

        return wrong

    return new


def in_memory_order(x: Value) -> Value:
    """The numbers of an array as they lie in memory, as if that were always row by row."""
    return x if isinstance(x, Tensor) else x.ravel("K").reshape(x.shape)


def of_the_base(x: Value) -> Value:
    """The memory that a view was taken from, from its start."""
    if isinstance(x, Tensor) or x.base is None or x.base.size < x.size:
        return x
    return x.base.ravel()[: x.size].reshape(x.shape)


# ── broadcasting ─────────────────────────────────────────────────────────────────────────────


def averaged_to(argument: int, rule: Pullback) -> Pullback:
    """Broadcast gradients are averaged, not summed, down to the input's shape."""

    def wrong(g: Value, y: Value, *inputs: Any) -> Value:
        gradient, x = rule(g, y, *inputs), inputs[argument]
        return sum_to(gradient, x.shape) * (x.size / gradient.size)

    return wrong


def first_of(argument: int, rule: Pullback) -> Pullback:
    """Of the broadcast gradients the first one is taken, not the sum."""

    def wrong(g: Value, y: Value, *inputs: Any) -> Value:
        gradient, shape = rule(g, y, *inputs), inputs[argument].shape
        added = gradient.ndim - len(shape)
        return gradient[(*[0] * added, *(slice(0, n) for n in shape))]

    return wrong


# ── graphs ───────────────────────────────────────────────────────────────────────────────────


def on_arrays(rule: Pullback) -> Pullback:
    """The arrays are taken out of the Tensors: right numbers, but no graph of them."""

    def wrong(g: Value, y: Value, *inputs: Any) -> Value:
        gradient = rule(array_of(g), array_of(y), *map(array_of, inputs))
        return Tensor(gradient) if isinstance(g, Tensor) else gradient

    return wrong


def in_graphs(graph_rule: Pullback, rule: Pullback) -> Pullback:
    """A fast rule for arrays, and another one for Tensors that does not match it."""
    return lambda g, y, *inputs: (graph_rule if isinstance(g, Tensor) else rule)(g, y, *inputs)


def only_if(condition: Callable[..., Any], wrong: Pullback, rule: Pullback) -> Pullback:
    """Wrong for some inputs, right for all others."""
    return lambda g, y, *inputs: (wrong if condition(*inputs) else rule)(g, y, *inputs)


def only_in(dtype: str, wrong: Pullback, rule: Pullback) -> Pullback:
    """Wrong in one precision, right in all others."""
    return lambda g, y, *inputs: (wrong if g.dtype == dtype else rule)(g, y, *inputs)
