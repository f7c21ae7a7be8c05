"""Random expression graphs, in minigan and in HIPS autograd: the same derivatives.

A state machine grows a graph from earlier values, one operation at a time: some values are used
twice, some broadcast, some are views of others. Then both libraries differentiate a number made of
the leaves and the last values. They share the expressions, but none of the derivative rules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

import minigan as mg
from minigan.autograd import engine, ops
from minigan.autograd.ops import shape

TOLERANCE = 1e-10  # how far from autograd's numbers, relative to their norm
LARGEST = 3.0  # larger values are scaled down: far out, tanh and sigmoid lose their digits
NEAREST = 1e-3  # closer to a kink or a tie than this, an operation is left out
MOST_NUMBERS = 64  # an operation whose result has more is left out, too
MOST_LEAVES = 4

# ── the two libraries, with the same names in them ───────────────────────────────────────────

MINIGAN: Any = ops

AUTOGRAD: Any = SimpleNamespace(**vars(anp))
AUTOGRAD.broadcast_to = lambda x, shape: x + anp.zeros(shape)  # its own adds no axes
AUTOGRAD.leaky_relu = lambda x: anp.where(x > 0, x, 0.2 * x)
AUTOGRAD.log_softmax = lambda x: x - anp.log(anp.sum(anp.exp(x), axis=-1, keepdims=True))
AUTOGRAD.pad = lambda x, widths: anp.pad(x, widths, "constant")
AUTOGRAD.relu = lambda x: anp.where(x > 0, x, 0.0)
AUTOGRAD.sigmoid = lambda x: 0.5 + 0.5 * anp.tanh(x / 2)
AUTOGRAD.sigmoid_cross_entropy_with_logits = lambda labels, x: anp.logaddexp(x, 0.0) - labels * x
AUTOGRAD.softplus = lambda x: anp.logaddexp(x, 0.0)
AUTOGRAD.where = lambda condition, x, w: anp.where(  # its own needs inputs of one shape
    condition, x + 0 * w, w + 0 * x
)

# ── what is computed; np is either of them ───────────────────────────────────────────────────

Function = Callable[..., Any]

UNARY: dict[str, Function] = {
    "negative": lambda np, x: -x,
    "square": lambda np, x: np.square(x),
    "exp": lambda np, x: np.exp(x),
    "tanh": lambda np, x: np.tanh(x),
    "sigmoid": lambda np, x: np.sigmoid(x),
    "softplus": lambda np, x: np.softplus(x),
    "log": lambda np, x: np.log(1.5 + np.tanh(x)),
    "log1p": lambda np, x: np.log1p(np.exp(x)),
    "sqrt": lambda np, x: np.sqrt(1 + np.square(x)),
    "reciprocal": lambda np, x: 1 / (2 + np.tanh(x)),
    "power": lambda np, x: (1 + x * x) ** -1.5,
    "abs": lambda np, x: np.abs(x),
    "relu": lambda np, x: np.relu(x),
    "leaky_relu": lambda np, x: np.leaky_relu(x),
    "clip": lambda np, x: np.clip(x, -1.0, 1.0),
}

BINARY: dict[str, Function] = {
    "add": lambda np, x, w: x + w,
    "subtract": lambda np, x, w: x - w,
    "multiply": lambda np, x, w: x * w,
    "divide": lambda np, x, w: x / (2 + np.tanh(w)),
    "power": lambda np, x, w: np.power(1 + x * x, w),
    "cross_entropy": lambda np, x, w: np.sigmoid_cross_entropy_with_logits(x, w),
    "maximum": lambda np, x, w: np.maximum(x, w),
    "minimum": lambda np, x, w: np.minimum(x, w),
    "where": lambda np, x, w: np.where(x > w, np.tanh(x), w),
}

KINKS: dict[str, Function] = {  # where one of these is 0
    "abs": lambda x: x,
    "relu": lambda x: x,
    "leaky_relu": lambda x: x,
    "clip": lambda x: np.abs(x) - 1,
    "maximum": np.subtract,
    "minimum": np.subtract,
    "where": np.subtract,
}

MOVES: dict[str, Function] = {
    "flatten": lambda np, x: np.reshape(x, (-1,)),
    "reshape": lambda np, x: np.reshape(x, x.shape[::-1]),
    "transpose": lambda np, x: np.transpose(x),
    "swapaxes": lambda np, x: np.swapaxes(x, 0, -1),
    "expand_dims": lambda np, x: np.expand_dims(x, 0),
    "squeeze": lambda np, x: np.squeeze(x),
    "broadcast_to": lambda np, x: np.broadcast_to(x, (2, *x.shape)),
    "pad": lambda np, x: np.pad(x, [(1, 0)] * x.ndim),
    "stack": lambda np, x: np.stack([x, -x], axis=-1),
    "first": lambda np, x: x[0],
    "last": lambda np, x: x[..., -1],
    "reversed": lambda np, x: x[::-1],
    "every second": lambda np, x: x[..., ::2],
    "one twice": lambda np, x: x[[0, -1, 0]],
    "log_softmax": lambda np, x: np.log_softmax(x),
}

REDUCTIONS: dict[str, Function] = {
    "sum": lambda np, x, **options: np.sum(x, **options),
    "mean": lambda np, x, **options: np.mean(x, **options),
    "var": lambda np, x, **options: np.var(x, **options),
    "max": lambda np, x, **options: np.max(x, **options),
}

# ── the graph ────────────────────────────────────────────────────────────────────────────────

SHAPES = [(), (2,), (3,), (1, 3), (2, 1), (2, 3), (2, 2), (4, 2, 3)]
SEEDS = st.integers(0, 99)


@dataclass(eq=False)
class Node:
    """A value, and how either library computes it from other nodes; a leaf has no function."""

    value: np.ndarray
    function: Function | None = None
    inputs: tuple["Node", ...] = ()


class ExpressionGraphs(RuleBasedStateMachine):
    """Grows a graph; at the end both libraries differentiate it."""

    values = Bundle("v")

    def __init__(self):
        super().__init__()
        self.nodes = []

    # rules: where values do not fit an operation, they are first made to

    @precondition(lambda self: len(self.leaves()) < MOST_LEAVES)
    @rule(target=values, shape=st.sampled_from(SHAPES), seed=SEEDS)
    def leaf(self, shape, seed):
        values = np.random.default_rng(seed).uniform(-1.5, 1.5, shape)
        self.nodes.append(Node(np.asarray(values)))
        return self.nodes[-1]

    @rule(target=values, name=st.sampled_from(list(UNARY)), x=values)
    def unary(self, name, x):
        if name in KINKS and is_near(KINKS[name](x.value)):
            return multiple()
        return self.grow(UNARY[name], x)

    @rule(target=values, name=st.sampled_from(list(BINARY)), x=values, w=values)
    def binary(self, name, x, w):
        if not fit(np.add, x, w):
            w = self.grow(REDUCTIONS["mean"], w)
        if name in KINKS and is_near(KINKS[name](x.value, w.value)):
            return multiple()
        return self.grow(BINARY[name], x, w)

    @rule(
        target=values,
        name=st.sampled_from(list(REDUCTIONS)),
        x=values,
        axis=st.sampled_from([None, 0, -1, (0, -1)]),
        keepdims=st.booleans(),
    )
    def reduction(self, name, x, axis, keepdims):
        if axis is not None and x.value.ndim < np.size(axis):
            axis = None
        largest = np.max(x.value, axis=axis, keepdims=True)
        if name == "max" and np.sum(largest - x.value < NEAREST) > largest.size:
            return multiple()
        return self.grow(partial(REDUCTIONS[name], axis=axis, keepdims=keepdims), x)

    @rule(target=values, name=st.sampled_from(list(MOVES)), x=values)
    def move(self, name, x):
        if x.value.ndim == 0:
            x = self.grow(MOVES["expand_dims"], x)
        return self.grow(MOVES[name], x)

    @rule(target=values, x=values, w=values, axis=st.sampled_from([0, -1]))
    def concatenate(self, x, w, axis):
        if not fit(lambda *parts: np.concatenate(parts, axis), x, w):
            x, w = self.grow(MOVES["flatten"], x), self.grow(MOVES["flatten"], w)
        return self.grow(lambda np, x, w: np.concatenate([x, w], axis), x, w)

    @rule(target=values, x=values, w=values)
    def matmul(self, x, w):
        if x.value.ndim == 0:
            x = self.grow(MOVES["expand_dims"], x)
        if not fit(np.matmul, x, w):
            w = self.leaf((x.value.shape[-1], 2), seed=0)
        return self.grow(lambda np, x, w: x @ w, x, w)

    # what the rules do

    def leaves(self):
        return [node for node in self.nodes if node.function is None]

    def grow(self, function, *inputs):
        """The node of function(library, *inputs), scaled so that its values stay small."""
        value = np.asarray(function(MINIGAN, *(x.value for x in inputs)))
        if value.size > MOST_NUMBERS:
            return multiple()
        largest = np.max(np.abs(value))
        if largest > LARGEST:
            value = value * (LARGEST / largest)
            function = scaled(function, LARGEST / largest)
        self.nodes.append(Node(value, function, inputs))
        return self.nodes[-1]

    def total(self, library, *leaves):
        """The leaves and all values that nothing was made from, as one number."""
        remaining = iter(leaves)
        values = {}
        for node in self.nodes:
            inputs = [values[x] for x in node.inputs]
            values[node] = node.function(library, *inputs) if node.function else next(remaining)
        used = {x for node in self.nodes for x in node.inputs}
        ends = [node for node in self.nodes if node.function is None or node not in used]
        return sum(library.sum(library.exp(values[x] / 4) * normal(i, x.value))
                   for i, x in enumerate(ends))  # fmt: skip

    def teardown(self):
        leaves = [node.value for node in self.leaves()]
        direction = [normal(i, x) for i, x in enumerate(leaves, start=len(self.nodes))]
        if leaves:
            found = by_minigan(partial(self.total, MINIGAN), leaves, direction)
            expected = by_autograd(partial(self.total, AUTOGRAD), leaves, direction)
            for name in expected:
                for a, b in zip(found[name], expected[name], strict=True):
                    assert a.shape == b.shape
                    error = np.linalg.norm(a - b) / np.linalg.norm(b)
                    assert error <= TOLERANCE, f"{name}: off by {error:.1e} of autograd's"


def by_minigan(f, leaves, direction):
    """The value of f, its gradients and the products of its Hessian with a direction."""
    value, pull_back = mg.vjp(f, *leaves)
    return {
        "value": [value],
        "gradients": pull_back(np.ones(())),
        "Hessian products": mg.hvp(f, leaves, direction),
    }


def by_autograd(f, leaves, direction):
    """The same."""
    every = tuple(range(len(leaves)))
    gradient = autograd.grad(f, every)

    def slope(*leaves):
        return sum(AUTOGRAD.sum(g * v) for g, v in zip(gradient(*leaves), direction, strict=True))

    return {
        "value": [np.asarray(f(*leaves))],
        "gradients": gradient(*leaves),
        "Hessian products": autograd.grad(slope, every)(*leaves),
    }


def scaled(function, factor):
    return lambda np, *inputs: function(np, *inputs) * factor


def normal(seed, like):
    return np.random.default_rng(seed).normal(size=like.shape)


def is_near(distances):
    return np.min(np.abs(distances)) < NEAREST


def fit(function, *nodes):
    """Whether a function of arrays takes the values of these nodes."""
    try:
        function(*(node.value for node in nodes))
    except ValueError:
        return False
    return True


FUZZ = settings(max_examples=100, stateful_step_count=40)


class TestExpressionGraphs(ExpressionGraphs.TestCase):
    settings = FUZZ


# ── it can fail ──────────────────────────────────────────────────────────────────────────────

right_sum_to = engine.sum_to


def overwriting_put(x, index, shape):
    y = np.zeros(shape)
    y[index] = x
    return y


WRONG: dict[str, tuple[Any, str, Any]] = {  # what is replaced, and by what
    "a slope off by 0.001": (
        ops.tanh, "rules",
        [lambda g, y, x: g * (1 - 1.001 * y * y)],
    ),
    "the gradient of the smaller": (
        ops.maximum, "rules",
        [lambda g, y, x, w: g * (x <= w), lambda g, y, x, w: g * (x > w)],
    ),
    "the first part's gradient for every part": (
        shape._join, "rules",
        [lambda g, y, position, axis, *parts: g[tuple(map(slice, parts[position - 1].shape))]],
    ),
    "an element indexed twice counts once": (ops.put, "forward", overwriting_put),
    "broadcasting undone by a mean": (
        engine, "sum_to",
        lambda g, shape: right_sum_to(g, shape) * (np.prod(shape) / g.size),
    ),
    "no second derivative": (
        ops.square, "rules",
        [lambda g, y, x: g * (2 * mg.stop_gradient(x))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_rule_is_found(wrong, monkeypatch):
    monkeypatch.setattr(*WRONG[wrong])
    found = "Hessian products" if wrong == "no second derivative" else "gradients"
    with pytest.raises(AssertionError, match=f"{found}: off by"):
        run_state_machine_as_test(
            ExpressionGraphs, settings=settings(FUZZ, phases=[Phase.generate])
        )


def test_what_is_left_of_a_failing_example(monkeypatch):
    monkeypatch.setattr(*WRONG["a slope off by 0.001"])
    short = settings(FUZZ, phases=[Phase.generate, Phase.shrink], stateful_step_count=6)
    with pytest.raises(AssertionError, match="gradients: off by") as caught:
        run_state_machine_as_test(ExpressionGraphs, settings=short)
    steps = [line for line in "\n".join(caught.value.__notes__).splitlines() if "state." in line]
    assert len(steps) == 3
    assert steps[0].startswith("v_0 = state.leaf(")
    assert "x=v_0" in steps[1]
    assert steps[2] == "state.teardown()"
