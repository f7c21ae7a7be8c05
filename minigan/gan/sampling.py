"""Noise and pictures: what goes into a generator and what comes out."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from minigan import backend
from minigan.backend import Array
from minigan.data import one_hot
from minigan.errors import CheckpointError, ConfigError
from minigan.gan.assembly import make_average, make_gan
from minigan.gan.models import GAN
from minigan.gan.players import entries_under
from minigan.gan.run_folder import RunFolder
from minigan.layers import Module
from minigan.random import stream

AT_A_TIME = 500  # pictures generated at once, which bounds the memory they take


def latent_noise(
    seed: int, purpose: str, step: int, shape: tuple[int, int], distribution: str = "uniform"
) -> Any:
    """Noise, float32, keyed by (seed, purpose, step); shape (N, latent_size).

    Uniform in [-1, 1), or normal with mean 0 and variance 1.
    Drawn on the host, so every device sees the same numbers.
    """
    if distribution == "normal":
        return stream(seed, purpose, step).standard_normal(shape, dtype=np.float32)
    noise = stream(seed, purpose, step).random(shape, dtype=np.float32)
    noise *= 2
    noise -= 1
    return noise


def labels_in_turn(count: int, classes: int) -> Array | None:
    """Each class in turn, one-hot: a grid with as many columns has a class in each.

    Shape: (count, classes), float32; None if there are no classes.
    """
    return one_hot(np.arange(count) % classes, classes).astype(np.float32) if classes else None


def generate(gan: GAN, noise: Any, labels: Any = None, generator: Module | None = None) -> Array:
    """The generator's pictures in inference mode, with pixels in [0, 1].

    Another generator, such as an average of this one over time, can be given.
    Shapes: noise (N, latent_size), labels (N, classes) -> (N, H, W), in colour (N, H, W, 3).
    """
    parts = []
    for first in range(0, len(noise), AT_A_TIME):
        part = slice(first, first + AT_A_TIME)
        asked = None if labels is None else labels[part]
        parts.append(backend.to_host(gan.sample(noise[part], asked, generator)))
    pixels = np.concatenate(parts)
    if pixels.ndim == 2:  # rows of pixels
        side = math.isqrt(pixels.shape[1])
        pixels = pixels.reshape(-1, side, side)
    if pixels.shape[3:] == (1,):
        pixels = pixels[..., 0]
    darkest, lightest = gan.pixel_range
    if (darkest, lightest) == (0.0, 1.0):
        return pixels
    return (pixels - darkest) / (lightest - darkest)


def picture(images: Array, columns: int | None, inverted: bool) -> Array:
    """One uint8 picture of all images: light on dark with gaps, or inverted without gaps.

    columns  images in a row; None for the nearest square
    """
    from minigan.plotting import grid_of

    return grid_of(1 - images, columns, gap=0) if inverted else grid_of(images, columns)


def save_picture(grid: Array, height: int, path: Path) -> None:
    """Write a picture of images of this height, small ones twice as large."""
    from minigan.plotting import save_png

    save_png(grid, path, scale=2 if height <= 32 else 1)


def sample_run(
    folder: RunFolder, n: int, seed: int, target: Path, device: str, label: int | None = None
) -> int:
    """Write a picture of n samples from a run's newest checkpoint; returns its step.

    label  the class of all; None for each in turn, one a column
    Errors: ConfigError (no run, no such class), CheckpointError (no checkpoint, or none that is
    whole).
    """
    gan, step = trained_gan(folder, device)
    config, place = folder.read_config(), backend.resolve_device(device)
    noise = latent_noise(seed, "sample", 0, (n, config.latent_size), config.noise)
    if label is None:
        labels, columns = labels_in_turn(n, gan.classes), gan.classes or None
    else:
        labels, columns = labels_of(label, n, gan), None
    if labels is not None:
        labels = backend.to_device(labels, place)
    images = generate(gan, backend.to_device(noise, place), labels)
    save_picture(picture(images, columns, config.sample_inverted), images.shape[1], target)
    return step


def labels_of(label: int, count: int, gan: GAN) -> Array:
    """The same class for all, one-hot: (count, classes) float32.

    Errors: ConfigError for networks without labels and for a class there isn't.
    """
    if not 0 <= label < gan.classes:
        raise ConfigError(
            f"--label is {label}, but this run's generator "
            + (f"knows 0 to {gan.classes - 1}" if gan.classes else "takes no labels")
            + ". Try: without --label."
        )
    return one_hot(np.full(count, label), gan.classes).astype(np.float32)


def trained_gan(folder: RunFolder, device: str) -> tuple[GAN, int]:
    """The networks of a run's newest checkpoint, and its step.

    If the run keeps an average of the generator, that is the generator.
    Errors: ConfigError (no run), CheckpointError (no checkpoint, or none that is whole).
    """
    from minigan.checkpoint import latest_checkpoint

    config = folder.read_config()
    checkpoint = latest_checkpoint(folder.checkpoints)
    if checkpoint is None:
        raise CheckpointError(
            f"{folder} has no checkpoint yet. Try: minigan train --resume --out {folder}."
        )
    gan = make_gan(config)
    gan.load_state(entries_under("gan/", checkpoint.arrays))
    average = make_average(config, gan)
    if average is not None:
        average.load_state(entries_under("g_average/", checkpoint.arrays))
        gan.generator = average.network
    return gan.to(backend.resolve_device(device)), checkpoint.step
