"""How good generated pictures are, in numbers: measures, and a table of them beside real pictures.

A network turns each picture into 64 features. For digits it is one that reads them; for other
pictures, one with random weights.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from minigan import backend
from minigan.autograd import no_grad
from minigan.backend import Array
from minigan.data.batches import to_unit_range
from minigan.errors import ConfigError, NonFiniteError, ShapeError
from minigan.gan.digit_classifier import DigitClassifier, load_digit_classifier
from minigan.gan.random_convnet import RandomConvNet
from minigan.gan.scored_pictures import Pictures, in_parts
from minigan.gan.training_data import TrainingData
from minigan.random import stream

CLASSES = 10
PRESENT = 0.01  # the share of pictures that makes a class present

# ── the measures ─────────────────────────────────────────────────────────────────────────────


def frechet_distance(features_a: Array, features_b: Array) -> float:
    """How far apart two sets of features are, each taken for a Gaussian; 0 for the same.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), of the means m and the covariances C.
    The eigenvalues of C_a C_b are the squared singular values of C_a^(1/2) C_b^(1/2).
    Shapes: (N_a, F), (N_b, F), at least two rows each; computed in float64.
    Errors: ShapeError, NonFiniteError.
    Source: Heusel et al. 2017, "GANs trained by a two time-scale update rule", equation 6.

    >>> features = np.random.default_rng(0).normal(size=(50, 3))
    >>> round(frechet_distance(features, features + [3, 0, 4]), 6)
    25.0
    """
    a, b = np.asarray(features_a, np.float64), np.asarray(features_b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ShapeError(
            f"frechet_distance: expected features (N, F) with as many columns and at least two "
            f"rows each, found {a.shape} and {b.shape}. Try: x.reshape((len(x), -1))."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise NonFiniteError(
            "frechet_distance: the features hold NaN or infinity. Try: pictures of an earlier "
            "checkpoint."
        )
    shift = a.mean(axis=0) - b.mean(axis=0)
    covariance_a, covariance_b = covariance(a), covariance(b)
    product = square_root(covariance_a) @ square_root(covariance_b)
    overlap = np.linalg.svd(product, compute_uv=False).sum()
    distance = shift @ shift + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap
    return max(float(distance), 0.0)  # rounding may leave less than 0


def covariance(features: Array) -> Array:
    """The features' covariance matrix, with N - 1: (N, F) -> (F, F)."""
    centered = features - features.mean(axis=0)
    matrix: Array = centered.T @ centered / (len(features) - 1)
    return matrix


def square_root(matrix: Array) -> Array:
    """R with R @ R = matrix, which is symmetric and has no negative eigenvalue."""
    eigenvalues, eigenvectors = np.linalg.eigh(matrix)
    roots = np.sqrt(np.maximum(eigenvalues, 0))  # rounding may leave less than 0
    root: Array = (eigenvectors * roots) @ eigenvectors.T
    return root


def class_shares(classes: Array) -> Array:
    """The share of each class among the classes that pictures show: (N,) -> (10,)."""
    return np.bincount(classes, minlength=CLASSES) / len(classes)


def class_coverage(classes: Array) -> float:
    """The entropy of the classes' histogram, divided by log 10: 1 if all are equally frequent.

    >>> round(class_coverage(np.arange(10)), 6), class_coverage(np.zeros(10, int))
    (1.0, 0.0)
    """
    shares = class_shares(classes)
    shares = shares[shares > 0]
    return float(shares @ np.log(1 / shares)) / math.log(CLASSES)


def classes_present(classes: Array) -> int:
    """How many classes at least 1 % of the pictures show: fewer could be misread ones."""
    return int(np.count_nonzero(class_shares(classes) >= PRESENT))


def class_share(classes: Array, asked: Array) -> float:
    """The share of pictures that show the class that was asked for."""
    return float(np.mean(classes == asked))


# ── a score ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Measures:
    """What was measured of one set of pictures; None where there are no classes."""

    source: str
    count: int
    frechet_distance: float  # to real pictures
    class_coverage: float | None = None
    classes_present: int | None = None
    class_shares: list[float] | None = None
    class_share: float | None = None  # None, too, where no class was asked for


@dataclass(frozen=True)
class Score:
    """The measures of some pictures, and beside them those of real ones in their place."""

    pictures: Measures
    real: Measures
    real_pictures: int  # in all
    features: str  # what the Fréchet distances compare


