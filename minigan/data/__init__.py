"""Data: MNIST's files, the embedded digits, batches."""

from minigan.data.batches import Batches, Feed
from minigan.data.digits import load_digits
from minigan.data.download import default_mnist_folder, fetch_mnist
from minigan.data.idx import Dataset, load_mnist, one_hot, read_idx

__all__ = [
    "Batches", "Dataset", "Feed", "default_mnist_folder", "fetch_mnist", "load_digits",
    "load_mnist", "one_hot", "read_idx",
]  # fmt: skip
