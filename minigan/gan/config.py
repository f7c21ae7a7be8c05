"""What a training run is made of, and the checks on every option."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, Self

from minigan.errors import ConfigError
from minigan.gan.objectives import OBJECTIVES

ORDERS = ("alternating", "simultaneous", "d-once-g-twice")
NOISES = ("uniform", "normal")
MODELS = ("mlp", "dcgan", "dcgan-pooling", "dcgan-conditional", "dcgan-images")

# Which networks an option is for. An option that is not here is for all.
_CONVOLUTIONAL = MODELS[1:]
_IMAGES = ("dcgan-images",)
ONLY_FOR = {
    "hidden": ("mlp",),
    "gf_dim": _CONVOLUTIONAL,
    "df_dim": _CONVOLUTIONAL,
    "gfc_dim": ("dcgan-conditional",),
    "dfc_dim": ("dcgan", "dcgan-pooling", "dcgan-conditional"),
    "layer_norm": ("dcgan", "dcgan-images"),
    **dict.fromkeys(
        ("pattern", "crop", "input_height", "input_width", "output_height", "output_width",
         "grayscale", "train_size", "skip_broken"), _IMAGES
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All options of a run; `config.json` holds exactly these.

    Errors: ConfigError, naming the option.
    """

    preset: str
    learning_rate: float  # Adam's, for both players
    objective: str  # a key of OBJECTIVES
    order: str  # one of ORDERS
    steps: int
    report_every: int  # steps between the tutorial's printed lines
    sample_every: int  # steps between sample pictures
    sample_columns: int  # pictures in a row of a sample picture
    samples: int | None = None  # how many there are in all; None for as many rows as columns
    sample_inverted: bool = False  # black digits on white, without gaps
    batch_size: int = 128
    latent_size: int = 100
    noise: str = "uniform"  # one of NOISES
    seed: int = 0
    device: str = "cpu"
    log_every: int = 10  # steps between lines of metrics.jsonl
    histogram_every: int = 100  # steps between TensorBoard's histograms
    checkpoint_every: int = 1000

    # the networks
    model: str = "mlp"  # one of MODELS
    hidden: int = 128  # neurons in each network's hidden layer
    gf_dim: int = 64  # filters of the generator's last hidden convolution
    df_dim: int = 64  # filters of the discriminator's first convolution
    gfc_dim: int = 1024  # neurons of the generator's dense layer
    dfc_dim: int = 1024  # neurons of the discriminator's dense layer
    layer_norm: bool = False  # the discriminator normalises each picture by itself, not the batch
    spectral_norm: bool = False  # of each layer of the discriminator

    # the game
    beta1: float = 0.9  # Adam's memory of gradients
    beta2: float = 0.999  # and of their squares
    d_steps: int = 1  # the discriminator's updates for one of the generator's
    real_label: float = 1.0  # one-sided label smoothing: what real pictures are called
    instance_noise: float = 0.0  # standard deviation of the noise on the pictures D learns from
    r1: float = 0.0  # weight of the penalty on D's slopes at real pictures
    average_decay: float = 0.0  # of the averaged generator that samples are drawn from; 0: none

    # the pictures
    data: str = "digits"  # the embedded digits, a folder of MNIST files, or one of pictures
    pattern: str = "*.jpg"  # which files of a folder of pictures
    crop: bool = True  # cut the middle out of each, input_height x input_width
    input_height: int = 108
    input_width: int | None = None  # None for the height
    output_height: int | None = None  # what pictures are scaled to; None for 64, digits have 28
    output_width: int | None = None  # None for the height
    grayscale: bool | None = None  # None finds out
    train_size: int | None = None  # how many pictures; None for all
    skip_broken: bool = False  # leave files out that can't be used
    c_dim: int | None = None  # colours of a picture, found from the data

    def __post_init__(self) -> None:
        for name in ("hidden", "steps", "report_every", "sample_every", "sample_columns",
                     "samples", "batch_size", "latent_size", "log_every", "histogram_every",
                     "checkpoint_every", "gf_dim", "df_dim", "gfc_dim", "dfc_dim", "d_steps",
                     "train_size"):  # fmt: skip
            value = getattr(self, name)
            self._require(name, value is None or 1 <= value <= 10**9, "from 1 to 1,000,000,000")
        self._require("seed", 0 <= self.seed < 2**64, "from 0 to 2^64 - 1")
        rate = self.learning_rate
        self._require("learning_rate", math.isfinite(rate) and 0 < rate <= 10, "in (0, 10]")
        for name in ("beta1", "beta2", "average_decay"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require("real_label", 0 < self.real_label <= 1, "in (0, 1]")
        for name in ("instance_noise", "r1"):
            self._require(name, 0 <= getattr(self, name) <= 1000, "in [0, 1000]")
        for name, choices in (
            ("objective", tuple(OBJECTIVES)), ("order", ORDERS), ("noise", NOISES),
            ("model", MODELS),
        ):  # fmt: skip
            self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
        self._require(
            "d_steps", self.d_steps == 1 or self.order == "alternating", f"1 when {self.order}"
        )

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            option = name.replace("_", "-")
            raise ConfigError(
                f"--{option} is {getattr(self, name)!r}, but must be {expected}. "
                f"Try: leave it out, for the preset's own value."
            )

    @property
    def sample_count(self) -> int:
        """How many pictures a sample picture holds."""
        return self.sample_columns**2 if self.samples is None else self.samples

    def with_options(self, **options: Any) -> Self:
        """A copy with the options that are not None.

        Errors: ConfigError, also for an option that this preset's networks don't have.
        """
        given = {name: value for name, value in options.items() if value is not None}
        for name in given:
            if self.model not in ONLY_FOR.get(name, MODELS):
                raise ConfigError(
                    f"--{name.replace('_', '-')} is for {' and '.join(ONLY_FOR[name])}, but "
                    f"{self.preset} has no use for it. Try: leave it out, or another preset."
                )
        return replace(self, **given)

    def as_dict(self) -> dict[str, Any]:
        """For config.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From config.json; an unknown, a missing or a mistyped key is an error.

        An option that is younger than the run may be missing: it has its default.
        """
        kinds = {f.name: f.type for f in fields(cls)}
        needed = {f.name for f in fields(cls) if f.default is MISSING}
        if wrong := sorted((set(values) - set(kinds)) | (needed - set(values))):
            raise ConfigError(
                f"config.json: {wrong[0]!r} is {'unknown' if wrong[0] in values else 'missing'}. "
                f"Try: the file as the run wrote it."
            )
        for name, value in values.items():
            numbers = (int, float) if kinds[name] is float else kinds[name]
            mistyped = isinstance(value, bool) and kinds[name] not in (bool, bool | None)
            if mistyped or not isinstance(value, numbers):  # type: ignore[arg-type]
                kind = getattr(kinds[name], "__name__", kinds[name])
                raise ConfigError(
                    f"config.json: {name} is {value!r}, not {kind}. "
                    f"Try: the file as the run wrote it."
                )
        return cls(**values)
