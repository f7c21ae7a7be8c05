"""The folder a run leaves: what is where, and how it is written.

config.json  env.json       what was run, and on what
metrics.jsonl               both losses, a line every few steps
samples/000.png ...         pictures of the same noise as training goes on
losses.png  training.gif    made when training ends or is stopped
checkpoints/  tensorboard/
profile.txt  trace.json     of a few steps, if --profile asked for it
"""

import json
from pathlib import Path
from typing import Any, TextIO

from minigan.environment import environment
from minigan.errors import ConfigError
from minigan.gan.config import TrainConfig


class RunFolder:
    """The paths of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.env = path / "env.json"
        self.metrics = path / "metrics.jsonl"
        self.samples = path / "samples"
        self.losses = path / "losses.png"
        self.animation = path / "training.gif"
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tensorboard"

    def __str__(self) -> str:
        return str(self.path)

    def holds_a_run(self) -> bool:
        """Whether a run was started here."""
        return self.config.exists()

    def preset(self) -> str | None:
        """The preset the run was started with; None if its configuration can't be read."""
        try:
            return self.read_config().preset
        except ConfigError:
            return None

    def last_written(self) -> float:
        """When the run last wrote a checkpoint or its configuration, in seconds."""
        return max(p.stat().st_mtime for p in (self.config, self.checkpoints) if p.exists())

    def create(self, config: TrainConfig) -> None:
        """Make the folder and write what is known before the first step."""
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
            _write_json(self.env, environment())
            _write_json(self.config, config.as_dict())
        except OSError as error:
            raise ConfigError(
                f"can't write to {self.path}: {error.strerror}. Try: --out with a folder you may "
                f"write to."
            ) from error

    def read_config(self) -> TrainConfig:
        """The configuration the run was started with."""
        try:
            values = json.loads(self.config.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise ConfigError(
                f"{self.path} holds no run (no config.json). Try: a folder that "
                f"`minigan train` wrote, such as {newest_run() or 'runs/mlp-gan'}."
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{self.config} can't be read ({error.strerror}). Try: a run you may read."
            ) from None
        except ValueError as error:
            raise ConfigError(
                f"{self.config} is not JSON ({error}). Try: the file as the run wrote it."
            ) from None
        if not isinstance(values, dict):
            raise ConfigError(f"{self.config} holds no object. Try: the file as the run wrote it.")
        return TrainConfig.from_dict(values)

    # metrics

    def open_metrics(self, after_step: int) -> TextIO:
        """Append to metrics.jsonl, dropping what an interrupted run logged after its checkpoint."""
        kept = [line for line in self.read_metrics() if line["step"] <= after_step]
        temporary = self.metrics.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            for line in kept:
                write_metrics(file, line)
        temporary.replace(self.metrics)
        # written line by line: a checkpoint never vouches for a line that is still in a buffer
        return self.metrics.open("a", encoding="utf-8", buffering=1)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line cut short by a crash is left out."""
        lines = []
        if self.metrics.exists():
            for text in self.metrics.read_text(encoding="utf-8").splitlines():
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    break
        return lines

    # pictures

    def sample_path(self, number: int) -> Path:
        """samples/NNN.png."""
        return self.samples / f"{number:03d}.png"

    def sample_pictures(self) -> list[Path]:
        """All sample pictures in order."""
        numbered = [p for p in self.samples.glob("*.png") if p.stem.isdigit()]
        return sorted(numbered, key=lambda path: int(path.stem))


def write_metrics(file: TextIO, line: dict[str, Any]) -> None:
    """One line of JSON."""
    file.write(json.dumps(line) + "\n")


def new_run_folder(preset: str, root: Path = Path("runs")) -> RunFolder:
    """runs/PRESET, or runs/PRESET-2, -3, ... if that holds a run already."""
    folder = RunFolder(root / preset)
    number = 2
    while folder.holds_a_run():
        folder = RunFolder(root / f"{preset}-{number}")
        number += 1
    return folder


def newest_run(preset: str | None = None, root: Path = Path("runs")) -> RunFolder | None:
    """The run in `root` that was written to last, of the given preset if one is named."""
    runs = [RunFolder(path.parent) for path in root.glob("*/config.json")]
    wanted = [run for run in runs if preset is None or run.preset() == preset]
    return max(wanted, key=lambda run: run.last_written(), default=None)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
