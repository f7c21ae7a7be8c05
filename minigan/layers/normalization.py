"""BatchNorm normalises each channel over the batch, LayerNorm each example over its own numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value, array_of
from minigan.backend import Array
from minigan.errors import ConfigError, ShapeError
from minigan.initializers import Initializer, Ones, Zeros
from minigan.layers.layer import Layer
from minigan.layers.module import Parameter


class Normalization(Layer):
    """A factor gamma and an offset beta for each channel, the last axis, unless left out."""

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        gamma_initializer: Initializer,
        beta_initializer: Initializer,
        trainable: bool,
        name: str | None,
        in_channels: int | None,
    ) -> None:
        super().__init__(trainable, name)
        self.gamma: Parameter | None = None
        self.beta: Parameter | None = None
        self.channels: int | None = None
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.gamma_initializer = gamma_initializer
        self.beta_initializer = beta_initializer
        if in_channels is not None:
            self.build(in_channels)

    def build(self, inputs: int) -> None:
        """Make gamma and beta for this many channels."""
        self.channels = inputs
        if self.scale:
            self.gamma = self.new_parameter("gamma", (inputs,), self.gamma_initializer)
        if self.center:
            self.beta = self.new_parameter("beta", (inputs,), self.beta_initializer)

    def prepare_for(self, x: Value) -> None:
        """Make the parameters at the first call; an error if x does not fit them."""
        if x.ndim < 2:
            raise ShapeError(
                f"{self.label()}: x is {x.shape}, but must be a batch, (N, ..., C). "
                f"Try: x.reshape((-1, 1)), if it is one number for each example."
            )
        if self.channels is None:
            self.build_for(x, x.shape[-1])
        if x.shape[-1] != self.channels:
            raise ShapeError(
                f"{self.label()}: x {x.shape} has {x.shape[-1]} channels, its last axis, but the "
                f"layer was made for {self.channels}. Try: an input with {self.channels} channels, "
                f"or a new {type(self).__name__} layer."
            )
        for name, parameter in {"gamma": self.gamma, "beta": self.beta}.items():
            if parameter is not None:
                self.check_dtype(x, name, parameter)

    def initializers(self) -> dict[str, Initializer]:
        """How gamma and beta are drawn."""
        gamma = {"gamma": self.gamma_initializer} if self.scale else {}
        return {**gamma, "beta": self.beta_initializer} if self.center else gamma


class BatchNorm(Normalization):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, channel by channel.

    In training, mean and variance are the batch's own, and gradients flow through them. Each
    training pass also moves the moving averages once, which inference (`eval()`) normalises by:

        moving = momentum * moving + (1 - momentum) * batch

    momentum and epsilon are carpedm20's; those of tf.layers.batch_normalization are 0.99 and 1e-3.
    PyTorch's momentum is 1 - momentum. x is normalised by the biased variance, while the moving one
    takes n / (n - 1) of it (Bessel's correction), as in TensorFlow's fused kernel; its other one,
    which tf.layers uses for matrices (N, C), does not: bessel_correction=False.
    Shapes: (..., C) -> (..., C); gamma, beta, moving_mean, moving_variance (C,), made at the first
    call or at once if `in_channels` is given.
    Errors: ShapeError (also for one value per channel in training), DtypeError, ConfigError.
    Source: Ioffe & Szegedy 2015, "Batch Normalization".
    """

    kind = "batch_norm"
    # How often a training pass moves the moving averages. Two numbers say that x is two batches of
    # a size, one after the other, each normalised by its own moments as if it came alone: tf.layers
    # calls them virtual.
    moves: tuple[int, ...] = (1,)

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        gamma_initializer: Initializer = Ones(),
        beta_initializer: Initializer = Zeros(),
        trainable: bool = True,
        name: str | None = None,
        in_channels: int | None = None,
        bessel_correction: bool = True,
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ConfigError(
                f"BatchNorm: momentum is {momentum}, but must be in [0, 1]. Try: 0.9."
            )
        self.momentum = momentum
        self.bessel_correction = bessel_correction
        self.moving_mean: Array | None = None
        self.moving_variance: Array | None = None
        super().__init__(
            epsilon, center, scale, gamma_initializer, beta_initializer, trainable, name,
            in_channels,
        )  # fmt: skip

    def build(self, inputs: int) -> None:
        """Make gamma, beta and the moving averages for this many channels."""
        super().build(inputs)
        self.moving_mean = np.zeros(inputs, self.gamma_initializer.dtype)
        self.moving_variance = np.ones(inputs, self.gamma_initializer.dtype)

    def forward(self, x: Value) -> Tensor:
        """The layer's output."""
        self.prepare_for(x)
        if self.training:
            self._check_batch(x)
            count, mean, variance = self.statistics(x)
            self._remember(count, array_of(mean), array_of(variance))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        gamma = np.ones_like(array_of(mean)) if self.gamma is None else self.gamma
        beta = np.zeros_like(array_of(mean)) if self.beta is None else self.beta
        return ops.normalize(x, mean, variance, gamma, beta, self.epsilon)

    def statistics(self, x: Value) -> tuple[int, Value, Value]:
        """What training normalises by: how many values each channel has, their mean and variance.

        The seam for training on several machines: there it returns those of all batches together.
        Mean and variance are (C,), or (B, C) for each of the B batches in x.
        """
        batches = len(self.moves)
        mean, variance = ops.moments(x, batches)
        return x.size // x.shape[-1] // batches, mean, variance

    def _check_batch(self, x: Value) -> None:
        if x.size < 2 * x.shape[-1] * len(self.moves):
            raise ShapeError(
                f"{self.label()}: x {x.shape} has fewer than 2 values per channel in a batch, so "
                f"its variance says nothing. Try: a batch of at least 2, or eval(), which "
                f"normalises by the moving averages."
            )

    def _remember(self, count: int, mean: Array, variance: Array) -> None:
        if self.bessel_correction:
            variance = variance * (count / (count - 1))
        shape = len(self.moves), -1  # a row for each batch
        batches = zip(self.moves, mean.reshape(shape), variance.reshape(shape), strict=True)
        for times, batch_mean, batch_variance in batches:
            for _ in range(times):
                self.moving_mean = self._moved(self.moving_mean, batch_mean)
                self.moving_variance = self._moved(self.moving_variance, batch_variance)

    def _moved(self, moving: Any, batch: Array) -> Array:
        moved: Array = self.momentum * moving + (1 - self.momentum) * batch
        return moved


