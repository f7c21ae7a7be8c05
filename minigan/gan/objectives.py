"""What each player minimises, as functions of the discriminator's logits."""

from collections.abc import Callable
from typing import Any, NamedTuple

from minigan.autograd import Tensor
from minigan.autograd.ops import sigmoid
from minigan.losses import (
    discriminator_loss,
    generator_loss,
    log_discriminator_loss,
    log_generator_loss,
    minimax_generator_loss,
)


class Objective(NamedTuple):
    """The two losses of a game."""

    discriminator: Callable[[Any, Any], Tensor]  # (real logits, fake logits) -> one number
    generator: Callable[[Any], Tensor]  # fake logits -> one number


OBJECTIVES = {
    # -log D(G(z)) for G, computed on logits
    "cross-entropy": Objective(discriminator_loss, generator_loss),
    # the same game through probabilities and log
    "log": Objective(
        lambda real, fake: log_discriminator_loss(sigmoid(real), sigmoid(fake)),
        lambda fake: log_generator_loss(sigmoid(fake)),
    ),
    # the game as the paper first writes it: G minimises log(1 - D(G(z)))
    "minimax": Objective(discriminator_loss, minimax_generator_loss),
}
