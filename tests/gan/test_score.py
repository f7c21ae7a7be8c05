"""Scores: the measures against closed forms, the features, the pictures that are scored."""

import json
import math
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import backend
from minigan.data import load_digits
from minigan.errors import ConfigError, DataError, NonFiniteError, ShapeError
from minigan.gan.presets import preset
from minigan.gan.random_convnet import RandomConvNet
from minigan.gan.run_folder import RunFolder
from minigan.gan.sampling import generate, labels_in_turn, latent_noise, trained_gan
from minigan.gan.score import (
    class_coverage,
    class_share,
    class_shares,
    classes_present,
    frechet_distance,
    score,
    table,
    write_score,
)
from minigan.gan.scored_pictures import (
    Pictures,
    in_parts,
    pictures_of_file,
    pictures_of_run,
    real_pictures,
)
from minigan.gan.training import TrainingRun
from minigan.gan.training_data import TrainingData


def gaussian(mean, covariance, count=40, seed=0):
    """Rows whose own mean and covariance are exactly these."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, len(mean)))
    rows -= rows.mean(axis=0)
    own = np.linalg.cholesky(np.atleast_2d(np.cov(rows, rowvar=False)))
    return rows @ np.linalg.inv(own).T @ np.linalg.cholesky(covariance).T + mean


# ── the Fréchet distance ─────────────────────────────────────────────────────────────────────


def test_frechet_distance_of_equal_gaussians_is_zero():
    covariance = np.array([[2.0, 0.7], [0.7, 1.0]])
    a = gaussian([1.0, -2.0], covariance)
    b = gaussian([1.0, -2.0], covariance, count=60, seed=1)  # other rows, the same moments
    assert frechet_distance(a, b) < 1e-12


def test_frechet_distance_of_a_shift_is_its_square():
    a = gaussian([0.0, 0.0, 0.0], np.diag([1.0, 2.0, 3.0]))
    assert frechet_distance(a, a + np.array([1.0, -2.0, 0.5])) == pytest.approx(5.25, rel=1e-12)


@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=5),
    st.integers(0, 99),
)
@settings(max_examples=30)
def test_frechet_distance_of_diagonal_covariances(variances, seed):
    of_a, of_b = np.array(variances).T
    zero = np.zeros(len(of_a))
    expected = np.sum((np.sqrt(of_a) - np.sqrt(of_b)) ** 2)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(zero), len(zero))))[0]
    a = gaussian(zero, np.diag(of_a), seed=seed) @ rotation
    b = gaussian(zero, np.diag(of_b), seed=seed + 1) @ rotation
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_frechet_distance_of_covariances_that_do_not_commute():
    """For 2 x 2 matrices, tr (A B)^(1/2) = sqrt(tr A B + 2 sqrt(det A B))."""
    A, B = np.array([[3.0, 1.0], [1.0, 1.0]]), np.array([[1.0, -0.8], [-0.8, 2.0]])
    root = math.sqrt(np.trace(A @ B) + 2 * math.sqrt(np.linalg.det(A @ B)))
    expected = np.trace(A) + np.trace(B) - 2 * root
    a, b = gaussian([0.0, 0.0], A), gaussian([0.0, 0.0], B)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_of_features_that_never_vary():
    a = np.zeros((5, 3))
    assert frechet_distance(a, a) == 0.0
    assert frechet_distance(a, a + np.array([0.0, 2.0, 0.0])) == pytest.approx(4.0)
    assert frechet_distance(np.ones((4, 1)), np.ones((4, 1), np.float32)) == 0.0


@pytest.mark.parametrize(
    ("a", "b"), [((3, 2), (3, 3)), ((1, 2), (3, 2)), ((3,), (3,)), ((3, 2), (2, 2, 2))]
)
def test_frechet_distance_refuses_what_is_no_two_sets_of_features(a, b):
    with pytest.raises(ShapeError, match=r"expected features .*Try: "):
        frechet_distance(np.zeros(a), np.zeros(b))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_frechet_distance_refuses_what_is_not_finite(bad):
    with pytest.raises(NonFiniteError, match=r"NaN or infinity\. Try: "):
        frechet_distance(np.zeros((3, 2)), np.array([[0, 1], [0, bad]]))


# ── classes ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", range(1, 11))
def test_coverage_of_equally_frequent_classes_is_the_log_of_their_number(count):
    assert class_coverage(np.arange(60 * count) % count) == pytest.approx(math.log10(count))


def test_coverage_of_unequal_shares():
    shares = {0: 0.5, 3: 0.25, 9: 0.25}
    classes = np.repeat(list(shares), [200, 100, 100])
    assert class_coverage(classes) == pytest.approx(1.5 * math.log(2) / math.log(10))
    np.testing.assert_allclose(class_shares(classes), [shares.get(i, 0) for i in range(10)])


def test_a_class_is_present_from_one_in_a_hundred_pictures_on():
    assert classes_present(np.repeat([0, 5, 9], [989, 10, 1])) == 2


def test_share_of_asked_for_classes():
    assert class_share(np.array([1, 2, 3, 3]), np.array([1, 2, 0, 3], np.uint8)) == 0.75


# ── scores ───────────────────────────────────────────────────────────────────────────────────


def real_digits(count=400):
    digits = load_digits()
    return TrainingData(digits.images[:count, ..., None], digits.labels[:count], "embedded digits")


def real_colours(count=40):
    """Smooth colour pictures, each of its own colour."""
    rng = np.random.default_rng(3)
    slopes = np.linspace(0, 1, 16)[:, None, None] * rng.uniform(size=(count, 1, 1, 3))
    return TrainingData(np.uint8(255 * slopes).repeat(12, axis=2), None, "slopes")


def as_pictures(images, asked=None):
    return Pictures(in_parts(images), len(images), images.shape[1:], asked, "mine")


def test_real_digits_score_well_and_say_so_in_the_table(device):
    digits = load_digits()
    images, labels = digits.images[400:1000, ..., None], digits.labels[400:1000]
    result = score(as_pictures(images, labels), real_digits(), 0, device)
    assert (result.pictures.count, result.real.count, result.real_pictures) == (600, 200, 400)
    assert result.pictures.class_share > 0.98
    assert result.real.class_share > 0.98
    assert result.pictures.classes_present == result.real.classes_present == 10
    assert result.pictures.class_coverage > 0.98
    assert 0 < result.pictures.frechet_distance < 2 * result.real.frechet_distance
    lines = table(result).splitlines()
    assert lines[0] == "mine: 600 pictures, beside real ones (embedded digits)."
    assert lines[3].split()[:4] == [
        "Fréchet", "distance",
        f"{result.pictures.frechet_distance:.4g}", f"{result.real.frechet_distance:.4g}",
    ]  # fmt: skip
    assert lines[5].split()[:4] == ["digits", "present", "10", "10"]
    assert lines[6].startswith("asked-for digit")
    assert "200 real pictures get, compared with the other 200" in table(result)


def test_the_worse_the_digits_the_larger_the_distance(device):
    real, rng = real_digits(), np.random.default_rng(0)
    images = load_digits().images[400:600, ..., None]
    noise = rng.normal(size=images.shape)
    distances = [
        score(
            as_pictures(np.uint8(np.clip(images + sigma * noise, 0, 255))), real, 0, device
        ).pictures.frechet_distance
        for sigma in (0, 40, 80)
    ]
    assert distances == sorted(distances)
    assert distances[-1] > 5 * distances[0]


def test_one_class_alone_covers_nothing():
    digits = load_digits()
    sevens = digits.images[digits.labels == 7][:200, ..., None]
    result = score(as_pictures(sevens, np.zeros(200, int)), real_digits(), 0, "cpu")
    assert result.pictures.class_coverage < 0.1
    assert result.pictures.classes_present == 1
    assert result.pictures.class_shares[7] > 0.97
    assert result.pictures.class_share < 0.02
    assert result.pictures.frechet_distance > 10 * result.real.frechet_distance


def test_pictures_without_classes_have_a_distance_only():
    real = real_colours()
    same = score(as_pictures(real.images, np.zeros(40, int)), real, 0, "cpu")
    assert same.pictures.frechet_distance < 1e-6
    assert same.pictures.class_coverage is same.pictures.class_shares is None
    assert same.pictures.class_share is same.real.class_share is None
    other = score(as_pictures(real.images[..., ::-1] // 2), real, 0, "cpu")
    assert other.pictures.frechet_distance > 2 * other.real.frechet_distance > 0
    assert "random weights" in table(other)
    assert "digit" not in table(other)


def test_the_seed_draws_the_yardstick_and_nothing_else():
    real = real_colours()
    first, again, other = (score(as_pictures(real.images), real, s, "cpu") for s in (0, 0, 1))
    assert first == again
    assert first.pictures == other.pictures
    assert first.real.frechet_distance != other.real.frechet_distance


def test_the_yardstick_takes_as_many_real_pictures_as_there_are_pictures_at_most_half():
    real = real_colours()
    assert score(as_pictures(real.images[:15]), real, 0, "cpu").real.count == 15
    assert score(as_pictures(real.images), real, 0, "cpu").real.count == 20


def test_a_score_is_written_as_json(tmp_path):
    real = real_colours()
    result = score(as_pictures(real.images), real, 0, "cpu")
    write_score(result, tmp_path / "score.json")
    assert json.loads((tmp_path / "score.json").read_text()) == asdict(result)
    with pytest.raises(ConfigError, match=r"can't write .*Try: "):
        write_score(result, tmp_path / "none" / "score.json")


# ── features of pictures that are no digits ──────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(3, 64, 64, 3), (2, 13, 20, 1)])
def test_random_features_are_64_for_any_size_and_always_the_same(shape, on_device):
    network, again = RandomConvNet(shape[3]), RandomConvNet(shape[3])
    x = np.random.default_rng(0).random(shape, np.float32)
    features = network.features(x).numpy()
    assert features.shape == (shape[0], 64)
    np.testing.assert_array_equal(features, again.features(x).numpy())
    placed = on_device(x)
    moved = network.to(backend.device_of(placed)).features(placed)
    np.testing.assert_allclose(backend.to_host(moved.data), features, rtol=1e-4)


def test_random_features_see_colour_and_layout():
    real = real_colours().images
    network = RandomConvNet(3)

    def distance(images):
        a, b = (network.features(np.float32(x) / 255).numpy() for x in (real, images))
        return frechet_distance(a, b)

    assert distance(real) < 1e-6
    assert distance(real[..., ::-1]) > 1e-4
    assert distance(real[:, ::-1]) > 1e-4


# ── the pictures of a run and of a file ──────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run of one step, with normal noise."""
    config = preset("dcgan-conditional").with_options(
        steps=1, batch_size=4, gf_dim=2, df_dim=2, gfc_dim=8, dfc_dim=8, noise="normal", samples=4
    )
    folder = RunFolder(tmp_path_factory.mktemp("score") / "run")
    training = TrainingRun(config, folder, say=lambda line: None)
    folder.create(training.config)
    training.train(progress=False)
    return folder


