"""The runs that have a name: the tutorials' settings."""

from minigan.errors import ConfigError
from minigan.gan.config import TrainConfig

PRESETS = {
    # 100-128-784, Adam as TensorFlow ships it, D then G with fresh noise
    "mlp-gan": TrainConfig(
        preset="mlp-gan",
        hidden=128,
        learning_rate=1e-3,
        objective="cross-entropy",
        order="alternating",
        steps=10_000,
        report_every=1000,
        sample_every=1000,
        sample_columns=4,
    ),
    # 100-256-784, log losses, both updates from one run of the graph
    "mlp-gan-256": TrainConfig(
        preset="mlp-gan-256",
        hidden=256,
        learning_rate=2e-4,
        objective="log",
        order="simultaneous",
        steps=70_000,
        report_every=2000,
        sample_every=2000,
        sample_columns=6,
        sample_inverted=True,
    ),
    # tf.layers, with batch norm: three epochs of MNIST
    "dcgan": TrainConfig(
        preset="dcgan",
        model="dcgan",
        learning_rate=2e-3,
        beta1=0.5,
        objective="cross-entropy",
        order="alternating",
        steps=1290,
        report_every=100,
        sample_every=100,
        sample_columns=10,
        samples=40,
        checkpoint_every=100,
    ),
    # tf.layers, with average pooling, both updates from one run of the graph
    "dcgan-pooling": TrainConfig(
        preset="dcgan-pooling",
        model="dcgan-pooling",
        latent_size=200,
        learning_rate=1e-3,
        objective="mean-cross-entropy",
        order="simultaneous",
        steps=5000,
        batch_size=32,
        report_every=100,
        sample_every=500,
        sample_columns=6,
        checkpoint_every=500,
    ),
    # carpedm20's with labels; its own length is 25 epochs
    "dcgan-conditional": TrainConfig(
        preset="dcgan-conditional",
        model="dcgan-conditional",
        learning_rate=2e-4,
        beta1=0.5,
        objective="cross-entropy",
        order="d-once-g-twice",
        steps=2580,
        batch_size=64,
        report_every=100,
        sample_every=100,
        sample_columns=10,
        samples=100,
        checkpoint_every=500,
    ),
    # carpedm20's for folders of pictures; its own length is 25 epochs
    "dcgan-images": TrainConfig(
        preset="dcgan-images",
        model="dcgan-images",
        learning_rate=2e-4,
        beta1=0.5,
        objective="cross-entropy",
        order="d-once-g-twice",
        steps=1500,
        batch_size=64,
        report_every=100,
        sample_every=100,
        sample_columns=8,
        samples=64,
        checkpoint_every=500,
    ),
    # the networks of dcgan as a generator and its critic; Gulrajani et al. 2017, for digits
    "wgan-gp": TrainConfig(
        preset="wgan-gp",
        model="dcgan",
        layer_norm=True,
        learning_rate=1e-4,
        beta1=0.5,
        beta2=0.9,
        d_steps=5,
        objective="wgan-gp",
        order="alternating",
        steps=1000,
        batch_size=64,
        report_every=100,
        sample_every=100,
        sample_columns=10,
        samples=40,
        checkpoint_every=100,
    ),
}


def preset(name: str) -> TrainConfig:
    """The configuration of a preset, by name."""
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}. Try: {' or '.join(PRESETS)}.")
    return PRESETS[name]
