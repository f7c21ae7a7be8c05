"""Batch normalisation: each channel brought to mean 0 and variance 1, then scaled and shifted.

    moments      what is normalised by: in training the batch's own, to be averaged for later
    normalize    the formula, by any mean and variance: inference
    batch_norm   both in one: training

C is the last axis; channels are normalised over all others.
Source: Ioffe & Szegedy 2015, "Batch Normalization", algorithm 1.
"""

from minigan.autograd.engine import Value, op
from minigan.autograd.ops.arithmetic import sqrt, square
from minigan.autograd.ops.reduction import mean
from minigan.errors import ShapeError


def moments(x: Value) -> tuple[Value, Value]:
    """The mean and the biased variance of each channel: (..., C) -> (C,), (C,)."""
    center = mean(x, _all_but_last(x))
    return center, mean(square(x - center), _all_but_last(x))


def normalize(
    x: Value, mean: Value, variance: Value, gamma: Value, beta: Value, epsilon: float = 1e-5
) -> Value:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    Shapes: x (..., C); mean, variance, gamma, beta (C,) -> (..., C).
    Errors: ShapeError.
    """
    _check_channels(
        "normalize", x, {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}
    )
    return (x - mean) * (gamma / sqrt(variance + epsilon)) + beta


@op
def batch_norm(x: Value, gamma: Value, beta: Value, epsilon: float = 1e-5) -> Value:
    """x normalised by its own moments, as in training: normalize(x, *moments(x), gamma, beta).

    Shapes: x (..., C), gamma (C,), beta (C,) -> (..., C).
    Errors: ShapeError (also for one value per channel, which has no variance).
    """
    _check_channels("batch_norm", x, {"gamma": gamma, "beta": beta})
    if x.size < 2 * x.shape[-1]:
        raise ShapeError(
            f"batch_norm: x {x.shape} has fewer than 2 values per channel, so its variance says "
            f"nothing. Try: a batch of at least 2, or normalize(x, mean, variance, gamma, beta) "
            f"by the moments of other data."
        )
    return normalize(x, *moments(x), gamma, beta, epsilon)


def _batch_norm_pullback_to_x(
    g: Value, y: Value, x: Value, gamma: Value, beta: Value, epsilon: float
) -> Value:
    """gamma / s * (g - mean(g) - z * mean(g * z)): z, the normalised x, keeps mean and variance."""
    z, s = _standardized(x, epsilon)
    axes = _all_but_last(x)
    return gamma / s * (g - mean(g, axes) - z * mean(g * z, axes))


def _standardized(x: Value, epsilon: float) -> tuple[Value, Value]:
    """z = (x - mean) / s, and s = sqrt(variance + epsilon)."""
    center, variance = moments(x)
    s = sqrt(variance + epsilon)
    return (x - center) / s, s


batch_norm.pullbacks(
    _batch_norm_pullback_to_x,
    lambda g, y, x, gamma, beta, epsilon: g * _standardized(x, epsilon)[0],
    lambda g, y, x, gamma, beta, epsilon: g,  # the engine sums both to (C,)
)


def _all_but_last(x: Value) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))


def _check_channels(name: str, x: Value, vectors: dict[str, Value]) -> None:
    for label, vector in vectors.items():
        if x.ndim == 0 or vector.shape != x.shape[-1:]:
            raise ShapeError(
                f"{name}: {label} is {vector.shape}, but x is {x.shape}, whose channels are its "
                f"last axis. Try: a {label} of shape {x.shape[-1:] or (1,)}."
            )
