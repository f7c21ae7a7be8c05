"""Games: what each player minimises, as functions of the discriminator's logits.

Most are three functions of logits. A game may also look at D as a function, to penalise its
slopes, and may keep D's weights within bounds.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from minigan.autograd import Tensor
from minigan.autograd.ops import negative_log_likelihood, sigmoid
from minigan.constraints import ClipValue, Constraint
from minigan.errors import ConfigError
from minigan.losses import (
    fake_loss,
    generator_loss,
    gradient_penalty,
    hinge_loss,
    least_squares_loss,
    log_generator_loss,
    minimax_generator_loss,
    r1_penalty,
    real_loss,
    wasserstein_loss,
)

Loss: TypeAlias = Callable[[Any], Tensor]  # logits -> one number
Penalty: TypeAlias = Callable[[Callable[[Tensor], Tensor], Any, Any, Any], Tensor]


class Objective(NamedTuple):
    """A game.

    real        what D loses on the logits of real pictures
    fake        what D loses on the logits of fake pictures
    generator   what G loses on the logits of fake pictures
    penalty     added to D's loss, from (D as a function of pictures, real, fake, mix): pictures
                (N, ...), and for each one a number in [0, 1) that may mix real and fake,
                (N, 1, ...)
    constraint  applied to D's weights after each of its updates
    """

    real: Loss
    fake: Loss
    generator: Loss
    penalty: Penalty | None = None
    constraint: Constraint | None = None

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Tensor:
        """What D loses on both, without the penalty."""
        return self.real(real_logits) + self.fake(fake_logits)


OBJECTIVES = {
    # -log D(G(z)) for G, computed on logits
    "cross-entropy": Objective(real_loss, fake_loss, generator_loss),
    # the same, with D's loss averaged over the 2 N pictures at once: half of it
    "mean-cross-entropy": Objective(
        real=lambda logits: real_loss(logits) / 2,
        fake=lambda logits: fake_loss(logits) / 2,
        generator=generator_loss,
    ),
    # the same game through probabilities and log
    "log": Objective(
        real=lambda logits: negative_log_likelihood(sigmoid(logits)),
        fake=lambda logits: negative_log_likelihood(1.0 - sigmoid(logits)),
        generator=lambda logits: log_generator_loss(sigmoid(logits)),
    ),
    # the game as the paper first writes it: G minimises log(1 - D(G(z)))
    "minimax": Objective(real_loss, fake_loss, minimax_generator_loss),
    "least-squares": Objective(
        real=partial(least_squares_loss, target=1.0),
        fake=partial(least_squares_loss, target=0.0),
        generator=partial(least_squares_loss, target=1.0),
    ),
    "hinge": Objective(
        real=partial(hinge_loss, sign=1.0),
        fake=partial(hinge_loss, sign=-1.0),
        generator=partial(wasserstein_loss, sign=1.0),
    ),
    # a Wasserstein critic may not be steep: here its weights are kept small
    "wasserstein": Objective(
        real=partial(wasserstein_loss, sign=1.0),
        fake=partial(wasserstein_loss, sign=-1.0),
        generator=partial(wasserstein_loss, sign=1.0),
        constraint=ClipValue(0.01),
    ),
    # here its slopes are held near 1
    "wgan-gp": Objective(
        real=partial(wasserstein_loss, sign=1.0),
        fake=partial(wasserstein_loss, sign=-1.0),
        generator=partial(wasserstein_loss, sign=1.0),
        penalty=gradient_penalty,
    ),
}


def with_label_smoothing(objective: Objective, label: float = 0.9) -> Objective:
    """The game with `label` instead of 1 for real pictures, where D learns by cross-entropy.

    Errors: ConfigError for a label outside (0, 1] and for any other game.
    """
    if not 0 < label <= 1:
        raise ConfigError(
            f"label smoothing: the label of real pictures is {label}, but must be in (0, 1]. "
            f"Try: 0.9."
        )
    if objective.real is not real_loss:
        raise ConfigError(
            "label smoothing is for games in which the discriminator learns labels by "
            'cross-entropy. Try: OBJECTIVES["cross-entropy"] or OBJECTIVES["minimax"].'
        )
    return objective._replace(real=partial(real_loss, label=label))


def with_r1(objective: Objective, weight: float = 10.0) -> Objective:
    """The game with R1: D is penalised for its slopes at real pictures.

    Errors: ConfigError if the game has a penalty already.
    """
    if objective.penalty is not None:
        raise ConfigError(
            "R1: this game has a penalty on the discriminator's slopes already. "
            'Try: OBJECTIVES["cross-entropy"].'
        )
    return objective._replace(
        penalty=lambda discriminator, real, fake, mix: r1_penalty(discriminator, real, weight)
    )
