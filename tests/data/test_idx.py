"""The IDX reader: round trips, and every kind of bad file in one sentence."""

import errno
import gzip
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.data import load_digits, load_mnist, one_hot, read_idx
from minigan.data.digits import FOLDER
from minigan.errors import ConfigError, DataError


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([7, 0, 9], np.uint8)


@pytest.mark.parametrize("array", [IMAGES, LABELS, IMAGES[:0], LABELS[:0]])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_round_trip(tmp_path, array, pack):
    path = tmp_path / "whatever.name"
    path.write_bytes(pack(idx_bytes(array)))
    read = read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_truncation_is_refused(tmp_path, pack):
    whole = pack(idx_bytes(IMAGES))
    path = tmp_path / "short"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"short: expected .* Try: "):
            read_idx(path)


def test_every_flipped_bit_of_the_header_is_refused(tmp_path):
    whole = idx_bytes(IMAGES)
    path = tmp_path / "flipped"
    for bit in range(8 * 16):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            read_idx(path)


def test_every_flipped_byte_of_a_gzip_file_is_refused_or_harmless(tmp_path):
    whole = gzip.compress(idx_bytes(IMAGES), mtime=0)
    path = tmp_path / "flipped.gz"
    refused = 0
    for i in range(len(whole)):
        damaged = bytearray(whole)
        damaged[i] ^= 0xFF
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_idx(path), IMAGES)  # a time stamp, an OS code
        except DataError:
            refused += 1
    assert refused > 0.8 * len(whole)


@st.composite
def idx_like_bytes(draw):
    """A header that is right or nearly so, then any bytes, plain or compressed."""
    magic = draw(st.sampled_from([b"\0\0\x08\x01", b"\0\0\x08\x03", b"\0\0\x0d\x01"]))
    lengths = draw(st.lists(st.integers(0, 5) | st.integers(0, 2**32 - 1), max_size=4))
    header = magic + b"".join(length.to_bytes(4, "big") for length in lengths)
    whole = header + draw(st.binary(max_size=130))
    return draw(st.sampled_from([bytes, gzip.compress]))(whole)


@given(st.binary(max_size=200) | idx_like_bytes())
def test_random_bytes_raise_nothing_but_data_errors(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("random") / "file"
    path.write_bytes(data)
    try:
        array = read_idx(path)
    except DataError:
        return
    unpacked = gzip.decompress(data) if data[:1] == b"\x1f" else data
    assert idx_bytes(array) == unpacked  # whatever is accepted says just what the file says


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "found "),
        (b"<html><body>404</body></html>", "web page"),
        (b"\n<!DOCTYPE html>", "web page"),
        (b"\0\0\x0d\x01\0\0\0\0", "header"),  # floats
        (b"\0\0\x08\x02\0\0\0\0\0\0\0\0", "header"),  # two axes
        (b"\0\0\x08\x03" + b"\xff" * 12, "at most"),
        (idx_bytes(LABELS) + b"!", "found more"),
        (gzip.compress(idx_bytes(LABELS) + b"!"), "found more"),
        (gzip.compress(b"<html>"), "web page"),
        (gzip.compress(gzip.compress(idx_bytes(LABELS))), "header"),
    ],
)
def test_the_sentence_says_what_is_wrong(tmp_path, data, reason):
    path = tmp_path / "bad-ubyte"
    path.write_bytes(data)
    with pytest.raises(DataError, match=reason) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "minigan data mnist" in str(caught.value)


