"""One picture file as an array: cut out, scaled, in grey or colour, read with suspicion.

Only JPEG and PNG are opened, and only whole: whatever a file is instead ends in one sentence.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from minigan.backend import Array
from minigan.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Size: TypeAlias = tuple[int, int]  # height, width

LARGEST = 2**26  # pixels a file may announce: 8192 x 8192
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B")  # Pillow's names for what a file holds


def read_image(path: Path, crop: Size | None, size: Size, grayscale: bool) -> Array:
    """The picture as uint8 pixels (height, width, 1 if grayscale else 3).

    It is turned upright (EXIF), `crop` is cut out of its middle (None keeps all of it), it goes
    to L or RGB, and is scaled to `size` bilinearly. Transparent pixels lie on white. 16-bit
    pixels keep their high byte.
    Source: carpedm20/DCGAN-tensorflow utils.py, `transform`. There scipy.misc.imresize first
    stretches each picture's darkest and brightest value to 0 and 255; here nothing is stretched.
    Errors: DataError.
    """
    from PIL import ImageOps
    from PIL.Image import Resampling

    with _opened(path) as image:
        image.load()
        image = ImageOps.exif_transpose(image)
        if crop is not None:
            image = _centre(image, crop, path)
        image = _converted(image, "L" if grayscale else "RGB")
        height, width = size
        image = image.resize((width, height), Resampling.BILINEAR)  # averages when it shrinks
        return np.asarray(image).reshape(height, width, -1)


def is_grey(path: Path) -> bool:
    """Whether the file holds one grey value a pixel; colours that all look grey are colours.

    Errors: DataError.
    """
    with _opened(path) as image:
        return image.mode in GREY_MODES


def _centre(image: "Image", crop: Size, path: Path) -> "Image":
    (height, width), (crop_height, crop_width) = (image.height, image.width), crop
    if height < crop_height or width < crop_width:
        raise _refusal(
            path, f"a picture of at least {crop_height} x {crop_width} pixels to cut out",
            f"{height} x {width}", "input_height and input_width as small as that, or crop=False",
        )  # fmt: skip
    top, left = round((height - crop_height) / 2), round((width - crop_width) / 2)
    return image.crop((left, top, left + crop_width, top + crop_height))


def _converted(image: "Image", mode: str) -> "Image":
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits: convert() would clip them at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


@contextmanager
def _opened(path: Path) -> "Iterator[Image]":
    """The file as a Pillow image; whatever goes wrong with it becomes a DataError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if image.width * image.height > LARGEST:
                raise Image.DecompressionBombError
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise _refusal(path, f"at most {LARGEST:,} pixels", "more") from None
    except UnidentifiedImageError:
        raise _refusal(path, "a JPEG or PNG picture", _beginning(path)) from None
    except Exception as error:  # noqa: BLE001  Pillow raises whatever a damaged file leads it to
        if isinstance(error, OSError) and error.strerror:  # the system's, not Pillow's
            raise _refusal(path, "a file you may read", error.strerror) from None
        found = f"one that is damaged or cut short ({error})"
        raise _refusal(path, "a whole picture", found) from None


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        first = file.read(8)
    if first.lstrip().startswith(b"<"):
        return "a web page (it starts with '<')"
    if first.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return "the beginning of one, then damage or the end of the file"
    return f"one that begins with {first!r}" if first else "an empty file"


def _refusal(
    path: Path, expected: str, found: str, remedy: str = "a sound copy of it, or without it"
) -> DataError:
    return DataError(  # repr: the name may not be printable
        f"{str(path)!r}: expected {expected}, found {found}. Try: {remedy}, or leave all such "
        f"files out with skip_broken=True."
    )
