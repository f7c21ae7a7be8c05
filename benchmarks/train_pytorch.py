"""Train the PyTorch twin of a preset, as long and on the same pictures and noise as minigan.

    python benchmarks/train_pytorch.py dcgan --data mnist --out twin.npz

Initial weights, order of the pictures, noise, settings and steps are those of `minigan train`.
At the end the twin draws pictures in inference mode: `images`, uint8 (N, H, W) or (N, H, W, C), and
for a conditional twin the `labels` it was asked for, so that the same scores can be computed of
these and of minigan's own.
"""

import argparse
import os
import time
from pathlib import Path
from statistics import median

import numpy as np
from channels_first import upright, upside_down

REPORT_EVERY = 100  # steps
DRAWN_AT_ONCE = 500  # pictures
CONVOLUTIONAL = ("dcgan", "dcgan-conditional", "dcgan-images", "wgan-gp")


class TwinTraining:
    """minigan.gan.TrainingRun with a twin: no checkpoints, no log."""

    def __init__(self, config) -> None:
        from pytorch_twins import TwinPlayers, twin_of

        from minigan.gan.assembly import make_gan
        from minigan.gan.training_data import fitted, load_training_data

        data = load_training_data(config)
        self.config = fitted(config, data)
        self.gan = make_gan(self.config)  # for its initial weights
        self.batches = data.batches(self.gan, config.batch_size, config.seed)
        self.labels = data.one_hot_labels(self.gan)
        self.twin = twin_of(self.gan)
        self.players = TwinPlayers(self.twin, config)

    def train(self) -> None:
        seconds = []
        for step in range(self.config.steps):
            start = time.perf_counter()
            d_loss, g_loss = self.take(step)
            seconds.append(time.perf_counter() - start)
            if step == 0 or (step + 1) % REPORT_EVERY == 0:
                print(f"step {step + 1}: d_loss {d_loss:.4f}, g_loss {g_loss:.4f}", flush=True)
        print(f"{1e3 * median(seconds):.1f} ms a step (median)", flush=True)

    def take(self, step: int) -> tuple[float, float]:
        """D's further updates, if it has any, then one step of both players."""
        last = (step + 1) * self.config.d_steps - 1  # of the batches of this step
        for k in range(last - self.config.d_steps + 1, last):
            self.players.d_step(*self.real(k)[:1], self.noise("noise.discriminator", k))
        real, *given = self.real(last)
        d_noise = self.noise("noise.discriminator", last)
        if self.config.order == "d-once-g-twice":
            return self.players.d_once_g_twice_step(real, d_noise, *given)
        return self.players.alternating_step(real, d_noise, self.noise("noise.generator", step))

    def real(self, batch: int):
        """The real pictures of a batch, and their labels if the networks take any."""
        import torch

        pictures = self.batches.at(batch).reshape(-1, *self.gan.picture_shape)
        real = torch.from_numpy(upside_down(pictures))
        if self.labels is None:
            return (real,)
        return real, torch.from_numpy(self.labels[self.batches.indices(batch)])

    def noise(self, purpose: str, step: int, count: int | None = None):
        import torch

        from minigan.gan.sampling import latent_noise

        shape = (count or self.config.batch_size, self.config.latent_size)
        return torch.from_numpy(latent_noise(self.config.seed, purpose, step, shape))

    def draw(self, count: int) -> dict[str, np.ndarray]:
        """Pictures in inference mode, from noise that training has not seen."""
        import torch

        from minigan.gan.sampling import labels_in_turn

        labels = labels_in_turn(count, self.gan.classes)
        inputs = [self.noise("score", 0, count)]
        inputs += [] if labels is None else [torch.from_numpy(labels)]
        darkest, lightest = self.gan.pixel_range
        images = np.empty((count, *self.gan.picture_shape), np.uint8)
        self.twin.eval()
        for first in range(0, count, DRAWN_AT_ONCE):
            part = slice(first, first + DRAWN_AT_ONCE)
            with torch.no_grad():
                pixels = upright(self.players.G(*(x[part] for x in inputs)).numpy())
            images[part] = np.round((pixels - darkest) / (lightest - darkest) * 255)
        grey = images.shape[3] == 1
        drawn = {"images": images[..., 0] if grey else images}
        return drawn if labels is None else {**drawn, "labels": labels.argmax(axis=1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", choices=CONVOLUTIONAL)
    parser.add_argument("--data", required=True, help="folder of MNIST's files, or of pictures")
    parser.add_argument("--out", required=True, type=Path, help="the .npz to write")
    parser.add_argument("--steps", type=int, help="by default the preset's")
    parser.add_argument("--gf-dim", type=int, help="filters of G, by default the preset's")
    parser.add_argument("--df-dim", type=int, help="filters of D, by default the preset's")
    parser.add_argument("--pictures", type=int, default=10_000, help="how many to draw at the end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read as PyTorch is imported

    from minigan.gan.presets import preset

    chosen = ("data", "steps", "gf_dim", "df_dim", "seed")
    config = preset(options.preset)
    training = TwinTraining(config.with_options(**{k: getattr(options, k) for k in chosen}))
    training.train()
    np.savez_compressed(options.out, **training.draw(options.pictures))


if __name__ == "__main__":
    main()
