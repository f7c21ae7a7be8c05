"""Dropout."""

import numpy as np

from minigan import backend
from minigan.autograd import Tensor, ops
from minigan.autograd.engine import Value, array_of
from minigan.errors import ConfigError
from minigan.layers.module import Module
from minigan.random import stream


class Dropout(Module):
    """In training, zeroes each number with probability `rate` and divides the rest by 1 - rate.

    The mask is keyed by the seed and by how many training passes came before, which is a buffer:
    with the same seed, a resumed run draws the masks it would have drawn. Without one, every layer
    has a seed of its own. In inference it passes x through.
    Source: Srivastava et al. 2014, "Dropout".
    """

    def __init__(self, rate: float = 0.5, seed: int | None = None) -> None:
        if not 0 <= rate < 1:
            raise ConfigError(f"Dropout: rate is {rate}, but must be in [0, 1). Try: 0.5.")
        self.passes = np.zeros((), np.int64)
        self.rate = rate
        self.seed = int(np.random.default_rng().integers(2**63)) if seed is None else seed

    def forward(self, x: Value) -> Tensor:
        """The thinned-out input."""
        if not self.training:
            return x  # type: ignore[no-any-return]
        kept = stream(self.seed, "dropout", int(self.passes)).random(x.shape) >= self.rate
        self.passes += 1
        mask = (kept / (1 - self.rate)).astype(x.dtype)
        return ops.multiply(x, backend.to_device(mask, backend.device_of(array_of(x))))

    def details(self) -> str:
        """The rate, for `repr`."""
        return f"rate={self.rate}"