def test_pictures_of_a_run_ask_for_each_class_in_turn(run, device):
    pictures = pictures_of_run(run, 507, 0, device)
    parts = list(pictures.parts)
    assert [part.shape for part in parts] == [(500, 28, 28, 1), (7, 28, 28, 1)]
    assert all(part.dtype == np.uint8 for part in parts)
    noise = latent_noise(0, "score", 0, (507, 100), "normal")  # as the run's configuration says
    expected = generate(trained_gan(run, "cpu")[0], noise, labels_in_turn(507, 10))
    np.testing.assert_allclose(
        np.concatenate(parts)[..., 0], 255 * expected, rtol=0, atol=0.5 + 1e-3
    )
    np.testing.assert_array_equal(pictures.asked, np.arange(507) % 10)
    assert pictures.shape == (28, 28, 1)
    assert pictures.source == f"{run} after 1 steps"
    other = next(iter(pictures_of_run(run, 7, 1, device).parts))
    assert not np.array_equal(other, parts[0][:7])


def test_pictures_saved_by_another_framework_get_the_same_score(run, tmp_path):
    real = real_digits()
    pictures = pictures_of_run(run, 120, 0, "cpu")
    images = np.concatenate(list(pictures_of_run(run, 120, 0, "cpu").parts))
    np.savez(tmp_path / "a.npz", images=images[..., 0], labels=np.arange(120) % 10)
    ours = score(pictures, real, 0, "cpu")
    theirs = score(pictures_of_file(tmp_path / "a.npz"), real, 0, "cpu")
    assert theirs.real == ours.real
    assert {**asdict(theirs.pictures), "source": ""} == {**asdict(ours.pictures), "source": ""}


