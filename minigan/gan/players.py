"""Two-player training: whose gradient sees which weights.

alternating     D moves on (x, z); then G moves on fresh noise, through the D that has moved
simultaneous    both gradients are taken from the weights before the step, then both move
d-once-g-twice  D moves on (x, z); then G moves twice, on the same z

Batch norm's moving averages move when a network runs in training mode, whatever the pass is for.
So each step also says which of its passes count, and how often: see `moving`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from minigan import backend
from minigan.autograd import Tensor, no_grad, stop_gradient
from minigan.autograd.engine import array_of
from minigan.autograd.ops import concatenate
from minigan.errors import ShapeError
from minigan.gan.averaging import AveragedNetwork
from minigan.gan.models import GAN, given
from minigan.gan.objectives import Objective
from minigan.kernels.threads import team
from minigan.layers import BatchNorm, Conv2D, Module
from minigan.optimizers import Optimizer
from minigan.random import stream


@dataclass(frozen=True)
class Losses:
    """What a step cost: `d_loss, g_loss = players.alternating_step(...)`."""

    d_loss: float  # the two parts below, and the game's penalty
    g_loss: float
    d_loss_real: float  # the part of real pictures
    d_loss_fake: float  # the part of fake pictures

    def __iter__(self) -> Iterator[float]:
        return iter((self.d_loss, self.g_loss))


Step = TypeVar("Step", bound=Callable[..., Any])


def in_one_team(step: Step) -> Step:
    """The step with one team of threads for all kernels in it (kernels/threads.py)."""

    @wraps(step)
    def run(players: "Players", *inputs: Any, **keywords: Any) -> Any:
        with players.team():
            return step(players, *inputs, **keywords)

    return run  # type: ignore[return-value]


@dataclass
class Players:
    """The networks, what each one minimises, and how each one moves.

    Losses of the first two steps are those before the player's own update.
    Shapes: real (N, pixels) or (N, H, W, C), noise (N, latent_size), labels (N, classes), one-hot.
    """

    gan: GAN
    objective: Objective
    d_optimizer: Optimizer
    g_optimizer: Optimizer
    seed: int = 0  # of the two random things below
    instance_noise: float = 0.0  # standard deviation of the noise on every picture D learns from
    g_average: AveragedNetwork | None = None  # follows the generator's weights

    def __post_init__(self) -> None:
        self.d_variables = self.gan.discriminator.parameters()
        self.g_variables = self.gan.generator.parameters()
        self.d_norms = batch_norms(self.gan.discriminator)
        self.g_norms = batch_norms(self.gan.generator)
        modules = [module for _, module in self.gan.named_modules()]
        convolutional = any(isinstance(module, Conv2D) for module in modules)
        self.team = team if convolutional else nullcontext  # dense layers are BLAS's own
        if self.objective.constraint is not None:
            for variable in self.d_variables:
                variable.constraint = self.objective.constraint  # type: ignore[attr-defined]
        self.d_optimizer.create_slots(self.d_variables)
        self.g_optimizer.create_slots(self.g_variables)

    # the three steps

    def alternating_step(self, real: Any, d_noise: Any, g_noise: Any, labels: Any = None) -> Losses:
        """D's update, then G's: two `sess.run` calls."""
        d_loss, d_loss_real, d_loss_fake = self.d_step(real, d_noise, labels)
        g_loss = self.g_step(g_noise, labels)
        return Losses(d_loss, g_loss, d_loss_real, d_loss_fake)

    @in_one_team
    def simultaneous_step(self, real: Any, noise: Any, labels: Any = None) -> Losses:
        """Both gradients, then both updates: one `sess.run` of both train ops."""
        fake = self._generate(noise, labels)
        real_logits = self._judge(self._blurred(real, "real"), labels)
        fake_logits = self._judge(self._blurred(fake, "fake"), labels)
        d_losses = self._d_losses(real_logits, fake_logits, real, fake, labels)
        g_loss = self.objective.generator(fake_logits)

        d_gradients = self.d_optimizer.compute_gradients(
            d_losses[0], self.d_variables, retain_graph=True
        )  # g_loss walks back through the same D(G(z))
        g_gradients = self.g_optimizer.compute_gradients(g_loss, self.g_variables)
        move_d = self.d_optimizer.prepare_update(d_gradients)
        move_g = self.g_optimizer.prepare_update(g_gradients)  # neither moves if one can't
        move_d()
        move_g()
        self._follow_g()
        d_loss, d_loss_real, d_loss_fake = map(float, d_losses)
        return Losses(d_loss, float(g_loss), d_loss_real, d_loss_fake)

    @in_one_team
    def d_once_g_twice_step(self, real: Any, noise: Any, labels: Any = None) -> Losses:
        """D's update, two of G's, and the losses after all three: carpedm20's DCGAN.

        Every pass of its six `sess.run` calls moves the moving averages, also of the last three,
        which only ask for a loss to print: G's move 5 times a step, D's 7 times.
        """
        with moving(self.g_norms, 2):  # one pass for D's run and G's first: G is the same
            fake = self._generate(noise, labels)
        self._update_d(real, stop_gradient(fake), labels)
        self._update_g(fake, labels)
        self._update_g(self._generate(noise, labels), labels)

        with no_grad():
            with moving(self.g_norms, 2):
                fake = self._generate(noise, labels)  # errD_fake and errG
            fake_logits = self._judge(fake, labels)  # errD_fake
            real_logits = self._judge(real, labels)  # errD_real
            if self.d_norms:
                self._judge(fake, labels)  # errG: the same logits, but D's averages move again
            return self._as_they_stand(real_logits, fake_logits)

    # one player at a time

    @in_one_team
    def d_step(self, real: Any, noise: Any, labels: Any = None) -> tuple[float, float, float]:
        """D's update alone; returns d_loss and its real and fake part, before the update.

        D's moving averages move and G's do not, as in the tf.layers tutorial, where a train op
        waits for the UPDATE_OPS of its own network. Its graph holds D three times, on real, on
        fake, and once more on fake for G's loss: so D's averages see the fake pictures twice.
        """
        with no_grad(), moving(self.g_norms, 0):  # D's step needs no gradient of G
            fake = self._generate(noise, labels)
        return self._update_d(real, fake, labels, times_of_fake=2)

    @in_one_team
    def g_step(self, noise: Any, labels: Any = None) -> float:
        """G's update alone; returns g_loss before it. G's moving averages move, D's do not."""
        fake = self._generate(noise, labels)
        with moving(self.d_norms, 0):
            return self._update_g(fake, labels)

    def losses(self, real: Any, noise: Any, labels: Any = None) -> Losses:
        """Both losses as they stand, without a penalty: for summaries. No average moves."""
        with no_grad():
            return self._as_they_stand(*self.logits(real, noise, labels))

    @in_one_team
    def logits(self, real: Any, noise: Any, labels: Any = None) -> tuple[Tensor, Tensor]:
        """D's logits of real and of generated pictures as they stand. No average moves."""
        with moving(self.d_norms + self.g_norms, 0):
            fake_logits = self._judge(self._generate(noise, labels), labels)
            return self._judge(real, labels), fake_logits

    # what they are made of

    def _update_d(
        self, real: Any, fake: Any, labels: Any, times_of_fake: int = 1
    ) -> tuple[float, float, float]:
        logits = self._judge_both(
            self._blurred(real, "real"), self._blurred(fake, "fake"), labels, times_of_fake
        )
        d_loss, d_loss_real, d_loss_fake = self._d_losses(*logits, real, fake, labels)
        self.d_optimizer.minimize(d_loss, self.d_variables)
        return float(d_loss), float(d_loss_real), float(d_loss_fake)

    def _update_g(self, fake: Tensor, labels: Any) -> float:
        logits = self._judge(self._blurred(fake, "generator"), labels)
        g_loss = self.objective.generator(logits)
        self.g_optimizer.minimize(g_loss, self.g_variables)
        self._follow_g()
        return float(g_loss)

    def _d_losses(
        self, real_logits: Tensor, fake_logits: Tensor, real: Any, fake: Any, labels: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """d_loss, and the parts of it that real and fake pictures make."""
        d_loss_real = self.objective.real(real_logits)
        d_loss_fake = self.objective.fake(fake_logits)
        d_loss = d_loss_real + d_loss_fake
        if self.objective.penalty is not None:
            d_loss = d_loss + self._penalty(real, fake, labels)
        return d_loss, d_loss_real, d_loss_fake

    def _penalty(self, real: Any, fake: Any, labels: Any) -> Tensor:
        shape = (len(real), *[1] * (real.ndim - 1))
        mix = stream(self.seed, "penalty", self.d_optimizer.steps).random(shape)
        with moving(self.d_norms, 0):
            return self.objective.penalty(  # type: ignore[misc]
                lambda pictures: self._judge(pictures, labels), real, fake, _like(real, mix)
            )

    def _as_they_stand(self, real_logits: Tensor, fake_logits: Tensor) -> Losses:
        d_loss_real = float(self.objective.real(real_logits))
        d_loss_fake = float(self.objective.fake(fake_logits))
        g_loss = float(self.objective.generator(fake_logits))
        return Losses(d_loss_real + d_loss_fake, g_loss, d_loss_real, d_loss_fake)

    def _generate(self, noise: Any, labels: Any) -> Tensor:
        return self.gan.generator(*given(noise, labels))

    def _judge(self, pictures: Any, labels: Any) -> Tensor:
        return self.gan.discriminator(*given(pictures, labels))

    def _judge_both(
        self, real: Any, fake: Any, labels: Any, times_of_fake: int
    ) -> tuple[Tensor, Tensor]:
        """D's logits for real and fake pictures, in one pass: one product of 2 N rows beats two.

        Batch norm still normalises each by its own statistics, and remembers those of real ones
        first.
        """
        if len(real) != len(fake) and any(norm.training for norm in self.d_norms):
            raise ShapeError(
                f"there are {len(real)} real pictures and {len(fake)} fake ones, but a "
                f"discriminator with batch norm judges as many of each. Try: noise of "
                f"{len(real)} rows."
            )
        both = None if labels is None else concatenate([labels, labels])
        with moving(self.d_norms, 1, times_of_fake):
            logits = self._judge(concatenate([real, fake]), both)  # (2 N, 1)
        return logits[: len(real)], logits[len(real) :]

    def _blurred(self, pictures: Any, purpose: str) -> Any:
        """Pictures with instance noise: real and fake ones then overlap, and D cannot be sure.

        Source: Sønderby et al. 2017, "Amortised MAP inference for image super-resolution".
        """
        if not self.instance_noise:
            return pictures
        step = (self.g_optimizer if purpose == "generator" else self.d_optimizer).steps
        noise = stream(self.seed, f"instance-noise.{purpose}", step).normal(size=pictures.shape)
        return pictures + _like(pictures, self.instance_noise * noise)

    def _follow_g(self) -> None:
        if self.g_average is not None:
            self.g_average.follow(self.gan.generator)

    # state

    @property
    def _parts(self) -> dict[str, Any]:
        parts = {
            "gan": self.gan, "d_optimizer": self.d_optimizer, "g_optimizer": self.g_optimizer,
        }  # fmt: skip
        return parts if self.g_average is None else {**parts, "g_average": self.g_average}

    def state(self) -> dict[str, Any]:
        """All a checkpoint needs: the networks and both optimizers, as host arrays by name."""
        return {
            f"{part}/{name}": array
            for part, holder in self._parts.items()
            for name, array in holder.state().items()
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        for part, holder in self._parts.items():
            holder.load_state(entries_under(f"{part}/", state))


def entries_under(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    """The entries whose names begin with the prefix, without it."""
    return {k.removeprefix(prefix): a for k, a in state.items() if k.startswith(prefix)}


def batch_norms(network: Module) -> list[BatchNorm]:
    """The batch norms of a network."""
    return [module for _, module in network.named_modules() if isinstance(module, BatchNorm)]


@contextmanager
def moving(norms: Sequence[BatchNorm], *times: int) -> Iterator[None]:
    """Inside, a training pass moves these moving averages `times` times; 0 holds them.

    Two numbers are for two batches in one pass.
    """
    for norm in norms:
        norm.moves = times
    try:
        yield
    finally:
        for norm in norms:
            norm.moves = (1,)


def _like(x: Any, numbers: Any) -> Any:
    """Numbers drawn on the host, in the dtype and on the device of x."""
    return backend.to_device(numbers.astype(x.dtype), backend.device_of(array_of(x)))
