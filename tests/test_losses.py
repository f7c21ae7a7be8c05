"""The GAN's losses: as the tutorials write them, equal on logits and on probabilities."""

import numpy as np
import pytest

import minigan
from minigan import backend, losses
from minigan.autograd import Tensor, grad, no_grad, ops
from minigan.errors import GraphError, ShapeError
from minigan.losses import (
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    log_discriminator_loss,
    log_generator_loss,
    minimax_generator_loss,
    r1_penalty,
    squared_slopes,
)

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(5, 1)), RNG.normal(size=(7, 1))


def probability(logits):
    return 1 / (1 + np.exp(-logits))


@pytest.fixture
def logits(on_device):
    def make(values):
        return Tensor(on_device(values), requires_grad=True)

    return make


def host(x):
    return backend.to_host(x.data if isinstance(x, Tensor) else x)


def test_the_discriminators(logits):
    """Also on batches of two sizes, whose means are then taken one by one."""
    p, q = probability(REAL), probability(FAKE)
    expected = -np.log(p).mean() - np.log(1 - q).mean()
    real, fake = logits(REAL), logits(FAKE)
    loss = discriminator_loss(real, fake)
    assert float(loss) == pytest.approx(expected, rel=1e-13)
    to_real, to_fake = grad(loss, [real, fake])
    np.testing.assert_allclose(host(to_real), (p - 1) / 5, rtol=1e-12)
    np.testing.assert_allclose(host(to_fake), q / 7, rtol=1e-12)


def test_the_discriminators_on_probabilities(logits):
    real, fake = logits(REAL), logits(FAKE[:5])
    a = discriminator_loss(real, fake)
    b = log_discriminator_loss(ops.sigmoid(real), ops.sigmoid(fake))
    assert float(a) == pytest.approx(float(b), rel=1e-13)
    for x, y in zip(grad(a, [real, fake]), grad(b, [real, fake]), strict=True):
        np.testing.assert_allclose(host(x), host(y), rtol=1e-12)


def test_the_generators_on_logits_and_probabilities(logits):
    q = probability(FAKE)
    fake = logits(FAKE)
    a, b = generator_loss(fake), log_generator_loss(ops.sigmoid(fake))
    assert float(a) == pytest.approx(-np.log(q).mean(), rel=1e-13)
    assert float(b) == pytest.approx(float(a), rel=1e-13)
    for loss in (a, b):
        np.testing.assert_allclose(host(grad(loss, fake)[0]), (q - 1) / 7, rtol=1e-12)


def test_the_minimax_generators(logits):
    fake = logits(FAKE)
    loss = minimax_generator_loss(fake)
    q = probability(FAKE)
    assert float(loss) == pytest.approx(np.log(1 - q).mean(), rel=1e-13)
    np.testing.assert_allclose(host(grad(loss, fake)[0]), -q / 7, rtol=1e-12)


def test_the_game_is_zero_sum_in_the_minimax_form(logits):
    real, fake = logits(REAL), logits(FAKE)
    constant = ops.mean(ops.softplus(-real))  # -E log D(x) does not depend on the generator
    assert float(discriminator_loss(real, fake)) == pytest.approx(
        float(constant - minimax_generator_loss(fake)), rel=1e-13
    )


def test_at_the_equilibrium(logits):
    """D = 1/2 everywhere: the losses the tutorials' tables approach."""
    half = logits(np.zeros((4, 1)))
    assert float(discriminator_loss(half, half)) == pytest.approx(np.log(4), rel=1e-15)
    assert float(generator_loss(half)) == pytest.approx(np.log(2), rel=1e-15)
    assert float(minimax_generator_loss(half)) == pytest.approx(-np.log(2), rel=1e-15)


def test_a_sure_discriminator_saturates_one_generator_and_not_the_other(logits):
    fake = logits([[-40.0]])
    saturated = grad(minimax_generator_loss(fake), fake)[0]
    useful = grad(generator_loss(fake), fake)[0]
    assert abs(host(saturated)[0, 0]) < 1e-17
    assert host(useful)[0, 0] == -1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_are_one_number_of_the_networks_dtype(dtype, on_device):
    x = Tensor(on_device(np.full((3, 1), 0.5), dtype), requires_grad=True)
    for loss in [discriminator_loss(x, x), generator_loss(x), minimax_generator_loss(x),
                 log_discriminator_loss(x, x), log_generator_loss(x)]:  # fmt: skip
        assert loss.shape == ()
        assert loss.dtype == dtype
        assert grad(loss, x)[0].dtype == dtype


def test_means_of_losses_fit_into_float16_where_their_sums_do_not(on_device):
    logits, tiny = (Tensor(on_device(np.full((8192, 1), x), "float16")) for x in (-20, 1e-5))
    assert 0 < float(generator_loss(logits)) < 21
    assert 0 < float(log_generator_loss(tiny)) < 12


def test_probabilities_are_not_clamped():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert float(log_generator_loss(Tensor([0.0]))) == np.inf


# ── penalties ────────────────────────────────────────────────────────────────────────────────

PENALTIES = {
    "gradient_penalty": lambda d, x: gradient_penalty(d, x, -x, np.full((2, 1), 0.5)),
    "r1_penalty": r1_penalty,
    "squared_slopes": squared_slopes,
}


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_needs_a_graph(name):
    penalty, x = PENALTIES[name], np.ones((2, 3))
    w = Tensor(np.ones((3, 1)), requires_grad=True)

    def linear(x):
        return x @ w

    with no_grad(), pytest.raises(GraphError, match=r"Try: call it outside no_grad\(\)"):
        penalty(linear, x)
    with pytest.raises(GraphError, match="with a D that uses the pictures it is given"):
        penalty(lambda _: linear(x), x)
    assert penalty(linear, x).requires_grad  # outside no_grad, with a D that uses them


# ── what is exported ─────────────────────────────────────────────────────────────────────────


def test_every_loss_is_in_the_package():
    own = {
        name
        for name, value in vars(losses).items()
        if getattr(value, "__module__", "") == losses.__name__ and not name.startswith("_")
    }
    assert own <= set(minigan.__all__)
    assert all(getattr(minigan, name) is getattr(losses, name) for name in own)


def test_labels_for_each_example_are_refused():
    """They would be averaged over as many as they broadcast to."""
    with pytest.raises(ShapeError, match=r"Try: mean\(sigmoid_cross_entropy_with_logits"):
        losses.real_loss(np.ones((3, 1)), label=np.ones(3))
