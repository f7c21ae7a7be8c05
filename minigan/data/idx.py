"""MNIST's files: the IDX format, raw or gzip-compressed, read with suspicion.

IDX: two zero bytes, a type byte (8: unsigned byte), the number of axes, each axis's length as a
big-endian 32-bit integer, then the bytes. Source: yann.lecun.com/exdb/mnist.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minigan.backend import Array
from minigan.errors import DataError

LARGEST = 2**30  # bytes of pixels that a file may claim to hold
FILES = {  # the four files of MNIST, without .gz
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures and what they show: images (N, H, W) uint8 and labels (N,) uint8."""

    images: Array
    labels: Array


def load_mnist(folder: str | Path, split: str = "train", validation_size: int = 0) -> Dataset:
    """MNIST from a folder with its four files, raw or .gz.

    split            "train" (60,000 digits) or "test" (10,000)
    validation_size  how many of the first digits to leave out; the TensorFlow tutorials' reader
                     keeps the first 5,000 training digits for validation
    Errors: DataError, naming the file.
    """
    folder = Path(folder)
    images, labels = (read_idx(_find(folder, name)) for name in FILES[split])
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"{folder}: expected as many labels as images, found images {images.shape} and labels "
            f"{labels.shape}. Try: `minigan data mnist` for a whole set."
        )
    return Dataset(images[validation_size:], labels[validation_size:])


def _find(folder: Path, name: str) -> Path:
    for candidate in (name, f"{name}.gz"):
        for spelling in (candidate, candidate.replace("-idx", ".idx")):
            if (folder / spelling).is_file():
                return folder / spelling
    if not folder.is_dir():
        found = "there is no such folder"
    else:
        names = sorted(path.name for path in folder.iterdir())
        found = f"it holds {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}" or "empty"
        found = found if names else "it is empty"
    raise DataError(
        f"{folder}: expected {name}[.gz], but {found}. Try: `minigan data mnist`, or the folder "
        f"with MNIST's four files."
    )


def read_idx(path: str | Path) -> Array:
    """One IDX file of unsigned bytes as a uint8 array.

    Errors: DataError (not an IDX file, cut short, trailing bytes, damaged, unreasonably large).
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not compressed:
                return _parse(file, path)
            with gzip.open(file) as unpacked:
                return _parse(unpacked, path)  # type: ignore[arg-type]
    except EOFError:
        raise DataError(_refusal(path, "a whole gzip file", "one that is cut short")) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(_refusal(path, "a sound gzip file", f"a damaged one ({error})")) from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. Try: a file you may read.") from None


def _parse(file: BinaryIO, path: Path) -> Array:
    header = file.read(4)
    if header.lstrip().startswith(b"<"):
        raise DataError(_refusal(path, "an IDX file", "a web page (it starts with '<')"))
    if len(header) < 4 or header[:3] != b"\0\0\x08" or header[3] not in (1, 3):
        raise DataError(
            _refusal(path, "the header of labels (00000801) or images (00000803)", header.hex())
        )
    lengths = file.read(4 * header[3])
    if len(lengths) < 4 * header[3]:
        raise DataError(_refusal(path, f"{header[3]} axis lengths", "the end of the file"))
    shape = tuple(np.frombuffer(lengths, ">u4").tolist())
    size = math.prod(shape)
    if size > LARGEST:
        raise DataError(_refusal(path, f"at most {LARGEST:,} bytes", f"a header of {size:,}"))
    data = file.read(size + 1)  # one more than announced, so that trailing bytes show
    if len(data) != size:
        found = f"only {len(data):,}" if len(data) < size else "more"
        raise DataError(_refusal(path, f"{size:,} bytes for shape {shape}", found))
    return np.frombuffer(data, np.uint8).reshape(shape)


def _refusal(path: Path, expected: str, found: str) -> str:
    return f"{path}: expected {expected}, found {found}. Try: `minigan data mnist` fetches it anew."


def one_hot(labels: Array, classes: int = 10) -> Array:
    """Labels as rows with a single 1: (N,) -> (N, classes) float64, as the tutorials have them."""
    return np.eye(classes)[labels]
