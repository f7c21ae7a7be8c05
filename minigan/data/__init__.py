"""Data: MNIST's files, the embedded digits, folders of pictures, batches."""

from minigan.data.batches import Batches, Feed
from minigan.data.digits import load_digits
from minigan.data.download import default_mnist_folder, fetch_mnist
from minigan.data.idx import Dataset, load_mnist, one_hot, read_idx
from minigan.data.image_cache import default_image_cache
from minigan.data.images import ImageBatches, load_images
from minigan.data.prefetch import Prefetched

__all__ = [
    "Batches", "Dataset", "Feed", "ImageBatches", "Prefetched", "default_image_cache",
    "default_mnist_folder", "fetch_mnist", "load_digits", "load_images", "load_mnist", "one_hot",
    "read_idx",
]  # fmt: skip
