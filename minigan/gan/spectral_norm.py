"""Spectral normalisation: a discriminator whose layers cannot make any difference larger.

A layer with kernel W stretches its input at most by sigma, W's largest singular value. Divided by
it, every layer's steepest slope is 1, and so is at most the network's.
Source: Miyato et al. 2018, "Spectral normalization for generative adversarial networks".
"""

from typing import Any

import numpy as np

from minigan.autograd import Tensor
from minigan.backend import Array
from minigan.gan.models import GAN
from minigan.layers import Module
from minigan.layers.affine import AffineLayer
from minigan.random import stream


class SpectralNorm(Module):
    """A layer that works with kernel / sigma.

    W is the kernel as a matrix, its last axis the columns. sigma comes from power iteration: u is
    the guess of the right singular vector, a buffer, and each pass in training improves it once.
    Gradients flow through sigma, u and v being constants. The layer's kernel must have been made
    (`in_channels`, `in_features`).
    Source: Miyato et al. 2018, algorithm 1.
    """

    def __init__(self, layer: AffineLayer) -> None:
        kernel: Any = layer.kernel
        guess = stream(0, "spectral-norm").normal(size=kernel.shape[-1])
        self.layer = layer
        self.u = unit(guess).astype(kernel.dtype)

    def forward(self, x: Any) -> Tensor:
        """What the layer makes of x."""
        kernel: Any = self.layer.kernel
        self.layer.kernel = kernel / self.sigma(kernel)
        try:
            return self.layer(x)
        finally:
            self.layer.kernel = kernel

    def sigma(self, kernel: Tensor) -> Tensor:
        """v^T W u, the largest singular value once u and v are its singular vectors."""
        w = kernel.reshape((-1, kernel.shape[-1]))  # (KH, KW, I, O) -> (KH * KW * I, O)
        v = unit(w.data @ self.u)
        if self.training:
            self.u = unit(v @ w.data)
        sigma: Tensor = (v[None] @ w @ self.u[:, None]).reshape(())
        return sigma


def unit(vector: Array) -> Array:
    """The vector at length 1."""
    return vector / np.sqrt((vector * vector).sum() + 1e-12)  # type: ignore[no-any-return]


def with_spectral_norm(gan: GAN) -> GAN:
    """The GAN itself, with spectral normalisation in every dense and convolution layer of D."""
    for _, module in list(gan.discriminator.named_modules()):
        for name, value in vars(module).items():
            if isinstance(value, list):
                value[:] = map(_normalized, value)
            else:
                setattr(module, name, _normalized(value))
    gan.name_parameters()
    return gan


def _normalized(value: Any) -> Any:
    return SpectralNorm(value) if isinstance(value, AffineLayer) else value
