"""A folder of pictures as one array, decoded in threads and kept for the next run; its batches."""

import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np

from minigan.backend import Array
from minigan.data.batches import Batches
from minigan.data.image_cache import cached_images, default_image_cache
from minigan.data.image_file import Size, is_grey, read_image
from minigan.errors import ConfigError, DataError

SUFFIXES = (".jpg", ".jpeg", ".png")
LARGEST_SIDE = 4096  # pixels
AT_A_TIME = 256  # files handed to the threads, which bounds how many wait for their turn


class ImageBatches(Batches):
    """Pictures (N, H, W, C) uint8 in batches of float32 in [-1, 1]: (batch_size, H, W, C).

    Errors: DataError for fewer pictures than a batch, as in the tutorial.
    """

    def __init__(self, images: Array, batch_size: int, seed: int = 0) -> None:
        super().__init__(images, batch_size, seed)
        self.picture_shape = images.shape[1:]
        if len(images) < batch_size:
            raise DataError(
                f"expected at least {batch_size:,} pictures to fill a batch, found "
                f"{len(images):,}. Try: batch_size={len(images)}, or more pictures."
            )

    def at(self, step: int) -> Array:
        """The pictures of the batch of a step."""
        pixels = self.images.take(self.indices(step), axis=0)
        return to_tanh_range(pixels).reshape(-1, *self.picture_shape)


def to_tanh_range(pixels: Array) -> Array:
    """Pixels 0 to 255 as float32 in [-1, 1], the range of tanh: x / 127.5 - 1.

    As (x - 127.5) / 127.5, which rounds once: the same bits as the tutorial's, which computes in
    float64 and only then rounds to float32.

    >>> to_tanh_range(np.array([0, 51, 255], np.uint8))
    array([-1. , -0.6,  1. ], dtype=float32)
    """
    y = pixels.astype(np.float32)
    y -= 127.5
    y /= 127.5
    return y


