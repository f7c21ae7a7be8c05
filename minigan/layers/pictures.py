"""Channels first, as cuDNN has them: turned where pictures enter a layer, and where they leave."""

from typing import Any

from minigan.autograd import ops
from minigan.autograd.engine import Value
from minigan.errors import ConfigError, ShapeError

AXES = {"channels_last": "(N, H, W, C)", "channels_first": "(N, C, H, W)"}


def checked_format(layer: str, data_format: str) -> str:
    """The data format itself.

    Errors: ConfigError if it is none.
    """
    if data_format not in AXES:
        raise ConfigError(
            f'{layer}: data_format is {data_format!r}, but must be "channels_last" or '
            f'"channels_first". Try: data_format="channels_last".'
        )
    return data_format


def to_channels_last(layer: str, x: Any, data_format: str) -> Any:
    """Pictures in the data format as (N, H, W, C).

    Errors: ShapeError if they have not four axes.
    """
    if x.ndim != 4:
        shape = (-1, 28, 28, 1) if data_format == "channels_last" else (-1, 1, 28, 28)
        raise ShapeError(
            f"{layer}: x is {x.shape}, but must be pictures, {AXES[data_format]}. "
            f"Try: x.reshape({shape}), if they have 28 x 28 pixels and 1 channel."
        )
    return x if data_format == "channels_last" else ops.transpose(x, (0, 2, 3, 1))


def from_channels_last(y: Value, data_format: str) -> Any:
    """(N, H, W, C) in the data format."""
    return y if data_format == "channels_last" else ops.transpose(y, (0, 3, 1, 2))
