"""Every loss, every player's objective and every regularizer, from plain formulas."""

from typing import Any

import numpy as np

from minigan import backend
from minigan.autograd import Tensor
from minigan.autograd.engine import Value, array_of
from minigan.autograd.ops import tanh
from minigan.gan.objectives import OBJECTIVES
from minigan.losses import (
    discriminator_loss,
    fake_loss,
    generator_loss,
    gradient_penalty,
    hinge_loss,
    least_squares_loss,
    log_discriminator_loss,
    log_generator_loss,
    minimax_generator_loss,
    r1_penalty,
    real_loss,
    squared_slopes,
    wasserstein_loss,
)
from minigan.regularizers import L1, L2
from minigan.testing.specifications.operations import logistic, magnitude, rectified
from minigan.testing.specifications.specification import (
    HostArray,
    Specification,
    constant,
    nonzero,
    normal,
    probability,
)

# ── the formulas: p is the probability of "real" ─────────────────────────────────────────────


def mean(x: HostArray) -> Any:
    """The mean."""
    return x.sum() / x.size


def lost_by_discriminator(p_real: HostArray, p_fake: HostArray) -> Any:
    """-E log D(x) - E log(1 - D(G(z)))."""
    return -mean(np.log(p_real)) - mean(np.log(1 - p_fake))


def lost_by_generator(p_fake: HostArray) -> Any:
    """-E log D(G(z))."""
    return -mean(np.log(p_fake))


def lost_in_minimax(p_fake: HostArray) -> Any:
    """E log(1 - D(G(z)))."""
    return mean(np.log(1 - p_fake))


def discriminator_on_logits(real: HostArray, fake: HostArray) -> Any:
    """The discriminator's loss, from logits."""
    return lost_by_discriminator(logistic(real), logistic(fake))


def generator_on_logits(fake: HostArray) -> Any:
    """The generator's loss, from logits."""
    return lost_by_generator(logistic(fake))


def minimax_on_logits(fake: HostArray) -> Any:
    """The generator's loss in the game as written, from logits."""
    return lost_in_minimax(logistic(fake))


def real_on_logits(logits: HostArray, label: float = 1.0) -> Any:
    """The cross-entropy with a label that need not be 1."""
    p = logistic(logits)
    return -mean(label * np.log(p) + (1 - label) * np.log(1 - p))


def fake_on_logits(logits: HostArray) -> Any:
    """-E log(1 - D(G(z)))."""
    return -lost_in_minimax(logistic(logits))


def squared_distance(logits: HostArray, target: float) -> Any:
    """1/2 E (D - target)^2."""
    return mean((logits - target) ** 2) / 2


def hinge(logits: HostArray, sign: float) -> Any:
    """E max(0, 1 - sign D)."""
    return mean(rectified(1 - sign * logits))


def signed_mean(logits: HostArray, sign: float) -> Any:
    """-sign E D."""
    return -sign * mean(logits)


def parts(of_real: Any, of_fake: Any) -> Any:
    """A discriminator's loss: of real pictures, plus of fake ones."""
    return lambda real, fake: of_real(real) + of_fake(fake)


# ── penalties, as functions of the weights w of the discriminator tanh(x @ w) ────────────────

PICTURES = np.array([[0.5, -1.0, 0.25], [1.5, 0.5, -0.5]])
FAKES = np.array([[-0.5, 0.25, 1.0], [0.0, -1.5, 0.5]])
MIX = np.array([[0.25], [0.75]])


def placed(w: Value, *arrays: HostArray) -> list[Any]:
    """The arrays in the dtype and on the device of w."""
    device = backend.device_of(array_of(w))
    return [backend.to_device(x.astype(w.dtype), device) for x in arrays]


def slopes_by_weights(w: Value) -> Tensor:
    """The squared slopes at the pictures."""
    return squared_slopes(lambda x: tanh(x @ w), *placed(w, PICTURES))


def gradient_penalty_by_weights(w: Value, **keywords: Any) -> Tensor:
    """WGAN-GP's penalty."""
    return gradient_penalty(lambda x: tanh(x @ w), *placed(w, PICTURES, FAKES, MIX), **keywords)


def r1_by_weights(w: Value, **keywords: Any) -> Tensor:
    """R1."""
    return r1_penalty(lambda x: tanh(x @ w), *placed(w, PICTURES), **keywords)


def slopes_by_hand(w: HostArray, x: HostArray = PICTURES) -> Any:
    """|sum over j of (1 - tanh^2) w_j|^2."""
    return (((1 - np.tanh(x @ w) ** 2) @ w.T) ** 2).sum(axis=1)


def gradient_penalty_by_hand(w: HostArray, weight: float = 10.0) -> Any:
    """weight * E (slope - 1)^2 between the pictures."""
    slopes = slopes_by_hand(w, MIX * PICTURES + (1 - MIX) * FAKES)
    return weight * mean(((slopes + 1e-12) ** 0.5 - 1) ** 2)


