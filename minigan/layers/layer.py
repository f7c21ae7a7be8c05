"""Layer: a module with a name that makes its parameters when it first sees an input."""

from typing import Any

from minigan import backend
from minigan.autograd.engine import array_of
from minigan.constraints import Constraint
from minigan.errors import DtypeError
from minigan.initializers import Initializer, Shape
from minigan.layers.module import Module, Parameter


class Layer(Module):
    """What all layers with parameters have in common.

    Subclasses define `build`, and in `forward` call `build_for` before their first use.
    """

    kind = "layer"  # what messages call it

    def __init__(self, trainable: bool, name: str | None) -> None:
        self.trainable = trainable
        self.name = name

    def build(self, inputs: int) -> None:
        """Make the parameters for this many input channels."""
        raise NotImplementedError

    def build_for(self, x: Any, inputs: int) -> None:
        """Make them on the device of x."""
        self.build(inputs)
        self.to(backend.device_of(array_of(x)))

    def new_parameter(
        self,
        name: str,
        shape: Shape,
        initializer: Initializer,
        constraint: Constraint | None = None,
    ) -> Parameter:
        """A parameter with the layer's name before its own, as in "hidden/kernel"."""
        path = f"{self.name}/{name}" if self.name else name
        return Parameter(initializer(shape), self.trainable, constraint, path)

    def check_dtype(self, x: Any, name: str, parameter: Any) -> None:
        """Raise DtypeError if x and the parameter of that name have different ones."""
        if x.dtype != parameter.dtype:
            raise DtypeError(
                f"{self.label()}: x is {x.dtype}, the {name} {parameter.dtype}. "
                f'Try: x.astype("{parameter.dtype}").'
            )

    def label(self) -> str:
        """What messages call this one."""
        return f'{self.kind} "{self.name}"' if self.name else self.kind
