"""How good the pictures of minigan and of its PyTorch twin are while they are trained equally long.

    python benchmarks/quality.py minigan dcgan --data mnist --steps 1600 --out minigan.json
    python benchmarks/quality.py pytorch dcgan --data mnist --steps 1600 --out pytorch.json
    python benchmarks/quality.py compare minigan.json pytorch.json

A GAN's pictures get better and worse from one step to the next: the Fréchet distance of a DCGAN
was seen to double and halve again within 50 steps. One picture of two runs says little, so both are
scored every few steps over the last ones, and their mean distances are compared.

PyTorch's twin starts from minigan's initial weights and sees the same pictures, labels and noise:
the two agree until rounding drives them apart. OPENBLAS_NUM_THREADS and OMP_NUM_THREADS say how
many threads they use.
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from channels_first import upright, upside_down

PICTURES = 5000
DRAWN_AT_ONCE = 500


def pictures(images: np.ndarray, labels: np.ndarray | None) -> dict[str, np.ndarray]:
    """What a Judge scores: pictures, and the classes that were asked for, if any."""
    return {"images": images} if labels is None else {
        "images": images, "labels": labels.argmax(axis=1)
    }  # fmt: skip


class MiniganTraining:
    """`minigan train`, from the start or from the newest checkpoint of a run."""

    def __init__(self, config, run: Path | None) -> None:
        from minigan.gan.run_folder import RunFolder
        from minigan.gan.training import TrainingRun

        folder = RunFolder(run or Path(tempfile.mkdtemp()))
        self.run = TrainingRun(config, folder)
        if run is not None:
            self.run.resume()
        self.step = self.run.step

    def take_step(self) -> None:
        self.run._take_step()
        self.step = self.run.step

    def draw(self) -> dict[str, np.ndarray]:
        from minigan.gan.sampling import generate, labels_in_turn

        labels = labels_in_turn(PICTURES, self.run.gan.classes)
        images = generate(self.run.gan, self.run._latent_noise("score", 0, PICTURES), labels)
        images = np.round(images * 255).astype(np.uint8)
        return pictures(images, labels)


class PyTorchTraining:
    """The twin of minigan's networks, on the same pictures, labels and noise."""

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
        self.step = 0

    def take_step(self) -> None:
        """D's further updates, if it has any, then one step of both players."""
        last = (self.step + 1) * self.config.d_steps - 1  # of the batches of this step
        for k in range(last - self.config.d_steps + 1, last):
            self.players.d_step(*self.real(k)[:1], self.noise("noise.discriminator", k))
        real, *given = self.real(last)
        d_noise = self.noise("noise.discriminator", last)
        if self.config.order == "d-once-g-twice":
            self.players.d_once_g_twice_step(real, d_noise, *given)
        else:
            g_noise = self.noise("noise.generator", self.step)
            self.players.alternating_step(real, d_noise, g_noise)
        self.step += 1

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

    def draw(self) -> dict[str, np.ndarray]:
        """Pictures in inference mode, from noise that training has not seen."""
        import torch

        from minigan.gan.sampling import labels_in_turn
        from minigan.kernels.threads import even_parts

        labels = labels_in_turn(PICTURES, self.gan.classes)
        inputs = [self.noise("score", 0, PICTURES)]
        inputs += [] if labels is None else [torch.from_numpy(labels)]
        darkest, lightest = self.gan.pixel_range
        images = np.empty((PICTURES, *self.gan.picture_shape), np.uint8)
        self.twin.eval()
        for part in even_parts(PICTURES, PICTURES // DRAWN_AT_ONCE):
            with torch.no_grad():
                pixels = upright(self.players.G(*(x[part] for x in inputs)).numpy())
            images[part] = np.round((pixels - darkest) / (lightest - darkest) * 255)
        self.twin.train()
        return pictures(images, labels)


class Judge:
    """Fréchet distances to the real pictures, which are looked at once."""

    def __init__(self, config) -> None:
        from minigan.gan.digit_classifier import load_digit_classifier
        from minigan.gan.random_convnet import RandomConvNet
        from minigan.gan.training_data import load_training_data

        real = load_training_data(config)
        self.digits = real.labels is not None
        channels = real.images.shape[3]
        self.network = load_digit_classifier() if self.digits else RandomConvNet(channels)
        self.real = self.features(real.images)

    def features(self, images: np.ndarray) -> np.ndarray:
        from minigan import no_grad
        from minigan.data.batches import to_unit_range
        from minigan.gan.scored_pictures import in_parts, with_channels

        with no_grad():
            parts = in_parts(with_channels(images))
            return np.concatenate([self.network.features(to_unit_range(x)).data for x in parts])

    def score(self, images: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
        from minigan.gan.score import class_share, frechet_distance

        features = self.features(images)
        found = {"frechet_distance": frechet_distance(features, self.real)}
        if labels is not None:
            classes = self.network.scores(features).data.argmax(axis=1)
            found["class_share"] = class_share(classes, labels)
        return found


def train(training, config, last: int, every: int) -> list[dict[str, float]]:
    """The scores over the last steps."""
    judge, scores = Judge(config), []
    while training.step < config.steps:
        training.take_step()
        remaining = config.steps - training.step
        if remaining < last and remaining % every == 0:
            scores.append({"step": training.step, **judge.score(**training.draw())})
            print(scores[-1], flush=True)
    return scores


def compare(paths: list[Path]) -> None:
    means = []
    for path in paths:
        distances = [score["frechet_distance"] for score in json.loads(path.read_text())]
        means.append(mean(distances))
        error = standard_error(distances)
        print(f"{path.stem}: {means[-1]:.4g} +- {error:.2g}, {len(distances)} scores, from "
              f"{min(distances):.4g} to {max(distances):.4g}")  # fmt: skip
    print(f"ratio {means[0] / means[1]:.3f}")


def standard_error(distances: list[float]) -> float:
    """That of their mean, as if they did not depend on each other."""
    return stdev(distances) / len(distances) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=("minigan", "pytorch", "compare"))
    parser.add_argument("names", nargs="+", help="a preset; for compare, two .json files")
    parser.add_argument("--data", help="folder of MNIST's files, or of pictures")
    parser.add_argument("--out", type=Path, help="the .json to write")
    parser.add_argument("--run", type=Path, help="begin where this run of minigan's stands")
    parser.add_argument("--steps", type=int, help="by default the preset's")
    parser.add_argument("--last", type=int, default=300, help="score over so many steps")
    parser.add_argument("--every", type=int, default=15, help="steps between scores")
    parser.add_argument("--gf-dim", type=int)
    parser.add_argument("--df-dim", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.framework == "compare":
        compare([Path(name) for name in options.names])
        return
    if options.out is None:
        parser.error("--out says where the scores go")
    if options.run and options.framework == "pytorch":
        parser.error("--run is minigan's: a twin begins at the start")
    from minigan.gan.presets import preset

    chosen = ("data", "steps", "gf_dim", "df_dim", "seed")
    config = preset(options.names[0]).with_options(**{k: getattr(options, k) for k in chosen})
    if options.framework == "minigan":
        training = MiniganTraining(config, options.run)
    else:
        training = PyTorchTraining(config)
    scores = train(training, config, options.last, options.every)
    options.out.write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
