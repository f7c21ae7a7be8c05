"""How good the pictures of minigan and of its PyTorch twin are while they are trained equally long.

    python benchmarks/quality.py minigan dcgan --data mnist --steps 1600 --out minigan.json
    python benchmarks/quality.py pytorch dcgan --data mnist --steps 1600 --out pytorch.json
    python benchmarks/quality.py compare minigan.json pytorch.json

A GAN's pictures get better and worse from one step to the next: the Fréchet distance of a DCGAN
was seen to double and halve again within 50 steps. One picture of two runs says little, so both are
scored every few steps over the last ones, and their mean distances are compared.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from statistics import mean, stdev

import numpy as np

PICTURES = 5000


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
        drawn = {"images": np.round(images * 255).astype(np.uint8)}
        return drawn if labels is None else {**drawn, "labels": labels.argmax(axis=1)}


class PyTorchTraining:
    """The twin, from the same initial weights, on the same pictures and noise."""

    def __init__(self, config, run: Path | None) -> None:
        from train_pytorch import TwinTraining

        self.training = TwinTraining(config)
        self.step = 0

    def take_step(self) -> None:
        self.training.take(self.step)
        self.step += 1

    def draw(self) -> dict[str, np.ndarray]:
        drawn = self.training.draw(PICTURES)
        self.training.twin.train()
        return drawn


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
        error = stdev(distances) / len(distances) ** 0.5
        print(f"{path.stem}: {means[-1]:.4g} +- {error:.2g}, {len(distances)} scores, from "
              f"{min(distances):.4g} to {max(distances):.4g}")  # fmt: skip
    print(f"ratio {means[0] / means[1]:.3f}")


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
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.framework == "compare":
        compare([Path(name) for name in options.names])
        return
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read as the libraries are imported

    from minigan.gan.presets import preset

    chosen = ("data", "steps", "gf_dim", "df_dim", "seed")
    config = preset(options.names[0]).with_options(**{k: getattr(options, k) for k in chosen})
    kind = MiniganTraining if options.framework == "minigan" else PyTorchTraining
    scores = train(kind(config, options.run), config, options.last, options.every)
    options.out.write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
