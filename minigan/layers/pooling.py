"""Pooling, which makes pictures smaller, and upsampling, which makes them larger."""

from typing import Any, ClassVar

from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Op, Value
from minigan.kernels.convolution import Padding, Size
from minigan.layers.module import Module
from minigan.layers.pictures import checked_format, from_channels_last, to_channels_last


class Resizing(Module):
    """What the layers below have in common: an op on pictures, in either data format."""

    op: ClassVar[Op[...]]

    def __init__(self, data_format: str, **options: Any) -> None:
        self.data_format = checked_format(type(self).__name__, data_format)
        self.options = options

    def forward(self, x: Value) -> Tensor:
        """The pictures in their new size."""
        pictures = to_channels_last(self.op.name, x, self.data_format)
        y: Tensor = from_channels_last(self.op(pictures, **self.options), self.data_format)
        return y

    def details(self) -> str:
        """The options, for `repr`."""
        given = {name: value for name, value in self.options.items() if value is not None}
        return ", ".join(f"{name}={value}" for name, value in given.items())


class Pooling(Resizing):
    """One number for each window of pool_size pixels; windows are strides apart, or adjacent."""

    def __init__(
        self,
        pool_size: Size = 2,
        strides: Size | None = None,
        padding: Padding = "valid",
        data_format: str = "channels_last",
    ) -> None:
        super().__init__(data_format, pool_size=pool_size, strides=strides, padding=padding)


class AveragePooling2D(Pooling):
    """The mean of each window: tf.layers.average_pooling2d, see `ops.average_pooling2d`.

    Shapes: (N, H, W, C) -> (N, H', W', C), or (N, C, H, W) with "channels_first".
    Errors: ShapeError, ConfigError.
    """

    op = ops.average_pooling2d


class MaxPooling2D(Pooling):
    """The maximum of each window: tf.layers.max_pooling2d, see `ops.max_pooling2d`.

    Shapes: (N, H, W, C) -> (N, H', W', C), or (N, C, H, W) with "channels_first".
    Errors: ShapeError, ConfigError.
    """

    op = ops.max_pooling2d


class UpSample2D(Resizing):
    """Every pixel repeated, see `ops.upsample2d`; Keras calls it UpSampling2D.

    Shapes: (N, H, W, C) -> (N, H * size, W * size, C), or (N, C, H, W) with "channels_first".
    Errors: ShapeError, ConfigError.
    """

    op = ops.upsample2d

    def __init__(self, size: Size = 2, data_format: str = "channels_last") -> None:
        super().__init__(data_format, size=size)
