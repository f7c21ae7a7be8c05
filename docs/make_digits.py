"""Make minigan/data/embedded: 1,000 digits of each class from MNIST's training set.

Usage: python docs/make_digits.py FOLDER_WITH_MNIST
"""

import gzip
import sys
from pathlib import Path

import numpy as np

from minigan.data import load_mnist
from minigan.data.digits import FOLDER
from minigan.random import stream

DIGITS_PER_CLASS = 1000


def choose(labels: np.ndarray) -> np.ndarray:
    """The first 1,000 digits of each class, as indices in a fixed shuffled order."""
    classes = [np.flatnonzero(labels == digit)[:DIGITS_PER_CLASS] for digit in range(10)]
    return stream(0, "embedded digits").permutation(np.concatenate(classes))


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array as a gzip-compressed IDX file, without a time stamp."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    mnist = load_mnist(sys.argv[1], "train")
    chosen = choose(mnist.labels)
    write_idx(FOLDER / "images-idx3-ubyte.gz", mnist.images[chosen])
    write_idx(FOLDER / "labels-idx1-ubyte.gz", mnist.labels[chosen])
