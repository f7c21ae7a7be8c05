"""Conv2D and Conv2DTranspose: the same few weights at every place of a picture."""

from collections.abc import Callable, Sequence
from typing import Any

from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value
from minigan.constraints import Constraint
from minigan.initializers import GlorotUniform, Initializer, Shape, Zeros
from minigan.kernels.convolution import Geometry, Padding, Size, pair
from minigan.layers.affine import AffineLayer, at_least_one
from minigan.layers.module import Parameter
from minigan.layers.pictures import AXES, checked_format, from_channels_last, to_channels_last
from minigan.regularizers import Regularizer


class Conv2D(AffineLayer):
    """activation(conv2d(x, kernel) + bias): tf.layers.conv2d.

    strides, padding and dilation_rate are those of `ops.conv2d`; padding is "valid" unless given.
    data_format "channels_first" takes and returns (N, C, H, W); the kernel is the same.
    Shapes: x (N, H, W, I) -> (N, H', W', filters); kernel (KH, KW, I, filters), bias (filters,).
    The kernel is made at the first call, when I is known, or at once if `in_channels` is given.
    Regularizers, constraints and trainable are those of Dense.
    Errors: ConfigError, ShapeError, DtypeError.
    """

    kind = "conv2d"

    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        strides: Size = 1,
        padding: Padding = "valid",
        data_format: str = "channels_last",
        dilation_rate: Size = 1,
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
        in_channels: int | None = None,
    ) -> None:
        kind = type(self).__name__
        self.filters = at_least_one(kind, "filters", filters, f"{kind}(1, kernel_size=5)")
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.strides = pair(strides, "strides")
        self.padding = padding
        self.data_format = checked_format(kind, data_format)
        self.dilation_rate = pair(dilation_rate, "dilation_rate")
        Geometry.of((0, 0), self.kernel_size, self.strides, padding)  # refuses another padding
        self.channel_axis = -1 if data_format == "channels_last" else 1
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, trainable, name, in_channels,
        )  # fmt: skip

    def shapes(self, inputs: int) -> tuple[Shape, Shape]:
        """The kernel's and the bias's."""
        return (*self.kernel_size, inputs, self.filters), (self.filters,)

    def forward(self, x: Value) -> Tensor:
        """The layer's output."""
        pictures = to_channels_last(self.label(), x, self.data_format)
        y = self.affine(pictures, self.kernel_for(x))
        return self.activated(from_channels_last(y, self.data_format))

    def affine(self, x: Value, kernel: Parameter) -> Tensor:
        """The pictures convolved with the kernel, and the bias, channels last."""
        options = self.strides, self.padding, self.dilation_rate
        if self.bias is None:
            return ops.conv2d(x, kernel, *options)
        return ops.biased_conv2d(x, kernel, self.bias, *options)

    def misfit(self, x: Any, kernel: Parameter) -> str:
        """A sentence that says why x and the kernel do not fit, and what to try."""
        channels = kernel.shape[self.kernel_axis]
        other, axis = ("channels_first", 1) if self.channel_axis == -1 else ("channels_last", -1)
        if x.shape[axis] == channels:
            repair = f'data_format="{other}", if x is {AXES[other]}'
        else:
            repair = f"pictures with {channels} channels, or a new {type(self).__name__} layer"
        return (
            f"x {x.shape}, which is {AXES[self.data_format]}, has {x.shape[self.channel_axis]} "
            f"channels, but the kernel {kernel.shape} takes {channels}. Try: {repair}."
        )

    def plan(self) -> str:
        """How many filters of which size."""
        return "{}, {}x{}".format(self.filters, *self.kernel_size)

    def details(self) -> str:
        """Sizes, activation and strides, for `repr`."""
        return "{}, strides {}x{}".format(super().details(), *self.strides)


class Conv2DTranspose(Conv2D):
    """activation(conv2d_transpose(x, kernel) + bias): tf.layers.conv2d_transpose.

    output_shape is (H, W) of the output: with strides of 2 and "same", 7 rows can become 13 or 14.
    By default they become 7 * strides; "valid" adds max(KH - strides, 0).
    Shapes: x (N, H', W', I) -> (N, H, W, filters); kernel (KH, KW, filters, I), bias (filters,).
    Everything else is as in Conv2D.
    Errors: ConfigError, ShapeError, DtypeError.
    """

    kind = "conv2d_transpose"
    kernel_axis = -1

    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        strides: Size = 1,
        padding: Padding = "valid",
        data_format: str = "channels_last",
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
        in_channels: int | None = None,
        output_shape: Sequence[int] | None = None,
    ) -> None:
        self.output_shape = None if output_shape is None else pair(output_shape, "output_shape")
        super().__init__(
            filters, kernel_size, strides, padding, data_format, 1,
            activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, trainable, name, in_channels,
        )  # fmt: skip

    def shapes(self, inputs: int) -> tuple[Shape, Shape]:
        """The kernel's and the bias's."""
        return (*self.kernel_size, self.filters, inputs), (self.filters,)

    def affine(self, x: Value, kernel: Parameter) -> Tensor:
        """The adjoint of a convolution with the kernel, and the bias, channels last."""
        options = self.strides, self.padding, self.output_shape
        if self.bias is None:
            return ops.conv2d_transpose(x, kernel, *options)
        return ops.biased_conv2d_transpose(x, kernel, self.bias, *options)
