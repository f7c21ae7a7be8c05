"""Module: its attributes are the tree.

A Tensor is a parameter, an array is a buffer, a Module (or a list of them) is a child; names
such as `generator.layers.0.kernel` are the path through the attributes. An attribute whose name
begins with an underscore is private and not part of the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from minigan import backend
from minigan.autograd import Tensor
from minigan.backend import Array
from minigan.constraints import Constraint
from minigan.errors import CheckpointError, ConfigError
from minigan.initializers import Initializer
from minigan.random import stream


class Parameter(Tensor):
    """A Tensor that is trained, and the constraint its optimizer applies after each update."""

    __slots__ = ("constraint",)

    def __init__(
        self,
        data: Any,
        trainable: bool = True,
        constraint: Constraint | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(data, requires_grad=trainable, name=name)
        self.constraint = constraint


def _no_forward(self: Module, *inputs: Any) -> Tensor:
    raise NotImplementedError(f"{type(self).__name__} does not define forward()")


class Module:
    """A function with parameters. Subclasses set attributes and define `forward`.

    Using one module object in two places shares its weights: TensorFlow's `reuse`.
    """

    training: bool = True  # dropout and batch norm behave differently in training
    forward: Callable[..., Tensor] = _no_forward  # what the module computes

    def __call__(self, *inputs: Any) -> Tensor:
        """The module's output."""
        return self.forward(*inputs)

    # the tree

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """The module itself and all below it, with their paths; each object once."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module
                children = [(n, x) for n, x in module._attributes() if isinstance(x, Module)]
                stack += [(_join(path, name), child) for name, child in reversed(children)]

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Every Tensor in the tree, frozen ones too, with its path; each object once."""
        return self._named(lambda x: isinstance(x, Tensor), prefix)

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Array]]:
        """Every plain array in the tree, such as moving averages, with its path."""
        return self._named(backend.is_array, prefix)

    def parameters(self) -> list[Tensor]:
        """Every Tensor in the tree: a var_list for an optimizer."""
        return [x for _, x in self.named_parameters()]

    def _named(self, wanted: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, x in module._attributes():
                if wanted(x) and id(x) not in seen:
                    seen.add(id(x))
                    yield _join(path, name), x

    def _attributes(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            if name.startswith("_"):
                continue
            if isinstance(value, list | tuple):
                yield from ((f"{name}.{i}", item) for i, item in enumerate(value))
            else:
                yield name, value

    # state

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of all parameters and buffers on the host, by name."""
        arrays = {name: x.data for name, x in self.named_parameters()}
        arrays.update(self.named_buffers())
        return {name: backend.to_host(x).copy() for name, x in arrays.items()}

    def load_state(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take over all parameters and buffers; checks everything before it changes anything.

        Errors: CheckpointError if names, shapes or dtypes differ.
        """
        parameters = dict(self.named_parameters())
        targets: dict[str, Any] = {**parameters, **dict(self.named_buffers())}
        if set(state) != set(targets):
            missing, extra = sorted(set(targets) - set(state)), sorted(set(state) - set(targets))
            raise CheckpointError(
                f"the state does not fit this model: it lacks {missing[:3] or 'nothing'} and has "
                f"{extra[:3] or 'nothing'} too many. Try: the model that the state was saved from."
            )
        for name, target in targets.items():
            new = state[name]
            if new.shape != target.shape or new.dtype != target.dtype:
                raise CheckpointError(
                    f"{name} is {target.shape} {target.dtype} in the model, but {new.shape} "
                    f"{new.dtype} in the state. Try: the model that the state was saved from."
                )
        for name, target in targets.items():
            if name in parameters:
                target.assign(backend.asarray(state[name], device=target.device))
            else:
                target[...] = backend.asarray(state[name], device=backend.device_of(target))

    def to(self, device: str) -> Self:
        """Move all parameters and buffers to a device; returns the module itself."""
        for parameter in self.parameters():
            parameter.data = backend.to_device(parameter.data, device)
        for _, module in self.named_modules():
            for name, value in vars(module).items():
                if name.startswith("_"):
                    continue
                if isinstance(value, list | tuple):
                    setattr(module, name, type(value)(_moved(item, device) for item in value))
                else:
                    setattr(module, name, _moved(value, device))
        return self

    def initializers(self) -> dict[str, Initializer]:
        """The initializer of each parameter this module holds itself, by attribute name."""
        return {}

    def initialize(self, seed: int) -> Self:
        """Draw every parameter anew, keyed by the seed and the parameter's name.

        Errors: ConfigError if a layer has no parameters yet (call the model once, or give the
        layer `in_features`, of convolutions and normalisations `in_channels`).
        """
        for path, module in self.named_modules():
            for name, initializer in module.initializers().items():
                parameter = getattr(module, name)
                if parameter is None:
                    raise ConfigError(
                        f"{path or type(module).__name__} has no {name} before its first call. "
                        f"Try: call the model once, or give the layer in_features (Dense) or "
                        f"in_channels."
                    )
                values = initializer(parameter.shape, stream(seed, _join(path, name)))
                parameter.assign(backend.to_device(values, parameter.device))
        return self

    # training and inference

    def train(self, training: bool = True) -> Self:
        """Training mode for this module and all below it."""
        for _, module in self.named_modules():
            module.training = training
        return self

    def eval(self) -> Self:
        """Inference mode for this module and all below it."""
        return self.train(False)

    def regularization_loss(self) -> Tensor:
        """The sum of all penalties that the layers below collect, to be added to the loss."""
        penalties = [p for _, module in self.named_modules() for p in module.penalties()]
        device = next((x.device for x in self.parameters()), "cpu")
        return sum(penalties, start=Tensor(backend.asarray(np.float32(0), device=device)))

    def penalties(self) -> list[Tensor]:
        """The penalties of this module itself."""
        return []

    # what it is

    def summary(self) -> str:
        """A table: each module with parameters, their shapes, how many numbers they hold."""
        rows = [("module", "parameters", "count")]
        total = frozen = 0
        for path, module in self.named_modules():
            own = [(name, x) for name, x in module._attributes() if isinstance(x, Tensor)]
            if own:
                shapes = ", ".join(f"{name} {_shape(x)}" for name, x in own)
                kind = type(module).__name__
                label = f"{path} ({kind})" if path else kind
                rows.append((label, shapes, f"{sum(x.size for _, x in own):,}"))
        for x in self.parameters():
            total += x.size
            frozen += 0 if x.requires_grad else x.size
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        rule = "─" * len(lines[0])
        tail = f"{total:,} parameters, {total - frozen:,} trainable"
        return "\n".join([lines[0], rule, *lines[1:], rule, tail])

    def __repr__(self) -> str:
        children = [(n, x) for n, x in self._attributes() if isinstance(x, Module)]
        if not children:
            return f"{type(self).__name__}({self.details()})"
        lines = [f"  {name}: {child!r}".replace("\n", "\n  ") for name, child in children]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])

    def details(self) -> str:
        """What `repr` shows between the brackets of a module without children."""
        tensors = [(name, x) for name, x in self._attributes() if isinstance(x, Tensor)]
        return ", ".join(f"{name} {_shape(x)}" for name, x in tensors)


def _moved(value: Any, device: str) -> Any:
    return backend.to_device(value, device) if backend.is_array(value) else value


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shape(x: Tensor) -> str:
    return "x".join(map(str, x.shape)) or "1"
