"""The engine: a value that remembers how it was made, and one walk back through the memory.

    Tensor   an array, the op that made it and that op's inputs
    Op       a function on arrays, and one pullback per differentiable input
    grad     the walk: from y back to the tensors asked for, youngest node first

Letters used everywhere: y output, x and w inputs, g cotangent (the gradient with respect to y).
A pullback takes g to the gradient of one input. It is written in the same operations as any
other code, so it works on arrays (fast, records nothing) and on Tensors (records its own graph,
which is how second derivatives come about).
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import update_wrapper
from operator import attrgetter
from typing import Any, Generic, NamedTuple, ParamSpec, TypeAlias

import numpy as np

from minigan import backend
from minigan.autograd import diagnostics
from minigan.autograd.operators import Operators, registry
from minigan.backend import Array
from minigan.errors import DtypeError, GradientAccumulationWarning, ShapeError

Value: TypeAlias = Any  # an array or a Tensor: ops and pullbacks take both
Pullback: TypeAlias = Callable[..., Value]
P = ParamSpec("P")

_clock = itertools.count(1)  # ticks when a value is made or changed: says which came first
_last_change = 0  # when any value was last changed in place: only older nodes can have seen it


# ── modes ────────────────────────────────────────────────────────────────────────────────────


class Mode(NamedTuple):
    """What `Op.__call__` does besides computing; one value per thread or task."""

    record: bool = True  # remember inputs, so that grad can walk back
    sources: bool = False  # remember the user's line of each op, for messages
    anomalies: bool = False  # stop at the first value that is not finite


_mode: ContextVar[Mode] = ContextVar("mode", default=Mode())  # noqa: B039  a Mode is immutable


@contextmanager
def _mode_with(**changes: bool) -> Iterator[None]:
    token = _mode.set(_mode.get()._replace(**changes))
    try:
        yield
    finally:
        _mode.reset(token)


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside, nothing is recorded: for sampling, metrics and updates. Also a decorator."""
    with _mode_with(record=False):
        yield


