"""Dense: every output sees every input."""

from collections.abc import Callable
from typing import Any

from minigan import backend
from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value, array_of
from minigan.constraints import Constraint
from minigan.errors import ConfigError, DtypeError, ShapeError
from minigan.initializers import GlorotUniform, Initializer, Zeros
from minigan.layers.module import Module, Parameter
from minigan.regularizers import Regularizer


class Dense(Module):
    """activation(x @ kernel + bias) on the last axis of x, whatever its rank: tf.layers.dense.

    Shapes: x (..., I) -> (..., units); kernel (I, units), bias (units,). The kernel is made at
    the first call, when I is known, or at once if `in_features` is given.
    Regularizers are collected (`regularization_loss`; of activities, the last call's), constraints
    applied by the optimizer after each update; trainable=False keeps the layer out of training.
    Errors: ShapeError, DtypeError.
    """

    def __init__(
        self,
        units: int,
        activation: Callable[[Any], Tensor] | None = None,
        use_bias: bool = True,
        kernel_initializer: Initializer = GlorotUniform(),
        bias_initializer: Initializer = Zeros(),
        kernel_regularizer: Regularizer | None = None,
        bias_regularizer: Regularizer | None = None,
        activity_regularizer: Regularizer | None = None,
        kernel_constraint: Constraint | None = None,
        bias_constraint: Constraint | None = None,
        trainable: bool = True,
        name: str | None = None,
        in_features: int | None = None,
    ) -> None:
        if units < 1:
            raise ConfigError(
                f"Dense: units is {units}, but a layer needs at least 1. Try: Dense(1)."
            )
        self.kernel: Parameter | None = None
        self.bias: Parameter | None = None
        self.units = units
        self.activation = activation
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.activity_regularizer = activity_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint
        self.trainable = trainable
        self.name = name
        self._activity: Tensor | None = None  # the last output's penalty
        if in_features is not None:
            self.build(in_features)

    def build(self, in_features: int) -> None:
        """Make the parameters for inputs with `in_features` numbers on their last axis."""
        prefix = f"{self.name}/" if self.name else ""
        self.kernel = Parameter(
            self.kernel_initializer((in_features, self.units)),
            self.trainable,
            self.kernel_constraint,
            f"{prefix}kernel",
        )
        if self.use_bias:
            self.bias = Parameter(
                self.bias_initializer((self.units,)),
                self.trainable,
                self.bias_constraint,
                f"{prefix}bias",
            )

    def forward(self, x: Value) -> Tensor:
        """The layer's output."""
        if self.kernel is None:
            self.build(x.shape[-1])
            self.to(backend.device_of(array_of(x)))
        kernel = self._check(x)
        rows = x if x.ndim == 2 else x.reshape((-1, x.shape[-1]))
        y = rows @ kernel if self.bias is None else ops.dense(rows, kernel, self.bias)
        if x.ndim != 2:
            y = y.reshape((*x.shape[:-1], self.units))
        if self.activation is not None:
            y = self.activation(y)
        if self.activity_regularizer is not None:
            self._activity = self.activity_regularizer(y) / len(y)
        return y

    def _check(self, x: Any) -> Parameter:
        kernel: Parameter = self.kernel  # type: ignore[assignment]
        if x.shape[-1] != kernel.shape[0]:
            raise ShapeError(
                f"{self._label()}: x is {x.shape} but the kernel is {kernel.shape}: x's last axis "
                f"{x.shape[-1]} != {kernel.shape[0]}. "
                f"Try: an input whose last axis is {kernel.shape[0]}, or a new Dense layer."
            )
        if x.dtype != kernel.dtype:
            raise DtypeError(
                f"{self._label()}: x is {x.dtype}, the kernel {kernel.dtype}. "
                f'Try: x.astype("{kernel.dtype}").'
            )
        return kernel

    def _label(self) -> str:
        return f'dense "{self.name}"' if self.name else "dense"

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
        size = f"{self.units}" if self.kernel is None else super().details()
        activation = getattr(self.activation, "__name__", self.activation)
        return size if activation is None else f"{size}, {activation}"
