"""The real pictures of a run: the embedded digits, MNIST's files, or a folder of pictures."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from minigan.backend import Array
from minigan.data import Batches, ImageBatches, load_digits, load_images, load_mnist, one_hot
from minigan.data.idx import holds_mnist
from minigan.errors import ConfigError
from minigan.gan.config import TrainConfig
from minigan.gan.models import GAN

VALIDATION_SIZE = 5000  # the tutorials' reader keeps the first 5,000 training digits back
OUTPUT_HEIGHT = 64  # of pictures from a folder, unless another is asked for


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Real pictures and where they come from.

    images  (N, H, W, C), uint8
    labels  (N,), uint8; None for pictures that have none
    source  in words, such as "embedded digits"
    """

    images: Array
    labels: Array | None
    source: str

    def batches(self, gan: GAN, batch_size: int, seed: int) -> Batches:
        """Shuffled batches in the range of the generator's pictures."""
        kind = Batches if gan.pixel_range == (0.0, 1.0) else ImageBatches
        return kind(self.images, batch_size, seed)

    def one_hot_labels(self, gan: GAN) -> Array | None:
        """A row for each picture, (N, classes) float32; None for networks without labels."""
        if not gan.classes or self.labels is None:
            return None
        return one_hot(self.labels, gan.classes).astype(np.float32)


def load_training_data(config: TrainConfig, say: Callable[[str], None] = print) -> TrainingData:
    """The pictures that a configuration names.

    Errors: DataError and ConfigError, naming the file or the option.
    """
    if config.data == "digits":
        digits, source = load_digits(), "embedded digits"
    elif config.model == "dcgan-images" and not holds_mnist(config.data):
        return TrainingData(_images(config, say), None, f"pictures of {config.data}")
    else:
        digits = load_mnist(config.data, "train", VALIDATION_SIZE)
        source = f"digits of {config.data}"
    taken = slice(config.train_size)
    return TrainingData(digits.images[taken, ..., None], digits.labels[taken], source)


def fitted(config: TrainConfig, data: TrainingData) -> TrainConfig:
    """The configuration with the size and colours of its pictures, for networks of any size.

    Errors: ConfigError if another size was asked for than the digits have.
    """
    if config.model != "dcgan-images":
        return config
    _, H, W, C = data.images.shape
    for name, found in (("output_height", H), ("output_width", W), ("c_dim", C)):
        if getattr(config, name) not in (None, found):
            raise ConfigError(
                f"--{name.replace('_', '-')} is {getattr(config, name)}, but the {data.source} "
                f"have {found}. Try: leave it out."
            )
    return replace(config, output_height=H, output_width=W, c_dim=C)


def _images(config: TrainConfig, say: Callable[[str], None]) -> Array:
    return load_images(
        Path(config.data),
        config.pattern,
        crop=config.crop,
        input_height=config.input_height,
        input_width=config.input_width,
        output_height=config.output_height or OUTPUT_HEIGHT,
        output_width=config.output_width,
        grayscale=config.grayscale,
        train_size=config.train_size,
        skip_broken=config.skip_broken,
        say=say,
    )
