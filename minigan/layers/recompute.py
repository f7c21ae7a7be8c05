"""recompute: a part of a network forgets its inner values; backward computes them once more.

Training memory is mostly values that wait for backward. Of a recomputed part only the inputs wait;
its own values live twice, briefly: during its forward pass, and when backward comes to it.

    recompute    what users call: a function or module becomes a Recompute
    Recompute    a module that runs it, throws its graph away and records one op instead
    Call         what is needed to run it again
    recomputed   that op; its gradients are those of the second run
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from minigan import backend
from minigan.autograd import Op, Tensor, grad
from minigan.autograd.diagnostics import label
from minigan.autograd.engine import Value, _ancestors, _clock, _mode_with
from minigan.backend import Array
from minigan.errors import ConfigError, GraphError
from minigan.layers.module import Module

States: TypeAlias = Iterable[tuple[Module, Mapping[str, Any]]]  # modules and their attributes


def recompute(f: Callable[..., Any]) -> Recompute:
    """f with less memory, for more time: only its inputs are kept, and backward runs it again.

    f  a Module, or a function that finds its modules by name (not in attributes of other objects);
       its result is one Tensor, computed from its inputs, parameters and constants
    The second run sees the modules as the first one did and leaves no trace in them: dropout draws
    the same masks, moving averages move once. Gradients, of any order, are the same; only what is
    used in several places may add up its parts in another order.
    Errors: ConfigError (f or its result is something else), GraphError (f uses a computed Tensor
    that is not among its inputs, or makes something else of them the second time).
    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost"; Griewank & Walther,
    "Evaluating Derivatives", ch. 12.

    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> y = recompute(lambda x: x * x * x)(x)
    >>> grad(y.sum(), x)
    [array([ 3., 12.])]
    """
    return Recompute(f)


class Recompute(Module):
    """A function or module that is run again on the way back; `function` in the tree of names."""

    def __init__(self, function: Callable[..., Any]) -> None:
        kinds = Module, Op, types.FunctionType, types.MethodType
        if not isinstance(function, kinds):
            raise ConfigError(
                f"recompute: f is a {type(function).__name__}, but must be a Module or a function. "
                f"Try: recompute(lambda x: f(x))."
            )
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        """The function's result."""
        leaves = [_leaf_for(x) for x in inputs]
        before = {id(m): _copied(vars(m)) for m in _modules_within(self.function)}
        began = next(_clock)
        y = self.function(*leaves)

        if isinstance(y, tuple | list):
            raise ConfigError(
                f"recompute: f returned {len(y)} values, but must return one Tensor. "
                f"Try: a recompute for each, or one concatenate([...]) in f and split() after it."
            )
        if not _is_differentiable(y) or y.op is None:
            return next((x for x, leaf in zip(inputs, leaves, strict=True) if y is leaf), y)
        modules = _modules_within(self.function)
        _check_nothing_kept(modules, began)
        states = [(m, _filled(before.get(id(m), {}), _copied(vars(m)))) for m in modules]
        call = Call(self.function, inputs, _captured(y, leaves, began), states, y.data)
        return recomputed(call, *call.sources(inputs))


@dataclass(frozen=True, eq=False)
class Call:
    """A call that can be made again.

    captured  the parameters the result depends on, besides the inputs
    states    each module, and its attributes before the call
    result    what it returned
    """

    function: Callable[..., Any]
    inputs: Sequence[Any]
    captured: list[Tensor]
    states: States
    result: Array

    def sources(self, inputs: Sequence[Any]) -> list[Tensor]:
        """All that has a gradient when the call is made with these inputs."""
        return [*self.captured, *filter(_is_differentiable, inputs)]

    def again(self, inputs: Sequence[Any]) -> Tensor:
        """The result, recorded this time."""
        with _as_they_were(self.states), _mode_with(record=True):
            y: Tensor = self.function(*inputs)
        if not _same(y.data, self.result):
            raise GraphError(
                "recompute: f made something else of the same inputs when backward ran it again. "
                "Try: f without random numbers of its own, of data that nobody changes meanwhile."
            )
        return y

    def gradients(self, g: Array, first: int) -> dict[int, Array]:
        """The gradients of the sources, by position, from the first one that is wanted."""
        leaves = [_leaf_for(x) for x in self.inputs]
        wanted = self.sources(leaves)[first:]
        gradients = grad(self.again(leaves), wanted, g)
        return {
            position: np.zeros_like(x.data) if gradient is None else gradient
            for position, (x, gradient) in enumerate(zip(wanted, gradients, strict=True), first)
        }

    def gradient(self, position: int, g: Tensor, *inputs: Any) -> Tensor:
        """The gradient of one source, recorded: for derivatives of higher order."""
        x = self.sources(inputs)[position]
        (gradient,) = grad(self.again(inputs), x, g, create_graph=True)
        return Tensor(np.zeros_like(x.data)) if gradient is None else gradient


