"""The games: their losses, the penalties on D's slopes, and their options."""

import numpy as np
import pytest

from minigan import Tensor, grad
from minigan.errors import ConfigError
from minigan.gan import (
    OBJECTIVES,
    Players,
    SpectralNorm,
    mlp_gan,
    with_label_smoothing,
    with_r1,
    with_spectral_norm,
)
from minigan.layers import Conv2D, Dense
from minigan.losses import gradient_penalty, r1_penalty
from minigan.optimizers import SGD

REAL, FAKE = np.array([[0.5], [2.0]]), np.array([[-3.0], [0.0]])


@pytest.mark.parametrize(
    ("name", "real", "fake", "generator"),
    [
        ("least-squares", (0.25 + 1) / 4, 9 / 4, (16 + 1) / 4),
        ("hinge", 0.5 / 2, 1 / 2, 1.5),
        ("wasserstein", -1.25, -1.5, 1.5),
        ("wgan-gp", -1.25, -1.5, 1.5),
    ],
)
def test_games_by_hand(name, real, fake, generator):
    game = OBJECTIVES[name]
    assert float(game.real(REAL)) == pytest.approx(real, rel=1e-15)
    assert float(game.fake(FAKE)) == pytest.approx(fake, rel=1e-15)
    assert float(game.generator(FAKE)) == pytest.approx(generator, rel=1e-15)
    assert float(game.discriminator(REAL, FAKE)) == pytest.approx(real + fake, rel=1e-15)


def test_the_mean_over_all_pictures_is_half_the_sum_of_two_means():
    both, mean = OBJECTIVES["cross-entropy"], OBJECTIVES["mean-cross-entropy"]
    logits = np.concatenate([REAL, FAKE])
    labels = np.array([[1], [1], [0], [0]])
    expected = np.mean(np.logaddexp(0, logits) - labels * logits)
    assert float(mean.discriminator(REAL, FAKE)) == pytest.approx(expected, rel=1e-15)
    assert float(both.discriminator(REAL, FAKE)) == pytest.approx(2 * expected, rel=1e-15)


# ── slopes ───────────────────────────────────────────────────────────────────────────────────


def test_penalties_of_a_linear_critic():
    """D(x) = <w, x> has the slope w everywhere."""
    w = Tensor(np.array([[3.0], [4.0]]), requires_grad=True)
    real, fake = np.ones((3, 2)), np.zeros((3, 2))
    mix = np.array([[0.0], [0.5], [0.9]])
    penalty = gradient_penalty(lambda x: x @ w, real, fake, mix)
    assert float(penalty) == pytest.approx(10 * (5 - 1) ** 2, rel=1e-12)
    # d/dw 10 (|w| - 1)^2 = 20 (|w| - 1) w / |w|
    np.testing.assert_allclose(grad(penalty, w)[0], 20 * 4 * w.numpy() / 5, rtol=1e-12)
    penalty = r1_penalty(lambda x: x @ w, real, weight=3.0)
    assert float(penalty) == pytest.approx(1.5 * 25, rel=1e-12)
    np.testing.assert_allclose(grad(penalty, w)[0], 3 * w.numpy(), rtol=1e-12)


def test_the_penalty_is_taken_where_mix_says():
    real, fake = np.full((2, 3), 2.0), np.full((2, 3), 4.0)
    seen = []

    def critic(x):
        seen.append(x.numpy().copy())
        return (x * x).sum(axis=1)

    gradient_penalty(critic, real, fake, np.array([[1.0], [0.25]]))
    np.testing.assert_array_equal(seen[0], [[2.0] * 3, [3.5] * 3])


def test_the_double_backward_through_a_network_is_its_numerical_derivative():
    gan = mlp_gan(hidden=4, latent_size=3, pixels=5, dtype="float64")
    rng = np.random.default_rng(0)
    real, fake, mix = rng.random((6, 5)), rng.random((6, 5)), rng.random((6, 1))
    d = gan.discriminator

    def penalty():
        return gradient_penalty(d, real, fake, mix)

    for name, w in d.named_parameters():
        (gradient,) = grad(penalty(), w)
        if name.endswith("bias"):
            assert gradient is None  # biases of relu networks change no slope, between the kinks
            continue
        before, direction = w.numpy().copy(), rng.normal(size=w.shape)
        w.assign(before + 1e-6 * direction)
        above = float(penalty())
        w.assign(before - 1e-6 * direction)
        below = float(penalty())
        w.assign(before)
        expected = (above - below) / 2e-6
        assert (gradient * direction).sum() == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_a_critic_flat_everywhere_has_a_finite_gradient():
    w = Tensor(np.zeros((2, 1)), requires_grad=True)
    ones = np.ones((3, 2))
    penalty = gradient_penalty(lambda x: x @ w, ones, ones, np.ones((3, 1)))
    assert np.isfinite(grad(penalty, w)[0]).all()


