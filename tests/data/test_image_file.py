"""One picture file: the tutorial's geometry, every mode, and bad files in one sentence."""

import errno
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from minigan.data import image_file
from minigan.data.image_file import is_grey, read_image
from minigan.errors import DataError


def write(path, pixels, **options):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)
    return path


def numbered(height, width):
    return np.arange(height * width).reshape(height, width) % 251


def flat(path, grayscale=False, shape=(2, 2)):
    """The one colour of a picture that has only one."""
    pixels = read_image(path, None, shape, grayscale).reshape(-1, 1 if grayscale else 3)
    assert (pixels == pixels[0]).all()
    return pixels[0].tolist()


@given(
    height=st.integers(1, 40), width=st.integers(1, 40),
    less_high=st.integers(0, 20), less_wide=st.integers(0, 20),
)  # fmt: skip
@example(height=9, width=9, less_high=5, less_wide=7)  # 2.5 goes to 2 and 3.5 to 4
def test_the_centre_is_cut_out_as_in_the_tutorial(
    tmp_path_factory, height, width, less_high, less_wide
):
    crop_h, crop_w = max(1, height - less_high), max(1, width - less_wide)
    x = numbered(height, width)
    path = write(tmp_path_factory.mktemp("crop") / "a.png", x)
    j = int(round((height - crop_h) / 2.0))  # noqa: RUF046  the tutorial's own lines
    i = int(round((width - crop_w) / 2.0))  # noqa: RUF046
    cut = read_image(path, (crop_h, crop_w), (crop_h, crop_w), grayscale=True)
    np.testing.assert_array_equal(cut[..., 0], x[j : j + crop_h, i : i + crop_w])


def test_scaling_is_pillows_bilinear_without_stretching_the_contrast(tmp_path):
    pixels = 100 + numbered(12, 20) % 50
    path = write(tmp_path / "a.png", pixels)
    expected = Image.fromarray(np.uint8(pixels)).resize((7, 5), Image.Resampling.BILINEAR)
    scaled = read_image(path, None, (5, 7), grayscale=True)
    assert scaled.shape == (5, 7, 1)
    np.testing.assert_array_equal(scaled[..., 0], expected)
    assert scaled.min() >= 100
    assert scaled.max() < 150


def test_shrinking_averages(tmp_path):
    stripes = np.tile([0, 200], (8, 32))
    assert abs(int(read_image(write(tmp_path / "a.png", stripes), None, (2, 2), True)[0, 0, 0])
               - 100) < 12  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "colour", "rgb"),
    [
        ("1", 1, [255] * 3),
        ("L", 70, [70] * 3),
        ("LA", (70, 255), [70] * 3),
        ("P", 0, [10, 20, 30]),
        ("RGB", (10, 20, 30), [10, 20, 30]),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
        ("RGBA", (10, 20, 30, 0), [255] * 3),  # transparent: the white below
        ("RGBA", (0, 0, 0, 51), [204] * 3),
        ("LA", (0, 51), [204] * 3),
        ("I;16", 70 * 256 + 255, [70] * 3),  # the high byte
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, rgb):
    image = Image.new(mode, (3, 3), colour)
    if mode == "P":
        image.putpalette([10, 20, 30])
    image.save(tmp_path / "a.png")
    assert flat(tmp_path / "a.png") == rgb
    assert is_grey(tmp_path / "a.png") == (mode not in ("P", "RGB", "RGBA"))


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_lies_on_white(tmp_path, mode):
    Image.new(mode, (3, 3), 0).save(tmp_path / "a.png", transparency=(0, 0, 0)[: len(mode)]
                                    if mode == "RGB" else 0)  # fmt: skip
    assert flat(tmp_path / "a.png") == [255] * 3


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red, green, blue = flat(tmp_path / "a.jpg")
    assert red > 250
    assert max(green, blue) < 5


