"""The DCGAN for pictures of any size, colour or grey: carpedm20's, as the tutorials use it.

The generator projects noise to a small stack of channels and doubles its size four times; the
discriminator halves it four times. Sizes need not be powers of two: 28 rows become 14, 7, 4, 2.
Source: Radford et al. 2016, figure 1; the code of github.com/carpedm20/DCGAN-tensorflow.
"""

import math

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.autograd.ops import leaky_relu, relu, tanh
from minigan.gan.dcgan import picture_norm
from minigan.gan.models import GAN
from minigan.initializers import Ones, RandomNormal, TruncatedNormal, Zeros
from minigan.layers import BatchNorm, Conv2D, Conv2DTranspose, Dense, Module

Size = tuple[int, int]  # rows, columns


class ImageGenerator(Module):
    """Noise to pictures in [-1, 1]."""

    def __init__(
        self, latent_size: int, filters: int, size: Size, channels: int, dtype: str
    ) -> None:
        s2, s4, s8, s16 = halved_sizes(size)  # of 64 x 64 pictures: 32, 16, 8, 4
        C = filters
        self.start = (*s16, 8 * C)
        self.project = linear(latent_size, math.prod(self.start), dtype)
        self.norm0 = batch_norm(8 * C, dtype)
        self.deconv1 = deconv(8 * C, 4 * C, s8, dtype)
        self.norm1 = batch_norm(4 * C, dtype)
        self.deconv2 = deconv(4 * C, 2 * C, s4, dtype)
        self.norm2 = batch_norm(2 * C, dtype)
        self.deconv3 = deconv(2 * C, C, s2, dtype)
        self.norm3 = batch_norm(C, dtype)
        self.deconv4 = deconv(C, channels, size, dtype)

    def forward(self, z: Value) -> Tensor:
        """z (N, latent_size) -> x (N, H, W, C)."""
        h = self.project(z)  # (N, 100) -> (N, 8192)
        h = h.reshape((len(h), *self.start))  # (N, 8192) -> (N, 4, 4, 512)
        h = relu(self.norm0(h))
        h = relu(self.norm1(self.deconv1(h)))  # (N, 4, 4, 512) -> (N, 8, 8, 256)
        h = relu(self.norm2(self.deconv2(h)))  # (N, 8, 8, 256) -> (N, 16, 16, 128)
        h = relu(self.norm3(self.deconv3(h)))  # (N, 16, 16, 128) -> (N, 32, 32, 64)
        return tanh(self.deconv4(h))  # (N, 32, 32, 64) -> (N, 64, 64, 3)


class ImageDiscriminator(Module):
    """Pictures to one logit each."""

    def __init__(
        self, filters: int, size: Size, channels: int, dtype: str, layer_norm: bool = False
    ) -> None:
        norm = picture_norm if layer_norm else batch_norm
        s16 = halved_sizes(size)[-1]
        C = filters
        self.conv0 = conv(channels, C, dtype)
        self.conv1 = conv(C, 2 * C, dtype)
        self.norm1 = norm(2 * C, dtype)
        self.conv2 = conv(2 * C, 4 * C, dtype)
        self.norm2 = norm(4 * C, dtype)
        self.conv3 = conv(4 * C, 8 * C, dtype)
        self.norm3 = norm(8 * C, dtype)
        self.output = linear(math.prod(s16) * 8 * C, 1, dtype)

    def forward(self, x: Value) -> Tensor:
        """x (N, H, W, C) -> logits (N, 1)."""
        h = leaky_relu(self.conv0(x))  # (N, 64, 64, 3) -> (N, 32, 32, 64)
        h = leaky_relu(self.norm1(self.conv1(h)))  # (N, 32, 32, 64) -> (N, 16, 16, 128)
        h = leaky_relu(self.norm2(self.conv2(h)))  # (N, 16, 16, 128) -> (N, 8, 8, 256)
        h = leaky_relu(self.norm3(self.conv3(h)))  # (N, 8, 8, 256) -> (N, 4, 4, 512)
        h = h.reshape((len(h), -1))  # (N, 4, 4, 512) -> (N, 8192)
        return self.output(h)  # (N, 8192) -> (N, 1)


def dcgan_images(
    output_height: int = 64,
    output_width: int = 64,
    c_dim: int = 3,
    z_dim: int = 100,
    gf_dim: int = 64,
    df_dim: int = 64,
    seed: int = 0,
    dtype: str = "float32",
    layer_norm: bool = False,
) -> GAN:
    """The DCGAN for pictures (output_height, output_width, c_dim) in [-1, 1].

    gf_dim and df_dim are the channels of G's last and D's first hidden layer; the others have 2,
    4 and 8 times as many. layer_norm: in D, in place of batch norm, as in `dcgan`.
    """
    size = output_height, output_width
    generator = ImageGenerator(z_dim, gf_dim, size, c_dim, dtype)
    discriminator = ImageDiscriminator(df_dim, size, c_dim, dtype, layer_norm)
    return GAN(generator, discriminator, z_dim, (*size, c_dim), (-1.0, 1.0)).initialize(seed)


def conv_out_size_same(size: int, stride: int) -> int:
    """How many pixels a convolution with SAME padding makes of `size`: rounded up."""
    return math.ceil(size / stride)


def halved_sizes(size: Size) -> list[Size]:
    """The sizes after one to four convolutions of stride 2.

    >>> halved_sizes((28, 20))
    [(14, 10), (7, 5), (4, 3), (2, 2)]
    """
    sizes = []
    for _ in range(4):
        size = conv_out_size_same(size[0], 2), conv_out_size_same(size[1], 2)
        sizes.append(size)
    return sizes


# ── the layers, with carpedm20's initial weights ─────────────────────────────────────────────


def linear(inputs: int, units: int, dtype: str) -> Dense:
    """A dense layer."""
    return Dense(
        units,
        kernel_initializer=RandomNormal(stddev=0.02, dtype=dtype),
        bias_initializer=Zeros(dtype=dtype),
        in_features=inputs,
    )


def conv(inputs: int, filters: int, dtype: str) -> Conv2D:
    """A 5 x 5 convolution that halves the picture."""
    return Conv2D(
        filters,
        kernel_size=5,
        strides=2,
        padding="same",
        kernel_initializer=TruncatedNormal(stddev=0.02, dtype=dtype),
        bias_initializer=Zeros(dtype=dtype),
        in_channels=inputs,
    )


def deconv(inputs: int, filters: int, size: Size, dtype: str) -> Conv2DTranspose:
    """A 5 x 5 transposed convolution that doubles the picture, to exactly this size."""
    return Conv2DTranspose(
        filters,
        kernel_size=5,
        strides=2,
        padding="same",
        kernel_initializer=RandomNormal(stddev=0.02, dtype=dtype),
        bias_initializer=Zeros(dtype=dtype),
        in_channels=inputs,
        output_shape=size,
    )


def batch_norm(channels: int, dtype: str) -> BatchNorm:
    """Batch norm with momentum 0.9 and epsilon 1e-5."""
    return BatchNorm(
        gamma_initializer=Ones(dtype=dtype),
        beta_initializer=Zeros(dtype=dtype),
        in_channels=channels,
    )
