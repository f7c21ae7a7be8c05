"""Two-player training: whose gradient sees which weights.

alternating    D moves on (x, z); then G moves on fresh noise, through the D that has moved
simultaneous   both gradients are taken from the weights before the step, then both move
"""

from dataclasses import dataclass
from typing import Any

from minigan.autograd import Tensor, no_grad
from minigan.autograd.ops import concatenate
from minigan.gan.models import GAN
from minigan.gan.objectives import Objective
from minigan.optimizers import Optimizer


@dataclass
class Players:
    """The networks, what each one minimises, and how each one moves.

    Both steps return (d_loss, g_loss), each before its own player's update.
    Shapes: real (N, pixels), z (N, latent_size).
    """

    gan: GAN
    objective: Objective
    d_optimizer: Optimizer
    g_optimizer: Optimizer

    def __post_init__(self) -> None:
        self.d_variables = self.gan.discriminator.parameters()
        self.g_variables = self.gan.generator.parameters()
        self.d_optimizer.create_slots(self.d_variables)
        self.g_optimizer.create_slots(self.g_variables)

    def alternating_step(self, real: Any, d_noise: Any, g_noise: Any) -> tuple[float, float]:
        """D's update, then G's: two `sess.run` calls."""
        generator, discriminator = self.gan.generator, self.gan.discriminator

        with no_grad():  # D's step needs no gradient of G
            fake = generator(d_noise)
        d_loss = self.objective.discriminator(*self._judge(real, fake))
        self.d_optimizer.minimize(d_loss, self.d_variables)

        g_loss = self.objective.generator(discriminator(generator(g_noise)))
        self.g_optimizer.minimize(g_loss, self.g_variables)
        return d_loss.item(), g_loss.item()

    def simultaneous_step(self, real: Any, noise: Any) -> tuple[float, float]:
        """Both gradients, then both updates: one `sess.run` of both train ops."""
        generator, discriminator = self.gan.generator, self.gan.discriminator

        fake_logits = discriminator(generator(noise))
        d_loss = self.objective.discriminator(discriminator(real), fake_logits)
        g_loss = self.objective.generator(fake_logits)

        d_gradients = self.d_optimizer.compute_gradients(
            d_loss, self.d_variables, retain_graph=True
        )  # g_loss walks back through the same D(G(z))
        g_gradients = self.g_optimizer.compute_gradients(g_loss, self.g_variables)
        move_d = self.d_optimizer.prepare_update(d_gradients)
        move_g = self.g_optimizer.prepare_update(g_gradients)  # neither moves if one can't
        move_d()
        move_g()
        return d_loss.item(), g_loss.item()

    def _judge(self, real: Any, fake: Any) -> tuple[Tensor, Tensor]:
        """D's logits for real and fake in one pass: one product of 2 N rows beats two of N."""
        logits = self.gan.discriminator(concatenate([real, fake]))  # (2 N, 1)
        return logits[: len(real)], logits[len(real) :]

    def losses(self, real: Any, noise: Any) -> tuple[float, float]:
        """Both losses as they stand, without an update: for summaries."""
        with no_grad():
            fake_logits = self.gan.discriminator(self.gan.generator(noise))
            d_loss = self.objective.discriminator(self.gan.discriminator(real), fake_logits)
            return d_loss.item(), self.objective.generator(fake_logits).item()

    def state(self) -> dict[str, Any]:
        """All a checkpoint needs: both networks and both optimizers, as host arrays by name."""
        return {
            f"{part}/{name}": array
            for part in ("gan", "d_optimizer", "g_optimizer")
            for name, array in getattr(self, part).state().items()
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        for part in ("gan", "d_optimizer", "g_optimizer"):
            getattr(self, part).load_state(entries_under(f"{part}/", state))


def entries_under(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    """The entries whose names begin with the prefix, without it."""
    return {k.removeprefix(prefix): a for k, a in state.items() if k.startswith(prefix)}
