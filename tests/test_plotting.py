import errno
import os
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from minigan import plotting
from minigan.errors import ConfigError, DataError, DtypeError, NonFiniteError, ShapeError
from minigan.plotting import grid_of, read_png, save_gif, save_losses, save_png

BLUE, ORANGE = (31, 119, 180), (255, 127, 14)  # matplotlib's first two colours


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# ── grids ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("colours", [(), (3,)])
@pytest.mark.parametrize("count", [1, 2, 5, 16, 17])
@pytest.mark.parametrize("columns", [1, 4, 6])
@pytest.mark.parametrize("gap", [0, 3])
def test_each_image_lies_in_its_cell_and_the_rest_is_background(count, columns, gap, colours):
    images = noise(count, 5, 4, *colours)
    grid = grid_of(images, columns, gap, background=77)
    rows = -(-count // columns)
    assert grid.dtype == np.uint8
    assert grid.shape == (rows * 5 + (rows - 1) * gap, columns * 4 + (columns - 1) * gap, *colours)
    left_over = np.ones(grid.shape, bool)
    for index, image in enumerate(images):
        top, left = index // columns * (5 + gap), index % columns * (4 + gap)
        cell = np.s_[top : top + 5, left : left + 4]
        np.testing.assert_array_equal(grid[cell], image)
        left_over[cell] = False
    assert (grid[left_over] == 77).all()


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (5, 2, 3), (16, 4, 4)]
)
def test_the_default_is_the_nearest_square_with_white_gaps(count, rows, columns):
    grid = grid_of(np.zeros((count, 1, 1), np.uint8))
    assert grid.shape == (3 * rows - 2, 3 * columns - 2)
    assert (grid == 0).sum() == count
    assert (grid == 255).sum() == grid.size - count


def test_one_channel_is_grey():
    images = noise(3, 2, 2)
    np.testing.assert_array_equal(grid_of(images[..., None]), grid_of(images))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_rounded_to_the_nearest_level(dtype):
    levels = np.arange(256)
    images = (levels / 255).astype(dtype).reshape(1, 16, 16)
    np.testing.assert_array_equal(grid_of(images).ravel(), levels)


def test_a_seamless_canvas_of_dark_digits_on_white():
    images = noise(4, 2, 3)
    expected = 255 - np.block([[images[0], images[1]], [images[2], images[3]]])
    np.testing.assert_array_equal(grid_of(255 - images, gap=0), expected)
    np.testing.assert_array_equal(grid_of(1 - images / 255, gap=0), expected)


@pytest.mark.parametrize("shape", [(), (3,), (2, 784), (0, 2, 2), (1, 2, 2, 2), (1, 1, 2, 2, 3)])
def test_images_of_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expects images of shape .*, found .*Try: "):
        grid_of(np.zeros(shape, np.uint8))


def test_the_repairs_the_messages_suggest_work():
    assert grid_of(np.zeros((4, 784)).reshape(-1, 28, 28)).shape == (58, 58)
    images = np.array([[[-1.0, 1.0]]])
    with pytest.raises(ConfigError, match=r"found -1\.0 to 1\.0\. Try: \(images \+ 1\) / 2"):
        grid_of(images)
    assert grid_of((images + 1) / 2).tolist() == grid_of(images.clip(0, 1)).tolist() == [[0, 255]]
    images = np.array([[[0.0, np.nan, np.inf, -np.inf]]])
    with pytest.raises(NonFiniteError, match=r"Try: np.nan_to_num\(images, posinf=1, neginf=0\)"):
        grid_of(images)
    assert grid_of(np.nan_to_num(images, posinf=1, neginf=0)).tolist() == [[0, 0, 255, 0]]
    images = np.array([[[0, 200]]])
    with pytest.raises(DtypeError, match=r"found int64\. Try: images.astype\(np.uint8\)"):
        grid_of(images)
    assert grid_of(images.astype(np.uint8)).tolist() == [[0, 200]]


@pytest.mark.parametrize("option", [{"columns": 0}, {"gap": -1}, {"background": 256}])
def test_impossible_layouts_are_refused(option):
    with pytest.raises(ConfigError, match="expects columns >= 1, gap >= 0 and a background"):
        grid_of(np.zeros((1, 2, 2)), **option)


# ── PNG ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
@pytest.mark.parametrize("scale", [1, 3])
def test_a_picture_comes_back_with_each_pixel_enlarged(tmp_path, shape, scale):
    picture = noise(*shape)
    path = tmp_path / "new" / "000.png"
    save_png(picture.swapaxes(0, 1), path, scale)
    expected = picture.swapaxes(0, 1).repeat(scale, axis=0).repeat(scale, axis=1)
    np.testing.assert_array_equal(read_png(path), expected)
    assert os.listdir(path.parent) == ["000.png"]


def test_pictures_that_pillow_can_not_hold_are_refused(tmp_path):
    for picture in (np.zeros((2, 2)), noise(4), noise(2, 2, 1), noise(2, 2, 4), noise(0, 2)):
        with pytest.raises(ShapeError, match=r"expected as uint8 .*Try: grid_of"):
            save_png(picture, tmp_path / "x.png")
    with pytest.raises(ConfigError, match=r"scale >= 1, found 0\. Try: scale=2"):
        save_png(noise(2, 2), tmp_path / "x.png", scale=0)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_keeps_the_old_picture_and_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    picture = noise(2, 2)
    save_png(picture, path)

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match=r"x.png can't be written: No space left on device"):
        save_png(255 - picture, path)
    assert os.listdir(tmp_path) == ["x.png"]
    np.testing.assert_array_equal(read_png(path), picture)
    with pytest.raises(DataError, match="can't be written"):
        save_png(picture, path / "below a file.png")


