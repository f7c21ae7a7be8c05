"""The networks: a generator that turns noise into pictures, a discriminator that judges them.

Here what all GANs have in common, and the one made of dense layers; the convolutional ones are in
dcgan.py, dcgan_images.py and dcgan_conditional.py.
"""

from typing import Any

from minigan.autograd import Tensor, no_grad
from minigan.autograd.engine import Value
from minigan.autograd.ops import relu, sigmoid
from minigan.initializers import HeNormal, Zeros
from minigan.layers import Dense, Module


class GAN(Module):
    """Two players. Every parameter is named by its path, such as `generator.hidden.kernel`.

    latent_size    numbers in one noise vector
    picture_shape  of one picture, as the networks take and make it: (784,) or (28, 28, 1)
    pixel_range    darkest and lightest pixel: (0, 1), or (-1, 1) for a generator ending in tanh
    classes        how many classes labels tell apart; 0 for networks that take no labels
    """

    def __init__(
        self,
        generator: Module,
        discriminator: Module,
        latent_size: int,
        picture_shape: tuple[int, ...] = (784,),
        pixel_range: tuple[float, float] = (0.0, 1.0),
        classes: int = 0,
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.latent_size = latent_size
        self.picture_shape = picture_shape
        self.pixel_range = pixel_range
        self.classes = classes
        self.name_parameters()

    def name_parameters(self) -> None:
        """Name each parameter by its path."""
        for name, parameter in self.named_parameters():
            parameter.name = name

    def sample(self, noise: Any, labels: Any = None, generator: Module | None = None) -> Any:
        """Pictures as the generator makes them in inference mode, with batch norm's averages.

        Another generator, such as an average of this one over time, can be given.
        Shapes: noise (N, latent_size), labels (N, classes) -> an array (N, *picture_shape).
        """
        generator = self.generator if generator is None else generator
        training = generator.training
        generator.eval()
        with no_grad():
            pictures = generator(*given(noise, labels)).data
        generator.train(training)
        return pictures


def given(x: Any, labels: Any) -> tuple[Any, ...]:
    """What a network is called with: x, and labels if there are any."""
    return (x,) if labels is None else (x, labels)


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
    return GAN(generator, discriminator, latent_size, (pixels,)).initialize(seed)


def _dense(in_features: int, units: int, weights: HeNormal, activation: Any) -> Dense:
    return Dense(
        units,
        activation,
        kernel_initializer=weights,
        bias_initializer=Zeros(dtype=weights.dtype),
        in_features=in_features,
    )
