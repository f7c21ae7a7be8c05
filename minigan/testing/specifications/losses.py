"""Every loss, every player's objective and every regularizer, from plain formulas."""

from typing import Any

import numpy as np

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.gan.objectives import OBJECTIVES
from minigan.losses import (
    discriminator_loss,
    generator_loss,
    log_discriminator_loss,
    log_generator_loss,
    minimax_generator_loss,
)
from minigan.regularizers import L1, L2
from minigan.testing.specifications.operations import logistic, magnitude
from minigan.testing.specifications.specification import (
    HostArray,
    Specification,
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
CROSS_ENTROPY, LOG, MINIMAX = (OBJECTIVES[name] for name in ("cross-entropy", "log", "minimax"))

SPECIFICATIONS = [
    Specification("discriminator_loss", discriminator_loss, discriminator_on_logits, (REAL, FAKE)),
    Specification("generator_loss", generator_loss, generator_on_logits, (FAKE,)),
    Specification("minimax_generator_loss", minimax_generator_loss, minimax_on_logits, (FAKE,)),
    Specification("log_discriminator_loss", log_discriminator_loss, lost_by_discriminator,
                  (P_REAL, P_FAKE)),
    Specification("log_generator_loss", log_generator_loss, lost_by_generator, (P_FAKE,)),
    Specification("cross-entropy D", CROSS_ENTROPY.discriminator, discriminator_on_logits,
                  (REAL, FAKE)),
    Specification("cross-entropy G", CROSS_ENTROPY.generator, generator_on_logits, (FAKE,)),
    Specification("log D", LOG.discriminator, discriminator_on_logits, (FAKE, FAKE)),
    Specification("log G", LOG.generator, generator_on_logits, (FAKE,)),
    Specification("minimax D", MINIMAX.discriminator, discriminator_on_logits, (REAL, FAKE)),
    Specification("minimax G", MINIMAX.generator, minimax_on_logits, (FAKE,)),
    Specification("L1", l1, sum_of_magnitudes, (nonzero(2, 3),)),
    Specification("L1", l1, sum_of_magnitudes, (nonzero(2, 3),), {"scale": 0.5}),
    Specification("L2", l2, sum_of_squares, (normal(2, 3),)),
    Specification("L2", l2, sum_of_squares, (normal(2, 3),), {"scale": 0.5}),
]  # fmt: skip
