"""The two players' steps: who sees which weights."""

import numpy as np
import pytest

from minigan import SGD, Adam, grad
from minigan.errors import NonFiniteError
from minigan.gan import OBJECTIVES, Players, mlp_gan


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    real = rng.random((6, 9))
    noise = rng.uniform(-1, 1, (2, 6, 4))
    return real, noise[0], noise[1]


def make_players(objective="cross-entropy", optimizer=SGD, **options):
    gan = mlp_gan(hidden=5, latent_size=4, pixels=9, seed=1, dtype="float64")
    return Players(gan, OBJECTIVES[objective], optimizer(0.1, **options), optimizer(0.1, **options))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_alternating_moves_g_through_the_d_that_has_moved(batch, objective):
    real, d_noise, g_noise = batch
    players = make_players(objective)
    twin = make_players(objective)
    players.alternating_step(real, d_noise, g_noise)

    d, g = twin.gan.discriminator, twin.gan.generator
    d_loss = twin.objective.discriminator(d(real), d(g(d_noise)))
    for w, dw in zip(d.parameters(), grad(d_loss, d.parameters()), strict=True):
        w.assign(w.data - 0.1 * dw)
    g_loss = twin.objective.generator(d(g(g_noise)))
    for w, dw in zip(g.parameters(), grad(g_loss, g.parameters()), strict=True):
        w.assign(w.data - 0.1 * dw)
    assert_same_weights(players, twin)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_simultaneous_takes_both_gradients_from_the_old_weights(batch, objective):
    real, noise, _ = batch
    players = make_players(objective)
    twin = make_players(objective)
    losses = players.simultaneous_step(real, noise)

    d, g = twin.gan.discriminator, twin.gan.generator
    assert losses == pytest.approx(twin.losses(real, noise), rel=1e-12)
    d_step = grad(twin.objective.discriminator(d(real), d(g(noise))), d.parameters())
    g_step = grad(twin.objective.generator(d(g(noise))), g.parameters())
    for w, dw in zip(d.parameters() + g.parameters(), d_step + g_step, strict=True):
        w.assign(w.data - 0.1 * dw)
    assert_same_weights(players, twin)


def assert_same_weights(players, twin):
    ours, theirs = players.gan.state(), twin.gan.state()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12, err_msg=name)


def test_state_holds_networks_and_optimizers_and_goes_on_bit_for_bit(batch):
    real, d_noise, g_noise = batch
    players = make_players(optimizer=Adam)
    players.alternating_step(real, d_noise, g_noise)
    saved = players.state()
    assert "gan/generator.hidden.kernel" in saved
    assert "d_optimizer/m.discriminator.output.bias" in saved
    expected = [players.alternating_step(real, d_noise, g_noise) for _ in range(3)]

    other = make_players(optimizer=Adam)
    other.load_state(saved)
    assert [other.alternating_step(real, d_noise, g_noise) for _ in range(3)] == expected


def test_a_non_finite_gradient_changes_neither_player(batch):
    real, d_noise, g_noise = batch
    players = make_players()
    before = players.gan.state()
    real = real.copy()
    real[0, 0] = np.nan
    with pytest.raises(NonFiniteError, match=r"discriminator\.hidden\.kernel"):
        players.alternating_step(real, d_noise, g_noise)
    for name, array in players.gan.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_players_who_move_together_both_stay_if_one_gradient_is_not_finite(batch):
    real, noise, _ = batch
    players = make_players()
    before = players.gan.state()
    players.objective = players.objective._replace(generator=lambda fake: fake.mean() * np.nan)
    with pytest.raises(NonFiniteError, match=r"generator\."):
        players.simultaneous_step(real, noise)
    for name, array in players.gan.state().items():
        np.testing.assert_array_equal(array, before[name])
    assert players.d_optimizer.steps == 0


def test_a_training_step_runs_on_the_device(device, on_device):
    real, d_noise, g_noise = (
        on_device(np.random.default_rng(0).random(shape, dtype=np.float32))
        for shape in [(6, 9), (6, 4), (6, 4)]
    )
    gan = mlp_gan(hidden=5, latent_size=4, pixels=9, seed=1).to(device)
    players = Players(gan, OBJECTIVES["log"], Adam(), Adam())
    host = Players(mlp_gan(5, 4, 9, seed=1), OBJECTIVES["log"], Adam(), Adam())
    from minigan.backend import device_of, to_host

    for step in ("alternating_step", "simultaneous_step"):
        inputs = (real, d_noise, g_noise)[: 3 if step == "alternating_step" else 2]
        losses = getattr(players, step)(*inputs)
        assert losses == pytest.approx(getattr(host, step)(*map(to_host, inputs)), rel=1e-5)
    assert {device_of(x.data) for x in gan.parameters()} == {device}
