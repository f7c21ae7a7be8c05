"""Batches of shuffled pictures, as a function of the step.

The epochs, each in its own order, form one endless sequence; batch k is its positions k*B to
k*B + B. A batch at the end of an epoch joins the tail of the old order with the head of the new
one, as the tutorials' `next_batch` does.
"""

from functools import lru_cache

import numpy as np

from minigan.backend import Array
from minigan.data.idx import Dataset, one_hot
from minigan.errors import ConfigError, DataError, DtypeError
from minigan.random import stream

PIXEL = np.float32(1 / 255)


class Batches:
    """Pictures (N, H, W) uint8 in batches of flat float32 rows in [0, 1]: (batch_size, H * W)."""

    def __init__(self, images: Array, batch_size: int, seed: int = 0) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, but must be at least 1. Try: 128.")
        self.images = flat_pictures(images)
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """The number of pictures in an epoch."""
        return len(self.images)

    def indices(self, step: int) -> Array:
        """Which pictures are in the batch of a step, counted from 0."""
        first = step * self.batch_size
        return shuffled_indices(len(self), self.seed, first, first + self.batch_size)

    def at(self, step: int) -> Array:
        """The pictures of the batch of a step."""
        return to_unit_range(self.images.take(self.indices(step), axis=0))


class Feed:
    """`mnist.train.next_batch(128)` as the tutorials call it: it remembers where it is."""

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self.images = flat_pictures(dataset.images)
        self.labels = dataset.labels
        self.seed = seed
        self.position = 0  # in the endless sequence of epochs

    def next_batch(self, batch_size: int) -> tuple[Array, Array]:
        """Flat float32 pictures in [0, 1] and one-hot float64 labels of the next batch."""
        first, self.position = self.position, self.position + batch_size
        index = shuffled_indices(len(self.images), self.seed, first, self.position)
        return to_unit_range(self.images[index]), one_hot(self.labels[index])


def flat_pictures(images: Array) -> Array:
    """Each picture as a row of pixels: (N, H, W) uint8 -> (N, H * W) uint8."""
    if len(images) == 0:
        raise DataError("expected pictures to train on, found none. Try: load_digits().")
    if images.dtype != np.uint8:
        raise DtypeError(
            f"expected pictures of uint8 pixels from 0 to 255, found {images.dtype}. "
            f"Try: np.uint8(np.round(images * 255)), if they lie in [0, 1]."
        )
    return images.reshape(len(images), -1)


def to_unit_range(pixels: Array) -> Array:
    """Pixels 0 to 255 as float32 in [0, 1], by TensorFlow's rule: float32(u8) * float32(1/255)."""
    return np.multiply(pixels, PIXEL, dtype=np.float32)


def shuffled_indices(count: int, seed: int, first: int, last: int) -> Array:
    """Positions first to last - 1 of the endless sequence of shuffled epochs of `count` pictures.

    >>> shuffled_indices(4, seed=0, first=0, last=8)  # two epochs, each with every picture once
    array([2, 1, 3, 0, 1, 2, 0, 3])
    """
    parts = []
    while first < last:
        epoch, start = divmod(first, count)
        part = epoch_order(count, seed, epoch)[start : start + last - first]
        parts.append(part)
        first += len(part)
    return np.concatenate(parts)


@lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> Array:
    """The order in which an epoch shows its pictures: a permutation of 0 to count - 1."""
    return stream(seed, "batches", epoch).permutation(count)
