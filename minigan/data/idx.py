"""MNIST's files: the IDX format, raw or gzip-compressed, read with suspicion.

IDX: two zero bytes, a type byte (8: unsigned byte), the number of axes, each axis's length as a
big-endian 32-bit integer, then the bytes. Source: yann.lecun.com/exdb/mnist.
"""

import gzip
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minigan.backend import Array
from minigan.data.download import default_mnist_folder
from minigan.errors import ConfigError, DataError

GZIP_MAGIC = b"\x1f\x8b"
LARGEST = 2**28  # bytes a file may announce: five times MNIST's training images
FILES = {  # the four files of MNIST, without .gz
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures and what they show: images (N, H, W) uint8 and labels (N,) uint8."""

    images: Array
    labels: Array


def one_hot(labels: Array, classes: int = 10) -> Array:
    """Labels as rows with a single 1: (N,) -> (N, classes) float64, as the tutorials have them.

    >>> one_hot(np.array([2, 0]), classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(
            f"one_hot: expected labels from 0 to {classes - 1}, found {labels.min()} to "
            f"{labels.max()}. Try: classes={labels.max() + 1}, if none of them is negative."
        )
    return np.eye(classes)[labels]


def load_mnist(
    folder: str | Path | None = None, split: str = "train", validation_size: int = 0
) -> Dataset:
    """MNIST from a folder with its four files, raw or .gz.

    folder           where they are; by default where `minigan data mnist` puts them
    split            "train" (60,000 digits) or "test" (10,000)
    validation_size  how many of the first digits to leave out; the TensorFlow tutorials' reader
                     keeps the first 5,000 training digits for validation
    Errors: DataError, naming the file; ConfigError for another split.
    """
    if split not in FILES:
        raise ConfigError(f"split is {split!r}. Try: 'train' or 'test'.")
    folder = Path(folder) if folder is not None else default_mnist_folder()
    images, labels = (read_idx(_find(folder, name)) for name in FILES[split])
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"{folder}: expected as many labels as images, found images {images.shape} and labels "
            f"{labels.shape}. Try: `minigan data mnist` for a whole set."
        )
    if not 0 <= validation_size < len(images):
        raise DataError(
            f"{folder}: expected more than {validation_size:,} images, of which the first "
            f"{validation_size:,} are left out for validation, found {len(images):,}. "
            f"Try: `minigan data mnist` for a whole set."
        )
    return Dataset(images[validation_size:], labels[validation_size:])


def holds_mnist(folder: str | Path) -> bool:
    """Whether a folder has one of MNIST's files, and not pictures of its own."""
    names = [name for pair in FILES.values() for name in pair]
    return any(spelling.is_file() for name in names for spelling in _spellings(Path(folder), name))


def _find(folder: Path, name: str) -> Path:
    for spelling in _spellings(folder, name):
        if os.path.isfile(spelling):
            return spelling
    raise DataError(
        f"{folder}: expected {name}[.gz], found {_contents(folder)}. Try: `minigan data mnist`, "
        f"or the folder with MNIST's four files."
    )


def _spellings(folder: Path, name: str) -> list[Path]:
    names = (name, f"{name}.gz")
    return [folder / spelling for n in names for spelling in (n, n.replace("-idx", ".idx"))]


def _contents(folder: Path) -> str:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return f"no folder to read ({error.strerror})"
    shown = ", ".join(repr(name) for name in names[:4])  # repr: names may not be printable
    return f"{shown}{', ...' if len(names) > 4 else ''}" if names else "an empty folder"


def read_idx(path: str | Path) -> Array:
    """One IDX file of unsigned bytes with one or three axes as a read-only uint8 array.

    Whether it is compressed is told by its first bytes, not by its name.
    Errors: DataError (not an IDX file, cut short, trailing bytes, damaged, larger than LARGEST).
    """
    path = Path(path)
    if not os.path.isfile(path):  # opening a named pipe would wait forever
        raise _refusal(path, "a file", "a folder or a device" if path.exists() else "nothing")
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if not compressed:
                return _parse(file, path)
            with gzip.open(file) as unpacked:
                return _parse(unpacked, path)
    except EOFError:
        raise _refusal(path, "a whole gzip file", "one that is cut short") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _refusal(path, "a sound gzip file", f"a damaged one ({error})") from None
    except OSError as error:
        raise _refusal(path, "a file you may read", str(error.strerror)) from None


def _parse(file: BinaryIO | gzip.GzipFile, path: Path) -> Array:
    magic = file.read(4)
    if magic.lstrip().startswith(b"<"):
        raise _refusal(path, "an IDX file", "a web page (it starts with '<')")
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] not in (1, 3):
        found = magic.hex() or "an empty file"
        raise _refusal(path, "the header of labels (00000801) or images (00000803)", found)
    lengths = file.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise _refusal(path, f"a header with {magic[3]} axis lengths", "the end of the file")
    shape = tuple(np.frombuffer(lengths, ">u4").tolist())  # Python integers: no overflow below
    size = math.prod(shape)
    if size > LARGEST:
        raise _refusal(path, f"at most {LARGEST:,} bytes", f"a header that announces {size:,}")
    pixels = file.read(size + 1)  # one more than announced, so that trailing bytes show
    if len(pixels) != size:
        found = f"only {len(pixels):,}" if len(pixels) < size else "more"
        raise _refusal(path, f"{size:,} bytes for shape {shape}", found)
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _refusal(path: Path, expected: str, found: str) -> DataError:
    return DataError(
        f"{path}: expected {expected}, found {found}. Try: `minigan data mnist` for sound files."
    )
