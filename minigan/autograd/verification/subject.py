"""What a gradient check looks at: a function of some named values, in any precision.

`subject_of` makes one of a user's function or module; `gradient_of` makes one of its gradient, so
that the check of a second derivative is the check of a first one, of another function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigan import backend
from minigan.autograd.engine import Tensor, array_of, grad, no_grad
from minigan.autograd.verification.numerical import HostArray
from minigan.backend import Array
from minigan.random import stream


@dataclass(frozen=True)
class Subject:
    """A function of several values, and the point where it is checked.

    names       what messages call the values: "x", "kernel"
    points      their float64 values
    on_tensors  Tensors to a list of Tensors, recorded
    on_arrays   arrays on the host to all outputs in one flat vector; numbers only
    device      where on_tensors runs
    inputs      how many of the values are arguments; the others are parameters
    """

    name: str
    names: list[str]
    points: list[HostArray]
    on_tensors: Callable[[Sequence[Tensor]], list[Tensor]]
    on_arrays: Callable[[Sequence[HostArray]], HostArray]
    device: str
    inputs: int

    def leaves(self, values: Sequence[Array]) -> list[Tensor]:
        """The values as Tensors that require gradients, on the device."""
        return [Tensor(backend.asarray(x, device=self.device), requires_grad=True) for x in values]

    def pull(self, values: Sequence[Array]) -> Pullback:
        """One forward pass in the values' dtype, to be walked back many times."""
        return Pullback(self, self.leaves(values))


class Pullback:
    """A recorded forward pass: J^T g for as many cotangents g as are asked."""

    def __init__(self, subject: Subject, leaves: list[Tensor]) -> None:
        self.leaves = leaves
        self.outputs = subject.on_tensors(leaves)
        self.device = subject.device

    def value(self) -> HostArray:
        """The outputs in one flat vector."""
        return flat(self.outputs)

    def cotangents(self, g: HostArray) -> list[Array]:
        """A flat vector cut into one array for each output, in its shape and dtype."""
        sizes = np.cumsum([y.size for y in self.outputs])[:-1]
        return [
            backend.asarray(part.reshape(y.shape).astype(y.dtype), device=y.device)
            for part, y in zip(np.split(g, sizes), self.outputs, strict=True)
        ]

    def __call__(self, g: HostArray) -> list[HostArray | None]:
        """The gradient of each value on the host; None where no output depends on it."""
        gradients = self.raw(self.cotangents(g))
        return [None if x is None else backend.to_host(x) for x in gradients]

    def raw(self, g: Sequence[Array]) -> list[Array | None]:
        """The same for one cotangent array per output, as the engine gives it."""
        return grad(self.outputs, self.leaves, g, retain_graph=True)


def flat(outputs: Sequence[Any]) -> HostArray:
    """Several Tensors or arrays as one vector on the host."""
    arrays = (array_of(y) for y in outputs)
    vectors = [np.ravel(backend.to_host(y) if backend.is_array(y) else y) for y in arrays]
    return np.concatenate(vectors)


# ── a user's function ────────────────────────────────────────────────────────────────────────


def arguments_of(inputs: Sequence[Any], seed: int) -> list[Any]:
    """The inputs, with those drawn that are functions of a random generator."""
    return [x(stream(seed, "input", i)) if _is_draw(x) else x for i, x in enumerate(inputs)]


def subject_of(
    f: Callable[..., Any],
    arguments: Sequence[Any],
    reference: Callable[..., Any] | None,
    modules: Mapping[str, Any],
) -> Subject:
    """The function f of its floating-point arguments and of its modules' trainable parameters.

    A Tensor that does not require gradients, an integer, a tuple is handed on as it is.
    """
    places = [i for i, x in enumerate(arguments) if _is_differentiable(x)]
    device = next((backend.device_of(array_of(arguments[i])) for i in places), "cpu")
    points = [backend.to_host(array_of(arguments[i])).astype(np.float64) for i in places]
    names = [_argument_names(f, len(arguments))[i] for i in places]
    parameters = {
        f"{prefix}.{name}" if prefix else name: parameter
        for prefix, module in modules.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }

    def with_values(values: Sequence[Any]) -> list[Any]:
        new = list(arguments)
        for i, x in zip(places, values, strict=False):
            new[i] = x
        return new

    def on_tensors(values: Sequence[Tensor]) -> list[Tensor]:
        weights = zip(parameters.values(), values[len(places) :], strict=True)
        dtype = values[0].dtype if values else None
        with standing_in(modules, {id(old): new for old, new in weights}, dtype):
            return [y if isinstance(y, Tensor) else Tensor(y)
                    for y in as_list(f(*with_values(values)))]  # fmt: skip

    def on_arrays(values: Sequence[HostArray]) -> HostArray:
        if reference is not None:
            return flat(as_list(reference(*with_values(values), *values[len(places) :])))
        with no_grad():
            return flat(on_tensors([Tensor(backend.asarray(x, device=device)) for x in values]))

    return Subject(
        name_of(f),
        names + list(parameters),
        points + [backend.to_host(p.data).astype(np.float64) for p in parameters.values()],
        on_tensors,
        on_arrays,
        device,
        len(places),
    )


def as_list(y: Any) -> list[Any]:
    """Several outputs as a list, one as a list of one."""
    return list(y) if isinstance(y, tuple | list) else [y]


