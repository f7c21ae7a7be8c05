"""Initial weights: each initializer is called with a shape and returns an array.

With a seed, the same seed and shape give the same numbers, as in TensorFlow; without one, every
call draws anew. `Module.initialize(seed)` passes a stream keyed by the parameter's name instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minigan.backend import Array
from minigan.random import stream

Shape = tuple[int, ...]


def fans(shape: Shape) -> tuple[int, int]:
    """How many inputs meet in one output, and outputs in one input: (fan_in, fan_out).

    Dense kernels are (I, O), convolution kernels (KH, KW, I, O): the window multiplies both.
    """
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@dataclass(frozen=True, kw_only=True)
class Initializer:
    """Numbers to start from; `seed` and `dtype` belong to every kind."""

    seed: int | None = None
    dtype: str = "float32"

    def __call__(self, shape: Shape, generator: np.random.Generator | None = None) -> Array:
        """An array of the given shape, on the host."""
        if generator is None:
            seeded = self.seed is not None
            generator = stream(self.seed, "initializer") if seeded else np.random.default_rng()  # type: ignore[arg-type]
        return np.asarray(self.draw(shape, generator)).astype(self.dtype).reshape(shape)

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """The numbers in float64."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Initializer):
    """One value everywhere; a list fills in row-major order."""

    value: float | list[float] = 0.0

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """The values, no randomness."""
        if isinstance(self.value, list):
            return np.array(self.value)
        return np.full(shape, self.value)


class Zeros(Constant):
    """0 everywhere."""


@dataclass(frozen=True)
class Ones(Constant):
    """1 everywhere."""

    value: float | list[float] = 1.0


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """N(mean, stddev^2), not truncated."""

    mean: float = 0.0
    stddev: float = 1.0

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Normal numbers."""
        return generator.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """N(mean, stddev^2), drawn again while further than two stddev from the mean.

    The numbers then spread less: their standard deviation is 0.8796 stddev.
    """

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Normal numbers within two standard deviations."""
        return self.mean + self.stddev * _truncated(shape, generator)


@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Uniform in [low, high)."""

    low: float = 0.0
    high: float = 1.0

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Uniform numbers."""
        return generator.uniform(self.low, self.high, shape)


class GlorotUniform(Initializer):
    """Uniform within +-sqrt(6 / (fan_in + fan_out)): TensorFlow's default and xavier_initializer().

    Source: Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
    neural networks".
    """

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Uniform numbers, scaled by the fans."""
        limit = math.sqrt(6 / sum(fans(shape)))
        return generator.uniform(-limit, limit, shape)


class GlorotNormal(Initializer):
    """Truncated normal, stddev sqrt(2.6 / (fan_in + fan_out)): xavier_initializer(uniform=False).

    1.3 makes up for the truncation, roughly; Keras divides by 0.8796 instead.
    """

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Truncated normal numbers, scaled by the fans."""
        return math.sqrt(1.3 * 2 / sum(fans(shape))) * _truncated(shape, generator)


class HeNormal(Initializer):
    """Normal, stddev 1 / sqrt(fan_in / 2), not truncated: what the tutorials call `xavier_init`.

    Source: He et al. 2015, "Delving deep into rectifiers".
    """

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Normal numbers, scaled by the fan-in."""
        return generator.normal(0.0, 1 / math.sqrt(fans(shape)[0] / 2), shape)


def _truncated(shape: Shape, generator: np.random.Generator) -> Array:
    x = generator.standard_normal(shape)
    while (outside := np.abs(x) > 2).any():
        x = np.where(outside, generator.standard_normal(shape), x)
    return x
