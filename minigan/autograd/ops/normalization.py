"""Batch normalisation: each channel brought to mean 0 and variance 1, then scaled and shifted.

    moments      what is normalised by: in training the batch's own, to be averaged for later
    normalize    the formula, by any mean and variance
    batch_norm   both in one op, with the gradient in closed form

C is the last axis; channels are normalised over all others. In training
normalize(x, *moments(x), gamma, beta) is batch_norm(x, gamma, beta), with the moments in hand.
Source: Ioffe & Szegedy 2015, "Batch Normalization", algorithm 1.
"""

from math import prod

from minigan.autograd.engine import Tensor, Value, op
from minigan.autograd.ops.arithmetic import sqrt
from minigan.autograd.ops.linalg import sum_rows
from minigan.errors import DtypeError, ShapeError
from minigan.kernels import normalization as kernels

# ── two ops that are each other's pullbacks: <g, (x - center) * scale> is linear in all three ────


@op
def scale_and_shift(x: Value, center: Value, scale: Value, shift: Value) -> Value:
    """(x - center) * scale + shift, channel by channel.

    Shapes: x (..., C); center, scale, shift (C,) -> (..., C).
    """
    return kernels.scale_and_shift(x, center, scale, shift)


@op
def sum_of_products(g: Value, x: Value, center: Value) -> Value:
    """The sum of g * (x - center) over each channel.

    Shapes: g and x (..., C), center (C,) -> (C,).
    """
    return kernels.sum_of_products(g, x, center)


scale_and_shift.pullbacks(
    lambda g, y, x, center, scale, shift: g * scale,
    lambda g, y, x, center, scale, shift: -scale * _sum(g),
    lambda g, y, x, center, scale, shift: sum_of_products(g, x, center),
    lambda g, y, x, center, scale, shift: _sum(g),
)

sum_of_products.pullbacks(
    lambda v, y, g, x, center: v * (x - center),
    lambda v, y, g, x, center: v * g,
    lambda v, y, g, x, center: -v * _sum(g),
)


def _sum(g: Value) -> Value:
    """The sum over each channel: (..., C) -> (C,)."""
    return sum_rows(g.reshape((_count(g), g.shape[-1])))


def _count(x: Value) -> int:
    """How many values a channel has."""
    return prod(x.shape[:-1])


# ── moments ──────────────────────────────────────────────────────────────────────────────────


@op
def moments(x: Value) -> Value:
    """The mean of each channel, and below it the biased variance: two rows to unpack.

    Shapes: (..., C) -> (2, C).
    Errors: DtypeError (whole numbers).
    """
    if x.dtype.kind not in "fc":
        raise DtypeError(
            f"moments: x is {x.dtype}, but means need floating-point numbers. "
            f'Try: x.astype("float32").'
        )
    return kernels.moments(x)


def _moments_pullback(g: Value, y: Value, x: Value) -> Value:
    """(g of the mean + 2 (x - mean) * g of the variance) / N."""
    (mean, _), (to_mean, to_variance), N = y, g, _count(x)
    return scale_and_shift(x, mean, 2 * to_variance / N, to_mean / N)


moments.pullbacks(_moments_pullback)


# ── normalisation ────────────────────────────────────────────────────────────────────────────


def normalize(
    x: Value, mean: Value, variance: Value, gamma: Value, beta: Value, epsilon: float = 1e-5
) -> Tensor:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    Shapes: x (..., C); mean, variance, gamma, beta (C,) -> (..., C).
    Errors: ShapeError.
    """
    _check_channels(
        "normalize", x, {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}
    )
    return scale_and_shift(x, mean, gamma / sqrt(variance + epsilon), beta)


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
    mean, variance = moments(x)
    return normalize(x, mean, variance, gamma, beta, epsilon)


def _batch_norm_pullback_to_x(
    g: Value, y: Value, x: Value, gamma: Value, beta: Value, epsilon: float
) -> Value:
    """gamma / s * (g - mean(g) - z * mean(g * z)), where z = (x - mean) / s is the normalised x.

    What is taken off g is a straight line in x, since z keeps its mean 0 and its variance 1.
    """
    (mean, variance), N = moments(x), _count(x)
    s = sqrt(variance + epsilon)
    slope = sum_of_products(g, x, mean) / (N * s * s)
    return gamma / s * (g - scale_and_shift(x, mean, slope, _sum(g) / N))


def _batch_norm_pullback_to_gamma(
    g: Value, y: Value, x: Value, gamma: Value, beta: Value, epsilon: float
) -> Value:
    """The sum of g * z."""
    mean, variance = moments(x)
    return sum_of_products(g, x, mean) / sqrt(variance + epsilon)


batch_norm.pullbacks(
    _batch_norm_pullback_to_x,
    _batch_norm_pullback_to_gamma,
    lambda g, y, x, gamma, beta, epsilon: _sum(g),
)


def _check_channels(name: str, x: Value, vectors: dict[str, Value]) -> None:
    for label, vector in vectors.items():
        if x.ndim == 0 or vector.shape != x.shape[-1:]:
            raise ShapeError(
                f"{name}: {label} is {vector.shape}, but x is {x.shape}, whose channels are its "
                f"last axis. Try: a {label} of shape {x.shape[-1:] or (1,)}."
            )
