"""The two players' steps: who sees which weights."""

import numpy as np
import pytest

from minigan import SGD, Adam, Dense, HeNormal, Module, Zeros, concatenate, grad
from minigan.errors import NonFiniteError, ShapeError
from minigan.gan import (
    GAN,
    OBJECTIVES,
    AveragedNetwork,
    Players,
    dcgan,
    dcgan_conditional,
    dcgan_images,
    mlp_gan,
    with_spectral_norm,
)
from minigan.random import stream


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    real = rng.random((6, 9))
    noise = rng.uniform(-1, 1, (2, 6, 4))
    return real, noise[0], noise[1]


def make_players(objective="cross-entropy", optimizer=SGD, **options):
    gan = mlp_gan(hidden=5, latent_size=4, pixels=9, seed=1, dtype="float64")
    return Players(gan, OBJECTIVES[objective], optimizer(0.1, **options), optimizer(0.1, **options))


def d_loss_by_hand(players, real, fake):
    """D's loss on fake pictures, given as an array, with the game's penalty."""
    d, objective = players.gan.discriminator, players.objective
    loss = objective.discriminator(d(real), d(fake))
    if objective.penalty is not None:
        mix = stream(0, "penalty", 0).random((len(real), 1))
        loss = loss + objective.penalty(d, real, fake, mix)
    return loss


def descend(players, network, gradients):
    for w, dw in zip(network.parameters(), gradients, strict=True):
        moved = w.data - 0.1 * dw
        if network is players.gan.discriminator and players.objective.constraint is not None:
            moved = players.objective.constraint(moved)
        w.assign(moved)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_alternating_moves_g_through_the_d_that_has_moved(batch, objective):
    real, d_noise, g_noise = batch
    players = make_players(objective)
    twin = make_players(objective)
    losses = players.alternating_step(real, d_noise, g_noise)

    d, g = twin.gan.discriminator, twin.gan.generator
    d_loss = d_loss_by_hand(twin, real, g(d_noise).numpy())
    descend(twin, d, grad(d_loss, d.parameters()))
    g_loss = twin.objective.generator(d(g(g_noise)))
    descend(twin, g, grad(g_loss, g.parameters()))
    assert_same_weights(players, twin)
    assert tuple(losses) == pytest.approx((float(d_loss), float(g_loss)), rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_simultaneous_takes_both_gradients_from_the_old_weights(batch, objective):
    real, noise, _ = batch
    players = make_players(objective)
    twin = make_players(objective)
    losses = players.simultaneous_step(real, noise)

    d, g = twin.gan.discriminator, twin.gan.generator
    d_loss = d_loss_by_hand(twin, real, g(noise).numpy())
    g_loss = twin.objective.generator(d(g(noise)))
    assert tuple(losses) == pytest.approx((float(d_loss), float(g_loss)), rel=1e-12)
    d_step, g_step = grad(d_loss, d.parameters()), grad(g_loss, g.parameters())
    descend(twin, d, d_step)
    descend(twin, g, g_step)
    assert_same_weights(players, twin)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_d_once_g_twice_uses_one_noise_for_three_updates(batch, objective):
    real, noise, _ = batch
    players = make_players(objective)
    twin = make_players(objective)
    losses = players.d_once_g_twice_step(real, noise)

    d, g = twin.gan.discriminator, twin.gan.generator
    descend(twin, d, grad(d_loss_by_hand(twin, real, g(noise).numpy()), d.parameters()))
    for _ in range(2):
        g_loss = twin.objective.generator(d(g(noise)))
        descend(twin, g, grad(g_loss, g.parameters()))
    assert_same_weights(players, twin)
    after = twin.losses(real, noise)
    assert (losses.d_loss_real, losses.d_loss_fake, losses.g_loss) == pytest.approx(
        (after.d_loss_real, after.d_loss_fake, after.g_loss), rel=1e-12
    )
    assert losses.d_loss == pytest.approx(after.d_loss_real + after.d_loss_fake, rel=1e-12)
    assert (players.d_optimizer.steps, players.g_optimizer.steps) == (1, 2)


def test_the_parts_of_d_loss_add_up(batch):
    losses = make_players().alternating_step(*batch)
    assert losses.d_loss == pytest.approx(losses.d_loss_real + losses.d_loss_fake, rel=1e-15)


def assert_same_weights(players, twin):
    ours, theirs = players.gan.state(), twin.gan.state()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], 1e-12, 1e-15, err_msg=name)


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
        assert tuple(losses) == pytest.approx(
            tuple(getattr(host, step)(*map(to_host, inputs))), rel=1e-5
        )
    assert {device_of(x.data) for x in gan.parameters()} == {device}


