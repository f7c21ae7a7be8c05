"""Folders of pictures: what is found, in which order, in which colours, and what is refused."""

import itertools
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from minigan.data import Batches, ImageBatches, default_image_cache, load_images
from minigan.data.images import AT_A_TIME, to_tanh_range
from minigan.errors import ConfigError, DataError, DtypeError

GREY, RED = 70, (200, 10, 30)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "pictures"
    path.mkdir()
    return path


@pytest.fixture
def load(folder, tmp_path):
    """`load_images` of the folder: PNG, 4 x 6, without a cut, a cache of its own."""

    def call(pattern="*.png", **options):
        settings = {"crop": False, "output_height": 4, "output_width": 6, "progress": False}
        return load_images(folder, pattern, cache=tmp_path / "cache", **(settings | options))

    return call


def save(path, colour=RED, size=(6, 4)):
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)


def firsts(images):
    return images[:, 0, 0, 0].tolist()


def test_pictures_come_in_the_order_of_their_names_whichever_was_decoded_first(folder, load):
    count = AT_A_TIME + 9
    for number in reversed(range(count)):
        save(folder / f"{number:04d}.png", number % 250)
    images = load()
    assert images.shape == (count, 4, 6, 1)
    assert images.dtype == np.uint8
    assert not images.flags.writeable
    assert firsts(images) == [number % 250 for number in range(count)]
    np.testing.assert_array_equal(load(train_size=7), images[:7])
    np.testing.assert_array_equal(load(train_size=10**9), images)


def test_capitals_come_first_and_odd_names_survive(folder, load):
    names = ["B.png", "a.png", "caf\udce9.png", "\u00e9.png"]  # by their bytes: 42, 61, 63, c3
    for number, name in enumerate(names):
        save(folder / name, 10 * number)
    assert firsts(load()) == [0, 10, 20, 30]


def test_grey_is_found_or_forced(folder, load):
    save(folder / "a.png", GREY)
    save(folder / "b.png", GREY)
    assert load().shape == (2, 4, 6, 1)
    assert load(grayscale=False).shape == (2, 4, 6, 3)
    save(folder / "c.png", RED)
    mixed = load()
    assert mixed.shape == (3, 4, 6, 3)
    assert mixed[:, 0, 0].tolist() == [[GREY] * 3] * 2 + [list(RED)]
    assert load(grayscale=True)[:, 0, 0].tolist() == [[GREY]] * 2 + [[69]]


def test_the_tutorials_sizes(folder, tmp_path):
    save(folder / "a.png", RED, size=(178, 218))
    options = {"pattern": "*.png", "cache": tmp_path / "cache", "progress": False}
    assert load_images(folder, **options).shape == (1, 64, 64, 3)
    narrow = load_images(folder, input_width=90, output_height=32, output_width=28, **options)
    assert narrow.shape == (1, 32, 28, 3)


def test_folders_below_are_found_with_their_pattern(folder, load):
    for name in ("cats", "dogs"):
        (folder / name).mkdir()
        save(folder / name / "1.png")
    assert len(load("**/*.png")) == 2
    assert len(load("cats/*.png")) == 1
    with pytest.raises(DataError, match=r"found 2 of '\*\*/\*\.png'\. Try: pattern='\*\*/\*\.png'"):
        load("*.png")


# ── batches ──────────────────────────────────────────────────────────────────────────────────


def test_batches_are_the_same_slices_as_of_digits_in_minus_one_to_one():
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 6, 3), np.uint8)
    batches, plain = ImageBatches(images, 4, seed=3), Batches(images, 4, seed=3)
    assert len(batches) == 10
    for step in (0, 1, 2, 77):  # step 2 joins two epochs
        batch = batches.at(step)
        assert batch.dtype == np.float32
        expected = (images[plain.indices(step)] / 127.5 - 1).astype(np.float32)
        np.testing.assert_array_equal(batch, expected)


def test_the_range_is_that_of_tanh():
    pixels = to_tanh_range(np.arange(256, dtype=np.uint8))
    assert pixels.dtype == np.float32
    assert pixels[0] == -1
    assert pixels[255] == 1
    np.testing.assert_array_equal(pixels, np.float32(np.arange(256) / 127.5 - 1))


def test_fewer_pictures_than_a_batch_or_none():
    images = np.zeros((3, 2, 2, 1), np.uint8)
    with pytest.raises(DataError, match=r"at least 4 pictures .* found 3\. Try: batch_size=3,"):
        ImageBatches(images, 4)
    assert ImageBatches(images, 3).at(0).shape == (3, 2, 2, 1)
    with pytest.raises(DataError, match="found none"):
        ImageBatches(images[:0], 4)
    with pytest.raises(DtypeError, match="uint8"):
        ImageBatches(np.float32(images), 2)


# ── what is refused ──────────────────────────────────────────────────────────────────────────


