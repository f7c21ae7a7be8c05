"""Every layer, and the networks of the GANs, as functions of their inputs and parameters.

A function here makes its layer anew at each call and gives it the parameters it was called with:
so these are inputs like any other, drawn by seed, differentiated, and named in messages.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value
from minigan.gan.models import MLPDiscriminator, MLPGenerator
from minigan.layers import (
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    Module,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
)
from minigan.random import stream
from minigan.regularizers import L1, L2
from minigan.testing.specifications.operations import leaky, logistic, magnitude, rectified
from minigan.testing.specifications.specification import (
    HostArray,
    Specification,
    between,
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


def made_dense(kernel: Value, bias: Value | None, **keywords: Any) -> Dense:
    """A dense layer with these parameters."""
    layer = Dense(kernel.shape[1], **keywords)
    layer.kernel, layer.bias = kernel, bias
    return layer


def dense(x: Value, kernel: Value, bias: Value | None = None, **keywords: Any) -> Tensor:
    """The output of a dense layer."""
    return made_dense(kernel, bias, **keywords)(x)


def dense_penalty(x: Value, kernel: Value, bias: Value, **keywords: Any) -> Tensor:
    """What a dense layer's regularizers add to the loss."""
    layer = made_dense(kernel, bias, **keywords)
    layer(x)
    return layer.regularization_loss()


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


def thinned(x: HostArray, rate: float, seed: int) -> Any:
    """The first pass of dropout."""
    return x * (stream(seed, "dropout").random(x.shape) >= rate) / (1 - rate)


def penalty(x: HostArray, kernel: HostArray, bias: HostArray, **_: Any) -> Any:
    """The three regularizers of the row below."""
    activity = affine(x, kernel, bias) ** 2
    return 0.5 * magnitude(kernel).sum() + 0.25 * (bias**2).sum() + 2 * activity.sum() / len(x)


# ── the table ────────────────────────────────────────────────────────────────────────────────

DENSE = normal(3, 2), normal(2)  # kernel and bias
NETWORK = normal(3, 4), normal(4), normal(4, 2), normal(2)
RELU_NETWORK = whole(3, 4), between(4), normal(4, 2), normal(2)  # no hidden unit at its kink

SPECIFICATIONS = [
    Specification("ReLU", applied(ReLU), rectified, (nonzero(2, 3),)),
    Specification("LeakyReLU", applied(LeakyReLU), leaky, (nonzero(2, 3),)),
    Specification("LeakyReLU", applied(LeakyReLU), leaky, (nonzero(2, 3),), {"alpha": 0.01}),
    Specification("Sigmoid", applied(Sigmoid), logistic, (normal(2, 3),)),
    Specification("Tanh", applied(Tanh), np.tanh, (normal(2, 3),)),
    Specification("Softplus", applied(Softplus), lambda x: np.log(1 + np.exp(x)), (normal(2, 3),)),
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
                  {"kernel_regularizer": L1(0.5), "bias_regularizer": L2(0.25),
                   "activity_regularizer": L2(2.0)}),
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