def name_of(f: Any) -> str:
    """An op's name, a function's, a module's class."""
    name = getattr(f, "name", None) or getattr(f, "__name__", None) or type(f).__name__
    return "f" if name == "<lambda>" else str(name)


def _is_draw(x: Any) -> bool:
    return callable(x) and not isinstance(x, type | Tensor)


def _is_differentiable(x: Any) -> bool:
    if isinstance(x, Tensor):
        return x.requires_grad
    return backend.is_array(x) and x.dtype.kind == "f"


def _argument_names(f: Any, count: int) -> list[str]:
    """The names of f's parameters; the second of *parts is parts[1]."""
    try:
        parameters = inspect.signature(getattr(f, "forward", f)).parameters.values()
    except (TypeError, ValueError):  # some builtins do not tell
        return [f"input {i}" for i in range(count)]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "input")
    return names[:count] + [f"{rest}[{i}]" for i in range(count - len(names))]


def build(f: Callable[..., Any], arguments: Sequence[Any], modules: Mapping[str, Any]) -> None:
    """Call a module once if it makes its parameters at the first call."""
    if not modules:
        return
    before, inputs = _parameter_names(modules), float32_leaves(arguments)
    with in_mode(modules, training=False):  # in inference nothing else changes
        with standing_in(modules, {}):
            f(*inputs)
            built = _parameter_names(modules) - before
        if built:
            f(*inputs)


@contextmanager
def in_mode(modules: Mapping[str, Any], training: bool | None) -> Iterator[None]:
    """Training or inference for a while; None leaves every module in its own mode."""
    before = [(m, m.training) for root in modules.values() for _, m in root.named_modules()]
    try:
        for module, mode in before:
            module.training = mode if training is None else training
        yield
    finally:
        for module, mode in before:
            module.training = mode


def float32_leaves(arguments: Sequence[Any]) -> list[Any]:
    """The arguments as a layer takes them, in float32, those to differentiate as leaves."""
    return [
        Tensor(array_of(x).astype("float32"), requires_grad=True) if _is_differentiable(x) else x
        for x in arguments
    ]


def _parameter_names(modules: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(prefix, name) for prefix, m in modules.items() for name, _ in m.named_parameters()}


@contextmanager
def standing_in(
    modules: Mapping[str, Any], values: Mapping[int, Tensor], dtype: Any = None
) -> Iterator[None]:
    """Inside, other Tensors stand in for parameters (by id), and copies for all other arrays.

    Afterwards every module is as it was before: a forward pass inside moves no moving average and
    counts no dropout mask.
    """
    if not modules:
        yield
        return
    tree = {id(m): m for root in modules.values() for _, m in root.named_modules()}.values()
    before = [(m, dict(vars(m))) for m in tree]
    copies: dict[int, Any] = dict(values)

    def replaced(x: Any) -> Any:
        if id(x) in copies:
            return copies[id(x)]
        if isinstance(x, Tensor):
            return copies.setdefault(id(x), Tensor(converted(x.data)))
        if backend.is_array(x):
            return copies.setdefault(id(x), converted(x))
        return type(x)(map(replaced, x)) if type(x) in (list, tuple) else x

    def converted(x: Array) -> Array:
        return x.astype(dtype) if dtype is not None and x.dtype.kind == "f" else x.copy()

    for module, attributes in before:
        vars(module).update({name: replaced(x) for name, x in attributes.items()})
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)


def alone(subject: Subject, i: int) -> Subject:
    """The same function of value i, the other arguments plain arrays."""

    def with_others(x: Any) -> list[Any]:
        values: list[Any] = subject.leaves(subject.points)
        values[: subject.inputs] = [leaf.data for leaf in values[: subject.inputs]]
        values[i] = x
        return values

    return replace(
        subject,
        names=[subject.names[i]],
        points=[subject.points[i]],
        on_tensors=lambda values: subject.on_tensors(with_others(values[0])),
        on_arrays=lambda values: subject.on_arrays(
            [values[0] if j == i else x for j, x in enumerate(subject.points)]
        ),
        inputs=1,
    )


# ── its gradient ─────────────────────────────────────────────────────────────────────────────


def gradient_of(subject: Subject, seed: int) -> Subject:
    """The gradient J^T g as a function of the same values and of the cotangent g.

    Its derivative to g is J, to the values the Hessian of <g, f>.
    """
    outputs = subject.pull(subject.points).outputs
    rng = stream(seed, f"cotangent of {subject.name}")
    cotangents = [rng.normal(size=y.shape) for y in outputs]
    names = ["g"] if len(outputs) == 1 else [f"g[{i}]" for i in range(len(outputs))]
    count = len(subject.points)

    def gradients(values: Sequence[Tensor], create_graph: bool) -> list[Any]:
        x, g = values[:count], values[count:]
        y = subject.on_tensors(x)
        found = grad(y, x, list(g), create_graph)
        return [np.zeros_like(a.data) if d is None else d for a, d in zip(x, found, strict=True)]

    def on_tensors(values: Sequence[Tensor]) -> list[Tensor]:
        return [y if isinstance(y, Tensor) else Tensor(y) for y in gradients(values, True)]

    def on_arrays(values: Sequence[HostArray]) -> HostArray:
        return flat(gradients(subject.leaves(values), False))

    return Subject(
        f"the gradient of {subject.name}",
        subject.names + names,
        subject.points + cotangents,
        on_tensors,
        on_arrays,
        subject.device,
        subject.inputs,
    )
