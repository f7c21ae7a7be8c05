"""Batches as a function of the step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.data import Batches, Dataset, Feed
from minigan.errors import ConfigError, DataError, DtypeError


def pictures(n):
    return np.arange(n, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)


@given(n=st.integers(1, 30), size=st.integers(1, 70), seed=st.integers(0, 2**40))
def test_the_batches_are_one_sequence_of_shuffled_epochs(n, size, seed):
    batches = Batches(pictures(n), size, seed)
    steps = 3 * n // size + 2
    sequence = np.concatenate([batches.indices(step) for step in range(steps)])
    assert len(sequence) == steps * size
    for epoch in range(len(sequence) // n):
        assert sorted(sequence[epoch * n : (epoch + 1) * n]) == list(range(n))


@given(n=st.integers(1, 30), size=st.integers(1, 70), step=st.integers(0, 10**6))
def test_any_step_can_be_asked_for_in_any_order(n, size, step):
    batches = Batches(pictures(n), size, seed=5)
    later = batches.indices(step + 1)
    once = batches.indices(step)
    fresh = Batches(pictures(n), size, seed=5)
    np.testing.assert_array_equal(fresh.indices(step), once)
    np.testing.assert_array_equal(fresh.indices(step + 1), later)


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [Batches(pictures(50), 50, seed).indices(step) for seed in (0, 1) for step in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4


def test_pixels_become_float32_by_tensorflows_rule():
    images = np.arange(256, dtype=np.uint8).reshape(256, 1, 1)
    batch = Batches(images, 256).at(0)
    assert batch.dtype == np.float32
    assert batch.shape == (256, 1)
    expected = np.arange(256, dtype=np.float32) * np.float32(1 / 255)
    np.testing.assert_array_equal(np.sort(batch.ravel()), expected)


def test_next_batch_gives_flat_pictures_and_one_hot_labels_across_the_wrap():
    feed = Feed(Dataset(pictures(10), np.arange(10, dtype=np.uint8)), seed=2)
    seen = []
    for size in (4, 4, 4, 8):  # the third batch joins two epochs
        images, labels = feed.next_batch(size)
        assert images.shape == (size, 6)
        assert labels.shape == (size, 10)
        assert labels.dtype == np.float64
        np.testing.assert_allclose(images[:, 0] * 255, labels.argmax(axis=1), rtol=1e-6)
        seen += labels.argmax(axis=1).tolist()
    assert sorted(seen[:10]) == list(range(10)) == sorted(seen[10:])


def test_feed_and_batches_walk_the_same_sequence():
    feed = Feed(Dataset(pictures(10), np.arange(10, dtype=np.uint8)), seed=3)
    batches = Batches(pictures(10), 4, seed=3)
    for step in range(12):
        np.testing.assert_array_equal(feed.next_batch(4)[0], batches.at(step))


def test_nothing_to_train_on_and_senseless_sizes():
    with pytest.raises(DataError, match="found none"):
        Batches(pictures(0), 4)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        Batches(pictures(3), 0)
    with pytest.raises(DtypeError, match="uint8 pixels from 0 to 255, found float32"):
        Batches(pictures(3).astype(np.float32), 2)  # would be scaled twice
