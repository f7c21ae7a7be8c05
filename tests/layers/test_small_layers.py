"""Activations, Flatten, Reshape and Dropout."""

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.errors import ConfigError
from minigan.layers import (
    Dropout,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
)

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def host(x):
    return backend.to_host(x.data)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (ReLU(), ops.relu),
        (LeakyReLU(), lambda x: ops.leaky_relu(x, 0.2)),
        (LeakyReLU(0.01), lambda x: ops.leaky_relu(x, 0.01)),
        (Sigmoid(), ops.sigmoid),
        (Tanh(), ops.tanh),
        (Softplus(), ops.softplus),
    ],
    ids=repr,
)
def test_activations(layer, function, on_device):
    x = Tensor(on_device(X))
    assert host(layer(x)).tolist() == host(function(x)).tolist()
    assert layer.parameters() == []


def test_flatten_and_reshape_keep_the_order_and_the_batch(on_device):
    images = np.arange(2 * 3 * 4 * 2.0).reshape(2, 3, 4, 2)
    x = Tensor(on_device(images), requires_grad=True)
    rows = Flatten()(x)
    assert host(rows).tolist() == [list(map(float, range(24))), list(map(float, range(24, 48)))]
    assert host(Reshape(3, 4, 2)(rows)).tolist() == images.tolist()
    assert Reshape(6, -1)(rows).shape == (2, 6, 4)
    assert Flatten()(Tensor(np.zeros((0, 3, 2)))).shape == (0, 6)
    assert Flatten()(Tensor(np.zeros(5))).shape == (5, 1)
    (g,) = grad((rows * rows).sum(), x)
    assert backend.to_host(g).tolist() == (2 * images).tolist()


# ── dropout ──────────────────────────────────────────────────────────────────────────────────


def test_dropout_zeroes_a_share_and_scales_the_rest(on_device):
    layer = Dropout(0.25, seed=3)
    y = host(layer(Tensor(on_device(np.ones((200, 100), np.float32)))))
    assert y.dtype == "float32"
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    zeros = (y == 0).mean()
    assert abs(zeros - 0.25) < 5 * np.sqrt(0.25 * 0.75 / y.size)


def test_the_gradient_goes_where_the_values_went(on_device):
    x = Tensor(on_device(X), requires_grad=True)
    y = Dropout(0.5)(x)
    (g,) = grad(y.sum(), x)
    np.testing.assert_allclose(backend.to_host(g), host(y) / X, rtol=1e-6)


def test_masks_are_keyed_by_seed_and_pass():
    x = Tensor(np.ones((8, 8), np.float32))
    layer, twin, other = Dropout(0.5, seed=1), Dropout(0.5, seed=1), Dropout(0.5, seed=2)
    first, second = layer(x).data, layer(x).data
    assert (first != second).any()
    assert (twin(x).data == first).all()
    assert (other(x).data != first).any()


def test_a_resumed_run_draws_the_masks_it_would_have_drawn(device, on_device):
    x = Tensor(on_device(np.ones((8, 8), np.float32)))
    layer = Sequential(Dropout(0.5, seed=1)).to(device)
    layer(x)
    state = layer.state()
    assert list(state) == ["layers.0.passes"]
    expected = host(layer(x))
    resumed = Sequential(Dropout(0.5, seed=1)).to(device)
    resumed.load_state(state)
    assert (host(resumed(x)) == expected).all()


def test_inference_passes_everything_and_counts_nothing(on_device):
    layer = Dropout(0.5).eval()
    y = layer(Tensor(on_device(X)))
    assert host(y).tolist() == X.tolist()
    assert int(layer.passes) == 0
    layer.train()(Tensor(on_device(X)))
    assert int(layer.passes) == 1


def test_a_rate_of_zero_passes_everything(on_device):
    assert host(Dropout(0.0)(Tensor(on_device(X)))).tolist() == X.tolist()


@pytest.mark.parametrize("rate", [1.0, -0.1, 2, float("nan")])
def test_an_impossible_rate(rate):
    with pytest.raises(ConfigError, match=r"must be in \[0, 1\)"):
        Dropout(rate)


def test_two_dropout_layers_do_not_drop_the_same_units():
    x = np.ones((20, 20))
    assert not np.array_equal(Dropout()(x), Dropout()(x))


def test_sequential_refuses_a_list_of_layers():
    with pytest.raises(ConfigError, match=r"Try: Sequential\(\*layers\)"):
        Sequential([ReLU()])