def test_colours_of_foreign_pngs_become_rgb(tmp_path):
    path = tmp_path / "palette.png"
    Image.new("P", (2, 1), 1).save(path)
    assert read_png(path).shape == (1, 2, 3)


def test_files_that_are_no_pngs_are_refused(tmp_path):
    path = tmp_path / "x.png"
    save_png(noise(9, 9), path)
    good = path.read_bytes()
    for content in (b"", b"<html>", b"GIF89a" + bytes(20), good[:-30], good[:20]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x.png can't be read as PNG"):
            read_png(path)
    with pytest.raises(DataError, match="No such file"):
        read_png(tmp_path / "missing.png")


# ── GIF ──────────────────────────────────────────────────────────────────────────────────────


def test_an_animation_plays_every_picture_for_ever_and_rests_on_the_last(tmp_path):
    pictures = noise(5, 20, 30)
    save_gif(iter(pictures), tmp_path / "training.gif", duration_ms=100)
    with Image.open(tmp_path / "training.gif", formats=["GIF"]) as animation:
        assert animation.info["loop"] == 0
        frames = [
            (frame.info["duration"], np.asarray(frame.convert("L")))
            for frame in ImageSequence.Iterator(animation)
        ]
    assert [duration for duration, _ in frames] == [100, 100, 100, 100, 1000]
    np.testing.assert_array_equal([frame for _, frame in frames], pictures)


def test_equal_pictures_keep_their_time(tmp_path):
    still = noise(4, 4)
    save_gif([still, still, 255 - still, still], tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as animation:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(animation)]
    assert durations == [400, 200, 2000]


def test_an_animation_can_be_of_one_picture_and_in_colour(tmp_path):
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    save_gif([red], tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as animation:
        np.testing.assert_array_equal(np.asarray(animation.convert("RGB")), red)


@pytest.mark.parametrize("sizes", [[], [(2, 2), (2, 3)]])
def test_animations_of_nothing_or_of_several_sizes_are_refused(tmp_path, sizes):
    with pytest.raises(ShapeError, match=r"one or more pictures of one size, found .*Try: "):
        save_gif([noise(*size) for size in sizes], tmp_path / "x.gif")
    assert os.listdir(tmp_path) == []


# ── losses ───────────────────────────────────────────────────────────────────────────────────


def rows_of(colour, path):
    """The rows of a picture where a colour is, from the top."""
    return np.nonzero((read_png(path) == colour).all(axis=2).sum(axis=1) > 20)[0]


def test_both_losses_are_drawn_the_higher_one_higher(tmp_path):
    steps = range(1, 2001)
    curves = {"discriminator": np.full(2000, 0.5), "generator": np.full(2000, 3.0)}
    save_losses(tmp_path / "losses.png", steps, curves, title="mlp-gan")
    low, high = rows_of(BLUE, tmp_path / "losses.png"), rows_of(ORANGE, tmp_path / "losses.png")
    assert len(low) > 0
    assert len(high) > 0
    assert high.max() < low.max()
    assert read_png(tmp_path / "losses.png").shape == (550, 900, 3)


def test_losses_that_are_not_finite_are_left_out(tmp_path):
    steps = np.arange(200)
    losses = np.sin(steps / 20)
    finite = ~np.isin(steps, [50, 60, 61])
    broken = np.where(finite, losses, np.where(steps == 50, np.inf, np.nan))
    save_losses(tmp_path / "found.png", steps, {"G": broken}, title="")
    save_losses(tmp_path / "expected.png", steps[finite], {"G": losses[finite]}, title="")
    found, expected = read_png(tmp_path / "found.png"), read_png(tmp_path / "expected.png")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("values", [[], [1.0], [np.nan, np.nan]])
def test_few_or_no_losses_make_a_picture_too(tmp_path, values):
    save_losses(
        tmp_path / "losses.png", range(len(values)), {"D": values}, title="$not_{^mathematics$"
    )
    assert len(np.unique(read_png(tmp_path / "losses.png"))) > 2


def test_a_moving_average_by_hand():
    values = np.array([1.0, 3.0, 5.0, 1.0])
    np.testing.assert_allclose(plotting._moving_average(values, 2), [2, 4, 3])
    np.testing.assert_allclose(plotting._moving_average(values, 1), values)


def test_a_value_per_step_is_expected(tmp_path):
    with pytest.raises(ShapeError, match=r"3 values of 'G' for 2 steps\. Try: steps=range\(1, 4\)"):
        save_losses(tmp_path / "x.png", [1, 2], {"D": [0.0, 1.0], "G": [1.0, 2.0, 3.0]}, "t")
    save_losses(tmp_path / "x.png", range(1, 4), {"G": [1.0, 2.0, 3.0]}, "t")


def test_no_screen_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it now fails
    save_losses(tmp_path / "x.png", [1], {"D": [1.0]}, "t")
    assert (tmp_path / "x.png").exists()