class _RecomputedOp(Op[...]):
    def rules_for(self, inputs: Sequence[Any]) -> list[Any]:
        """One rule per source; they share one run and one walk back.

        They are called in the order of the inputs, those of which no gradient is wanted left out.
        So at the first call none before is wanted: in G's step, no gradient of D's parameters.
        """
        call, *sources = inputs
        known: dict[int, Array] = {}
        pulled: Value = None  # the cotangent that `known` belongs to

        def rule(g: Value, y: Value, *inputs: Any, position: int) -> Value:
            nonlocal known, pulled
            if isinstance(g, Tensor):
                again = recompute(lambda g, *inputs: call.gradient(position, g, *inputs))
                return again(g, *call.inputs)
            if g is not pulled or position not in known:
                known, pulled = call.gradients(g, position), g
            return known.pop(position)

        return [None, *(partial(rule, position=i) for i in range(len(sources)))]


def _result(call: Call, *sources: Array) -> Array:
    return call.result


recomputed = _RecomputedOp(_result)
recomputed.name = "recompute"


# ── inputs ───────────────────────────────────────────────────────────────────────────────────


def _is_differentiable(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _leaf_for(x: Any) -> Any:
    """A stand-in for x without a past: the walk back through the function ends here."""
    return Tensor(x.data, requires_grad=True, name=x.name) if _is_differentiable(x) else x


def _captured(y: Tensor, leaves: Sequence[Any], began: int) -> list[Tensor]:
    """The parameters behind y, and other leaves that are not among the inputs.

    Errors: GraphError if y was computed from a Tensor that has a past of its own.
    """
    behind = _ancestors([y]).values()
    for x in behind:
        if x.op is not None and x.age < began:
            raise GraphError(
                f"recompute: f uses {label(x)}, which was computed outside of it and is not among "
                f"its inputs. Try: recompute(f)(x, it), or it.detach()."
            )
    own = {id(x) for x in leaves}
    return [x for x in behind if x.op is None and id(x) not in own]


def _same(x: Array, expected: Array) -> bool:
    """Up to rounding: BLAS may share its work among other threads the second time."""
    if x.shape != expected.shape:
        return False
    if np.array_equal(x, expected, equal_nan=True):
        return True
    rounding = np.sqrt(np.finfo(x.dtype).eps) * np.abs(expected).max()
    return bool(np.abs(x - expected).max() <= rounding)


# ── the modules a function uses ──────────────────────────────────────────────────────────────


def _modules_within(f: Any) -> list[Module]:
    """The modules that f can find by name: in attributes, lists, closures, global variables."""
    found: list[Module] = []
    seen: set[int] = set()
    stack = [f]
    while stack:
        x = stack.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, Module):
            found.append(x)
            stack += vars(x).values()
        elif isinstance(x, list | tuple):
            stack += x
        elif isinstance(x, types.MethodType):
            stack += [x.__self__, x.__func__]
        elif isinstance(x, types.FunctionType):
            names = inspect.getclosurevars(x)
            stack += [*names.nonlocals.values(), *names.globals.values()]
    return found


def _copied(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes, with copies of the arrays: some layers write into theirs."""
    return {n: x.copy() if backend.is_array(x) else x for n, x in attributes.items()}


def _filled(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The attributes before a call, and what the call has made: parameters, if it was the first."""
    return {**after, **{n: x for n, x in before.items() if x is not None}}


def _check_nothing_kept(modules: Sequence[Module], began: int) -> None:
    """Raise GraphError if a module holds on to a value of the call."""
    for module in modules:
        for name, x in vars(module).items():
            if isinstance(x, Tensor) and x.op is not None and x.age > began:
                raise GraphError(
                    f"recompute: {type(module).__name__} keeps a value of its forward pass, "
                    f"{name}, but what it was computed from is forgotten. Try: this layer outside "
                    f"of recompute, or without its activity regularizer."
                )


@contextmanager
def _as_they_were(states: States) -> Iterator[None]:
    """Inside, the modules have those attributes; afterwards, their own again."""
    now = [(module, dict(vars(module))) for module, _ in states]
    try:
        _set_attributes((module, _copied(attributes)) for module, attributes in states)
        yield
    finally:
        _set_attributes(now)


def _set_attributes(states: States) -> None:
    for module, attributes in states:
        vars(module).clear()
        vars(module).update(attributes)
