"""The pictures that `minigan score` measures: a run's, or those of a file made elsewhere."""

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minigan import backend
from minigan.backend import Array
from minigan.errors import DataError
from minigan.gan.config import TrainConfig
from minigan.gan.models import GAN
from minigan.gan.presets import preset
from minigan.gan.run_folder import RunFolder
from minigan.gan.sampling import generate, labels_in_turn, latent_noise, trained_gan
from minigan.gan.training_data import TrainingData, load_training_data

AT_A_TIME = 500  # pictures held at once, which bounds the memory they take
OF_COLOUR = ((), (1,), (3,))  # what may follow (N, H, W)
LARGEST = 2**32  # bytes a file's arrays may take


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures to be scored.

    parts   (n, H, W, C) uint8, a few hundred at a time, `count` in all
    shape   of one, (H, W, C)
    asked   the class each was asked to show, (count,) integers; None if none was asked for
    source  whose they are, in words
    """

    parts: Iterable[Array]
    count: int
    shape: tuple[int, ...]
    asked: Array | None
    source: str


def in_parts(images: Array) -> Iterator[Array]:
    """All pictures, AT_A_TIME at a time."""
    for first in range(0, len(images), AT_A_TIME):
        yield images[first : first + AT_A_TIME]


# ── of a run ─────────────────────────────────────────────────────────────────────────────────


def pictures_of_run(folder: RunFolder, n: int, seed: int, device: str) -> Pictures:
    """n pictures of a run's newest checkpoint, of each class in turn if it learns labels.

    Errors: ConfigError (no run), CheckpointError (no checkpoint, or none that is whole).
    """
    gan, step = trained_gan(folder, device)
    noise = latent_noise(seed, "score", 0, (n, gan.latent_size), folder.read_config().noise)
    labels = labels_in_turn(n, gan.classes)
    asked = None if labels is None else labels.argmax(axis=1)
    parts = _generated(gan, noise, labels, backend.resolve_device(device))
    return Pictures(parts, n, _shape_of_one(gan), asked, f"{folder} after {step:,} steps")


def _shape_of_one(gan: GAN) -> tuple[int, ...]:
    if len(gan.picture_shape) == 3:
        return gan.picture_shape
    side = math.isqrt(gan.picture_shape[0])  # a row of pixels
    return side, side, 1


def _generated(gan: GAN, noise: Array, labels: Array | None, device: str) -> Iterator[Array]:
    for first in range(0, len(noise), AT_A_TIME):
        part = slice(first, first + AT_A_TIME)
        asked = None if labels is None else backend.to_device(labels[part], device)
        images = generate(gan, backend.to_device(noise[part], device), asked)
        # rounded to the 256 levels of the real pictures, and of those made elsewhere
        yield with_channels(np.round(images * 255).astype(np.uint8))


def with_channels(images: Array) -> Array:
    """Grey pictures with their one channel as an axis: (N, H, W) or (N, H, W, C) to the latter."""
    return images[..., None] if images.ndim == 3 else images


# ── of a file ────────────────────────────────────────────────────────────────────────────────


def pictures_of_file(path: Path) -> Pictures:
    """Those of a .npz with `images` and, if classes were asked for, `labels`.

    Shapes: images (N, H, W) or (N, H, W, C) uint8, labels (N,) integers.
    Errors: DataError.
    """
    images, asked = _read(path)
    images = with_channels(images)
    return Pictures(in_parts(images), len(images), images.shape[1:], asked, str(path))


def _read(path: Path) -> tuple[Array, Array | None]:
    arrays = _unpacked(path)
    images, labels = arrays.get("images"), arrays.get("labels")
    if images is None:
        raise _refusal(path, "an array `images`", "none of that name")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in OF_COLOUR:
        expected = "`images` of uint8, (N, H, W) or (N, H, W, 1 or 3)"
        repair = "images=numpy.uint8(numpy.round(images * 255)), if they lie in [0, 1]"
        raise _refusal(path, expected, f"{images.dtype} {images.shape}", repair)
    if len(images) < 2 or images.size == 0:
        raise _refusal(path, "at least 2 pictures", f"`images` {images.shape}")
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]):
        expected = f"`labels` of integers, ({len(images)},)"
        repair = f"labels=numpy.arange({len(images)}) % 10, if they were asked for in turn"
        raise _refusal(path, expected, f"{labels.dtype} {labels.shape}", repair)
    if labels is not None and not 0 <= labels.min() <= labels.max() <= 9:
        found = f"{labels.min()} to {labels.max()}"
        raise _refusal(path, "`labels` from 0 to 9", found, "without labels, or those of digits")
    return images, labels


def _unpacked(path: Path) -> dict[str, Array]:
    """The arrays `images` and `labels` of a file, if it has them."""
    if not path.is_file():  # opening a named pipe would wait forever
        raise _refusal(path, "a file", "a folder or a device" if path.exists() else "nothing")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size <= LARGEST:
            with np.load(path, allow_pickle=False) as file:
                wanted = [name for name in ("images", "labels") if name in file]
                return {name: np.asarray(file[name]) for name in wanted}  # may be plain bytes
    except Exception as error:  # noqa: BLE001  the parsers below NumPy raise a dozen kinds
        reason = " ".join(str(error).split())  # in one line
        raise _refusal(path, "a sound .npz file", f"one that can't be read ({reason})") from None
    raise _refusal(path, f"at most {LARGEST:,} bytes", f"arrays of {size:,}")


def _refusal(
    path: Path,
    expected: str,
    found: str,
    repair: str = 'numpy.savez("pictures.npz", images=images)',
) -> DataError:
    return DataError(f"{path}: expected {expected}, found {found}. Try: {repair}.")


# ── the real ones beside them ────────────────────────────────────────────────────────────────


def real_pictures(
    pictures: Pictures,
    folder: RunFolder | None,
    data: str | None,
    pattern: str | None,
    say: Callable[[str], None] = print,
) -> TrainingData:
    """The pictures a run learned from, or those that `data` and `pattern` name instead.

    folder  the run's; None for pictures made elsewhere, which are then compared with the embedded
            digits unless `data` names others
    Errors: DataError (also if they are of another size than `pictures`), ConfigError.
    """
    config = _config_like(pictures) if folder is None else folder.read_config()
    real = load_training_data(config.with_options(data=data, pattern=pattern), say)
    if real.images.shape[1:] != pictures.shape:
        raise DataError(
            f"{pictures.source}: expected pictures of {_size(real.images.shape[1:])}, as the "
            f"{real.source} are, found {_size(pictures.shape)}. Try: --data with others like these."
        )
    if len(real.images) < 4:
        raise DataError(
            f"{real.source}: expected at least 4 pictures, two pairs to compare, found "
            f"{len(real.images)}. Try: --data with more."
        )
    return real


def _config_like(pictures: Pictures) -> TrainConfig:
    """What loads whole pictures of a folder, scaled to the same size, in the same colours."""
    H, W, C = pictures.shape
    return preset("dcgan-images").with_options(
        crop=False, output_height=H, output_width=W, grayscale=C == 1
    )


def _size(shape: tuple[int, ...]) -> str:
    H, W, C = shape
    return f"{H} x {W} in {'grey' if C == 1 else 'colour'}"
