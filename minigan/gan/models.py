"""The networks: a generator that turns noise into pictures, a discriminator that judges them."""

from typing import Any

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.autograd.ops import relu, sigmoid
from minigan.initializers import HeNormal, Zeros
from minigan.layers import Dense, Module


class GAN(Module):
    """Two players. Every parameter is named by its path, such as `generator.hidden.kernel`."""

    def __init__(self, generator: Module, discriminator: Module, latent_size: int) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.latent_size = latent_size
        for name, parameter in self.named_parameters():
            parameter.name = name


class MLPGenerator(Module):
    """Noise to flat pictures in [0, 1], through one hidden layer."""

    def __init__(self, latent_size: int, hidden: int, pixels: int, dtype: str) -> None:
        weights = HeNormal(dtype=dtype)
        self.hidden = _dense(latent_size, hidden, weights, relu)
        self.output = _dense(hidden, pixels, weights, sigmoid)

    def forward(self, z: Value) -> Tensor:
        """z (N, latent_size) -> x (N, pixels)."""
        h = self.hidden(z)  # (N, 100) -> (N, 128)
        return self.output(h)  # (N, 128) -> (N, 784)


class MLPDiscriminator(Module):
    """Flat pictures to one logit each: positive for real, negative for fake."""

    def __init__(self, pixels: int, hidden: int, dtype: str) -> None:
        weights = HeNormal(dtype=dtype)
        self.hidden = _dense(pixels, hidden, weights, relu)
        self.output = _dense(hidden, 1, weights, None)

    def forward(self, x: Value) -> Tensor:
        """x (N, pixels) -> logits (N, 1)."""
        h = self.hidden(x)  # (N, 784) -> (N, 128)
        return self.output(h)  # (N, 128) -> (N, 1)


def mlp_gan(
    hidden: int = 128,
    latent_size: int = 100,
    pixels: int = 784,
    seed: int = 0,
    dtype: str = "float32",
) -> GAN:
    """The MLP GAN of the tutorials: one hidden layer in each network, He-normal kernels."""
    generator = MLPGenerator(latent_size, hidden, pixels, dtype)
    discriminator = MLPDiscriminator(pixels, hidden, dtype)
    return GAN(generator, discriminator, latent_size).initialize(seed)


def _dense(in_features: int, units: int, weights: HeNormal, activation: Any) -> Dense:
    return Dense(
        units,
        activation,
        kernel_initializer=weights,
        bias_initializer=Zeros(dtype=weights.dtype),
        in_features=in_features,
    )
