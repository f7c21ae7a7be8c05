"""The first convolutional GANs, for 28 x 28 digits, in the layers of tf.layers.

    dcgan            batch norm, and strides of 2 to make pictures larger and smaller
    dcgan_pooling    no batch norm; the discriminator makes pictures smaller by average pooling

Both discriminators score two classes, fake and real, as the tutorials do, and return how far real
is ahead: a softmax over two scores is the sigmoid of their difference.
Source: Radford et al. 2016, "Unsupervised representation learning with deep convolutional GANs".
"""

from typing import Any

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.autograd.ops import leaky_relu, relu, sigmoid, tanh
from minigan.gan.models import GAN
from minigan.initializers import GlorotUniform, Ones, Zeros
from minigan.layers import (
    AveragePooling2D,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    LayerNorm,
    Module,
)


class DCGANGenerator(Module):
    """Noise to pictures in [-1, 1]."""

    def __init__(self, latent_size: int, filters: tuple[int, int], dtype: str) -> None:
        weights = _glorot(dtype)
        first, second = filters
        self.project = Dense(7 * 7 * first, in_features=latent_size, **weights)
        self.norm0 = _flat_norm(7 * 7 * first, dtype)
        self.deconv1 = Conv2DTranspose(second, 5, 2, "same", in_channels=first, **weights)
        self.norm1 = _norm(second, dtype)
        self.deconv2 = Conv2DTranspose(1, 5, 2, "same", in_channels=second, **weights)

    def forward(self, z: Value) -> Tensor:
        """z (N, latent_size) -> x (N, 28, 28, 1)."""
        h = relu(self.norm0(self.project(z)))  # (N, 100) -> (N, 6272)
        h = h.reshape((len(h), 7, 7, -1))  # (N, 6272) -> (N, 7, 7, 128)
        h = relu(self.norm1(self.deconv1(h)))  # (N, 7, 7, 128) -> (N, 14, 14, 64)
        return tanh(self.deconv2(h))  # (N, 14, 14, 64) -> (N, 28, 28, 1)


class DCGANDiscriminator(Module):
    """Pictures to one logit each."""

    def __init__(
        self, filters: tuple[int, int], hidden: int, dtype: str, layer_norm: bool = False
    ) -> None:
        weights = _glorot(dtype)
        norm, flat_norm = (picture_norm, _row_norm) if layer_norm else (_norm, _flat_norm)
        first, second = filters
        self.conv1 = Conv2D(first, 5, 2, "same", in_channels=1, **weights)
        self.norm1 = norm(first, dtype)
        self.conv2 = Conv2D(second, 5, 2, "same", in_channels=first, **weights)
        self.norm2 = norm(second, dtype)
        self.hidden = Dense(hidden, in_features=7 * 7 * second, **weights)
        self.norm3 = flat_norm(hidden, dtype)
        self.scores = Dense(2, in_features=hidden, **weights)

    def forward(self, x: Value) -> Tensor:
        """x (N, 28, 28, 1) -> logits (N, 1)."""
        h = leaky_relu(self.norm1(self.conv1(x)))  # (N, 28, 28, 1) -> (N, 14, 14, 64)
        h = leaky_relu(self.norm2(self.conv2(h)))  # (N, 14, 14, 64) -> (N, 7, 7, 128)
        h = h.reshape((len(h), -1))  # (N, 7, 7, 128) -> (N, 6272)
        h = leaky_relu(self.norm3(self.hidden(h)))  # (N, 6272) -> (N, 1024)
        return real_ahead(self.scores(h))  # (N, 1024) -> (N, 2) -> (N, 1)


class PoolingGenerator(Module):
    """Noise to pictures in [0, 1]."""

    def __init__(self, latent_size: int, filters: tuple[int, int], dtype: str) -> None:
        weights = _glorot(dtype)
        first, second = filters
        self.project = Dense(6 * 6 * first, tanh, in_features=latent_size, **weights)
        self.deconv1 = Conv2DTranspose(second, 4, 2, "valid", in_channels=first, **weights)
        self.deconv2 = Conv2DTranspose(1, 2, 2, "valid", in_channels=second, **weights)

    def forward(self, z: Value) -> Tensor:
        """z (N, latent_size) -> x (N, 28, 28, 1)."""
        h = self.project(z)  # (N, 200) -> (N, 4608)
        h = h.reshape((len(h), 6, 6, -1))  # (N, 4608) -> (N, 6, 6, 128)
        h = self.deconv1(h)  # (N, 6, 6, 128) -> (N, 14, 14, 64); no activation, as the tutorial
        return sigmoid(self.deconv2(h))  # (N, 14, 14, 64) -> (N, 28, 28, 1)


