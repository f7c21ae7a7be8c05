"""The classifier that scores digits: what it weighs, how well it reads, how it is made."""

import numpy as np
import pytest

from docs import make_digit_classifier
from minigan.autograd import no_grad
from minigan.checkpoint import load_checkpoint
from minigan.data import Dataset, default_mnist_folder, load_digits, load_mnist
from minigan.errors import CheckpointError
from minigan.gan import digit_classifier
from minigan.gan.digit_classifier import WEIGHTS, DigitClassifier, accuracy, load_digit_classifier


def first_digits(count):
    digits = load_digits()
    return Dataset(digits.images[:count], digits.labels[:count])


def test_it_is_small_and_says_how_well_it_reads():
    assert WEIGHTS.stat().st_size < 1_000_000
    assert load_checkpoint(WEIGHTS).metadata["test_accuracy"] >= 0.985


def test_it_reads_the_embedded_digits():
    # they are from MNIST's training set, which it learned from: a check of the file, no more
    assert accuracy(load_digit_classifier(), first_digits(2000)) > 0.995


@pytest.mark.slow
def test_it_reads_digits_it_has_not_seen():
    if not default_mnist_folder().is_dir():
        pytest.skip("the full MNIST is not fetched: minigan data mnist")
    test_accuracy = accuracy(load_digit_classifier(), load_mnist(split="test"))
    assert test_accuracy >= 0.985
    assert test_accuracy == pytest.approx(
        load_checkpoint(WEIGHTS).metadata["test_accuracy"], abs=5e-4
    )


def test_scores_are_computed_from_the_features_alone():
    classifier = load_digit_classifier()
    x = first_digits(3).images[..., None] / np.float32(255)
    with no_grad():
        features = classifier.features(x)
        assert features.shape == (3, 64)
        np.testing.assert_array_equal(classifier.scores(features).data, classifier(x).data)
        # inference mode: a picture's features don't depend on the others
        np.testing.assert_allclose(classifier.features(x[:1]).data, features.data[:1], rtol=1e-5)


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    damaged = tmp_path / "digit_classifier.safetensors"
    damaged.write_bytes(WEIGHTS.read_bytes()[:-1])
    monkeypatch.setattr(digit_classifier, "WEIGHTS", damaged)
    with pytest.raises(CheckpointError, match="cut short"):
        load_digit_classifier()


def test_the_command_that_made_it_learns_and_repeats_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(make_digit_classifier, "WEIGHTS", tmp_path / "made.safetensors")
    monkeypatch.setattr(digit_classifier, "WEIGHTS", tmp_path / "made.safetensors")
    digits = first_digits(300)
    trained = make_digit_classifier.train(digits, steps=8)
    make_digit_classifier.write(trained, 8, accuracy(trained, digits))
    loaded, again = load_digit_classifier(), make_digit_classifier.train(digits, steps=8)
    for name, x in trained.state().items():
        np.testing.assert_array_equal(loaded.state()[name], x)
        np.testing.assert_array_equal(again.state()[name], x)
    assert not loaded.training
    assert accuracy(trained, digits) > accuracy(DigitClassifier().initialize(0).eval(), digits)
    assert [path.name for path in tmp_path.iterdir()] == ["made.safetensors"]
