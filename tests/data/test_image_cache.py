"""The decoded pictures' file: used when it fits, made anew when not, never required."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from minigan.data import image_cache, load_images
from minigan.data.image_cache import cached_images, read_cache, write_cache
from minigan.data.image_file import read_image

PICTURES = np.random.default_rng(1).integers(0, 256, (4, 2, 3, 1), np.uint8)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "pictures"
    path.mkdir()
    for number in range(4):
        Image.new("L", (6, 6), 10 * number).save(path / f"{number}.png")
    return path


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded."""
    names = []

    def note(path, **options):
        names.append(path.name)
        return read_image(path, **options)

    monkeypatch.setattr("minigan.data.images.read_image", note)
    return names


def load(folder, **options):
    settings = {"crop": False, "output_height": 4, "cache": folder.parent / "cache"}
    return load_images(folder, "*.png", progress=False, **(settings | options))


def cache_files(folder):
    return sorted((folder.parent / "cache").iterdir())


def test_the_second_time_nothing_is_decoded(folder, decoded):
    first = load(folder)
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "3.png"]
    decoded.clear()
    second = load(folder)
    assert decoded == []
    np.testing.assert_array_equal(first, second)
    assert type(second) is np.ndarray
    assert isinstance(second.base.base, np.memmap)  # mapped, not read
    assert not second.flags.writeable


def test_a_change_in_the_folder_or_an_option_decodes_anew(folder, decoded):
    def changed(**options):
        decoded.clear()
        images = load(folder, **options)
        return images, len(decoded)

    assert changed()[1] == 4
    Image.new("L", (6, 6), 99).save(folder / "0.png")  # content
    images, count = changed()
    assert (count, images[0, 0, 0, 0]) == (4, 99)
    (folder / "3.png").rename(folder / "5.png")  # a name
    assert changed()[1] == 4
    (folder / "5.png").unlink()  # one less
    assert changed()[1] == 3
    os.utime(folder / "1.png", ns=(0, 0))  # a time
    assert changed()[1] == 3
    assert changed()[1] == 0
    assert len(cache_files(folder)) == 1  # replaced each time: the cache doesn't grow
    options = [{"output_height": 5}, {"output_width": 5}, {"grayscale": True}, {"train_size": 2},
               {"crop": True, "input_height": 6}, {"skip_broken": True}]  # fmt: skip
    for option in options:
        assert changed(**option)[1] > 0
        assert changed(**option)[1] == 0
    assert changed()[1] == 0  # the options did not replace each other's


def test_another_pillow_decodes_anew(folder, decoded, monkeypatch):
    load(folder)
    monkeypatch.setattr("PIL.__version__", "0.1")
    decoded.clear()
    load(folder)
    assert len(decoded) == 4


def test_every_damage_is_noticed(tmp_path):
    path = tmp_path / "a.npy"
    write_cache(path, b"origin", PICTURES)
    whole = path.read_bytes()
    np.testing.assert_array_equal(read_cache(path, b"origin"), PICTURES)
    np.testing.assert_array_equal(np.load(path), PICTURES)  # a .npy for everyone
    assert read_cache(path, b"another origin") is None
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert read_cache(path, b"origin") is None
    for length in range(0, len(whole), 16):
        path.write_bytes(whole[:length])
        assert read_cache(path, b"origin") is None
    path.write_bytes(whole + b"!")
    assert read_cache(path, b"origin") is None
    path.unlink()
    assert read_cache(path, b"origin") is None
    os.mkfifo(path)
    assert read_cache(path, b"origin") is None


def test_a_damaged_file_is_replaced(folder, decoded):
    expected = load(folder).copy()
    (path,) = cache_files(folder)
    path.write_bytes(b"PK\x03\x04 not what it was")
    decoded.clear()
    np.testing.assert_array_equal(load(folder), expected)
    assert len(decoded) == 4
    load(folder)
    assert len(decoded) == 4


def test_pictures_in_use_survive_a_new_file(folder):
    before = load(folder)
    copy = before.copy()
    Image.new("L", (6, 6), 99).save(folder / "0.png")
    assert load(folder)[0, 0, 0, 0] == 99
    np.testing.assert_array_equal(before, copy)


def test_without_a_cache_folder_pictures_are_decoded_in_memory(folder, tmp_path):
    expected = load(folder)
    (tmp_path / "taken").touch()
    told = []
    images = load(folder, cache=tmp_path / "taken", say=told.append)
    np.testing.assert_array_equal(images, expected)
    assert not images.flags.writeable
    assert len(told) == 1
    assert "decoded pictures can't be kept there (File exists), so the next run" in told[0]
    assert told[0].endswith("Try: a cache folder you may write to, with free space.")


@pytest.mark.parametrize("written", [0, 1, 3])
def test_a_disk_that_fills_up_costs_no_more_than_a_sentence(tmp_path, written):
    def decode():
        rounds.append(0)
        for number, picture in enumerate(PICTURES):
            if number == written and len(rounds) == 1:
                raise OSError(28, "No space left on device")
            yield picture

    rounds, told = [], []
    images = cached_images(tmp_path / "a.npy", b"", decode, told.append)
    np.testing.assert_array_equal(images, PICTURES)
    assert "(No space left on device)" in told[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_no_file(tmp_path, stop):
    def decode():
        yield PICTURES[0]
        raise stop

    with pytest.raises(stop):
        cached_images(tmp_path / "a.npy", b"", decode, print)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_another_process_replaces_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    write_cache(path, b"mine", PICTURES)
    write_cache(tmp_path / "b.npy", b"theirs", 255 - PICTURES)
    digest = image_cache._digest

    def replace_meanwhile(origin, content):
        os.replace(tmp_path / "b.npy", path)
        return digest(origin, content)

    monkeypatch.setattr(image_cache, "_digest", replace_meanwhile)
    np.testing.assert_array_equal(read_cache(path, b"mine"), PICTURES)


def test_a_file_that_does_not_read_back_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache, "read_cache", lambda path, origin: None)
    told = []
    images = cached_images(tmp_path / "a.npy", b"", lambda: PICTURES, told.append)
    np.testing.assert_array_equal(images, PICTURES)
    assert "(it does not read back as written)" in told[0]


@pytest.mark.parametrize("origins", ["['same'] * 15", "map(str, range(15))"])
def test_two_processes_at_once_each_see_their_own_pictures(tmp_path, origins):
    code = f"""
import sys, numpy as np
from pathlib import Path
from minigan.data.image_cache import cached_images
path = Path(sys.argv[1])
for origin in {origins}:
    pictures = np.full((40, 8, 8, 3), len(origin) + ord(origin[-1]), np.uint8)
    images = cached_images(path, origin.encode(), lambda: pictures, lambda sentence: None)
    assert (images == pictures).all()
"""
    runs = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "a.npy"]) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    assert read_cache(tmp_path / "a.npy", b"same" if "same" in origins else b"14") is not None


def test_what_killed_runs_left_is_removed_after_a_day(tmp_path):
    old, new, other = (tmp_path / name for name in ("a.npy.1.tmp", "a.npy.2.tmp", "b.npy.3.tmp"))
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        yesterday = time.time() - 2 * image_cache.ABANDONED
        os.utime(path, (yesterday, yesterday))
    write_cache(tmp_path / "a.npy", b"", PICTURES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", new.name, other.name]
