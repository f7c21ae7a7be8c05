"""A training run: the loop, what it writes on the way, and how it stops and resumes.

Batches, noise and initial weights are functions of (seed, purpose, step), so a run that is
stopped and resumed computes what an uninterrupted one would have, bit for bit.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minigan import backend
from minigan.autograd import Tensor, no_grad
from minigan.autograd.graph import nodes_of
from minigan.autograd.ops import sigmoid
from minigan.data import Batches, Prefetched
from minigan.errors import NonFiniteError
from minigan.gan.assembly import make_players
from minigan.gan.config import TrainConfig
from minigan.gan.players import Losses
from minigan.gan.run_folder import RunFolder, write_metrics
from minigan.gan.sampling import generate, labels_in_turn, latent_noise, picture, save_picture
from minigan.gan.training_data import fitted, load_training_data
from minigan.profiling import Profile

if TYPE_CHECKING:
    from minigan.summaries import SummaryWriter

BAR_EVERY = 50  # steps between new losses in the progress bar
PROFILED = range(10, 30)  # steps of a run that --profile looks at; the first ones are not typical


class TrainingRun:
    """One run in its folder: `TrainingRun(config, folder).train()`.

    `config` is the given one with what was found from the data: the pictures' size and colours.
    """

    def __init__(
        self, config: TrainConfig, folder: RunFolder, say: Callable[[str], None] = print
    ) -> None:
        data = load_training_data(config, say)
        self.config = config = fitted(config, data)
        self.folder = folder
        self.say = say
        self.source = data.source
        self.device = backend.resolve_device(config.device)
        self.players = make_players(config)
        self.gan = self.players.gan
        self.shuffled = data.batches(self.gan, config.batch_size, config.seed)
        self.batches: Batches | Prefetched = self.shuffled
        self.labels = data.one_hot_labels(self.gan)
        self.sample_noise = self._latent_noise("samples", 0, config.sample_count)
        self.sample_labels = labels_in_turn(config.sample_count, self.gan.classes)
        self.step = 0  # steps taken

    def train_for(self, epochs: int) -> None:
        """Set the number of steps to so many times through all pictures, whole batches only."""
        steps_an_epoch = max(len(self.shuffled) // self.config.batch_size, 1)
        self.config = replace(self.config, steps=epochs * steps_an_epoch)

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
        self.sample_labels = arrays.pop("sample_labels", None)
        self.players.load_state(arrays)
        self.step = checkpoint.step

    def train(self, progress: bool = True, profile: bool = False) -> bool:
        """Train up to config.steps; True when they are done, False when Ctrl-C stopped it.

        profile  write where the time of steps 11 to 30 went, and go on
        Errors: NonFiniteError (the message names the step and where the checkpoints are).
        """
        from tqdm import tqdm

        from minigan.summaries import SummaryWriter

        profiled = range(self.step + PROFILED.start, self.step + PROFILED.stop if profile else 0)
        measured = Profile(generator=self.gan.generator, discriminator=self.gan.discriminator)
        with (
            self.folder.open_metrics(after_step=self.step) as metrics,
            SummaryWriter(self.folder.tensorboard, purge_step=self.step + 1) as summaries,
            tqdm(
                total=self.config.steps, initial=self.step, unit="step",
                disable=None if progress else True, dynamic_ncols=True,
            ) as bar,
            self._batches_ahead() as self.batches,
            _ctrl_c_noted() as stop_wanted,
        ):  # fmt: skip
            while self.step < self.config.steps and not stop_wanted():
                if self.step == 0:
                    self._write_graph(summaries)
                if self.step % self.config.sample_every == 0:
                    self._write_picture(summaries)
                with measured if self.step in profiled else nullcontext():
                    losses = self._take_step()
                if self.step == profiled.stop:
                    bar.write(self._write_profile(measured))
                self._log(losses, metrics, summaries)
                if line := report(self.config, self.step, losses, len(self.batches)):
                    bar.write(line)
                if self.step % BAR_EVERY == 0:
                    bar.set_postfix_str(
                        f"D {losses.d_loss:.3f}, G {losses.g_loss:.3f}", refresh=False
                    )
                bar.update()
                if self.step % self.config.checkpoint_every == 0:
                    self._save()
            self._write_picture(summaries)
        self._save()
        self._write_curves_and_animation()
        return self.step >= self.config.steps

    def _take_step(self) -> Losses:
        """The discriminator's further updates, if it has any, then one step of both players."""
        last = (self.step + 1) * self.config.d_steps - 1  # of the batches of this step
        try:
            for k in range(last - self.config.d_steps + 1, last):
                real, labels = self._real(k)
                self.players.d_step(real, self._noise("discriminator", k), labels)
            losses = self._step_of_both(last)
        except NonFiniteError as error:
            raise NonFiniteError(
                f"step {self.step + 1}: {error} Checkpoints, if any, are in "
                f"{self.folder.checkpoints}."
            ) from error
        self.step += 1
        return losses

    def _step_of_both(self, batch: int) -> Losses:
        real, labels = self._real(batch)
        d_noise = self._noise("discriminator", batch)
        match self.config.order:
            case "simultaneous":
                return self.players.simultaneous_step(real, d_noise, labels)
            case "d-once-g-twice":
                return self.players.d_once_g_twice_step(real, d_noise, labels)
            case _:
                g_noise = self._noise("generator", self.step)
                return self.players.alternating_step(real, d_noise, g_noise, labels)

    def _real(self, batch: int) -> tuple[Any, Any]:
        """The real pictures of a batch, and their labels if the networks take any."""
        pictures = self.batches.at(batch).reshape(-1, *self.gan.picture_shape)
        labels = None if self.labels is None else self.labels[self.batches.indices(batch)]
        return self._on_device(pictures), self._on_device(labels)

    def _noise(self, player: str, step: int) -> Any:
        noise = self._latent_noise(f"noise.{player}", step, self.config.batch_size)
        return self._on_device(noise)

    def _latent_noise(self, purpose: str, step: int, count: int) -> Any:
        shape = (count, self.config.latent_size)
        return latent_noise(self.config.seed, purpose, step, shape, self.config.noise)

    def _on_device(self, array: Any) -> Any:
        return None if array is None else backend.to_device(array, self.device)

    def _batches_ahead(self) -> AbstractContextManager[Batches | Prefetched]:
        """Batches of pictures computed in a thread; a digit's row of pixels isn't worth one."""
        is_mlp = self.config.model == "mlp"
        return nullcontext(self.shuffled) if is_mlp else Prefetched(self.shuffled)

    # what it writes

    def _log(self, losses: Losses, metrics: Any, summaries: SummaryWriter) -> None:
        if self.step % self.config.log_every == 0 or self.step == 1:
            values = {
                "d_loss": losses.d_loss, "g_loss": losses.g_loss,
                "d_loss_real": losses.d_loss_real, "d_loss_fake": losses.d_loss_fake,
            }  # fmt: skip
            write_metrics(metrics, {"step": self.step, **values})
            for tag, value in self._tutorials_tags(values).items():
                summaries.scalar(tag, value, self.step)
        if self.step % self.config.histogram_every == 0:
            for name, parameter in self.gan.named_parameters():
                summaries.histogram(name, parameter.numpy(), self.step)
            if self.config.model != "mlp":
                self._write_judgements(summaries)

    def _tutorials_tags(self, values: dict[str, float]) -> dict[str, float]:
        if self.config.model == "mlp":
            return {"D_loss": values["d_loss"], "G_loss": values["g_loss"]}
        return values

    def _write_judgements(self, summaries: SummaryWriter) -> None:
        """Histograms of a batch: noise z, D's probabilities d of real and d_ of fake pictures."""
        real, labels = self._real(self.step)
        noise = self._noise("summary", self.step)
        with no_grad():
            for tag, logits in zip(
                ("d", "d_"), self.players.logits(real, noise, labels), strict=True
            ):
                summaries.histogram(tag, sigmoid(logits).numpy(), self.step)
        summaries.histogram("z", backend.to_host(noise), self.step)

    def _write_picture(self, summaries: SummaryWriter) -> None:
        """The grid of samples before the step to come; NNN counts them."""
        average = self.players.g_average
        images = generate(
            self.gan,
            self._on_device(self.sample_noise),
            self._on_device(self.sample_labels),
            None if average is None else average.network,
        )
        grid = picture(images, self.config.sample_columns, self.config.sample_inverted)
        number = math.ceil(self.step / self.config.sample_every)  # the next one, between two
        save_picture(grid, images.shape[1], self.folder.sample_path(number))
        summaries.image_grid("samples", grid, self.step)

    def _write_graph(self, summaries: SummaryWriter) -> None:
        """The graph of both losses, for TensorBoard."""
        real, labels = self._real(0)
        real, noise = Tensor(real, name="real"), Tensor(self._noise("graph", 0), name="noise")
        labels = None if labels is None else Tensor(labels, name="labels")
        objective = self.players.objective
        real_logits, fake_logits = self.players.logits(real, noise, labels)
        d_loss = objective.discriminator(real_logits, fake_logits)
        summaries.graph(nodes_of([d_loss, objective.generator(fake_logits)]))

    def _write_profile(self, profile: Profile) -> str:
        """The table by op, and where the others are."""
        text, trace = self.folder.path / "profile.txt", self.folder.path / "trace.json"
        tables = [str(profile.by(key)) for key in ("op", "module", "line")]
        text.write_text("\n\n".join(tables) + "\n", encoding="utf-8")
        profile.save_trace(trace)
        return (
            f"{len(PROFILED)} steps, where their time went:\n{tables[0]}\n"
            f"By module and line: {text}. Each call: {trace}, for https://ui.perfetto.dev"
        )

    def _save(self) -> None:
        from minigan.checkpoint import save_checkpoint

        arrays: dict[str, np.ndarray[Any, Any]] = {
            **self.players.state(), "sample_noise": self.sample_noise,
        }  # fmt: skip
        if self.sample_labels is not None:
            arrays["sample_labels"] = self.sample_labels
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


def report(config: TrainConfig, step: int, losses: Losses, pictures: int) -> str | None:
    """The lines the tutorials print, at the steps where they print them; else None.

    pictures  how many there are in an epoch
    """
    d_loss, g_loss = losses
    match config.order:
        case "simultaneous":
            if step == 1 or step % config.report_every == 0:
                return f"Step {step}: Generator Loss: {g_loss:f}, Discriminator Loss: {d_loss:f}"
        case "d-once-g-twice":
            if step == 1 or step % config.report_every == 0:
                an_epoch = max(pictures // config.batch_size, 1)
                epoch, batch = divmod(step - 1, an_epoch)
                return (
                    f"Epoch: [{epoch:2d}/{math.ceil(config.steps / an_epoch):2d}] "
                    f"[{batch:4d}/{an_epoch:4d}] d_loss: {d_loss:.8f}, g_loss: {g_loss:.8f}"
                )
        case _:
            if (step - 1) % config.report_every == 0:
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