@contextmanager
def record_source() -> Iterator[None]:
    """Inside, every op remembers the line that called it, and error messages name the lines."""
    with _mode_with(sources=True):
        yield


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Inside, the first NaN or infinity, forward or backward, raises a NonFiniteError.

    The message names the op, its shapes and the line that called it. NumPy's own warnings
    are silenced meanwhile: the error says more.
    """
    with _mode_with(sources=True, anomalies=True), np.errstate(all="ignore"):
        yield


# ── values ───────────────────────────────────────────────────────────────────────────────────


class Tensor(Operators):
    """An array, and how it was made. Operators and methods are NumPy's (operators.py).

    data           the array; NumPy's dtype rules apply, float32 stays float32
    requires_grad  whether gradients flow to it; only floating-point values can
    grad           what `backward()` has added up here so far, an array, or None
    """

    data: Array
    requires_grad: bool
    grad: Value | None
    name: str | None  # used in messages
    op: Any  # the Op that made it; None for a leaf, a value that no recorded op made
    inputs: Any  # what it was made from, a tuple; None once backward has freed it
    arrays: Any  # the inputs as the op saw them, Tensors replaced by their arrays
    parents: Any  # the Tensors among the inputs
    age: int  # when, by the clock; an op's output is younger than its inputs
    changed: int  # when the data was last changed in place, by the clock; 0 for never
    source: str | None  # the line that made it, when sources are recorded
    changed_at: str | None  # the line that last changed it in place, likewise
    grad_age: int  # when `grad` was computed, by the clock

    __slots__ = (
        "data", "requires_grad", "grad", "name", "op", "inputs", "arrays", "parents",
        "age", "changed", "source", "changed_at", "grad_age",
    )  # fmt: skip
    __array_ufunc__ = None  # array * Tensor calls Tensor.__rmul__, not NumPy's loop

    def __init__(self, data: Any, requires_grad: bool = False, name: str | None = None) -> None:
        if isinstance(data, Tensor):
            data = data.data
        if not backend.is_array(data):
            data = np.asarray(data)
        if requires_grad and data.dtype.kind not in "fc":
            raise DtypeError(
                f"gradients need floating-point numbers, not {data.dtype}. "
                f'Try: Tensor(x.astype("float32"), requires_grad=True).'
            )
        self._set(data, requires_grad)
        self.name = name

    def _set(
        self, data: Array, requires_grad: bool,
        op: Any = None, inputs: Any = (), arrays: Any = (), parents: Any = (),
    ) -> None:  # fmt: skip
        self.data = data
        self.requires_grad = requires_grad
        self.op = op
        self.inputs = inputs
        self.arrays = arrays
        self.parents = parents
        self.age = next(_clock)
        self.changed = self.grad_age = 0
        self.grad = self.name = self.source = self.changed_at = None

    def backward(
        self, g: Value | None = None, create_graph: bool = False, retain_graph: bool = False
    ) -> None:
        """Add d(self)/d(leaf) to the `.grad` of every leaf that requires gradients.

        g is the cotangent to start from, needed when self is not one number.
        """
        leaves = leaves_of(self)
        if not leaves:
            raise diagnostics.no_leaves(self)
        gradients = grad(self, leaves, g, create_graph, retain_graph)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            if leaf.grad is not None and 0 < leaf.grad_age < leaf.changed:
                warnings.warn(
                    diagnostics.stale_grad(leaf), GradientAccumulationWarning, stacklevel=2
                )
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
            leaf.grad_age = next(_clock)

    def detach(self) -> Tensor:
        """The same data as a constant: gradients stop here (TensorFlow's stop_gradient)."""
        return Tensor(self.data)

    def assign(self, value: Any) -> None:
        """Overwrite the data in place; a graph that used the old value then refuses backward.

        A change made through a view or through `detach()`, which share the data, is not noticed.
        """
        value = array_of(value)
        if not backend.is_array(value):
            value = backend.asarray(value, device=self.device)
        if backend.device_of(value) != self.device:
            raise diagnostics.wrong_device(self, value)
        self.data[...] = value
        self.mark_changed()

    def mark_changed(self) -> None:
        """Say that the data was written in place, as optimizers do."""
        global _last_change  # noqa: PLW0603
        self.changed = _last_change = next(_clock)
        self.changed_at = diagnostics.user_line() if _mode.get().sources else None


def stop_gradient(x: Value) -> Value:
    """TensorFlow's name for `x.detach()`; an array passes through."""
    return x.detach() if isinstance(x, Tensor) else x


# ── operations ───────────────────────────────────────────────────────────────────────────────


class Op(Generic[P]):
    """A function on arrays that becomes differentiable: `@op` above it, `.pullbacks(...)` below.

    Called with arrays only, it returns an array and records nothing. With a Tensor among its
    inputs it returns a Tensor (the declared return type: the common case).
    """

    def __init__(self, forward: Callable[P, Any]) -> None:
        update_wrapper(self, forward)
        self.name = forward.__name__
        self.forward: Callable[..., Any] = forward
        self.signature = inspect.signature(forward)
        self.arity = len(self.signature.parameters)
        self.defaults = tuple(
            p.default for p in self.signature.parameters.values() if p.default is not p.empty
        )
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in self.signature.parameters.values())
        self.rules: tuple[Any, ...] = (None,) * self.arity

    def pullbacks(self, *rules: Pullback | None) -> None:
        """One rule per input, in order: (g, y, *inputs) -> gradient of that input.

        None stands for an input that has no gradient (an axis, a shape, a condition). An op
        with *inputs has one rule for all of them, which is also told the position:
        (g, y, position, *inputs).
        """
        missing = 0 if self.variadic else self.arity - len(rules)
        self.rules = (*rules, *[None] * missing)

    def __call__(self, *inputs: P.args, **keywords: P.kwargs) -> Tensor:
        """Compute, and record how if an input requires gradients."""
        arguments: tuple[Any, ...] = inputs
        if keywords or len(inputs) < self.arity:
            arguments = self._complete(inputs, keywords)
        arrays, parents, recorded = [], [], False
        for x in arguments:
            if isinstance(x, Tensor):
                parents.append(x)
                recorded = recorded or x.requires_grad
                x = x.data
            arrays.append(x)
        try:
            data = self.forward(*arrays)
        except Exception as error:
            diagnostics.explain(error, self.name, arrays)
            raise

        if not parents:
            return data  # type: ignore[no-any-return]
        mode = _mode.get()
        if mode.anomalies:
            diagnostics.check_finite_forward(self.name, arrays, data)
        if isinstance(data, np.generic):  # NumPy's full reductions return scalars
            data = np.asarray(data)
        y = Tensor.__new__(Tensor)
        if recorded and mode.record and data.dtype.kind in "fc":
            y._set(data, True, self, arguments, arrays, parents)
        else:
            y._set(data, False)
        if mode.sources:
            y.source = diagnostics.user_line()
        return y

    def _complete(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        """All inputs by position, defaults filled in: what the pullbacks receive."""
        missing = self.arity - len(inputs)
        if not keywords and missing <= len(self.defaults):
            return inputs + self.defaults[-missing:]
        bound = self.signature.bind(*inputs, **keywords)
        bound.apply_defaults()
        return bound.args

    def rules_for(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """The rule of each input: (g, y, *inputs) -> gradient of that input."""
        if not self.variadic:
            return self.rules
        (rule,) = self.rules
        return [
            lambda g, y, *inputs, position=position: rule(g, y, position, *inputs)
            for position in range(len(inputs))
        ]

    def __repr__(self) -> str:
        return f"<op {self.name}{self.signature}>"


def op(forward: Callable[P, Any]) -> Op[P]:
    """Turn a function on arrays into an op and enter it in the registry."""
    registry[forward.__name__] = new = Op(forward)
    return new


# ── the walk back ────────────────────────────────────────────────────────────────────────────


def grad(
    y: Tensor | Sequence[Tensor],
    wrt: Tensor | Sequence[Tensor],
    g: Value | Sequence[Value] | None = None,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> list[Any]:
    """The gradients of y with respect to each tensor in `wrt`; None where y does not depend on it.

    y             one number, or any shape if the cotangent g (same shape) is given; or several
    create_graph  return Tensors that can be differentiated again, not arrays
    retain_graph  keep the graph for another walk; without it memory is freed on the way
    Errors: GraphError (not one number, graph already freed, value changed in place since).
    Source: reverse accumulation, Griewank & Walther, "Evaluating Derivatives", ch. 3.
    """
    if isinstance(y, Tensor):
        y, g = [y], [g]
    wrt = [wrt] if isinstance(wrt, Tensor) else wrt
    targets = {id(x) for x in wrt}
    path, reached = _path(y, targets)

    cotangents: dict[int, Value] = {}  # by id of the tensor; the path keeps the tensors alive
    owned: set[int] = set()  # cotangents in buffers nobody else can see: safe to add to in place

    def accumulate(x: Tensor, g: Value, fresh: bool) -> None:
        key = id(x)
        if key not in cotangents:
            cotangents[key] = g
        elif key in owned:
            cotangents[key] += g
        else:
            cotangents[key] = _like(cotangents[key] + g, x.data)
            fresh = True
        if fresh:
            owned.add(key)

    for output, seed in zip(y, g or [None] * len(y), strict=True):
        if id(output) in reached:
            accumulate(output, _seed(output, seed, create_graph), fresh=False)

    anomalies = _mode.get().anomalies
    while path:
        node = path.pop()  # youngest first: every user of node has been visited
        inputs = node.inputs
        if _last_change > node.age:
            changed = [x for x in node.parents if x.changed > node.age]
            if changed or node.changed:
                raise diagnostics.changed_in_place(node, changed)
        key = id(node)
        gy = cotangents[key] if key in targets else cotangents.pop(key)
        owned.discard(key)  # the pullbacks may hand parts of gy on
        y_seen, inputs_seen = (node, inputs) if create_graph else (node.data, node.arrays)
        for position, rule in enumerate(node.op.rules_for(inputs)):
            x = inputs[position]
            if id(x) not in reached:
                continue
            if rule is None:
                raise diagnostics.no_pullback(node.op, position)
            gx = _like(rule(gy, y_seen, *inputs_seen), x.data)
            if anomalies:
                diagnostics.check_finite_backward(node, position, array_of(gx))
            accumulate(x, gx, fresh=not create_graph and gx is not gy and gx.base is None)
        if not (create_graph or retain_graph):
            node.inputs = node.arrays = node.parents = None  # frees memory as the walk goes

    results = [cotangents.get(id(x)) for x in wrt]
    if create_graph:
        return results
    # no two results share memory, nor does one with the caller's g
    return [r.copy() if r is not None and id(x) not in owned else r
            for x, r in zip(wrt, results, strict=True)]  # fmt: skip


def _path(outputs: Sequence[Tensor], targets: set[int]) -> tuple[list[Tensor], set[int]]:
    """The op outputs that lie between `outputs` and the targets, oldest first; and all their ids.

    Only these are visited: the generator's step never computes the discriminator's gradients.
    """
    found = _ancestors(outputs)
    reached = targets & found.keys()
    path = []
    for node in sorted(found.values(), key=attrgetter("age")):
        if not reached.isdisjoint(map(id, node.parents)):
            reached.add(id(node))
            path.append(node)
    return path, reached


def leaves_of(y: Tensor) -> list[Tensor]:
    """The leaves that require gradients and from which y was computed, oldest first."""
    leaves = (x for x in _ancestors([y]).values() if x.op is None)
    return sorted(leaves, key=attrgetter("age"))


def _ancestors(outputs: Sequence[Tensor]) -> dict[int, Tensor]:
    """The outputs and everything they were computed from that requires gradients, by id."""
    found: dict[int, Tensor] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.requires_grad and id(node) not in found:
            found[id(node)] = node
            if node.parents is None:
                raise diagnostics.freed(node)
            stack += node.parents
    return found


def _seed(y: Tensor, g: Value | None, create_graph: bool) -> Value:
    """The cotangent the walk starts with: 1 for one number, else what the caller gave."""
    if g is None:
        if y.size != 1:
            raise diagnostics.not_one_number(y)
        g = np.ones_like(y.data)
    elif not isinstance(g, Tensor) and not backend.is_array(g):
        g = backend.asarray(g, device=y.device)
    if g.shape != y.shape:
        raise ShapeError(
            f"the cotangent g has shape {g.shape}, but y has {y.shape}. "
            f"Try: pass g with the shape of y."
        )
    if create_graph and not isinstance(g, Tensor):
        g = Tensor(g)
    return _like(g if create_graph else array_of(g), y.data)


def _like(g: Value, x: Array) -> Value:
    """g with the shape and dtype of x: the adjoints of broadcasting and of dtype promotion."""
    if g.shape != x.shape:
        g = sum_to(g, x.shape)
    if g.dtype != x.dtype:
        g = g.astype(x.dtype)
    if not x.shape and isinstance(g, np.generic):  # NumPy's full reductions return scalars
        g = np.asarray(g)
    return g


def sum_to(g: Value, shape: tuple[int, ...]) -> Value:
    """Sum g over the axes that broadcasting added or stretched, down to `shape`."""
    added = g.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and g.shape[added + i] != 1]
    return g.sum(axis=(*range(added), *stretched), keepdims=True).reshape(shape)


def array_of(x: Any) -> Any:
    """The data of a Tensor; anything else as it is."""
    return x.data if isinstance(x, Tensor) else x
