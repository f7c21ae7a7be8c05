"""tf.layers' DCGAN, built of minigan's layers: TensorFlow's pictures, losses and gradients.

The golden file is a training run of tutorial 003 with batch norm, from tests/golden; what the
weights become, step by step, is for tests/parity.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.autograd.engine import array_of
from minigan.layers import (
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "seed003_layers_bn_small.npz")
META = json.loads(str(GOLDEN["meta"]))


def norm(bessel_correction=True):
    return BatchNorm(0.99, 1e-3, bessel_correction=bessel_correction)


def generator():
    return Sequential(
        Dense(392), norm(bessel_correction=False), ReLU(), Reshape(7, 7, 8),
        Conv2DTranspose(4, 5, 2, "same"), norm(), ReLU(),
        Conv2DTranspose(1, 5, 2, "same", activation=ops.tanh),
    )  # fmt: skip


def discriminator():
    return Sequential(
        Conv2D(4, 5, 2, "same"), norm(), LeakyReLU(),
        Conv2D(8, 5, 2, "same"), norm(), LeakyReLU(), Flatten(),
        Dense(32), norm(bessel_correction=False), LeakyReLU(), Dense(2),
    )  # fmt: skip


TF_NAMES = {Dense: "dense", BatchNorm: "batch_normalization", Conv2D: "conv2d",
            Conv2DTranspose: "conv2d_transpose"}  # fmt: skip


def tf_names(network, scope):
    """TensorFlow's name of each layer: dense, dense_1, ... in the order of their making."""
    made = dict.fromkeys(TF_NAMES.values(), 0)
    for layer in network.layers:
        if type(layer) in TF_NAMES:
            name = TF_NAMES[type(layer)]
            number = f"_{made[name]}" if made[name] else ""
            made[name] += 1
            yield layer, f"{scope}/{name}{number}"


@pytest.fixture
def load(device):
    """A network with the weights that the file holds under a name; in float64."""

    def load(network, scope, when, example):
        network(example.astype("float32"))  # makes the parameters
        for layer, name in tf_names(network, scope):
            for path in layer.state():
                values = GOLDEN[f"{when}/{name}/{path}"].astype("float64")
                if isinstance(parameter := getattr(layer, path), Tensor):
                    parameter.data = values
                else:  # a moving average
                    setattr(layer, path, values)
        return network.to(device)

    return load


Z, SAMPLE_Z = GOLDEN["z_q"] / 32768, GOLDEN["sample_z_q"] / 32768
X = GOLDEN["x_u8"] / 255 * 2 - 1


def host(x):
    return backend.to_host(array_of(x))


def test_the_first_pictures(load, on_device):
    network = load(generator(), "Generator", "init", Z[0, 0])
    np.testing.assert_allclose(
        host(network(on_device(Z[0, 0])))[:2], GOLDEN["fwd0/G_first2"], rtol=1e-6, atol=1e-7
    )


def test_the_sampler_normalises_by_moving_averages(load, on_device):
    network = load(generator(), "Generator", "final", Z[0, 0]).eval()
    np.testing.assert_allclose(
        host(network(on_device(SAMPLE_Z))), GOLDEN["sample_after"], rtol=2e-5, atol=2e-5
    )


def test_the_first_losses_and_gradients(load, on_device):
    g = load(generator(), "Generator", "init", Z[0, 0])
    d = load(discriminator(), "Discriminator", "init", X[0])
    real, fake = on_device(np.eye(2)[[1]]), on_device(np.eye(2)[[0]])

    def loss(logits, label):
        labels = ops.broadcast_to(label, logits.shape)
        return ops.softmax_cross_entropy_with_logits(labels, logits).mean()

    fake_logits = d(g(on_device(Z[0, 0])))
    d_loss = loss(d(on_device(X[0])), real) + loss(fake_logits, fake)
    assert float(d_loss) == pytest.approx(GOLDEN["f64/disc_loss"][0], rel=1e-10)
    compare(d, "Discriminator", d_loss, META["grad0"]["D_loss"])
    compare(g, "Generator", loss(d(g(on_device(Z[0, 0]))), real), META["grad0"]["G_loss"])


def compare(network, scope, loss, expected):
    """Each gradient's sum, length and first numbers. Biases in front of batch norm: 0."""
    named = {
        f"{name}/{path}": parameter
        for layer, name in tf_names(network, scope)
        for path, parameter in layer.named_parameters()
    }
    assert set(expected) == set(named)
    for name, gradient in zip(named, grad(loss, list(named.values())), strict=True):
        gradient, numbers = host(gradient), expected[name]
        found = [gradient.sum(), np.linalg.norm(gradient), *gradient.ravel()[:6]]
        right = [numbers["sum"], numbers["l2"], *numbers["head"]]
        np.testing.assert_allclose(found, right, rtol=1e-8, atol=1e-13, err_msg=name)
