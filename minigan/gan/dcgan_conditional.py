"""The DCGAN that is told the class: both networks see the label, at every layer.

A dense layer sees it as further columns, a convolution as further channels, the same everywhere.
Source: Mirza & Osindero 2014, "Conditional generative adversarial nets"; the code of
github.com/carpedm20/DCGAN-tensorflow, where MNIST is trained so.
"""

import math

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.autograd.ops import concatenate, conv_cond_concat, leaky_relu, relu, sigmoid
from minigan.errors import ConfigError
from minigan.gan.dcgan_images import Size, batch_norm, conv, deconv, linear
from minigan.gan.models import GAN
from minigan.layers import Module


class ConditionalGenerator(Module):
    """Noise and labels to pictures in [0, 1]."""

    def __init__(
        self,
        latent_size: int,
        classes: int,
        hidden: int,
        filters: int,
        size: Size,
        channels: int,
        dtype: str,
    ) -> None:
        H, W = size
        K, C = classes, filters
        self.start = (H // 4, W // 4, 2 * C)
        self.project0 = linear(latent_size + K, hidden, dtype)
        self.norm0 = batch_norm(hidden, dtype)
        self.project1 = linear(hidden + K, math.prod(self.start), dtype)
        self.norm1 = batch_norm(math.prod(self.start), dtype)
        self.deconv2 = deconv(2 * C + K, 2 * C, (H // 2, W // 2), dtype)
        self.norm2 = batch_norm(2 * C, dtype)
        self.deconv3 = deconv(2 * C + K, channels, size, dtype)

    def forward(self, z: Value, labels: Value) -> Tensor:
        """z (N, latent_size), labels (N, classes), one-hot -> x (N, H, W, C)."""
        h = concatenate([z, labels], axis=1)  # (N, 100) -> (N, 110)
        h = relu(self.norm0(self.project0(h)))  # (N, 110) -> (N, 1024)
        h = concatenate([h, labels], axis=1)  # (N, 1024) -> (N, 1034)
        h = relu(self.norm1(self.project1(h)))  # (N, 1034) -> (N, 6272)
        h = h.reshape((len(h), *self.start))  # (N, 6272) -> (N, 7, 7, 128)
        h = conv_cond_concat(h, labels)  # (N, 7, 7, 128) -> (N, 7, 7, 138)
        h = relu(self.norm2(self.deconv2(h)))  # (N, 7, 7, 138) -> (N, 14, 14, 128)
        h = conv_cond_concat(h, labels)  # (N, 14, 14, 128) -> (N, 14, 14, 138)
        return sigmoid(self.deconv3(h))  # (N, 14, 14, 138) -> (N, 28, 28, 1)


class ConditionalDiscriminator(Module):
    """Pictures and labels to one logit each: real pictures of that class, or not."""

    def __init__(
        self, classes: int, hidden: int, filters: int, size: Size, channels: int, dtype: str
    ) -> None:
        H, W = size
        K, C = classes, filters
        self.conv0 = conv(channels + K, channels + K, dtype)
        self.conv1 = conv(channels + 2 * K, C + K, dtype)
        self.norm1 = batch_norm(C + K, dtype)
        self.hidden2 = linear(H // 4 * (W // 4) * (C + K) + K, hidden, dtype)
        self.norm2 = batch_norm(hidden, dtype)
        self.output = linear(hidden + K, 1, dtype)

    def forward(self, x: Value, labels: Value) -> Tensor:
        """x (N, H, W, C), labels (N, classes), one-hot -> logits (N, 1)."""
        h = conv_cond_concat(x, labels)  # (N, 28, 28, 1) -> (N, 28, 28, 11)
        h = leaky_relu(self.conv0(h))  # (N, 28, 28, 11) -> (N, 14, 14, 11)
        h = conv_cond_concat(h, labels)  # (N, 14, 14, 11) -> (N, 14, 14, 21)
        h = leaky_relu(self.norm1(self.conv1(h)))  # (N, 14, 14, 21) -> (N, 7, 7, 74)
        h = h.reshape((len(h), -1))  # (N, 7, 7, 74) -> (N, 3626)
        h = concatenate([h, labels], axis=1)  # (N, 3626) -> (N, 3636)
        h = leaky_relu(self.norm2(self.hidden2(h)))  # (N, 3636) -> (N, 1024)
        h = concatenate([h, labels], axis=1)  # (N, 1024) -> (N, 1034)
        return self.output(h)  # (N, 1034) -> (N, 1)


def dcgan_conditional(
    output_height: int = 28,
    output_width: int = 28,
    c_dim: int = 1,
    y_dim: int = 10,
    z_dim: int = 100,
    gf_dim: int = 64,
    df_dim: int = 64,
    gfc_dim: int = 1024,
    dfc_dim: int = 1024,
    seed: int = 0,
    dtype: str = "float32",
) -> GAN:
    """The conditional DCGAN; pictures (output_height, output_width, c_dim) in [0, 1].

    y_dim is the number of classes; gf_dim and df_dim count filters, gfc_dim and dfc_dim neurons
    of the dense layers.
    Errors: ConfigError for a height or width that is no multiple of 4.
    """
    size = output_height, output_width
    if output_height % 4 or output_width % 4:
        raise ConfigError(
            f"dcgan_conditional: pictures are {output_height} x {output_width}, but both must be "
            f"multiples of 4, since they are doubled twice. "
            f"Try: {_next_multiple(output_height)} x {_next_multiple(output_width)}."
        )
    generator = ConditionalGenerator(z_dim, y_dim, gfc_dim, gf_dim, size, c_dim, dtype)
    discriminator = ConditionalDiscriminator(y_dim, dfc_dim, df_dim, size, c_dim, dtype)
    return GAN(generator, discriminator, z_dim, (*size, c_dim), classes=y_dim).initialize(seed)


def _next_multiple(size: int) -> int:
    return math.ceil(size / 4) * 4
