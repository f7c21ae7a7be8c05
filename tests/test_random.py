"""Keyed streams: a draw is a function of (seed, purpose, step)."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minigan.random import stream

keys = st.tuples(st.integers(0, 2**64 - 1), st.text(max_size=20), st.integers(0, 2**63))


@given(keys)
def test_the_same_key_gives_the_same_numbers(key):
    np.testing.assert_array_equal(stream(*key).random(5), stream(*key).random(5))


@given(keys, keys)
def test_different_keys_give_different_numbers(one, other):
    same = np.array_equal(stream(*one).random(2), stream(*other).random(2))
    assert same == (one == other)


def test_neighbouring_steps_are_uncorrelated():
    draws = np.array([stream(0, "noise", step).standard_normal(4000) for step in range(20)])
    correlations = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)


def test_the_numbers_are_these_on_every_machine():
    assert stream(0, "a", 3).random() == 0.6106143678773436
