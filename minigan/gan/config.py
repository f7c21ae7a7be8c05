"""What a training run is made of: two presets, and the checks on every option."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from minigan.errors import ConfigError
from minigan.gan.objectives import OBJECTIVES

ORDERS = ("alternating", "simultaneous")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All options of a run; `config.json` holds exactly these.

    Errors: ConfigError, naming the option.
    """

    preset: str
    hidden: int  # neurons in each network's hidden layer
    learning_rate: float
    objective: str  # a key of OBJECTIVES
    order: str  # one of ORDERS
    steps: int
    report_every: int  # steps between the tutorial's printed lines
    sample_every: int  # steps between sample pictures
    sample_columns: int  # pictures are grids of sample_columns x sample_columns
    sample_inverted: bool  # black digits on white, without gaps
    batch_size: int = 128
    latent_size: int = 100
    seed: int = 0
    data: str = "digits"  # the embedded digits, or a folder of MNIST files
    device: str = "cpu"
    log_every: int = 10  # steps between lines of metrics.jsonl
    histogram_every: int = 100  # steps between TensorBoard's histograms of the weights
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("hidden", "steps", "report_every", "sample_every", "sample_columns",
                     "batch_size", "latent_size", "log_every", "histogram_every",
                     "checkpoint_every"):  # fmt: skip
            self._require(name, 1 <= getattr(self, name) <= 10**9, "from 1 to 1,000,000,000")
        self._require("seed", 0 <= self.seed < 2**64, "from 0 to 2^64 - 1")
        rate = self.learning_rate
        self._require("learning_rate", math.isfinite(rate) and 0 < rate <= 10, "in (0, 10]")
        self._require("objective", self.objective in OBJECTIVES, f"one of {', '.join(OBJECTIVES)}")
        self._require("order", self.order in ORDERS, f"one of {', '.join(ORDERS)}")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            option = name.replace("_", "-")
            raise ConfigError(
                f"--{option} is {getattr(self, name)!r}, but must be {expected}. "
                f"Try: leave it out, for the preset's own value."
            )

    def with_options(self, **options: Any) -> Self:
        """A copy with the options that are not None."""
        return replace(self, **{k: v for k, v in options.items() if v is not None})

    def as_dict(self) -> dict[str, Any]:
        """For config.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From config.json; an unknown, a missing or a mistyped key is an error."""
        kinds = {f.name: f.type for f in fields(cls)}
        if wrong := sorted(set(values) ^ set(kinds)):
            raise ConfigError(
                f"config.json: {wrong[0]!r} is {'unknown' if wrong[0] in values else 'missing'}. "
                f"Try: the file as the run wrote it."
            )
        for name, value in values.items():
            numbers = (int, float) if kinds[name] is float else kinds[name]
            mistyped = isinstance(value, bool) and kinds[name] is not bool
            if mistyped or not isinstance(value, numbers):  # type: ignore[arg-type]
                raise ConfigError(
                    f"config.json: {name} is {value!r}, not {kinds[name].__name__}. "  # type: ignore[union-attr]
                    f"Try: the file as the run wrote it."
                )
        return cls(**values)


PRESETS = {
    # 100-128-784, Adam as TensorFlow ships it, D then G with fresh noise
    "mlp-gan": TrainConfig(
        preset="mlp-gan",
        hidden=128,
        learning_rate=1e-3,
        objective="cross-entropy",
        order="alternating",
        steps=10_000,
        report_every=1000,
        sample_every=1000,
        sample_columns=4,
        sample_inverted=False,
    ),
    # 100-256-784, log losses, both updates from one run of the graph
    "mlp-gan-256": TrainConfig(
        preset="mlp-gan-256",
        hidden=256,
        learning_rate=2e-4,
        objective="log",
        order="simultaneous",
        steps=70_000,
        report_every=2000,
        sample_every=2000,
        sample_columns=6,
        sample_inverted=True,
    ),
}


def preset(name: str) -> TrainConfig:
    """The configuration of a preset, by name."""
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}. Try: {' or '.join(PRESETS)}.")
    return PRESETS[name]