def load_images(
    folder: str | Path,
    pattern: str = "*.jpg",
    *,
    crop: bool = True,
    input_height: int = 108,
    input_width: int | None = None,
    output_height: int = 64,
    output_width: int | None = None,
    grayscale: bool | None = None,
    train_size: int | None = None,
    skip_broken: bool = False,
    cache: str | Path | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Array:
    """The JPEG and PNG pictures of a folder, by name: (N, H, W, C) uint8, read-only.

    pattern        which files; "**/*.jpg" looks into the folders below, too
    crop           whether to cut input_height x input_width out of the middle of each first
    output_height  what each is then scaled to, with output_width; a width of None is the height
    grayscale      None finds out: one channel if every file is a greyscale one, else three
    train_size     how many files to take, the first by name; None for all
    skip_broken    leave files out that can't be used, rather than refuse them all
    cache          folder for the decoded pictures; by default in the user's cache. They are
                   decoded anew when an option, or a file's name, size or time of change differs
    progress       show a bar when decoding takes more than a second
    say            is told when files are left out, and when the cache can't be used
    `read_image` says how a picture is decoded. Errors: DataError, ConfigError.
    """
    folder = Path(folder)
    cut = _size("input", input_height, input_width) if crop else None
    size = _size("output", output_height, output_width)
    if train_size is not None and train_size < 1:
        raise ConfigError(f"train_size is {train_size}, but must be at least 1. Try: None for all.")
    paths = find_images(folder, pattern)[:train_size]

    def decode() -> Iterator[Array]:
        grey = _all_grey(paths) if grayscale is None else grayscale
        read = partial(read_image, crop=cut, size=size, grayscale=grey)
        return _decoded(paths, read, skip_broken, progress)

    options = [str(folder.resolve()), pattern, cut, size, grayscale, train_size, skip_broken]
    cache = Path(cache) if cache is not None else default_image_cache()
    path = cache / f"{sha256(json.dumps(options).encode()).hexdigest()[:32]}.npy"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # a picture is decoded or refused
        images = cached_images(path, _origin(paths, options), decode, say)
    if left_out := len(paths) - len(images):
        say(
            f"{folder}: {left_out:,} of {len(paths):,} files can't be used and are left out. "
            f"Try: skip_broken=False, which names the first."
        )
    return images


def _size(side: str, height: int, width: int | None) -> Size:
    width = height if width is None else width
    for name, value in ((f"{side}_height", height), (f"{side}_width", width)):
        if not 1 <= value <= LARGEST_SIDE:
            raise ConfigError(
                f"{name} is {value}, but must be from 1 to {LARGEST_SIDE:,} pixels. Try: 64."
            )
    return height, width


def _origin(paths: Sequence[Path], options: Sequence[object]) -> bytes:
    """All that the decoded pictures depend on; when it changes, they are decoded anew."""
    import PIL

    stats = [path.stat() for path in paths]
    files = [(str(p), stat.st_size, stat.st_mtime_ns) for p, stat in zip(paths, stats, strict=True)]
    return json.dumps([PIL.__version__, options, files]).encode()


# ── finding files ────────────────────────────────────────────────────────────────────────────


def find_images(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that match a pattern, sorted by the bytes of their names.

    Errors: DataError (no folder, no match, a device or a link that leads out of the folder),
    ConfigError for a pattern that is none.
    """
    try:
        os.scandir(folder).close()  # glob finds nothing where it may not look
        paths = sorted((p for p in folder.glob(pattern) if not p.is_dir()), key=os.fsencode)
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder of pictures, found no folder to read "
            f"({error.strerror}). Try: the path of a folder with .jpg or .png files."
        ) from None
    except (ValueError, NotImplementedError):  # an empty pattern, an absolute one
        raise ConfigError(
            f"pattern is {pattern!r}, but must match names below the folder. Try: '*.jpg'."
        ) from None
    if not paths:
        raise _no_match(folder, pattern)
    root = os.path.realpath(folder)
    for path in paths:
        if not path.is_file() or os.path.commonpath([root, os.path.realpath(path)]) != root:
            raise DataError(
                f"{str(path)!r}: expected a file inside the folder, found a device, or a link that "
                f"is broken or leads out of it. Try: a copy of the picture in its place."
            )
    return paths


def _no_match(folder: Path, pattern: str) -> DataError:
    files = islice((path for path in folder.rglob("*") if path.is_file()), 100_000)
    found = Counter(("" if p.parent == folder else "**/") + f"*{p.suffix}" for p in files)
    listed = ", ".join(f"{count:,} of {name!r}" for name, count in found.most_common(3))
    useful = [name for name, _ in found.most_common() if name.lower().endswith(SUFFIXES)]
    return DataError(
        f"{folder}: expected pictures called {pattern!r}, found {listed or 'no files'}. "
        f"Try: {f'pattern={useful[0]!r}' if useful else 'a folder with .jpg or .png files'}."
    )


# ── decoding ─────────────────────────────────────────────────────────────────────────────────


def _all_grey(paths: Sequence[Path]) -> bool:
    for path in paths:
        with suppress(DataError):  # what can't be read is dealt with when it is decoded
            if not is_grey(path):
                return False
    return True


def _decoded(
    paths: Sequence[Path], read: Callable[[Path], Array], skip_broken: bool, progress: bool
) -> Iterator[Array]:
    """The pictures in the order of their paths, decoded in threads: Pillow releases the GIL."""
    from tqdm import tqdm

    def read_or_skip(path: Path) -> Array | None:
        try:
            return read(path)
        except DataError:
            if skip_broken:
                return None
            raise

    found_any = False
    with (
        ThreadPoolExecutor() as pool,
        tqdm(
            total=len(paths), desc="decoding", unit="picture", delay=1,
            disable=None if progress else True, dynamic_ncols=True,
        ) as bar,
    ):  # fmt: skip
        for first in range(0, len(paths), AT_A_TIME):
            for picture in pool.map(read_or_skip, paths[first : first + AT_A_TIME]):
                bar.update()
                if picture is not None:
                    found_any = True
                    yield picture
    if not found_any:
        raise DataError(
            f"{paths[0].parent}: expected pictures, found that not one of {len(paths):,} files can "
            f"be used. Try: skip_broken=False, which says what is wrong with the first."
        )
