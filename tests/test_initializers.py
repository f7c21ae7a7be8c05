"""Initial weights: their distributions beside TensorFlow's, and where their numbers come from."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from minigan.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    Ones,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Zeros,
    fans,
)
from minigan.random import stream

TENSORFLOW = json.loads((Path(__file__).parent / "golden" / "init_stats.json").read_text())

TRUNCATED = 0.87962566  # standard deviation of a normal truncated at two of them

# TensorFlow's name, ours, shape, mean, standard deviation, bounds
DISTRIBUTIONS = [
    ("truncated_normal(stddev=.02)", TruncatedNormal(stddev=0.02), (400, 500), 0, 0.02 * TRUNCATED,
     (-0.04, 0.04)),
    ("truncated_normal() default", TruncatedNormal(), (400, 500), 0, TRUNCATED, (-2, 2)),
    ("random_normal(stddev=.02)", RandomNormal(stddev=0.02), (400, 500), 0, 0.02, None),
    ("random_normal() default", RandomNormal(), (400, 500), 0, 1, None),
    ("random_uniform(a,b)=(-.1,.3)", RandomUniform(-0.1, 0.3), (400, 500), 0.1, 0.4 / 12**0.5,
     (-0.1, 0.3)),
    ("random_uniform() default", RandomUniform(), (400, 500), 0.5, 1 / 12**0.5, (0, 1)),
    ("contrib xavier_initializer() dense 784x128", GlorotUniform(), (784, 128), 0,
     math.sqrt(2 / 912), (-math.sqrt(6 / 912), math.sqrt(6 / 912))),
    ("get_variable default (glorot_uniform) 784x128", GlorotUniform(), (784, 128), 0,
     math.sqrt(2 / 912), (-math.sqrt(6 / 912), math.sqrt(6 / 912))),
    ("contrib xavier_initializer() conv 5,5,8,16", GlorotUniform(), (5, 5, 8, 16), 0,
     math.sqrt(2 / 600), (-0.1, 0.1)),
    ("contrib xavier_initializer(uniform=False) 1000x1000", GlorotNormal(), (1000, 1000), 0,
     math.sqrt(1.3 / 1000) * TRUNCATED, (-2 * math.sqrt(1.3 / 1000), 2 * math.sqrt(1.3 / 1000))),
    ("seeds 001/004 'xavier_init' [784,128]", HeNormal(), (784, 128), 0, math.sqrt(2 / 784), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "initializer", "shape", "mean", "stddev", "bounds"),
    DISTRIBUTIONS,
    ids=[row[0] for row in DISTRIBUTIONS],
)
def test_distribution(name, initializer, shape, mean, stddev, bounds):
    x = initializer(shape, np.random.default_rng(11)).astype(float)
    assert x.shape == shape
    n, kurtosis = x.size, np.mean((x - x.mean()) ** 4) / x.var() ** 2
    mean_error = 5 * stddev / math.sqrt(n)  # five standard errors
    stddev_error = 5 * stddev * math.sqrt((kurtosis - 1) / (4 * n))
    assert abs(x.mean() - mean) < mean_error
    assert abs(x.std() - stddev) < stddev_error
    if bounds:
        low, high = bounds
        assert low * 1.000001 <= x.min() <= x.max() <= high * 1.000001  # rounded to float32
        width = high - low
        assert x.min() < low + 0.02 * width
        assert x.max() > high - 0.02 * width
    else:  # not truncated
        assert np.abs(x - mean).max() > 3.5 * stddev

    theirs = TENSORFLOW[name]
    draws = min(n, 10_000)  # TensorFlow's statistics are of 10,000 numbers or more
    assert abs(theirs["mean"] - mean) < 5 * stddev / math.sqrt(draws)
    assert abs(theirs["std"] - stddev) < 5 * stddev * math.sqrt((kurtosis - 1) / (4 * draws))
    if bounds:
        assert bounds[0] * 1.000001 <= theirs["min"] <= theirs["max"] <= bounds[1] * 1.000001


@pytest.mark.parametrize(("initializer", "kurtosis"), [
    (RandomNormal(), 3.0), (HeNormal(), 3.0), (RandomUniform(), 1.8), (GlorotUniform(), 1.8),
])  # fmt: skip
def test_normal_is_normal_and_uniform_is_uniform(initializer, kurtosis):
    x = initializer((300, 300), np.random.default_rng(1)).astype(float)
    assert np.mean((x - x.mean()) ** 4) / x.var() ** 2 == pytest.approx(kurtosis, abs=0.1)


@pytest.mark.parametrize("initializer", [RandomNormal(5.0, 0.1), TruncatedNormal(5.0, 0.1)])
def test_mean(initializer):
    x = initializer((100, 100), np.random.default_rng(0))
    assert abs(x.mean() - 5) < 5 * 0.1 / 100


def test_constants():
    assert Constant(7)((3,)).tolist() == TENSORFLOW["constant_initializer(7)"]
    filled = Constant([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])((2, 3))
    assert filled.tolist() == TENSORFLOW["constant_initializer(list) fills C order"]
    assert Zeros()((2, 2)).tolist() == [[0, 0], [0, 0]]
    assert Ones()((2,)).tolist() == [1, 1]
    assert Constant(7)(()).shape == ()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((784, 128), (784, 128)), ((5, 5, 8, 16), (200, 400)), ((7,), (7, 7)), ((), (1, 1)),
     ((3, 8, 16), (24, 48))],
)  # fmt: skip
def test_fans(shape, expected):
    assert fans(shape) == expected


KINDS = [RandomNormal, TruncatedNormal, RandomUniform, GlorotUniform, GlorotNormal, HeNormal]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_repeats_and_no_seed_does_not(kind):
    assert (kind(seed=3)((4, 5)) == kind(seed=3)((4, 5))).all()
    assert (kind(seed=3)((4, 5)) != kind(seed=4)((4, 5))).any()
    fresh = kind()
    assert (fresh((4, 5)) != fresh((4, 5))).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_given_generator_is_used_and_wins_over_the_seed(kind):
    a, b = (kind(seed=seed)((4, 5), stream(0, "weights")) for seed in (1, 2))
    assert (a == b).all()


@pytest.mark.parametrize("kind", [*KINDS, Constant, Zeros, Ones])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype(kind, dtype):
    assert kind(dtype=dtype)((2, 3)).dtype == dtype
    assert kind()((2, 3)).dtype == "float32"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (3, 0), (4,), (2, 3, 4)])
def test_any_shape(kind, shape):
    assert kind(seed=0)(shape).shape == shape


def test_float64_draws_are_not_rounded_to_float32():
    x = GlorotUniform(dtype="float64", seed=0)((10, 10))
    assert (x != x.astype("float32")).any()
    assert (GlorotUniform(seed=0)((10, 10)) == x.astype("float32")).all()


def test_an_initializer_is_a_value():
    assert RandomNormal(0.0, 0.02) == RandomNormal(stddev=0.02)
    assert repr(HeNormal(seed=1)) == "HeNormal(seed=1, dtype='float32')"