def test_real_pictures_are_the_runs_own_or_those_that_data_names(run, tmp_path):
    pictures = pictures_of_run(run, 4, 0, "cpu")
    assert real_pictures(pictures, run, None, None).source == "embedded digits"
    with pytest.raises(DataError, match="nowhere"):
        real_pictures(pictures, run, str(tmp_path / "nowhere"), None)
    with pytest.raises(ConfigError, match="--pattern is for dcgan-images"):
        real_pictures(pictures, run, None, "*.png")


def test_a_folder_is_read_in_the_size_and_colours_of_the_pictures(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setattr("minigan.data.images.default_image_cache", lambda: tmp_path / "cache")
    for i in range(4):
        Image.new("RGB", (30, 40), (50 * i, 90, 200)).save(tmp_path / f"{i}.png")
    for shape in ((12, 16, 3), (12, 16, 1)):
        pictures = as_pictures(np.zeros((5, *shape), np.uint8))
        real = real_pictures(pictures, None, str(tmp_path), "*.png")
        assert real.images.shape == (4, *shape)
        assert real.labels is None
    (tmp_path / "0.png").unlink()
    with pytest.raises(DataError, match=r"expected at least 4 pictures.*found 3\. Try: "):
        real_pictures(pictures, None, str(tmp_path), "*.png")


def test_pictures_of_another_size_than_the_real_ones_are_refused():
    pictures = as_pictures(np.zeros((5, 32, 32, 3), np.uint8))
    with pytest.raises(DataError) as error:
        real_pictures(pictures, None, None, None)
    assert str(error.value) == (
        "mine: expected pictures of 28 x 28 in grey, as the embedded digits are, found 32 x 32 in "
        "colour. Try: --data with others like these."
    )


GREY = np.zeros((3, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"pictures": GREY}, "expected an array `images`, found none of that name"),
        ({"images": GREY / 255}, "found float64 (3, 4, 4)"),
        ({"images": GREY[0]}, "found uint8 (4, 4)"),
        ({"images": np.zeros((3, 4, 4, 2), np.uint8)}, "found uint8 (3, 4, 4, 2)"),
        ({"images": GREY[:1]}, "expected at least 2 pictures"),
        ({"images": GREY[:, :0]}, "expected at least 2 pictures"),
        ({"images": GREY, "labels": np.arange(4)}, "expected `labels` of integers, (3,)"),
        ({"images": GREY, "labels": np.eye(3)}, "expected `labels` of integers, (3,)"),
        ({"images": GREY, "labels": np.arange(3.0)}, "found float64 (3,)"),
        ({"images": GREY, "labels": np.array([0, 10, 1])}, "from 0 to 9, found 0 to 10"),
        ({"images": GREY, "labels": np.array([-1, 9, 1])}, "from 0 to 9, found -1 to 9"),
        ({"images": np.array([None, 1])}, "can't be read (Object arrays"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(tmp_path, arrays, sentence):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError) as error:
        pictures_of_file(tmp_path / "a.npz")
    assert str(error.value).startswith(f"{tmp_path / 'a.npz'}: expected ")
    assert sentence in str(error.value)
    assert " Try: " in str(error.value)


def test_files_that_are_no_archives_are_refused(tmp_path):
    for name, content in {"text": b"hello", "empty": b"", "zip": b"PK\x03\x04"}.items():
        (tmp_path / name).write_bytes(content)
    for name in ("text", "empty", "zip", "nothing", "."):
        with pytest.raises(DataError, match="Try: "):
            pictures_of_file(tmp_path / name)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("minigan.gan.scored_pictures.LARGEST", 10_000)
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((1000, 28, 28), np.uint8))
    with pytest.raises(DataError, match="expected at most 10,000 bytes, found arrays of 784,"):
        pictures_of_file(tmp_path / "bomb.npz")


@given(st.integers(0, 10**6), st.integers(1, 255), st.booleans())
@settings(max_examples=150)
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, place, change, cut):
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.npz"
    if not whole.exists():
        np.savez_compressed(whole, images=GREY, labels=np.arange(3))
    data = bytearray(whole.read_bytes())
    place %= len(data)
    data[place] ^= change
    damaged = folder / "damaged.npz"
    damaged.write_bytes(data[:place] if cut else data)
    refusal = None
    try:
        pictures = pictures_of_file(damaged)
    except DataError as error:
        refusal = str(error)
    if refusal is None:
        assert (pictures.count, pictures.shape) == (3, (4, 4, 1))
    else:
        assert " Try: " in refusal
        assert "\n" not in refusal


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    for shape in (b"(9, 9, 9)", b"(-1,4, 4)", b"(3, 4, x)"):
        content = (tmp_path / "a.npy").read_bytes().replace(b"(3, 4, 4)", shape)
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("images.npy", content)
        with pytest.raises(DataError, match="can't be read"):
            pictures_of_file(tmp_path / "a.npz")