def test_gzip_bombs_are_refused_in_little_memory(tmp_path):
    gigabyte = 16 * gzip.compress(bytes(2**26), compresslevel=1)  # of zeros, in 5 MB
    header = bytes([0, 0, 8, 1])
    bombs = {
        "found 00000000": gigabyte,
        "found more": gzip.compress(header + (10).to_bytes(4, "big")) + gigabyte,
        "announces 1,073,741,824": gzip.compress(header + (2**30).to_bytes(4, "big")) + gigabyte,
    }
    for number, data in enumerate(bombs.values()):
        (tmp_path / str(number)).write_bytes(data)
    code = f"""
import resource
from minigan.data import read_idx
from minigan.errors import ConfigError, DataError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for number, reason in enumerate({list(bombs)}):
    try:
        read_idx({str(tmp_path)!r} + f"/{{number}}")
    except DataError as error:
        assert reason in str(error), error
    else:
        raise SystemExit("accepted: " + reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(grown.stdout) * unit < 20 * 2**20


@pytest.fixture
def mnist_folder(tmp_path):
    for split, n in [("train", 3), ("t10k", 2)]:
        images = gzip.compress(idx_bytes(IMAGES[:n]))
        (tmp_path / f"{split}-images-idx3-ubyte.gz").write_bytes(images)
        (tmp_path / f"{split}-labels.idx1-ubyte").write_bytes(idx_bytes(LABELS[:n]))
    return tmp_path


def test_mnist_is_found_raw_or_compressed_in_both_spellings(mnist_folder):
    np.testing.assert_array_equal(load_mnist(mnist_folder).images, IMAGES)
    np.testing.assert_array_equal(load_mnist(mnist_folder, "test").labels, LABELS[:2])
    np.testing.assert_array_equal(load_mnist(mnist_folder, "train", 1).labels, LABELS[1:])


def test_unequal_counts_are_refused(mnist_folder):
    (mnist_folder / "train-labels.idx1-ubyte").write_bytes(idx_bytes(LABELS[:2]))
    with pytest.raises(DataError, match=r"images \(3, 4, 5\) and labels \(2,\)"):
        load_mnist(mnist_folder)


def test_a_missing_file_says_what_is_there(tmp_path):
    with pytest.raises(DataError, match=r"found no folder to read \(No such file or directory\)"):
        load_mnist(tmp_path / "absent")
    with pytest.raises(DataError, match="found an empty folder"):
        load_mnist(tmp_path)
    (tmp_path / "cat.jpg").touch()
    with pytest.raises(DataError, match=r"found 'cat\.jpg'\. Try: `minigan data mnist`") as caught:
        load_mnist(tmp_path)
    assert f"{tmp_path}: expected train-images-idx3-ubyte[.gz]" in str(caught.value)
    for number in range(9):
        (tmp_path / f"cat{number}.jpg").touch()
    with pytest.raises(DataError, match=r"'cat\.jpg', 'cat0\.jpg', .*, \.\.\.\. Try"):
        load_mnist(tmp_path)


def test_an_unprintable_name_in_the_folder_does_not_spoil_the_message(tmp_path):
    (tmp_path / "caf\udce9").touch()
    with pytest.raises(DataError) as caught:
        load_mnist(tmp_path)
    assert r"'caf\udce9'" in str(caught.value).encode().decode()


def test_mnist_is_looked_for_where_it_was_fetched_to(mnist_folder, monkeypatch):
    monkeypatch.setattr("minigan.data.idx.default_mnist_folder", lambda: mnist_folder)
    np.testing.assert_array_equal(load_mnist().labels, LABELS)


def test_a_split_or_a_validation_size_that_makes_no_sense(mnist_folder):
    with pytest.raises(ConfigError, match=r"split is 'training'\. Try: 'train' or 'test'"):
        load_mnist(mnist_folder, "training")
    for size in (-1, 3, 5000):
        with pytest.raises(DataError, match=f"expected more than {size:,} images.*found 3"):
            load_mnist(mnist_folder, validation_size=size)


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path):
    with pytest.raises(DataError, match="found a folder or a device"):
        read_idx(tmp_path)
    with pytest.raises(DataError, match="found nothing"):
        read_idx(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="found a folder or a device"):
        read_idx(tmp_path / "pipe")


def test_a_file_that_may_not_be_read_is_a_data_error(tmp_path, monkeypatch):
    (tmp_path / "secret").write_bytes(idx_bytes(LABELS))

    def refuse(self, mode):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(DataError, match="secret: expected a file you may read, found Permission"):
        read_idx(tmp_path / "secret")


def test_one_hot():
    np.testing.assert_array_equal(one_hot(LABELS).argmax(axis=1), LABELS)
    np.testing.assert_array_equal(one_hot(LABELS).sum(axis=1), 1)
    assert one_hot(LABELS).shape == (3, 10)
    assert one_hot(LABELS).dtype == np.float64
    with pytest.raises(DataError, match="from 0 to 8, found 0 to 9"):
        one_hot(LABELS, classes=9)
    with pytest.raises(DataError, match="found -1 to 1"):  # NumPy would count from the end
        one_hot(np.array([1, -1]))


def test_the_embedded_digits_are_mnists_and_small():
    digits = load_digits()
    assert digits.images.shape == (10_000, 28, 28)
    assert np.bincount(digits.labels).tolist() == [1000] * 10
    digest = hashlib.sha256(digits.images.tobytes() + digits.labels.tobytes()).hexdigest()
    assert digest == "84fccc2ea613292a33179a0aa5e74d2b31dcac9ddc57c6b46b1de3f7e0eda3bd"
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 2 * 10**6
