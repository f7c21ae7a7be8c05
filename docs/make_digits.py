"""Make minigan/data/embedded: 1,000 digits of each class from MNIST's training set.

    python docs/make_digits.py FOLDER_WITH_MNIST
"""

import gzip
import sys
from pathlib import Path

import numpy as np

from minigan.data import load_mnist
from minigan.data.digits import FOLDER
from minigan.random import stream

EACH = 1000


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0))


def main(folder: str) -> None:
    mnist = load_mnist(folder, "train")
    chosen = np.concatenate([np.flatnonzero(mnist.labels == digit)[:EACH] for digit in range(10)])
    chosen = stream(0, "embedded digits").permutation(chosen)
    write_idx(FOLDER / "images-idx3-ubyte.gz", mnist.images[chosen])
    write_idx(FOLDER / "labels-idx1-ubyte.gz", mnist.labels[chosen])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