# ── batch norm's moving averages ─────────────────────────────────────────────────────────────


SMALL = {"z_dim": 4, "gf_dim": 2, "df_dim": 2, "dtype": "float64"}


def small_gan(kind, seed=1):
    if kind == "conditional":
        return dcgan_conditional(
            8, 8, 1, y_dim=3, gfc_dim=5, dfc_dim=5, seed=seed, **SMALL
        )  # fmt: skip
    if kind == "tf.layers":
        return dcgan(4, (2, 2), (2, 2), 5, seed=seed, dtype="float64")
    return dcgan_images(9, 12, 2, seed=seed, **SMALL)


def small_batch(gan):
    rng = np.random.default_rng(2)
    real = rng.uniform(*gan.pixel_range, (6, *gan.picture_shape))
    noise = rng.uniform(-1, 1, (2, 6, gan.latent_size))
    labels = np.eye(gan.classes)[rng.integers(0, gan.classes, 6)] if gan.classes else None
    return real, noise[0], noise[1], labels


def averages(network):
    return {name: array.copy() for name, array in network.named_buffers()}


def unlike(before, network):
    return [
        name for name, array in network.named_buffers() if not np.array_equal(before[name], array)
    ]


@pytest.mark.parametrize("kind", ["images", "conditional", "tf.layers"])
def test_evaluating_losses_moves_nothing(kind):
    players = Players(small_gan(kind), OBJECTIVES["cross-entropy"], SGD(0.1), SGD(0.1))
    real, noise, _, labels = small_batch(players.gan)
    before = players.state()
    players.losses(real, noise, labels)
    for name, array in players.state().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize("kind", ["images", "conditional", "tf.layers"])
def test_each_player_moves_its_own_averages_alone(kind):
    players = Players(small_gan(kind), OBJECTIVES["cross-entropy"], SGD(0.1), SGD(0.1))
    d, g = players.gan.discriminator, players.gan.generator
    real, d_noise, g_noise, labels = small_batch(players.gan)
    before = averages(players.gan)
    players.d_step(real, d_noise, labels)
    assert set(unlike(before, players.gan)) == {f"discriminator.{n}" for n in averages(d)}
    before = averages(players.gan)
    players.g_step(g_noise, labels)
    assert set(unlike(before, players.gan)) == {f"generator.{n}" for n in averages(g)}


def test_d_judges_real_and_fake_pictures_by_their_own_statistics():
    players = Players(small_gan("images"), OBJECTIVES["cross-entropy"], SGD(0.1), SGD(0.1))
    twin = Players(small_gan("images"), OBJECTIVES["cross-entropy"], SGD(0.1), SGD(0.1))
    real, noise, _, _ = small_batch(players.gan)
    losses = players.d_step(real, noise)
    d, g = twin.gan.discriminator, twin.gan.generator
    expected = float(twin.objective.discriminator(d(real), d(g(noise).numpy())))
    assert losses[0] == pytest.approx(expected, rel=1e-12)


def test_d_with_batch_norm_wants_as_many_fake_pictures_as_real_ones():
    players = Players(small_gan("images"), OBJECTIVES["cross-entropy"], SGD(0.1), SGD(0.1))
    real, noise, _, _ = small_batch(players.gan)
    with pytest.raises(ShapeError, match=f"Try: noise of {len(real)} rows"):
        players.d_step(real, noise[:-1])


class ToldTheClass(Module):
    """A discriminator without batch norm that sees labels."""

    def __init__(self):
        zeros = Zeros(dtype="float64")
        self.output = Dense(
            1, kernel_initializer=HeNormal(dtype="float64"), bias_initializer=zeros, in_features=12
        )

    def forward(self, x, labels):
        return self.output(concatenate([x, labels], axis=1))


