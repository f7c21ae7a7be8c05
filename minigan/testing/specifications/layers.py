"""Every layer, and the networks of the GANs, as functions of their inputs and parameters.

A function here makes its layer anew at each call and gives it the parameters it was called with:
so these are inputs like any other, drawn by seed, differentiated, and named in messages.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan import backend
from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value, array_of
from minigan.gan.models import MLPDiscriminator, MLPGenerator
from minigan.initializers import Ones
from minigan.layers import (
    AveragePooling2D,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    MaxPooling2D,
    Module,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    UpSample2D,
)
from minigan.random import stream
from minigan.regularizers import L1, L2
from minigan.testing.specifications.convolution import (
    averages,
    batch_normalized,
    convolution,
    enlarged,
    maxima,
    normalized,
    transposed,
)
from minigan.testing.specifications.operations import leaky, logistic, magnitude, rectified
from minigan.testing.specifications.specification import (
    HostArray,
    Specification,
    between,
    distinct,
    nonzero,
    normal,
    whole,
)

# ── the layers as functions ──────────────────────────────────────────────────────────────────


def applied(kind: type[Module], training: bool = True) -> Callable[..., Tensor]:
    """A layer without parameters: a function of its input and of what it is made with."""

    def function(x: Value, *arguments: Any, **keywords: Any) -> Tensor:
        return kind(*arguments, **keywords).train(training)(x)

    return function


def as_parameter(x: Value | None) -> Any:
    """A Tensor, whatever the function was called with: a module does not see arrays."""
    return Tensor(x) if backend.is_array(x) else x


def made_dense(kernel: Value, bias: Value | None, **keywords: Any) -> Dense:
    """A dense layer with these parameters."""
    layer = Dense(kernel.shape[1], **keywords)
    layer.kernel, layer.bias = as_parameter(kernel), as_parameter(bias)
    return layer


def dense(x: Value, kernel: Value, bias: Value | None = None, **keywords: Any) -> Tensor:
    """The output of a dense layer."""
    return made_dense(kernel, bias, **keywords)(x)


def dense_penalty(x: Value, kernel: Value, bias: Value, **keywords: Any) -> Tensor:
    """What a dense layer's regularizers add to the loss."""
    layer = made_dense(kernel, bias, **keywords)
    layer(x)
    return layer.regularization_loss()


def made_convolution(
    kind: type[Conv2D], kernel: Value, bias: Value | None, **keywords: Any
) -> Conv2D:
    """A convolutional layer of either kind with these parameters."""
    layer = kind(kernel.shape[-1 if kind is Conv2D else -2], kernel.shape[:2], **keywords)
    layer.kernel, layer.bias = as_parameter(kernel), as_parameter(bias)
    return layer


def conv2d(x: Value, kernel: Value, bias: Value | None = None, **keywords: Any) -> Tensor:
    """The output of a convolutional layer."""
    return made_convolution(Conv2D, kernel, bias, **keywords)(x)


def conv2d_transpose(x: Value, kernel: Value, bias: Value | None = None, **keywords: Any) -> Tensor:
    """The output of a transposed one."""
    return made_convolution(Conv2DTranspose, kernel, bias, **keywords)(x)


def conv2d_penalty(x: Value, kernel: Value, bias: Value, **keywords: Any) -> Tensor:
    """What its regularizers add to the loss."""
    layer = made_convolution(Conv2D, kernel, bias, **keywords)
    layer(x)
    return layer.regularization_loss()


def conv2d_transpose_penalty(x: Value, kernel: Value, bias: Value, **keywords: Any) -> Tensor:
    """What the regularizers of a transposed one add to the loss."""
    layer = made_convolution(Conv2DTranspose, kernel, bias, **keywords)
    layer(x)
    return layer.regularization_loss()


def made_norm(
    kind: type[BatchNorm | LayerNorm],
    x: Value,
    gamma: Value | None,
    beta: Value | None,
    **keywords: Any,
) -> BatchNorm | LayerNorm:
    """A normalising layer with these parameters, in the dtype and on the device of x."""
    ones = Ones(dtype=x.dtype.name)
    layer = kind(gamma_initializer=ones, in_channels=x.shape[-1], **keywords)
    layer.to(backend.device_of(array_of(x)))
    layer.gamma, layer.beta = gamma, beta
    return layer


def batch_norm(x: Value, gamma: Value, beta: Value, **keywords: Any) -> Tensor:
    """Batch norm in training."""
    return made_norm(BatchNorm, x, gamma, beta, **keywords)(x)


Batches = tuple[tuple[tuple[float, ...], ...], ...]


