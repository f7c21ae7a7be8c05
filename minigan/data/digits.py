"""The embedded digits: 1,000 of each class from MNIST's training set, so no download is needed."""

from pathlib import Path

from minigan.data.idx import Dataset, read_idx

FOLDER = Path(__file__).parent / "embedded"


def load_digits() -> Dataset:
    """10,000 handwritten digits, 28 x 28, in a fixed shuffled order (embedded/LICENSE.md)."""
    return Dataset(
        read_idx(FOLDER / "images-idx3-ubyte.gz"), read_idx(FOLDER / "labels-idx1-ubyte.gz")
    )
