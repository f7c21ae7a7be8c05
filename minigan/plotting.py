"""The pictures a run leaves: grids of samples (PNG), the losses (PNG) and the training (GIF)."""

import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minigan.errors import ConfigError, DataError, DtypeError, NonFiniteError, ShapeError

if TYPE_CHECKING:
    from PIL.Image import Image


def grid_of(
    images: np.ndarray, columns: int | None = None, gap: int = 2, background: int = 255
) -> np.ndarray:
    """Lay images out in rows, left to right: (N, H, W) or (N, H, W, C) to one uint8 picture.

    C is 1 or 3. Pixels are uint8, or floats in [0, 1] that are rounded to the nearest of 256
    levels. `gap` pixels of `background` (0 black to 255 white) lie between images and fill the
    last row; `columns` defaults to the nearest square. `grid_of(255 - images, gap=0)` is a
    seamless canvas of dark digits on white.
    Returns (H', W') for grey images, (H', W', 3) for colour. Raises ShapeError, DtypeError,
    NonFiniteError, ConfigError.

    >>> grid_of(np.array([[[0.0]], [[0.5]], [[1.0]]]), columns=2, gap=0)
    array([[  0, 128],
           [255, 255]], dtype=uint8)
    """
    pixels = _pixels(images)
    count, height, width, *colours = pixels.shape
    if columns is None:
        columns = math.ceil(math.sqrt(count))
    if columns < 1 or gap < 0 or not 0 <= background <= 255:
        raise ConfigError(
            "grid_of expects columns >= 1, gap >= 0 and a background in 0..255, found "
            f"columns={columns}, gap={gap}, background={background}. "
            "Try: columns=4, gap=2, background=255."
        )
    rows = math.ceil(count / columns)
    grid_shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *colours)
    grid = np.full(grid_shape, background, np.uint8)
    for index, image in enumerate(pixels):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid


def save_png(picture: np.ndarray, path: str | Path, scale: int = 1) -> None:
    """Write a uint8 picture, (H, W) or (H, W, 3), each pixel as a square of `scale` pixels.

    Raises ShapeError, ConfigError, and DataError if the file can't be written.
    """
    from PIL.Image import Resampling

    if scale < 1:
        raise ConfigError(f"save_png expects scale >= 1, found {scale}. Try: scale=2.")
    image = _as_image(picture)
    image = image.resize((scale * image.width, scale * image.height), Resampling.NEAREST)
    content = io.BytesIO()
    image.save(content, format="PNG")
    _write(Path(path), content.getvalue())


def read_png(path: str | Path) -> np.ndarray:
    """Read what `save_png` wrote: uint8, (H, W) if it is grey and (H, W, 3) if not.

    Raises DataError if the file can't be read.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            return np.array(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} can't be read as PNG: {error}. Try: remove the file.") from error


def save_gif(pictures: Iterable[np.ndarray], path: str | Path, duration_ms: int = 200) -> None:
    """Write uint8 pictures of one shape as an endless animation that rests on its last frame.

    A frame stays `duration_ms`, the last one ten times as long; equal neighbours become one
    longer frame. Raises as `save_png` does.
    """
    frames = [_as_image(picture) for picture in pictures]
    sizes = {frame.size for frame in frames}
    if len(sizes) != 1:
        raise ShapeError(
            "save_gif expects one or more pictures of one size, found (W, H) = "
            f"{sorted(sizes)}. Try: grid_of with the same number of images for each."
        )
    content = io.BytesIO()
    frames[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[duration_ms] * (len(frames) - 1) + [10 * duration_ms],
        loop=0,
    )
    _write(Path(path), content.getvalue())


def save_losses(
    path: str | Path, steps: Sequence[int], curves: Mapping[str, Sequence[float]], title: str
) -> None:
    """Draw losses over steps as PNG: each value as a faint dot, their moving average as a line.

    `curves` maps a name to one value per step; values that are not finite are left out.
    Raises ShapeError, and DataError if the file can't be written.
    """
    from matplotlib.figure import Figure  # pyplot would ask for a screen and keep every figure

    figure = Figure(figsize=(9, 5.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for index, (name, values) in enumerate(curves.items()):
        if len(values) != len(steps):
            raise ShapeError(
                f"save_losses expects a value per step, found {len(values)} values of {name!r} "
                f"for {len(steps)} steps. Try: steps=range(1, {len(values) + 1})."
            )
        finite = np.isfinite(values)
        x, y = np.asarray(steps, float)[finite], np.asarray(values, float)[finite]
        window = max(1, len(y) // 50)
        axes.plot(x, y, ".", color=f"C{index}", markersize=3, alpha=0.25)
        axes.plot(
            _moving_average(x, window),
            _moving_average(y, window),
            color=f"C{index}",
            linewidth=2.5,
            label=name,
        )
    axes.set_title(title, fontsize=18, parse_math=False)
    axes.set_xlabel("step", fontsize=16)
    axes.set_ylabel("loss", fontsize=16)
    axes.tick_params(labelsize=14)
    axes.legend(fontsize=14)
    axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    _write(Path(path), content.getvalue())


def _pixels(images: np.ndarray) -> np.ndarray:
    """Check images and convert them to uint8, (N, H, W) or (N, H, W, 3)."""
    if images.ndim not in (3, 4) or images.size == 0 or images.shape[3:] not in ((), (1,), (3,)):
        raise ShapeError(
            "grid_of expects images of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), found "
            f"{images.shape}. Try: images.reshape(-1, 28, 28) for rows of 784 pixels."
        )
    if images.shape[3:] == (1,):
        images = images[..., 0]
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DtypeError(
            f"grid_of expects uint8 or float pixels, found {images.dtype}. "
            "Try: images.astype(np.uint8) for pixels in 0..255."
        )
    low, high = images.min(), images.max()
    if not np.isfinite([low, high]).all():
        raise NonFiniteError(
            f"grid_of expects finite pixels, found {low} to {high}. "
            "Try: np.nan_to_num(images, posinf=1, neginf=0) to look at them all the same."
        )
    if low < 0 or high > 1:
        raise ConfigError(
            f"grid_of expects float pixels in [0, 1], found {low} to {high}. "
            "Try: (images + 1) / 2 for a tanh generator, or images.clip(0, 1)."
        )
    return np.rint(images * 255.0).astype(np.uint8)


def _as_image(picture: np.ndarray) -> "Image":
    from PIL import Image

    is_picture = picture.ndim in (2, 3) and picture.size > 0 and picture.shape[2:] in ((), (3,))
    if picture.dtype != np.uint8 or not is_picture:
        raise ShapeError(
            f"A picture is expected as uint8 (H, W) or (H, W, 3), found {picture.dtype} "
            f"{picture.shape}. Try: grid_of(images)."
        )
    return Image.fromarray(picture)


def _moving_average(values: np.ndarray, window: int) -> np.ndarray:
    if values.size == 0:
        return values
    return np.convolve(values, np.ones(window) / window, mode="valid")


def _write(path: Path, content: bytes) -> None:
    """Write all or nothing: whoever watches the folder never sees half a picture."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(
            f"The picture {path} can't be written: {error.strerror}. "
            "Try: a folder you may write to, on a disk with free space."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