def score(pictures: Pictures, real: TrainingData, seed: int, device: str) -> Score:
    """Measure pictures, and as a yardstick as many real ones, at most half of those there are.

    The Fréchet distance of the pictures is that to all real ones; the yardstick's is that to the
    real ones that remain. The seed draws which of them are in whose place.
    Errors: DeviceError, CheckpointError (the classifier's file is damaged).
    """
    channels = real.images.shape[3]
    network = load_digit_classifier() if real.labels is not None else RandomConvNet(channels)
    network.to(backend.resolve_device(device))
    features, classes = _look(network, pictures.parts, pictures.count, "pictures")
    real_features, real_classes = _look(
        network, in_parts(real.images), len(real.images), "real pictures"
    )
    order = stream(seed, "yardstick").permutation(len(real.images))
    count = min(pictures.count, len(order) // 2)
    held, others = order[:count], order[count:]
    return Score(
        _measures(pictures.source, features, real_features, classes, pictures.asked),
        _measures(
            real.source,
            real_features[held],
            real_features[others],
            None if real_classes is None else real_classes[held],
            None if real.labels is None else real.labels[held],
        ),
        len(real.images),
        network.description,
    )


def _look(
    network: DigitClassifier | RandomConvNet, parts: Iterable[Array], count: int, what: str
) -> tuple[Array, Array | None]:
    """Features of all pictures (count, 64) and, of digits, the classes they show (count,)."""
    from tqdm import tqdm

    device = network.parameters()[0].device
    features, classes = [], []
    with (
        no_grad(),
        tqdm(total=count, desc=what, unit="", delay=1, disable=None, dynamic_ncols=True) as bar,
    ):
        for part in parts:
            found = network.features(backend.to_device(to_unit_range(part), device))
            features.append(backend.to_host(found.data))
            if isinstance(network, DigitClassifier):
                classes.append(backend.to_host(network.scores(found).data).argmax(axis=1))
            bar.update(len(part))
    return np.concatenate(features), np.concatenate(classes) if classes else None


def _measures(
    source: str, features: Array, others: Array, classes: Array | None, asked: Array | None
) -> Measures:
    distance = frechet_distance(features, others)
    if classes is None:
        return Measures(source, len(features), distance)
    return Measures(
        source,
        len(features),
        distance,
        class_coverage(classes),
        classes_present(classes),
        class_shares(classes).tolist(),
        None if asked is None else class_share(classes, asked),
    )


def write_score(score: Score, path: Path) -> None:
    """Write a score as JSON.

    Errors: ConfigError if the file can't be written.
    """
    try:
        path.write_text(json.dumps(asdict(score), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"can't write {path}: {error.strerror}. Try: a copy in a folder you may write to."
        ) from None


# ── a table ──────────────────────────────────────────────────────────────────────────────────


def table(score: Score) -> str:
    """The score for people to read."""
    pictures, real = score.pictures, score.real
    rows = [
        _row("", "pictures", "real"),
        _row("Fréchet distance", f"{pictures.frechet_distance:.4g}", f"{real.frechet_distance:.4g}")
        + "  lower is better",
    ]
    if pictures.class_coverage is not None:
        rows += [
            _row("class coverage", f"{pictures.class_coverage:.3f}", f"{real.class_coverage:.3f}")
            + "  1: every digit equally often",
            _row("digits present", f"{pictures.classes_present}", f"{real.classes_present}")
            + f"  of {CLASSES}: those that {PRESENT:.0%} of the pictures show",
        ]
    if pictures.class_share is not None:
        rows.append(
            _row("asked-for digit", f"{pictures.class_share:.1%}", f"{real.class_share:.1%}")
            + "  of the pictures show it"
        )
    others = score.real_pictures - real.count
    return "\n".join(
        [
            f"{pictures.source}: {pictures.count:,} pictures, beside real ones ({real.source}).",
            "",
            *rows,
            "",
            f"The distance is that of {score.features}, to all {score.real_pictures:,} real "
            f"pictures.",
            f'"real" is what {real.count:,} real pictures get, compared with the other '
            f"{others:,}: about the best there is.",
            "Distances are comparable for the same number of pictures and the same real ones.",
        ]
    )


def _row(name: str, *columns: str) -> str:
    return f"{name:<16}" + "".join(f"{column:>10}" for column in columns)