def r1_by_hand(w: HostArray, weight: float = 10.0) -> Any:
    """weight / 2 * E slope^2 at the pictures."""
    return weight / 2 * mean(slopes_by_hand(w))


# ── regularizers as functions ────────────────────────────────────────────────────────────────


def l1(w: Value, **keywords: Any) -> Tensor:
    """The penalty of `L1`."""
    return L1(**keywords)(w)


def l2(w: Value, **keywords: Any) -> Tensor:
    """The penalty of `L2`."""
    return L2(**keywords)(w)


def sum_of_magnitudes(w: HostArray, scale: float = 0.01) -> Any:
    """scale * sum |w|."""
    return scale * magnitude(w).sum()


def sum_of_squares(w: HostArray, scale: float = 0.01) -> Any:
    """scale * sum w^2."""
    return scale * (w**2).sum()


# ── the table ────────────────────────────────────────────────────────────────────────────────

REAL, FAKE = normal(5, 1), normal(4, 1)  # logits, in batches of two sizes
P_REAL, P_FAKE = probability(5, 1), probability(5, 1)
BESIDE_KINKS = constant([[-2.5], [-0.5], [0.5], [1.5], [3.0]])  # those of the hinges: 1 and -1

GAMES = {  # a reference for real, fake and the generator
    "cross-entropy": (real_on_logits, fake_on_logits, generator_on_logits),
    "mean-cross-entropy": (
        lambda logits: real_on_logits(logits) / 2,
        lambda logits: fake_on_logits(logits) / 2,
        generator_on_logits,
    ),
    "log": (real_on_logits, fake_on_logits, generator_on_logits),
    "minimax": (real_on_logits, fake_on_logits, minimax_on_logits),
    "least-squares": (
        lambda logits: squared_distance(logits, 1),
        lambda logits: squared_distance(logits, 0),
        lambda logits: squared_distance(logits, 1),
    ),
    "hinge": (
        lambda logits: hinge(logits, 1),
        lambda logits: hinge(logits, -1),
        lambda logits: -mean(logits),
    ),
    "wasserstein": (lambda logits: -mean(logits), mean, lambda logits: -mean(logits)),
    "wgan-gp": (lambda logits: -mean(logits), mean, lambda logits: -mean(logits)),
}

SPECIFICATIONS = [
    Specification("discriminator_loss", discriminator_loss, discriminator_on_logits, (REAL, FAKE)),
    Specification("generator_loss", generator_loss, generator_on_logits, (FAKE,)),
    Specification("minimax_generator_loss", minimax_generator_loss, minimax_on_logits, (FAKE,)),
    Specification("log_discriminator_loss", log_discriminator_loss, lost_by_discriminator,
                  (P_REAL, P_FAKE)),
    Specification("log_generator_loss", log_generator_loss, lost_by_generator, (P_FAKE,)),
    Specification("real_loss", real_loss, real_on_logits, (REAL,)),
    Specification("real_loss", real_loss, real_on_logits, (REAL,), {"label": 0.9}),
    Specification("fake_loss", fake_loss, fake_on_logits, (FAKE,)),
    Specification("least_squares_loss", least_squares_loss, squared_distance, (REAL, 1.0)),
    Specification("hinge_loss", hinge_loss, hinge, (BESIDE_KINKS, 1.0)),
    Specification("hinge_loss", hinge_loss, hinge, (BESIDE_KINKS, -1.0)),
    Specification("wasserstein_loss", wasserstein_loss, signed_mean, (REAL, -1.0)),
    Specification("squared_slopes", slopes_by_weights, slopes_by_hand, (normal(3, 2),)),
    Specification("gradient_penalty", gradient_penalty_by_weights, gradient_penalty_by_hand,
                  (normal(3, 2),)),
    Specification("gradient_penalty", gradient_penalty_by_weights, gradient_penalty_by_hand,
                  (normal(3, 2),), {"weight": 2.0}),
    Specification("r1_penalty", r1_by_weights, r1_by_hand, (normal(3, 2),)),
    Specification("r1_penalty", r1_by_weights, r1_by_hand, (normal(3, 2),), {"weight": 2.0}),
    *(Specification(f"{name} D", OBJECTIVES[name].discriminator, parts(of_real, of_fake),
                    (BESIDE_KINKS, BESIDE_KINKS) if name == "hinge" else (REAL, FAKE))
      for name, (of_real, of_fake, _) in GAMES.items()),
    *(Specification(f"{name} G", OBJECTIVES[name].generator, of_generator, (FAKE,))
      for name, (_, _, of_generator) in GAMES.items()),
    Specification("L1", l1, sum_of_magnitudes, (nonzero(2, 3),)),
    Specification("L1", l1, sum_of_magnitudes, (nonzero(2, 3),), {"scale": 0.5}),
    Specification("L2", l2, sum_of_squares, (normal(2, 3),)),
    Specification("L2", l2, sum_of_squares, (normal(2, 3),), {"scale": 0.5}),
]  # fmt: skip