class LayerNorm(Normalization):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, the moments those of each example.

    They are taken over `axis`, one or several; critics of pictures usually take (1, 2, 3). It does
    the same in training and inference, keeps no averages, and no example sees another, which a
    gradient penalty needs.
    gamma and beta are one number per channel, as in tf.contrib.layers.layer_norm; PyTorch and Keras
    have one for each place of `axis`.
    Shapes: (N, ..., C) -> (N, ..., C); gamma, beta (C,), made at the first call or at once if
    `in_channels` is given.
    Errors: ShapeError, DtypeError.
    Source: Ba, Kiros & Hinton 2016, "Layer Normalization".
    """

    kind = "layer_norm"

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        gamma_initializer: Initializer = Ones(),
        beta_initializer: Initializer = Zeros(),
        trainable: bool = True,
        name: str | None = None,
        in_channels: int | None = None,
    ) -> None:
        self.axis = axis if isinstance(axis, int) else tuple(axis)
        super().__init__(
            epsilon, center, scale, gamma_initializer, beta_initializer, trainable, name,
            in_channels,
        )  # fmt: skip

    def forward(self, x: Value) -> Tensor:
        """The layer's output."""
        self.prepare_for(x)
        centered = x - ops.mean(x, self.axis, keepdims=True)
        variance = ops.mean(ops.square(centered), self.axis, keepdims=True)
        y: Tensor = centered / ops.sqrt(variance + self.epsilon)
        if self.gamma is not None:
            y = y * self.gamma
        if self.beta is not None:
            y = y + self.beta
        return y
