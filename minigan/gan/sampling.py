"""Noise and pictures: what goes into a generator and what comes out."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from minigan import backend
from minigan.autograd import no_grad
from minigan.errors import CheckpointError
from minigan.gan.models import GAN, mlp_gan
from minigan.gan.players import entries_under
from minigan.gan.run_folder import RunFolder
from minigan.random import stream


def latent_noise(seed: int, purpose: str, step: int, shape: tuple[int, int]) -> Any:
    """Uniform noise in [-1, 1), float32, keyed by (seed, purpose, step); shape (N, latent_size).

    Drawn on the host, so every device sees the same numbers.
    """
    noise = stream(seed, purpose, step).random(shape, dtype=np.float32)
    noise *= 2
    noise -= 1
    return noise


def generate(gan: GAN, noise: Any) -> np.ndarray[Any, Any]:
    """The generator's pictures in inference mode: noise (N, latent_size) -> (N, H, W) in [0, 1]."""
    training = gan.training
    gan.eval()
    with no_grad():
        pixels = gan.generator(noise).numpy()
    gan.train(training)
    side = math.isqrt(pixels.shape[1])
    return pixels.reshape(-1, side, side)


def picture(
    images: np.ndarray[Any, Any], columns: int | None, inverted: bool
) -> np.ndarray[Any, Any]:
    """One uint8 picture of all images: light on dark with gaps, or inverted without gaps.

    columns  images in a row; None for the nearest square
    """
    from minigan.plotting import grid_of

    return grid_of(1 - images, columns, gap=0) if inverted else grid_of(images, columns)


def sample_run(folder: RunFolder, n: int, seed: int, target: Path, device: str) -> int:
    """Write a picture of n samples from a run's newest checkpoint; returns its step.

    Errors: ConfigError (no run), CheckpointError (no checkpoint, or none that is whole).
    """
    from minigan.checkpoint import latest_checkpoint
    from minigan.plotting import save_png

    config = folder.read_config()
    checkpoint = latest_checkpoint(folder.checkpoints)
    if checkpoint is None:
        raise CheckpointError(
            f"{folder} has no checkpoint yet. Try: minigan train --resume --out {folder}."
        )
    gan = mlp_gan(config.hidden, config.latent_size)
    gan.load_state(entries_under("gan/", checkpoint.arrays))
    place = backend.resolve_device(device)
    noise = latent_noise(seed, "sample", 0, (n, config.latent_size))
    images = generate(gan.to(place), backend.to_device(noise, place))
    save_png(picture(images, None, config.sample_inverted), target, scale=2)
    return checkpoint.step
