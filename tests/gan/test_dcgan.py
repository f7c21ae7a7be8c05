"""The convolutional GANs: shapes, initial weights, the sampler, labels."""

import numpy as np
import pytest

from minigan import Tensor, grad, ops
from minigan.errors import ConfigError
from minigan.gan import dcgan, dcgan_conditional, dcgan_images, dcgan_pooling, mlp_gan
from minigan.gan.dcgan import real_ahead
from minigan.gan.dcgan_images import conv_out_size_same, halved_sizes

SMALL = {"gf_dim": 2, "df_dim": 2, "z_dim": 5}
MODELS = {
    "mlp": lambda seed=0: mlp_gan(4, 5, 9, seed=seed),
    "dcgan": lambda seed=0: dcgan(5, (3, 2), (2, 3), 4, seed=seed),
    "pooling": lambda seed=0: dcgan_pooling(5, (3, 2), (2, 3), 4, seed=seed),
    "images": lambda seed=0: dcgan_images(13, 20, 3, seed=seed, **SMALL),
    "conditional": lambda seed=0: dcgan_conditional(
        12, 8, 1, y_dim=3, gfc_dim=6, dfc_dim=7, seed=seed, **SMALL
    ),
}
every_model = pytest.mark.parametrize("name", MODELS)


def inputs(gan, n=4):
    rng = np.random.default_rng(0)
    noise = rng.uniform(-1, 1, (n, gan.latent_size)).astype("f4")
    labels = (
        [np.eye(gan.classes, dtype="f4")[rng.integers(0, gan.classes, n)]] if gan.classes else []
    )
    return noise, labels


@every_model
def test_pictures_and_logits_have_the_shapes_and_range_the_gan_says(name):
    gan = MODELS[name]()
    noise, labels = inputs(gan)
    pictures = gan.generator(noise, *labels)
    assert pictures.shape == (4, *gan.picture_shape)
    assert pictures.dtype == "float32"
    low, high = gan.pixel_range
    assert low <= pictures.numpy().min() < (low + high) / 2 < pictures.numpy().max() <= high
    assert gan.discriminator(pictures, *labels).shape == (4, 1)


@pytest.mark.parametrize("model", MODELS)
def test_weights_depend_on_the_seed_and_are_named_by_network(model):
    first, again, other = MODELS[model](), MODELS[model](), MODELS[model](seed=1)
    for name, x in first.named_parameters():
        assert x.name == name
        assert name.startswith(("generator.", "discriminator."))
        np.testing.assert_array_equal(x.numpy(), again.state()[name])
        assert name.endswith("kernel") != np.array_equal(x.numpy(), other.state()[name]), name


@every_model
def test_the_sampler_uses_moving_averages_and_leaves_everything_as_it_was(name):
    gan = MODELS[name]()
    noise, labels = inputs(gan)
    before = gan.state()
    pictures = gan.sample(noise, *labels)
    assert isinstance(pictures, np.ndarray)
    assert gan.generator.training
    for key, array in gan.state().items():
        np.testing.assert_array_equal(array, before[key])
    # in inference a picture does not depend on the others of its batch
    alone = gan.sample(noise[:1], *[y[:1] for y in labels])
    np.testing.assert_allclose(pictures[:1], alone, rtol=1e-5, atol=1e-6)
    gan.eval()
    gan.sample(noise, *labels)
    assert not gan.generator.training


def test_the_tutorials_sizes():
    gan = dcgan_conditional()
    shapes = {name: x.shape for name, x in gan.named_parameters()}
    assert shapes["generator.project1.kernel"] == (1034, 6272)
    assert shapes["generator.deconv2.kernel"] == (5, 5, 128, 138)
    assert shapes["discriminator.conv1.kernel"] == (5, 5, 21, 74)
    assert shapes["discriminator.hidden2.kernel"] == (3636, 1024)
    gan = dcgan_images(gf_dim=8, df_dim=4)
    shapes = {name: x.shape for name, x in gan.named_parameters()}
    assert shapes["generator.project.kernel"] == (100, 4 * 4 * 64)
    assert shapes["generator.deconv4.kernel"] == (5, 5, 3, 8)
    assert shapes["discriminator.conv3.kernel"] == (5, 5, 16, 32)
    assert shapes["discriminator.output.kernel"] == (4 * 4 * 32, 1)


def test_carpedm20s_initial_weights():
    gan = dcgan_images(gf_dim=16, df_dim=16)
    state = gan.state()
    for name, spread in [("generator.project", 0.02), ("generator.deconv2", 0.02),
                         ("discriminator.conv3", 0.02 * 0.8796)]:  # fmt: skip
        assert state[f"{name}.kernel"].std() == pytest.approx(spread, rel=0.03)
        assert not state[f"{name}.bias"].any()
    assert np.abs(state["discriminator.conv3.kernel"]).max() <= 0.04  # truncated
    assert np.abs(state["generator.deconv2.kernel"]).max() > 0.06  # not truncated


def test_sizes_are_halved_upwards():
    assert [conv_out_size_same(n, 2) for n in (64, 28, 7, 1)] == [32, 14, 4, 1]
    assert halved_sizes((108, 5)) == [(54, 3), (27, 2), (14, 1), (7, 1)]


def test_two_scores_and_a_softmax_are_one_logit_and_a_sigmoid():
    """What dcgan's discriminators return costs what the tutorials' softmax over 2 classes does."""
    scores = Tensor(np.random.default_rng(0).normal(size=(5, 2)), requires_grad=True)
    for label in (0, 1):
        labels = np.eye(2)[[label] * 5]
        softmax = ops.mean(ops.softmax_cross_entropy_with_logits(labels, scores))
        sigmoid = ops.mean(
            ops.sigmoid_cross_entropy_with_logits(float(label), real_ahead(scores))
        )  # fmt: skip
        assert float(sigmoid) == pytest.approx(float(softmax), rel=1e-14)
        np.testing.assert_allclose(grad(sigmoid, scores)[0], grad(softmax, scores)[0], atol=1e-16)


def test_a_label_changes_the_picture_and_the_judgement():
    gan = MODELS["conditional"]()
    noise, (labels,) = inputs(gan)
    others = np.roll(labels, 1, axis=1)
    pictures = gan.sample(noise, labels)
    assert not np.allclose(pictures, gan.sample(noise, others))
    gan.eval()
    judged = gan.discriminator(pictures, labels).numpy()
    assert not np.allclose(judged, gan.discriminator(pictures, others).numpy())


@pytest.mark.parametrize("size", [(30, 28), (28, 30), (27, 28)])
def test_a_size_that_cannot_be_doubled_twice_is_refused(size):
    with pytest.raises(ConfigError, match="multiples of 4") as caught:
        dcgan_conditional(*size, **SMALL)
    suggested = str(caught.value).split("Try: ")[1].rstrip(".").split(" x ")
    gan = dcgan_conditional(*map(int, suggested), **SMALL)
    noise, labels = inputs(gan)
    assert gan.sample(noise, *labels).shape == (4, *gan.picture_shape)
