"""A training run: the loop, what it writes on the way, and how it stops and resumes.

Batches, noise and initial weights are functions of (seed, purpose, step), so a run that is
stopped and resumed computes what an uninterrupted one would have, bit for bit.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from minigan import backend
from minigan.autograd import Tensor
from minigan.autograd.graph import nodes_of
from minigan.data import Batches, Dataset, load_digits, load_mnist
from minigan.errors import NonFiniteError
from minigan.gan.config import TrainConfig
from minigan.gan.models import mlp_gan
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.players import Losses, Players
from minigan.gan.run_folder import RunFolder, write_metrics
from minigan.gan.sampling import generate, latent_noise, picture
from minigan.optimizers import Adam

if TYPE_CHECKING:
    from minigan.summaries import SummaryWriter

BAR_EVERY = 50  # steps between new losses in the progress bar
VALIDATION_SIZE = 5000  # the tutorials' reader keeps the first 5,000 training digits back


def load_data(name: str) -> Dataset:
    """The embedded digits for "digits", else the MNIST files in the folder called `name`."""
    return load_digits() if name == "digits" else load_mnist(name, "train", VALIDATION_SIZE)


def make_players(config: TrainConfig) -> Players:
    """The two networks with their initial weights, and their optimizers."""
    gan = mlp_gan(config.hidden, config.latent_size, seed=config.seed)
    gan.to(backend.resolve_device(config.device))
    return Players(
        gan, OBJECTIVES[config.objective], Adam(config.learning_rate), Adam(config.learning_rate)
    )


class TrainingRun:
    """One run in its folder: `TrainingRun(config, folder).train()`."""

    def __init__(
        self, config: TrainConfig, folder: RunFolder, say: Callable[[str], None] = print
    ) -> None:
        self.config = config
        self.folder = folder
        self.say = say
        self.device = backend.resolve_device(config.device)
        self.batches = Batches(load_data(config.data).images, config.batch_size, config.seed)
        self.players = make_players(config)
        pictures = config.sample_columns**2
        self.sample_noise = latent_noise(config.seed, "samples", 0, (pictures, config.latent_size))
        self.step = 0  # steps taken

    def resume(self) -> None:
        """Go on from the newest good checkpoint, if there is one."""
        from minigan.checkpoint import latest_checkpoint

        checkpoint = latest_checkpoint(self.folder.checkpoints)
        if checkpoint is None:
            self.say("No checkpoint yet: starting at step 0 (normal).")
            return
        for reason in checkpoint.skipped:
            self.say(f"Skipped a damaged checkpoint: {reason}.")
        arrays = dict(checkpoint.arrays)
        self.sample_noise = arrays.pop("sample_noise")
        self.players.load_state(arrays)
        self.step = checkpoint.step

    def train(self, progress: bool = True) -> bool:
        """Train up to config.steps; True when they are done, False when Ctrl-C stopped it.

        Errors: NonFiniteError (the message names the step and where the checkpoints are).
        """
        from tqdm import tqdm

        from minigan.summaries import SummaryWriter

        with (
            self.folder.open_metrics(after_step=self.step) as metrics,
            SummaryWriter(self.folder.tensorboard, purge_step=self.step + 1) as summaries,
            tqdm(
                total=self.config.steps, initial=self.step, unit="step",
                disable=None if progress else True, dynamic_ncols=True,
            ) as bar,
            _ctrl_c_noted() as stop_wanted,
        ):  # fmt: skip
            while self.step < self.config.steps and not stop_wanted():
                if self.step == 0:
                    self._write_graph(summaries)
                if self.step % self.config.sample_every == 0:
                    self._write_picture(summaries)
                d_loss, g_loss = self._take_step()
                self._log(d_loss, g_loss, metrics, summaries)
                if line := report(self.config, self.step, d_loss, g_loss):
                    bar.write(line)
                if self.step % BAR_EVERY == 0:
                    bar.set_postfix_str(f"D {d_loss:.3f}, G {g_loss:.3f}", refresh=False)
                bar.update()
                if self.step % self.config.checkpoint_every == 0:
                    self._save()
            self._write_picture(summaries)
        self._save()
        self._write_curves_and_animation()
        return self.step >= self.config.steps

    def _take_step(self) -> Losses:
        real = self._on_device(self.batches.at(self.step))
        d_noise = self._noise("discriminator")
        try:
            if self.config.order == "simultaneous":
                losses = self.players.simultaneous_step(real, d_noise)
            else:
                losses = self.players.alternating_step(real, d_noise, self._noise("generator"))
        except NonFiniteError as error:
            raise NonFiniteError(
                f"step {self.step + 1}: {error} Checkpoints, if any, are in "
                f"{self.folder.checkpoints}."
            ) from error
        self.step += 1
        return losses

    def _noise(self, player: str) -> Any:
        shape = (self.config.batch_size, self.config.latent_size)
        return self._on_device(latent_noise(self.config.seed, f"noise.{player}", self.step, shape))

    def _on_device(self, array: Any) -> Any:
        return backend.to_device(array, self.device)

    # what it writes

    def _log(self, d_loss: float, g_loss: float, metrics: Any, summaries: SummaryWriter) -> None:
        if self.step % self.config.log_every == 0 or self.step == 1:
            write_metrics(metrics, {"step": self.step, "d_loss": d_loss, "g_loss": g_loss})
            summaries.scalar("D_loss", d_loss, self.step)
            summaries.scalar("G_loss", g_loss, self.step)
        if self.step % self.config.histogram_every == 0:
            for name, parameter in self.players.gan.named_parameters():
                summaries.histogram(name, parameter.numpy(), self.step)

    def _write_picture(self, summaries: SummaryWriter) -> None:
        """The grid of samples before the step to come; NNN counts them."""
        from minigan.plotting import save_png

        images = generate(self.players.gan, self._on_device(self.sample_noise))
        grid = picture(images, self.config.sample_columns, self.config.sample_inverted)
        number = math.ceil(self.step / self.config.sample_every)  # the next one, between two
        save_png(grid, self.folder.sample_path(number), scale=2)
        summaries.image_grid("samples", grid, self.step)

    def _write_graph(self, summaries: SummaryWriter) -> None:
        """The graph of both losses, for TensorBoard."""
        gan, objective = self.players.gan, self.players.objective
        real = Tensor(self._on_device(self.batches.at(0)), name="real")
        fake_logits = gan.discriminator(gan.generator(Tensor(self._noise("graph"), name="noise")))
        d_loss = objective.discriminator(gan.discriminator(real), fake_logits)
        summaries.graph(nodes_of([d_loss, objective.generator(fake_logits)]))

    def _save(self) -> None:
        from minigan.checkpoint import save_checkpoint

        arrays = {**self.players.state(), "sample_noise": self.sample_noise}
        save_checkpoint(
            self.folder.checkpoints, self.step, arrays, {"config": self.config.as_dict()}
        )

    def _write_curves_and_animation(self) -> None:
        from minigan.plotting import read_png, save_gif, save_losses

        lines = self.folder.read_metrics()
        curves = {
            "discriminator": [line["d_loss"] for line in lines],
            "generator": [line["g_loss"] for line in lines],
        }
        steps = [line["step"] for line in lines]
        save_losses(self.folder.losses, steps, curves, title=self.config.preset)
        save_gif(map(read_png, self.folder.sample_pictures()), self.folder.animation)


def report(config: TrainConfig, step: int, d_loss: float, g_loss: float) -> str | None:
    """The lines the tutorials print, at the steps where they print them; else None."""
    if config.order == "simultaneous":
        if step == 1 or step % config.report_every == 0:
            return f"Step {step}: Generator Loss: {g_loss:f}, Discriminator Loss: {d_loss:f}"
    elif (step - 1) % config.report_every == 0:
        return f"Iter: {step - 1}\nD loss: {d_loss:.4}\nG_loss: {g_loss:.4}"
    return None


@contextmanager
def _ctrl_c_noted() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C ask the loop to stop after the step it is in; a second one stops at once."""
    wanted = threading.Event()

    def note(number: int, frame: Any) -> None:
        wanted.set()
        signal.signal(signal.SIGINT, previous)

    if threading.current_thread() is not threading.main_thread():
        yield wanted.is_set
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield wanted.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
