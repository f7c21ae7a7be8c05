"""Mutants of the engine itself: what it does to every gradient, whatever the op."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.autograd import engine
from minigan.autograd.engine import Tensor, Value, array_of
from minigan.testing.mutants.mutant import of

sum_to, like, seed = engine.sum_to, engine._like, engine._seed


def added_and_stretched(g: Value, shape: tuple[int, ...]) -> tuple[int, list[int]]:
    """How many axes broadcasting added in front, and which ones it stretched."""
    added = g.ndim - len(shape)
    return added, [added + i for i, n in enumerate(shape) if n == 1 and g.shape[added + i] != 1]


def averaged(g: Value, shape: tuple[int, ...]) -> Value:
    """The mean in place of the sum."""
    added, stretched = added_and_stretched(g, shape)
    return g.mean(axis=(*range(added), *stretched), keepdims=True).reshape(shape)


def first(g: Value, shape: tuple[int, ...]) -> Value:
    """The first of the summands."""
    return g[(*[0] * (g.ndim - len(shape)), *(slice(0, n) for n in shape))]


def without_added(g: Value, shape: tuple[int, ...]) -> Value:
    """Sums over stretched axes; of added ones the first place."""
    added, stretched = added_and_stretched(g, shape)
    return g.sum(axis=tuple(stretched), keepdims=True)[(0,) * added].reshape(shape)


def without_stretched(g: Value, shape: tuple[int, ...]) -> Value:
    """Sums over added axes; of stretched ones the first place."""
    return first(g.sum(axis=tuple(range(g.ndim - len(shape)))), shape)


def of_constants(function: Any) -> Any:
    """The result is taken out of its graph."""

    def wrong(g: Value, *arguments: Any) -> Value:
        result = function(array_of(g), *arguments)
        return Tensor(result) if isinstance(g, Tensor) else result

    return wrong


MUTANTS = [
    *of("engine", "sum_to",
        ("engine", "broadcast gradients are averaged", averaged),
        ("engine", "the first of the broadcast gradients", first),
        ("engine", "not summed at all", lambda g, shape: g),
        ("engine", "summed in float32", lambda g, shape: sum_to(g.astype("float32"), shape)),
        ("engine", "summed in float16", lambda g, shape: sum_to(g.astype("float16"), shape)),
        ("engine", "broadcast from the left, not the right", lambda g, shape: (
            g.sum(axis=tuple(range(len(shape), g.ndim))).reshape(shape))),
        ("engine", "sums without a graph", of_constants(sum_to)),
        where=r"^(add|multiply)\((nonzero)?\(2,3\),(nonzero)?\(3,\)\)",
    ),
    *of("engine", "sum_to",
        ("engine", "only stretched axes are summed", without_added),
        ("engine", "only added axes are summed", without_stretched),
        where=r"\(2,1,3\),.*\(4,1\)\)",
    ),
    *of("engine", "_like",
        ("engine", "every gradient is float32", lambda g, x: like(g, x).astype("float32")),
        ("engine", "every gradient passes through float16", lambda g, x: (
            like(like(g, x).astype("float16"), x))),
        ("engine", "gradients lose their graph", of_constants(like)),
        ("engine", "gradients are averaged over the batch", lambda g, x: (
            like(g / len(x) if x.ndim else g, x))),
        where=r"^(add|multiply|dense)\(",
    ),
    *of("engine", "_like",
        ("engine", "no gradient is cast back: float64 for float32", lambda g, x: (
            sum_to(g, x.shape) if g.shape != x.shape else g)),
        where="astype",
    ),
    *of("engine", "_seed",
        ("engine", "the cotangent is always 1", lambda y, g, create_graph: (
            seed(y, np.ones_like(y.data), create_graph))),
        ("engine", "the cotangent is squared", lambda y, g, create_graph: (
            seed(y, g * g, create_graph))),
        ("engine", "the cotangent is normalised", lambda y, g, create_graph: (
            seed(y, g / max(1.0, float(np.abs(array_of(g)).sum())), create_graph))),
        ("engine", "the cotangent is rounded to float32", lambda y, g, create_graph: (
            seed(y, g.astype("float32"), create_graph))),
        ("engine", "the cotangent is a constant", lambda y, g, create_graph: (
            seed(y, array_of(g), create_graph))),
        where=r"^(multiply|batch_norm|log_softmax)\(",
    ),
]  # fmt: skip