# ── options ──────────────────────────────────────────────────────────────────────────────────


def test_a_wasserstein_critics_weights_stay_small():
    players = Players(mlp_gan(4, 3, 5, dtype="float64"), OBJECTIVES["wasserstein"], SGD(1), SGD(1))
    rng = np.random.default_rng(0)
    players.alternating_step(rng.random((6, 5)), rng.random((6, 3)), rng.random((6, 3)))
    assert max(np.abs(w.numpy()).max() for w in players.d_variables) == 0.01
    assert max(np.abs(w.numpy()).max() for w in players.g_variables) > 0.01


def test_label_smoothing_is_one_sided():
    game = with_label_smoothing(OBJECTIVES["cross-entropy"], 0.9)
    expected = np.mean(np.logaddexp(0, REAL) - 0.9 * REAL)
    assert float(game.real(REAL)) == pytest.approx(expected, rel=1e-15)
    assert game.fake is OBJECTIVES["cross-entropy"].fake
    assert with_label_smoothing(OBJECTIVES["minimax"]).generator is OBJECTIVES["minimax"].generator
    for name in ("hinge", "log", "wgan-gp"):
        with pytest.raises(ConfigError, match="cross-entropy"):
            with_label_smoothing(OBJECTIVES[name])
    for label in (0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=r"must be in \(0, 1\]"):
            with_label_smoothing(OBJECTIVES["cross-entropy"], label)


def test_r1_is_added_to_a_game_without_a_penalty():
    game = with_r1(OBJECTIVES["cross-entropy"], weight=2.0)
    w = np.array([[3.0], [4.0]])
    pictures = np.ones((3, 2))
    assert float(game.penalty(lambda x: x @ w, pictures, None, None)) == pytest.approx(25)
    with pytest.raises(ConfigError, match="penalty"):
        with_r1(OBJECTIVES["wgan-gp"])


# ── spectral normalisation ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (Dense(4, in_features=6), np.random.default_rng(0).normal(size=(3, 6)).astype("f4")),
        (Conv2D(4, 3, in_channels=2), np.ones((2, 5, 5, 2), "f4")),
    ],
)
def test_sigma_becomes_the_largest_singular_value(layer, x):
    kernel = layer.kernel
    largest = np.linalg.svd(kernel.numpy().reshape(-1, 4), compute_uv=False)[0]
    plain = layer(x).numpy() - layer.bias.numpy()
    normalized = SpectralNorm(layer)
    for _ in range(50):
        y = normalized(x)
    assert float(normalized.sigma(kernel)) == pytest.approx(largest, rel=1e-5)
    np.testing.assert_allclose(y.numpy() - layer.bias.numpy(), plain / largest, 1e-4, 1e-5)
    assert layer.kernel is kernel


def test_one_iteration_each_training_pass_and_none_in_inference():
    layer = SpectralNorm(Dense(4, in_features=6))
    x = np.ones((2, 6), "f4")
    before = layer.u.copy()
    layer.eval()
    layer(x)
    np.testing.assert_array_equal(layer.u, before)
    layer.train()
    layer(x)
    assert not np.allclose(layer.u, before)
    assert [name for name, _ in layer.named_buffers()] == ["u"]


def test_gradients_flow_through_sigma():
    layer = Dense(3, in_features=4)
    layer.kernel.data = layer.kernel.data.astype("f8")
    normalized = SpectralNorm(layer).eval()  # u stays, so it is a function of the kernel
    u = normalized.u
    w = layer.kernel.numpy()

    def stretched(kernel):
        return normalized.sigma(kernel)

    (g,) = grad(stretched(layer.kernel), layer.kernel)
    v = w @ u / np.linalg.norm(w @ u)
    np.testing.assert_allclose(g, np.outer(v, u), rtol=1e-9)  # v and u are constants


def test_the_whole_discriminator_is_normalised_and_named():
    gan = with_spectral_norm(mlp_gan(4, 3, 5))
    names = [x.name for x in gan.discriminator.parameters()]
    assert names == [f"discriminator.{layer}.layer.{part}" for layer in ("hidden", "output")
                     for part in ("kernel", "bias")]  # fmt: skip
    assert gan.generator.hidden.kernel.name == "generator.hidden.kernel"