def test_a_missing_folder_or_none_that_can_be_read(folder, load, monkeypatch):
    save(folder / "a.png")
    with pytest.raises(DataError, match=r"a\.png: expected a folder .*\(Not a directory\)\. Try: "):
        load_images(folder / "a.png")

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("minigan.data.images.os.scandir", refuse)
    with pytest.raises(DataError, match=r"no folder to read \(Permission denied\)"):
        load()
    monkeypatch.undo()
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"\(No such file or directory\)\. Try: the path of a"):
        load()


def test_no_match_says_what_is_there_and_which_pattern_would_do(folder, load):
    with pytest.raises(DataError, match=r"found no files\. Try: a folder with"):
        load()
    for number in range(3):
        (folder / f"{number}.txt").touch()
    with pytest.raises(DataError, match=r"called '\*\.png', found 3 of '\*\.txt'\. Try: a folder"):
        load()
    save(folder / "a.JPG")
    with pytest.raises(DataError, match=r"found 3 of '\*\.txt', 1 of '\*\.JPG'\. Try: pattern='"):
        load()
    assert len(load("*.JPG")) == 1  # as it advises


@pytest.mark.parametrize("pattern", ["", "/*.png"])
def test_a_pattern_that_is_none(load, pattern):
    with pytest.raises(ConfigError, match=r"pattern is '.*below the folder\. Try: '\*\.jpg'\."):
        load(pattern)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_height": 0}, "output_height is 0, but must be from 1 to 4,096 pixels"),
        ({"output_width": 10**9}, "output_width is 1000000000"),
        ({"crop": True, "input_height": -1}, "input_height is -1"),
        ({"train_size": 0}, "train_size is 0, but must be at least 1"),
    ],
)
def test_sizes_that_make_no_sense(load, options, message):
    with pytest.raises(ConfigError, match=message):
        load(**options)


def test_a_broken_picture_is_named_or_left_out_with_a_count(folder, load):
    for number in range(5):
        save(folder / f"{number}.png", 10 * number)
    (folder / "1.png").write_bytes(b"")
    (folder / "3.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"1\.png': .* found an empty file\. Try: .*skip_broken="):
        load()
    told = []
    for _ in range(2):  # decoded, then from the cache
        assert firsts(load(skip_broken=True, say=told.append)) == [0, 20, 40]
    assert (
        told
        == [
            f"{folder}: 2 of 5 files can't be used and are left out. "
            f"Try: skip_broken=False, which names the first."
        ]
        * 2
    )


def test_not_one_sound_picture(folder, load):
    (folder / "1.png").touch()
    with pytest.raises(DataError, match="not one of 1 files can be used"):
        load(skip_broken=True)


def test_pillows_own_warnings_do_not_reach_the_user(folder, load, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 20)  # warns from here, refuses from 40
    save(folder / "a.png", size=(6, 4))
    with pytest.warns(Image.DecompressionBombWarning), Image.open(folder / "a.png"):
        pass
    assert len(load()) == 1


def test_devices_and_links_out_of_the_folder_are_refused_at_once(folder, load, tmp_path):
    save(folder / "a.png")
    (folder / "b.png").symlink_to(folder / "a.png")
    assert len(load()) == 2
    os.mkfifo(tmp_path / "pipe")
    save(tmp_path / "outside.png")
    for target in (tmp_path / "pipe", tmp_path / "absent", "/dev/zero", tmp_path / "outside.png"):
        (folder / "c.png").symlink_to(target)
        with pytest.raises(DataError, match=r"c\.png': expected a file inside the folder"):
            load(skip_broken=True)
        (folder / "c.png").unlink()
    os.mkfifo(folder / "c.png")  # opening it would wait for ever
    with pytest.raises(DataError, match=r"c\.png': expected a file inside the folder"):
        load(skip_broken=True)
    with pytest.raises(DataError, match="inside the folder"):
        load("../*.png")


# ── the progress bar, the default cache ──────────────────────────────────────────────────────


def test_a_bar_shows_on_a_terminal_once_decoding_takes_long(folder, load, capsys, monkeypatch):
    for number in range(9):
        save(folder / f"{number}.png")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    load(progress=True)
    assert capsys.readouterr() == ("", "")
    seconds = itertools.count()
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(seconds)))  # each look takes a second
    load(progress=False, output_width=5)
    assert capsys.readouterr() == ("", "")
    load(progress=True, output_width=7)
    out, err = capsys.readouterr()
    assert out == ""
    assert "decoding" in err
    assert "/9" in err


def test_decoded_pictures_are_kept_in_the_users_cache(folder, monkeypatch, tmp_path):
    assert default_image_cache().name == "images"
    monkeypatch.setattr("minigan.data.images.default_image_cache", lambda: tmp_path / "mine")
    save(folder / "a.png")
    load_images(folder, "*.png", crop=False)
    assert [path.suffix for path in (tmp_path / "mine").iterdir()] == [".npy"]