def batch_norm_after(
    x: Value, gamma: Value, beta: Value, batches: Batches, **keywords: Any
) -> Tensor:
    """Batch norm in inference, after training on some batches."""
    layer = made_norm(BatchNorm, x, gamma, beta, **keywords)
    for batch in batches:
        layer(backend.asarray(batch, x.dtype, backend.device_of(array_of(x))))
    return layer.eval()(x)


def layer_norm(x: Value, gamma: Value, beta: Value, **keywords: Any) -> Tensor:
    """Layer norm."""
    return made_norm(LayerNorm, x, gamma, beta, **keywords)(x)


def sequential(x: Value, kernel1: Value, bias1: Value, kernel2: Value, bias2: Value) -> Tensor:
    """Layers one after the other, and a function among them."""
    layers = made_dense(kernel1, bias1), Tanh(), made_dense(kernel2, bias2), ops.sigmoid
    return Sequential(*layers)(x)


def generator(z: Value, kernel1: Value, bias1: Value, kernel2: Value, bias2: Value) -> Tensor:
    """Noise to pictures: the generator of the MLP GAN."""
    latent_size, hidden = kernel1.shape
    network = MLPGenerator(latent_size, hidden, kernel2.shape[1], "float64")
    network.hidden.kernel, network.hidden.bias = kernel1, bias1
    network.output.kernel, network.output.bias = kernel2, bias2
    return network(z)


def discriminator(x: Value, kernel1: Value, bias1: Value, kernel2: Value, bias2: Value) -> Tensor:
    """Pictures to logits: the discriminator of the MLP GAN."""
    pixels, hidden = kernel1.shape
    network = MLPDiscriminator(pixels, hidden, "float64")
    network.hidden.kernel, network.hidden.bias = kernel1, bias1
    network.output.kernel, network.output.bias = kernel2, bias2
    return network(x)


# ── the formulas ─────────────────────────────────────────────────────────────────────────────


def affine(x: HostArray, kernel: HostArray, bias: Any = 0) -> Any:
    """x @ kernel + bias on the last axis."""
    return np.einsum("...i,io->...o", x, kernel) + bias


def soft(x: HostArray) -> Any:
    """Softplus: log(1 + e^x)."""
    return np.log(1 + np.exp(x))


def thinned(x: HostArray, rate: float, seed: int) -> Any:
    """The first pass of dropout."""
    return x * (stream(seed, "dropout").random(x.shape) >= rate) / (1 - rate)


def penalty(x: HostArray, kernel: HostArray, bias: HostArray, **_: Any) -> Any:
    """The three regularizers of the row below."""
    activity = affine(x, kernel, bias) ** 2
    return 0.5 * magnitude(kernel).sum() + 0.25 * (bias**2).sum() + 2 * activity.sum() / len(x)