def test_grey_weighs_the_colours_as_the_tutorial_does(tmp_path):
    path = write(tmp_path / "a.png", np.full((3, 3, 3), [200, 100, 50]))
    grey = flat(path, grayscale=True)
    assert grey == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path, orientation):
    upright = np.zeros((4, 6), np.uint8)
    upright[0, 0], upright[0, 5], upright[3, 0] = 90, 160, 230
    turn_back = {  # how a camera held that way stores it
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud,
        5: lambda x: x.T, 6: lambda x: np.rot90(x, 1), 7: lambda x: np.rot90(x, 2).T,
        8: lambda x: np.rot90(x, 3),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write(tmp_path / "a.png", turn_back[orientation](upright), exif=exif)
    read = read_image(path, (4, 6), (4, 6), grayscale=True)
    np.testing.assert_array_equal(read[..., 0], upright)


# ── bad files ────────────────────────────────────────────────────────────────────────────────


def encoded(kind, size=(9, 7)):
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def announcing(width, height):
    """A PNG that announces any number of pixels in a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "expected a JPEG or PNG picture, found an empty file"),
        (b"<!DOCTYPE html><html>404", "found a web page (it starts with '<')"),
        (b"just text", "found one that begins with b'just tex'"),
        (encoded("GIF"), "found one that begins with b'GIF8"),
        (encoded("PNG")[:33], "found the beginning of one, then damage or the end of the file"),
        (
            b"\xff\xd8\xff" + bytes(50),
            "found the beginning of one, then damage or the end of the file",
        ),
        (encoded("PNG")[:100], "expected a whole picture, found one that is damaged or cut short"),
        (encoded("JPEG")[:-40], "expected a whole picture, found one that is damaged or cut short"),
        (announcing(8193, 8192), "expected at most 67,108,864 pixels, found more"),
        (announcing(2**31 - 1, 2**31 - 1), "expected at most 67,108,864 pixels, found more"),
    ],
)
def test_the_sentence_says_what_is_wrong(tmp_path, data, found):
    path = tmp_path / "bad.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_image(path, None, (4, 4), grayscale=False)
    assert str(caught.value).startswith(f"{str(path)!r}: expected ")
    assert found in str(caught.value)
    assert "Try: a sound copy of it, or without it, or leave" in str(caught.value)


def test_a_picture_smaller_than_the_crop_names_both_sizes(tmp_path):
    path = write(tmp_path / "small.png", numbered(5, 9))
    assert read_image(path, (5, 9), (2, 2), grayscale=True).shape == (2, 2, 1)
    for crop in ((6, 2), (2, 10)):
        with pytest.raises(DataError, match=r"at least .* cut out, found 5 x 9\. Try: input_heig"):
            read_image(path, crop, (2, 2), grayscale=True)
    assert read_image(path, None, (2, 2), grayscale=True).shape == (2, 2, 1)  # as it advises


def test_a_file_that_may_not_be_read_or_is_gone(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="a file you may read, found No such file"):
        read_image(tmp_path / "gone.jpg", None, (2, 2), grayscale=True)

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("PIL.Image.open", refuse)
    with pytest.raises(DataError, match="a file you may read, found Permission denied"):
        read_image(tmp_path / "secret.jpg", None, (2, 2), grayscale=True)


def test_an_unprintable_name_does_not_spoil_the_message(tmp_path):
    (tmp_path / "caf\udce9\n.jpg").touch()
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "caf\udce9\n.jpg", None, (2, 2), grayscale=True)
    assert r"caf\udce9\n.jpg'" in str(caught.value).encode().decode()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_truncation_is_accepted_unless_every_pixel_is_there(tmp_path, kind):
    whole = encoded(kind)
    path = tmp_path / "short"
    path.write_bytes(whole)
    expected = read_image(path, None, (9, 7), grayscale=False)
    refused = 0
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        try:
            read = read_image(path, None, (9, 7), grayscale=False)
        except DataError:
            refused += 1
        else:  # only what follows the pixels is missing
            np.testing.assert_array_equal(read, expected)
    assert refused > 0.9 * len(range(0, len(whole), 3))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damaged_bytes_raise_nothing_but_data_errors(tmp_path, kind):
    rng = np.random.default_rng(3)
    whole = np.frombuffer(encoded(kind), np.uint8)
    path = tmp_path / "damaged"
    outcomes = {"read": 0, "refused": 0}
    for _ in range(150):
        damaged = whole.copy()
        where = rng.integers(0, len(whole), rng.integers(1, 6))
        damaged[where] = rng.integers(0, 256, len(where))
        path.write_bytes(damaged.tobytes())
        try:
            assert read_image(path, None, (4, 4), grayscale=False).shape == (4, 4, 3)
            outcomes["read"] += 1  # a JPEG has no checksum: another pixel is a picture, too
        except DataError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 20


def test_the_cap_is_above_any_camera_in_class():
    assert image_file.LARGEST > 50_000_000
