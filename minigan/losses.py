"""The losses of the GAN tutorials, on logits and on probabilities; each is one number.

V(D, G) = E log D(x) + E log(1 - D(G(z))) is the game: D climbs it, G descends it.
Source: Goodfellow et al. 2014, "Generative adversarial nets".
"""

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.autograd.ops import log, mean, sigmoid_cross_entropy_with_logits, softplus


def discriminator_loss(real_logits: Value, fake_logits: Value) -> Tensor:
    """-V on logits: cross-entropy of real with label 1, plus of fake with label 0."""
    return mean(sigmoid_cross_entropy_with_logits(1.0, real_logits)) + mean(
        sigmoid_cross_entropy_with_logits(0.0, fake_logits)
    )


def generator_loss(fake_logits: Value) -> Tensor:
    """-E log D(G(z)) on logits, the non-saturating objective: fake with label 1."""
    return mean(sigmoid_cross_entropy_with_logits(1.0, fake_logits))


def minimax_generator_loss(fake_logits: Value) -> Tensor:
    """E log(1 - D(G(z))) on logits: the game as written; saturates while D is sure of itself."""
    return -mean(softplus(fake_logits))  # log(1 - sigmoid(l)) = -softplus(l)


def log_discriminator_loss(real: Value, fake: Value) -> Tensor:
    """-V on probabilities: -mean(log D(x) + log(1 - D(G(z)))).

    Not clamped, as in the tutorials: infinite once D(G(z)) rounds to 1.
    """
    return -mean(log(real) + log(1.0 - fake))


def log_generator_loss(fake: Value) -> Tensor:
    """-mean(log D(G(z))) on probabilities, the non-saturating objective."""
    return -mean(log(fake))