def in_either_format(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula for pictures (N, H, W, C), of either data format."""

    def either(
        x: HostArray, *rest: Any, data_format: str = "channels_last", **options: Any
    ) -> HostArray:
        if data_format == "channels_last":
            y: HostArray = formula(x, *rest, **options)
            return y
        return np.moveaxis(formula(np.moveaxis(x, 1, -1), *rest, **options), -1, 1)

    return either


@in_either_format
def convolved(
    x: HostArray, kernel: HostArray, bias: Any = 0,
    padding: Any = "valid", dilation_rate: Any = 1, **options: Any,
) -> Any:  # fmt: skip
    """A convolution by loops, plus the bias."""
    return convolution(x, kernel, padding=padding, dilation=dilation_rate, **options) + bias


@in_either_format
def spread(
    x: HostArray, kernel: HostArray, bias: Any = 0, padding: Any = "valid", **options: Any
) -> Any:
    """A transposed one."""
    return transposed(x, kernel, padding=padding, **options) + bias


def conv_penalty(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The regularizers of the rows below, for either kind of convolution."""

    def total(x: HostArray, kernel: HostArray, bias: HostArray, **_: Any) -> Any:
        activity = formula(x, kernel, bias) ** 2
        return 0.5 * magnitude(kernel).sum() + 0.25 * (bias**2).sum() + 2 * activity.sum() / len(x)

    return total


def normalized_by_averages(
    x: HostArray, gamma: HostArray, beta: HostArray, batches: Batches,
    momentum: float = 0.9, bessel_correction: bool = True, **_: Any,
) -> HostArray:  # fmt: skip
    """By moments in which each batch weighs less, the longer ago it was; at first 0 and 1."""
    seen = np.array(batches, x.dtype)
    weights = [(1 - momentum) * momentum**age for age in reversed(range(len(seen)))]
    means = seen.sum(1) / seen.shape[1]
    squares = ((seen - means[:, None]) ** 2).sum(1) / (seen.shape[1] - bessel_correction)
    mean = sum(w * m for w, m in zip(weights, means, strict=True))
    variance = sum((w * v for w, v in zip(weights, squares, strict=True)), 1 - sum(weights))
    return normalized(x, mean, variance, gamma, beta)


def layer_normalized(
    x: HostArray, gamma: Any, beta: Any, axis: Any = -1, epsilon: float = 1e-5
) -> Any:
    """Each example by E z^2 - (E z)^2 of its own numbers."""
    count = np.ones(x.shape).sum(axis, keepdims=True)
    mean, square = x.sum(axis, keepdims=True) / count, (x * x).sum(axis, keepdims=True) / count
    return gamma * (x - mean) * (square - mean * mean + epsilon) ** -0.5 + beta


# ── the table ────────────────────────────────────────────────────────────────────────────────

DENSE = normal(3, 2), normal(2)  # kernel and bias
NETWORK = normal(3, 4), normal(4), normal(4, 2), normal(2)
RELU_NETWORK = whole(3, 4), between(4), normal(4, 2), normal(2)  # no hidden unit at its kink
PENALTIES = {"kernel_regularizer": L1(0.5), "bias_regularizer": L2(0.25),
             "activity_regularizer": L2(2.0)}  # fmt: skip
CONV = normal(3, 2, 2, 3), normal(3)  # kernel and bias, of 2 channels and 3
DECONV = normal(3, 2, 3, 2), normal(3)
BATCHES = ((1.0, 5.0), (2.0, 3.0), (6.0, 4.0)), ((0.0, 1.0), (-1.0, 3.0), (1.0, 2.0))
Keywords = dict[str, Any]
POOLS: list[tuple[tuple[int, ...], Keywords]] = [
    ((2, 4, 5, 2), {}),
    ((2, 5, 4, 1), {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"}),
    ((2, 2, 4, 5), {"data_format": "channels_first"}),
]
AVERAGES: list[Keywords] = [{}, {"momentum": 0.75}, {"bessel_correction": False}]
LAYER_NORMS: list[tuple[tuple[int, ...], Keywords]] = [
    ((3, 4), {}), ((2, 3, 4), {"epsilon": 0.1}), ((2, 2, 3, 2), {"axis": (1, 2, 3)}),
]  # fmt: skip

SPECIFICATIONS = [
    Specification("ReLU", applied(ReLU), rectified, (nonzero(2, 3),)),
    Specification("LeakyReLU", applied(LeakyReLU), leaky, (nonzero(2, 3),)),
    Specification("LeakyReLU", applied(LeakyReLU), leaky, (nonzero(2, 3),), {"alpha": 0.01}),
    Specification("Sigmoid", applied(Sigmoid), logistic, (normal(2, 3),)),
    Specification("Tanh", applied(Tanh), np.tanh, (normal(2, 3),)),
    Specification("Softplus", applied(Softplus), soft, (normal(2, 3),)),
    Specification("Flatten", applied(Flatten), lambda x: np.array([a.ravel() for a in x]),
                  (normal(2, 3, 2),)),
    Specification("Reshape", applied(Reshape), lambda x, *_: np.array([a.reshape(2, 3) for a in x]),
                  (normal(4, 6), 2, -1)),
    Specification("Dropout", applied(Dropout), thinned, (normal(4, 5),), {"rate": 0.75, "seed": 1}),
    Specification("Dropout", applied(Dropout, training=False), lambda x: x, (normal(2, 3),)),
    Specification("Dense", dense, affine, (normal(4, 3), *DENSE)),
    Specification("Dense", dense, affine, (normal(2, 4, 3), *DENSE)),
    Specification("Dense", dense, affine, (normal(3), *DENSE)),
    Specification("Dense", dense, lambda x, kernel, use_bias: affine(x, kernel),
                  (normal(4, 3), normal(3, 2)), {"use_bias": False}),
    Specification("Dense", dense, lambda x, w, b, activation: np.tanh(affine(x, w, b)),
                  (normal(4, 3), *DENSE), {"activation": ops.tanh}),
    Specification("Dense", dense_penalty, penalty, (normal(4, 3), nonzero(3, 2), normal(2)),
                  PENALTIES),
    Specification("Conv2D", conv2d, convolved, (normal(2, 4, 5, 2), *CONV)),
    Specification("Conv2D", conv2d, convolved, (normal(2, 2, 5, 4), *CONV),
                  {"data_format": "channels_first", "strides": (2, 1), "padding": "same"}),
    Specification("Conv2D", conv2d, convolved, (normal(1, 6, 4, 2), *CONV), {"dilation_rate": 2}),
    Specification("Conv2D", conv2d, lambda x, kernel, use_bias: convolved(x, kernel),
                  (normal(2, 3, 3, 2), CONV[0]), {"use_bias": False}),
    Specification("Conv2D", conv2d, lambda x, w, b, activation: soft(convolved(x, w, b)),
                  (normal(2, 3, 3, 2), *CONV), {"activation": ops.softplus}),
    Specification("Conv2D", conv2d_penalty, conv_penalty(convolved),
                  (normal(2, 4, 3, 2), nonzero(3, 2, 2, 3), normal(3)), PENALTIES),
    Specification("Conv2DTranspose", conv2d_transpose, spread, (normal(2, 2, 3, 2), *DECONV)),
    Specification("Conv2DTranspose", conv2d_transpose, spread, (normal(2, 2, 2, 3), *DECONV),
                  {"data_format": "channels_first", "strides": (2, 1), "padding": "same"}),
    Specification("Conv2DTranspose", conv2d_transpose, spread, (normal(1, 2, 3, 2), *DECONV),
                  {"strides": 2, "padding": "same", "output_shape": (3, 5)}),
    Specification("Conv2DTranspose", conv2d_transpose,
                  lambda x, kernel, use_bias: spread(x, kernel),
                  (normal(2, 1, 2, 2), DECONV[0]), {"use_bias": False}),
    Specification("Conv2DTranspose", conv2d_transpose,
                  lambda x, w, b, activation: soft(spread(x, w, b)),
                  (normal(2, 1, 2, 2), *DECONV), {"activation": ops.softplus}),
    Specification("Conv2DTranspose", conv2d_transpose_penalty, conv_penalty(spread),
                  (normal(2, 2, 1, 2), nonzero(3, 2, 3, 2), normal(3)), PENALTIES),
    *[Specification(kind.__name__, applied(kind), formula, (draw(*shape),), keywords)
      for kind, formula, draw in [(AveragePooling2D, in_either_format(averages), normal),
                                  (MaxPooling2D, in_either_format(maxima), distinct)]
      for shape, keywords in POOLS],
    Specification("UpSample2D", applied(UpSample2D), in_either_format(enlarged),
                  (normal(2, 2, 3, 2),)),
    Specification("UpSample2D", applied(UpSample2D), in_either_format(enlarged),
                  (normal(2, 2, 3, 2),), {"size": (3, 1), "data_format": "channels_first"}),
    Specification("BatchNorm", batch_norm, batch_normalized, (normal(5, 3), normal(3), normal(3))),
    Specification("BatchNorm", batch_norm, batch_normalized,
                  (normal(2, 2, 3, 2), normal(2), normal(2)), {"epsilon": 1e-3}),
    Specification("BatchNorm", batch_norm,
                  lambda x, gamma, beta, scale: batch_normalized(x, np.ones(3), beta),
                  (normal(5, 3), None, normal(3)), {"scale": False}),
    Specification("BatchNorm", batch_norm,
                  lambda x, gamma, beta, center: batch_normalized(x, gamma, np.zeros(3)),
                  (normal(5, 3), normal(3), None), {"center": False}),
    *[Specification("BatchNorm", batch_norm_after, normalized_by_averages,
                    (normal(3, 2), normal(2), normal(2), BATCHES), keywords)
      for keywords in AVERAGES],
    *[Specification("LayerNorm", layer_norm, layer_normalized,
                    (normal(*shape), normal(shape[-1]), normal(shape[-1])), keywords)
      for shape, keywords in LAYER_NORMS],
    Specification("LayerNorm", layer_norm,
                  lambda x, gamma, beta, scale: layer_normalized(x, 1, beta),
                  (normal(3, 4), None, normal(4)), {"scale": False}),
    Specification("LayerNorm", layer_norm,
                  lambda x, gamma, beta, center: layer_normalized(x, gamma, 0),
                  (normal(3, 4), normal(4), None), {"center": False}),
    Specification("Sequential", sequential,
                  lambda x, w1, b1, w2, b2: logistic(affine(np.tanh(affine(x, w1, b1)), w2, b2)),
                  (normal(5, 3), *NETWORK)),
    Specification("MLPGenerator", generator,
                  lambda z, w1, b1, w2, b2: logistic(affine(rectified(affine(z, w1, b1)), w2, b2)),
                  (whole(5, 3), *RELU_NETWORK)),
    Specification("MLPDiscriminator", discriminator,
                  lambda x, w1, b1, w2, b2: affine(rectified(affine(x, w1, b1)), w2, b2),
                  (whole(5, 3), whole(3, 4), between(4), normal(4, 1), normal(1))),
]  # fmt: skip