class ToldNothing(Module):
    """A generator that looks past its labels."""

    def __init__(self, generator):
        self.generator = generator

    def forward(self, z, labels):
        return self.generator(z)


def test_labels_go_with_their_pictures_when_d_judges_all_at_once(batch):
    real, noise, _ = batch
    labels = np.eye(3)[[0, 1, 2, 2, 1, 1]]
    generator = ToldNothing(make_players().gan.generator)
    gan = GAN(generator, ToldTheClass(), 4, (9,), classes=3)
    d = gan.discriminator
    gan.initialize(3)
    players = Players(gan, OBJECTIVES["cross-entropy"], SGD(0.1), SGD(0.1))
    expected = players.losses(real, noise, labels)
    assert players.d_step(real, noise, labels) == pytest.approx(
        (expected.d_loss, expected.d_loss_real, expected.d_loss_fake), rel=1e-12
    )
    assert not np.allclose(d(real, labels).numpy(), d(real, labels[::-1]).numpy())


# ── options ──────────────────────────────────────────────────────────────────────────────────


def test_instance_noise_is_the_same_when_resumed_and_other_at_each_step(batch):
    def noisy():
        players = make_players(optimizer=Adam)
        players.instance_noise = 0.5
        return players

    players = noisy()
    players.alternating_step(*batch)
    saved = players.state()
    expected = tuple(players.alternating_step(*batch))
    resumed = noisy()
    resumed.load_state(saved)
    assert tuple(resumed.alternating_step(*batch)) == expected
    real = batch[0]
    first = resumed._blurred(real, "real") - real
    assert first.std() == pytest.approx(0.5, rel=0.2)
    resumed.alternating_step(*batch)
    assert not np.allclose(resumed._blurred(real, "real") - real, first)


def test_the_average_of_g_follows_g_and_is_saved(batch):
    def averaging():
        players = make_players(optimizer=Adam)
        players.g_average = AveragedNetwork(players.gan.generator, decay=0.75)
        return players

    players = averaging()
    name = "hidden.kernel"
    expected = players.gan.generator.state()[name]
    for _ in range(3):
        players.alternating_step(*batch)
        expected = 0.75 * expected + 0.25 * players.gan.generator.state()[name]
    average = players.g_average.network.state()[name]
    np.testing.assert_allclose(average, expected, rtol=1e-13)
    assert not np.allclose(average, players.gan.generator.state()[name])

    resumed = averaging()
    resumed.load_state(players.state())
    np.testing.assert_array_equal(resumed.g_average.network.state()[name], average)
    noise = batch[1]
    sampled = players.gan.sample(noise, generator=players.g_average.network)
    np.testing.assert_array_equal(sampled, players.g_average.network(noise).numpy())


def test_the_average_takes_over_moving_averages():
    players = Players(
        small_gan("images"), OBJECTIVES["cross-entropy"], SGD(0.1), SGD(0.1),
        g_average=AveragedNetwork(small_gan("images").generator),
    )  # fmt: skip
    real, noise, _, _ = small_batch(players.gan)
    players.d_once_g_twice_step(real, noise)
    ours = averages(players.g_average.network)
    # after the second update, before the two evaluations that follow it
    assert ours["norm0.moving_mean"].any()


@pytest.mark.parametrize("objective", ["hinge", "wgan-gp"])
def test_spectral_norm_trains_and_resumes(objective):
    def players():
        gan = with_spectral_norm(small_gan("images"))
        return Players(gan, OBJECTIVES[objective], Adam(), Adam())

    ours = players()
    real, d_noise, g_noise, _ = small_batch(ours.gan)
    ours.alternating_step(real, d_noise, g_noise)
    saved = ours.state()
    assert "gan/discriminator.conv1.u" in saved
    assert "d_optimizer/m.discriminator.conv1.layer.kernel" in saved
    expected = tuple(ours.alternating_step(real, d_noise, g_noise))
    resumed = players()
    resumed.load_state(saved)
    assert tuple(resumed.alternating_step(real, d_noise, g_noise)) == expected
