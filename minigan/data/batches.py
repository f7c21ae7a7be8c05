"""Batches of shuffled pictures, as a function of the step.

The epochs, each in its own order, form one endless sequence; batch k is its positions k*B to
k*B + B. A batch at the end of an epoch joins the tail of the old order with the head of the new
one, as the tutorials' `next_batch` does.
"""

from functools import lru_cache

import numpy as np

from minigan.backend import Array
from minigan.data.idx import Dataset, one_hot
from minigan.errors import ConfigError, DataError
from minigan.random import stream

PIXEL = np.float32(1 / 255)


class Batches:
    """Pictures (N, H, W) uint8 in batches of flat float32 rows in [0, 1]: (batch_size, H * W)."""

    def __init__(self, images: Array, batch_size: int, seed: int = 0) -> None:
        if len(images) == 0:
            raise DataError("there are no pictures to train on. Try: a folder with some.")
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, but must be at least 1.")
        self.images = images.reshape(len(images), -1)
        self.batch_size = batch_size
        self.seed = seed
        self._order = lru_cache(maxsize=2)(self._shuffled)  # two: a batch may span two epochs

    def __len__(self) -> int:
        """The number of pictures in an epoch."""
        return len(self.images)

    def indices(self, step: int) -> Array:
        """Which pictures are in the batch of a step, counted from 0."""
        first, last = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        while first < last:
            epoch, start = divmod(first, len(self))
            part = self._order(epoch)[start : start + last - first]
            parts.append(part)
            first += len(part)
        return np.concatenate(parts)

    def at(self, step: int) -> Array:
        """The pictures of a step, by TensorFlow's rule: float32(u8) * float32(1/255)."""
        return np.multiply(self.images[self.indices(step)], PIXEL, dtype=np.float32)

    def _shuffled(self, epoch: int) -> Array:
        return stream(self.seed, "batches", epoch).permutation(len(self))


class Feed:
    """`mnist.train.next_batch(128)` as the tutorials call it."""

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self.dataset = dataset
        self.position = 0  # in the endless sequence of epochs
        self._singles = Batches(dataset.images, batch_size=1, seed=seed)

    def next_batch(self, batch_size: int) -> tuple[Array, Array]:
        """Flat float32 pictures in [0, 1] and one-hot float64 labels of the next batch."""
        steps = range(self.position, self.position + batch_size)
        self.position += batch_size
        index = np.concatenate([self._singles.indices(step) for step in steps])
        pictures = np.multiply(self._singles.images[index], PIXEL, dtype=np.float32)
        return pictures, one_hot(self.dataset.labels[index])
