"""Dense: every output sees every input."""

from collections.abc import Callable
from typing import Any

from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value
from minigan.constraints import Constraint
from minigan.initializers import GlorotUniform, Initializer, Shape, Zeros
from minigan.layers.affine import AffineLayer, at_least_one
from minigan.layers.module import Parameter
from minigan.regularizers import Regularizer


class Dense(AffineLayer):
    """activation(x @ kernel + bias) on the last axis of x, whatever its rank: tf.layers.dense.

    Shapes: x (..., I) -> (..., units); kernel (I, units), bias (units,). The kernel is made at
    the first call, when I is known, or at once if `in_features` is given.
    Regularizers are collected (`regularization_loss`; of activities, the last call's), constraints
    applied by the optimizer after each update; trainable=False keeps the layer out of training.
    Errors: ShapeError, DtypeError.
    """

    kind = "dense"

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
        self.units = at_least_one("Dense", "units", units, "Dense(1)")
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, trainable, name, in_features,
        )  # fmt: skip

    def shapes(self, inputs: int) -> tuple[Shape, Shape]:
        """The kernel's and the bias's."""
        return (inputs, self.units), (self.units,)

    def forward(self, x: Value) -> Tensor:
        """The layer's output."""
        kernel = self.kernel_for(x)
        rows = x if x.ndim == 2 else x.reshape((-1, x.shape[-1]))
        y = rows @ kernel if self.bias is None else ops.dense(rows, kernel, self.bias)
        if x.ndim != 2:
            y = y.reshape((*x.shape[:-1], self.units))
        return self.activated(y)

    def misfit(self, x: Any, kernel: Parameter) -> str:
        """A sentence that says why x and the kernel do not fit, and what to try."""
        features = kernel.shape[0]
        return (
            f"x is {x.shape} but the kernel is {kernel.shape}: x's last axis {x.shape[-1]} != "
            f"{features}. Try: an input whose last axis is {features}, or a new Dense layer."
        )

    def plan(self) -> str:
        """The units."""
        return f"{self.units}"
