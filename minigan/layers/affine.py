"""AffineLayer: a kernel, a bias and an activation, the common part of Dense and convolutions."""

from collections.abc import Callable
from typing import Any

from minigan.autograd import Tensor
from minigan.constraints import Constraint
from minigan.errors import ConfigError, ShapeError
from minigan.initializers import Initializer, Shape
from minigan.layers.layer import Layer
from minigan.layers.module import Parameter
from minigan.regularizers import Regularizer


class AffineLayer(Layer):
    """activation(x times kernel + bias), whatever the product is.

    A subclass says how large kernel and bias are, and in `forward` asks for `kernel_for(x)`, takes
    the product, adds the bias and returns `activated(y)`.
    """

    channel_axis = -1  # of x
    kernel_axis = -2  # where the kernel meets the channels of x

    def __init__(
        self,
        activation: Callable[[Any], Tensor] | None,
        use_bias: bool,
        kernel_initializer: Initializer,
        bias_initializer: Initializer,
        kernel_regularizer: Regularizer | None,
        bias_regularizer: Regularizer | None,
        activity_regularizer: Regularizer | None,
        kernel_constraint: Constraint | None,
        bias_constraint: Constraint | None,
        trainable: bool,
        name: str | None,
        inputs: int | None,
    ) -> None:
        super().__init__(trainable, name)
        self.kernel: Parameter | None = None
        self.bias: Parameter | None = None
        self.activation = activation
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.activity_regularizer = activity_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint
        self._activity: Tensor | None = None  # the last output's penalty
        if inputs is not None:
            self.build(inputs)

    def shapes(self, inputs: int) -> tuple[Shape, Shape]:
        """The kernel's and the bias's, for this many input channels."""
        raise NotImplementedError

    def build(self, inputs: int) -> None:
        """Make the kernel and the bias for this many input channels."""
        kernel, bias = self.shapes(inputs)
        self.kernel = self.new_parameter(
            "kernel", kernel, self.kernel_initializer, self.kernel_constraint
        )
        if self.use_bias:
            self.bias = self.new_parameter(
                "bias", bias, self.bias_initializer, self.bias_constraint
            )

    def kernel_for(self, x: Any) -> Parameter:
        """The kernel, made at the first call; an error if it does not fit x."""
        channels = x.shape[self.channel_axis]
        if self.kernel is None:
            self.build_for(x, channels)
        kernel: Parameter = self.kernel  # type: ignore[assignment]
        if channels != kernel.shape[self.kernel_axis]:
            raise ShapeError(f"{self.label()}: {self.misfit(x, kernel)}")
        self.check_dtype(x, "kernel", kernel)
        return kernel

    def misfit(self, x: Any, kernel: Parameter) -> str:
        """A sentence that says why x and the kernel do not fit, and what to try."""
        raise NotImplementedError

    def activated(self, y: Tensor) -> Tensor:
        """The layer's output; its penalty is kept."""
        if self.activation is not None:
            y = self.activation(y)
        if self.activity_regularizer is not None:
            self._activity = self.activity_regularizer(y) / len(y)
        return y

    def initializers(self) -> dict[str, Initializer]:
        """How the kernel and the bias are drawn."""
        kernel = {"kernel": self.kernel_initializer}
        return {**kernel, "bias": self.bias_initializer} if self.use_bias else kernel

    def penalties(self) -> list[Tensor]:
        """Kernel, bias and activity regularization; the last is divided by the batch size.

        The division is TensorFlow 2's; early TensorFlow 1 did not divide.
        """
        penalties = []
        if self.kernel_regularizer is not None and self.kernel is not None:
            penalties.append(self.kernel_regularizer(self.kernel))
        if self.bias_regularizer is not None and self.bias is not None:
            penalties.append(self.bias_regularizer(self.bias))
        if self._activity is not None:
            penalties.append(self._activity)
        return penalties

    def details(self) -> str:
        """Sizes and activation, for `repr`."""
        size = self.plan() if self.kernel is None else super().details()
        activation = getattr(self.activation, "__name__", self.activation)
        return size if activation is None else f"{size}, {activation}"

    def plan(self) -> str:
        """What `repr` shows before there is a kernel."""
        raise NotImplementedError


def at_least_one(layer: str, option: str, value: int, repair: str) -> int:
    """The value of an option that counts outputs.

    Errors: ConfigError.
    """
    if value < 1:
        raise ConfigError(
            f"{layer}: {option} is {value}, but a layer needs at least 1. Try: {repair}."
        )
    return value
