"""The losses of the GAN tutorials and of the games that came after; each is one number.

V(D, G) = E log D(x) + E log(1 - D(G(z))) is the first game: D climbs it, G descends it.
Logits are what D says before any sigmoid. The real and the fake pictures' part of D's loss are
functions of their own; `minigan.gan.objectives` puts a game together.
Source: Goodfellow et al. 2014, "Generative adversarial nets".
"""

from collections.abc import Callable

from minigan.autograd import Tensor, grad
from minigan.autograd.engine import Value, array_of
from minigan.autograd.ops import (
    log,
    mean,
    mean_sigmoid_cross_entropy,
    negative_log_likelihood,
    relu,
    softplus,
    sqrt,
    square,
    sum,
)
from minigan.errors import GraphError

# ── the first game, on logits ────────────────────────────────────────────────────────────────


def real_loss(logits: Value, label: float = 1.0) -> Tensor:
    """-E log D(x): the cross-entropy of D's logits for real pictures with label 1.

    A label of 0.9 is one-sided smoothing: D is no longer asked to be sure.
    Source: Salimans et al. 2016, "Improved techniques for training GANs", section 3.4.
    """
    return mean_sigmoid_cross_entropy(label, logits)


def fake_loss(logits: Value) -> Tensor:
    """-E log(1 - D(G(z))): the cross-entropy of D's logits for fake pictures with label 0."""
    return mean_sigmoid_cross_entropy(0.0, logits)


def discriminator_loss(real_logits: Value, fake_logits: Value) -> Tensor:
    """-V: cross-entropy of real with label 1, plus of fake with label 0."""
    return real_loss(real_logits) + fake_loss(fake_logits)


def generator_loss(fake_logits: Value) -> Tensor:
    """-E log D(G(z)), the non-saturating objective: fake with label 1."""
    return mean_sigmoid_cross_entropy(1.0, fake_logits)


def minimax_generator_loss(fake_logits: Value) -> Tensor:
    """E log(1 - D(G(z))): the game as written; saturates while D is sure of itself."""
    return -mean(softplus(fake_logits))  # log(1 - sigmoid(l)) = -softplus(l)


# ── the first game, on probabilities ─────────────────────────────────────────────────────────


def log_discriminator_loss(real: Value, fake: Value) -> Tensor:
    """-V on probabilities: -mean(log D(x) + log(1 - D(G(z)))).

    Not clamped, as in the tutorials: infinite once D(G(z)) rounds to 1.
    """
    return -mean(log(real) + log(1.0 - fake))


def log_generator_loss(fake: Value) -> Tensor:
    """-mean(log D(G(z))) on probabilities, the non-saturating objective."""
    return negative_log_likelihood(fake)


# ── other games ──────────────────────────────────────────────────────────────────────────────


def least_squares_loss(logits: Value, target: float) -> Tensor:
    """1/2 E (D - target)^2: D's targets are 1 for real and 0 for fake, G's is 1.

    Source: Mao et al. 2017, "Least squares generative adversarial networks", equation 9.
    """
    return mean(square(logits - target)) / 2


def hinge_loss(logits: Value, sign: float) -> Tensor:
    """E max(0, 1 - sign D): D's loss, with sign 1 for real and -1 for fake. Beyond 1, D rests.

    Source: Lim & Ye 2017, "Geometric GAN"; Miyato et al. 2018, equation 16.
    """
    return mean(relu(1.0 - sign * logits))


def wasserstein_loss(logits: Value, sign: float) -> Tensor:
    """-sign E D: D's loss, with sign 1 for real and -1 for fake; G's, with sign 1.

    The two of D add up to -(E D(x) - E D(G(z))), minus the earth mover's distance if no slope of
    D is steeper than 1, which is for weight clipping or a gradient penalty to see to.
    Source: Arjovsky et al. 2017, "Wasserstein GAN".
    """
    return -sign * mean(logits)


# ── penalties on D's slopes ──────────────────────────────────────────────────────────────────


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Value,
    fake: Value,
    mix: Value,
    weight: float = 10.0,
) -> Tensor:
    """weight * E (|dD/dx| - 1)^2, at x = mix real + (1 - mix) fake, between real and fake.

    The gradient's own gradient trains D: the double backward. It takes D at its word that one
    picture's logit depends on this picture alone: no batch norm in D.
    Shapes: real, fake (N, ...); mix, uniform in [0, 1), (N, 1, ...) with as many axes.
    Errors: GraphError (under no_grad).
    Source: Gulrajani et al. 2017, "Improved training of Wasserstein GANs", algorithm 1.
    """
    real, fake = array_of(real), array_of(fake)
    slopes = squared_slopes(discriminator, mix * real + (1 - mix) * fake)
    return weight * mean(square(sqrt(slopes + 1e-12) - 1.0))  # sqrt has no slope at 0


def r1_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Value, weight: float = 10.0
) -> Tensor:
    """weight / 2 * E |dD/dx|^2 at real pictures: where they are, D is to be flat.

    Errors: GraphError (under no_grad).
    Source: Mescheder et al. 2018, "Which training methods for GANs do actually converge?".
    """
    return weight / 2 * mean(squared_slopes(discriminator, real))


def squared_slopes(discriminator: Callable[[Tensor], Tensor], pictures: Value) -> Tensor:
    """|dD/dx|^2 of each picture, itself differentiable: (N, ...) -> (N,).

    Errors: GraphError (D's logits were not recorded, or do not depend on its argument).
    """
    x = Tensor(array_of(pictures), requires_grad=True)
    (gradient,) = grad(sum(discriminator(x)), x, create_graph=True)
    if gradient is None:
        raise GraphError(
            "a penalty on D's slopes needs the graph from the pictures to D's logits, but none was "
            "recorded. Try: call it outside no_grad(), with a D that uses the pictures it is given."
        )
    return sum(square(gradient), axis=tuple(range(1, x.ndim)))