class PoolingDiscriminator(Module):
    """Pictures to one logit each."""

    def __init__(self, filters: tuple[int, int], hidden: int, dtype: str) -> None:
        weights = _glorot(dtype)
        first, second = filters
        self.conv1 = Conv2D(first, 5, activation=tanh, in_channels=1, **weights)
        self.conv2 = Conv2D(second, 5, activation=tanh, in_channels=first, **weights)
        self.pool = AveragePooling2D(2, 2)
        self.hidden = Dense(hidden, tanh, in_features=4 * 4 * second, **weights)
        self.scores = Dense(2, in_features=hidden, **weights)

    def forward(self, x: Value) -> Tensor:
        """x (N, 28, 28, 1) -> logits (N, 1)."""
        h = self.conv1(x)  # (N, 28, 28, 1) -> (N, 24, 24, 64)
        h = self.pool(h)  # (N, 24, 24, 64) -> (N, 12, 12, 64)
        h = self.conv2(h)  # (N, 12, 12, 64) -> (N, 8, 8, 128)
        h = self.pool(h)  # (N, 8, 8, 128) -> (N, 4, 4, 128)
        h = h.reshape((len(h), -1))  # (N, 4, 4, 128) -> (N, 2048)
        h = self.hidden(h)  # (N, 2048) -> (N, 1024)
        return real_ahead(self.scores(h))  # (N, 1024) -> (N, 2) -> (N, 1)


def real_ahead(scores: Tensor) -> Tensor:
    """Scores of fake and real -> the logit of real: (N, 2) -> (N, 1).

    softmax(fake, real)[real] = 1 / (1 + e^(fake - real)) = sigmoid(real - fake).
    """
    return scores[:, 1:] - scores[:, :1]


def dcgan(
    latent_size: int = 100,
    g_filters: tuple[int, int] = (128, 64),
    d_filters: tuple[int, int] = (64, 128),
    hidden: int = 1024,
    seed: int = 0,
    dtype: str = "float32",
    layer_norm: bool = False,
) -> GAN:
    """The DCGAN with batch norm; pictures (28, 28, 1) in [-1, 1].

    layer_norm  normalise each picture by itself in D: a gradient penalty needs a critic that
                judges a picture without looking at the others in the batch
    """
    generator = DCGANGenerator(latent_size, g_filters, dtype)
    discriminator = DCGANDiscriminator(d_filters, hidden, dtype, layer_norm)
    return GAN(generator, discriminator, latent_size, (28, 28, 1), (-1.0, 1.0)).initialize(seed)


def dcgan_pooling(
    latent_size: int = 200,
    g_filters: tuple[int, int] = (128, 64),
    d_filters: tuple[int, int] = (64, 128),
    hidden: int = 1024,
    seed: int = 0,
    dtype: str = "float32",
) -> GAN:
    """The DCGAN with average pooling; pictures (28, 28, 1) in [0, 1]."""
    generator = PoolingGenerator(latent_size, g_filters, dtype)
    discriminator = PoolingDiscriminator(d_filters, hidden, dtype)
    return GAN(generator, discriminator, latent_size, (28, 28, 1)).initialize(seed)


# ── the layers' settings, as tf.layers has them ──────────────────────────────────────────────


def _glorot(dtype: str) -> dict[str, Any]:
    return {
        "kernel_initializer": GlorotUniform(dtype=dtype),
        "bias_initializer": Zeros(dtype=dtype),
    }


def _norm(channels: int, dtype: str, bessel_correction: bool = True) -> BatchNorm:
    return BatchNorm(
        momentum=0.99,
        epsilon=1e-3,
        gamma_initializer=Ones(dtype=dtype),
        beta_initializer=Zeros(dtype=dtype),
        in_channels=channels,
        bessel_correction=bessel_correction,
    )


def _flat_norm(features: int, dtype: str) -> BatchNorm:
    """For (N, C), where tf.layers uses another kernel, without Bessel's correction."""
    return _norm(features, dtype, bessel_correction=False)


def picture_norm(channels: int, dtype: str) -> LayerNorm:
    """Layer norm over all pixels and channels of each picture."""
    return _layer_norm((1, 2, 3), channels, dtype)


def _row_norm(features: int, dtype: str) -> LayerNorm:
    return _layer_norm((1,), features, dtype)


def _layer_norm(axis: tuple[int, ...], channels: int, dtype: str) -> LayerNorm:
    return LayerNorm(
        axis,
        gamma_initializer=Ones(dtype=dtype),
        beta_initializer=Zeros(dtype=dtype),
        in_channels=channels,
    )
