"""Batch normalisation: each channel brought to mean 0 and variance 1, then scaled and shifted.

    moments      what is normalised by: in training the batch's own, to be averaged for later
    normalize    the formula, by any mean and variance
    batch_norm   both in one op, with the gradient in closed form

C is the last axis; channels are normalised over all others. In training
normalize(x, *moments(x), gamma, beta) is batch_norm(x, gamma, beta), with the moments in hand.
Source: Ioffe & Szegedy 2015, "Batch Normalization", algorithm 1.
"""

from math import prod

import numpy as np

from minigan.autograd.engine import Tensor, Value, array_of, op
from minigan.autograd.ops.arithmetic import sqrt
from minigan.autograd.ops.linalg import sum_rows
from minigan.autograd.ops.shape import broadcast_to, stack
from minigan.errors import DtypeError, ShapeError
from minigan.kernels import normalization as kernels

# ── three ops that are each other's pullbacks: <g, (x - center) * scale> is linear in all three ──

# Each channel has a number in a vector (C,), or one for each of the B batches in x, (B, C).


@op
def scale_channels(x: Value, scale: Value) -> Value:
    """x * scale, channel by channel.

    Shapes: x (..., C), scale (C,) or (B, C) -> (..., C).
    """
    return kernels.scale_channels(x, scale)


@op
def scale_and_shift(x: Value, center: Value, scale: Value, shift: Value) -> Value:
    """(x - center) * scale + shift, channel by channel.

    Shapes: x (..., C); center, scale, shift all (C,) or all (B, C) -> (..., C).
    """
    return kernels.scale_and_shift(x, center, scale, shift)


@op
def sum_of_products(g: Value, x: Value, center: Value) -> Value:
    """The sum of g * (x - center) over each channel, or over each channel of each batch.

    Shapes: g and x (..., C), center (C,) or (B, C) -> that of center.
    """
    return kernels.sum_of_products(g, x, center)


scale_channels.pullbacks(
    lambda g, y, x, scale: scale_channels(g, scale),
    lambda g, y, x, scale: sum_of_products(g, x, np.zeros_like(array_of(scale))),
)

scale_and_shift.pullbacks(
    lambda g, y, x, center, scale, shift: scale_channels(g, scale),
    lambda g, y, x, center, scale, shift: -scale * sum_channels(g, scale.shape),
    lambda g, y, x, center, scale, shift: sum_of_products(g, x, center),
    lambda g, y, x, center, scale, shift: sum_channels(g, shift.shape),
)

sum_of_products.pullbacks(
    lambda v, y, g, x, center: scale_and_shift(x, center, v, np.zeros_like(array_of(v))),
    lambda v, y, g, x, center: scale_channels(g, v),
    lambda v, y, g, x, center: -v * sum_channels(g, v.shape),
)


def sum_channels(g: Value, shape: tuple[int, ...]) -> Value:
    """The sum over each channel, or over each channel of each batch: (..., C) -> shape."""
    *batches, C = shape
    rows = g.reshape((*batches, _count(g) // prod(batches), C))
    return stack([sum_rows(batch) for batch in rows]) if batches else sum_rows(rows)


def _count(x: Value) -> int:
    """How many values a channel has."""
    return prod(x.shape[:-1])


# ── moments ──────────────────────────────────────────────────────────────────────────────────


@op
def moments(x: Value, batches: int = 1) -> Value:
    """The mean of each channel, and below it the biased variance: two rows to unpack.

    Several `batches` of a size, one after the other in x, have moments of their own.
    Shapes: (..., C) -> (2, C), or (2, B, C) of B > 1 batches.
    Errors: DtypeError (whole numbers), ShapeError (examples that do not make so many batches).
    """
    if x.dtype.kind not in "fc":
        raise DtypeError(
            f"moments: x is {x.dtype}, but means need floating-point numbers. "
            f'Try: x.astype("float32").'
        )
    if batches != 1 and (batches < 1 or x.ndim < 2 or len(x) % batches):
        raise ShapeError(
            f"moments: the examples of x {x.shape} are not {batches} batches of a size. "
            f"Try: as many examples in each."
        )
    return kernels.moments(x, batches)


def _moments_pullback(g: Value, y: Value, x: Value, batches: int) -> Value:
    """(g of the mean + 2 (x - mean) * g of the variance) / N."""
    (mean, _), (to_mean, to_variance), N = y, g, _count(x) // batches
    return scale_and_shift(x, mean, 2 * to_variance / N, to_mean / N)


moments.pullbacks(_moments_pullback)


# ── normalisation ────────────────────────────────────────────────────────────────────────────


def normalize(
    x: Value, mean: Value, variance: Value, gamma: Value, beta: Value, epsilon: float = 1e-5
) -> Tensor:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    Shapes: x (..., C); mean, variance, gamma, beta (C,) -> (..., C). Mean and variance can be those
    of B batches of a size, one after the other in x: (B, C).
    Errors: ShapeError.
    """
    several = mean.ndim == 2 and x.ndim > 1 and len(x) % (len(mean) or len(x) + 1) == 0
    batches = mean.shape[:1] if several else ()
    _check_channels("normalize", x, {"mean": mean, "variance": variance}, batches)
    _check_channels("normalize", x, {"gamma": gamma, "beta": beta})
    scale = gamma / sqrt(variance + epsilon)
    shift = broadcast_to(beta, scale.shape) if several else beta
    return scale_and_shift(x, mean, scale, shift)


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
    line = scale_and_shift(x, mean, slope, sum_channels(g, mean.shape) / N)
    return scale_channels(g - line, gamma / s)


def _batch_norm_pullback_to_gamma(
    g: Value, y: Value, x: Value, gamma: Value, beta: Value, epsilon: float
) -> Value:
    """The sum of g * z."""
    mean, variance = moments(x)
    return sum_of_products(g, x, mean) / sqrt(variance + epsilon)


batch_norm.pullbacks(
    _batch_norm_pullback_to_x,
    _batch_norm_pullback_to_gamma,
    lambda g, y, x, gamma, beta, epsilon: sum_channels(g, beta.shape),
)


def _check_channels(
    name: str, x: Value, vectors: dict[str, Value], batches: tuple[int, ...] = ()
) -> None:
    expected = (*batches, *(x.shape[-1:] or (1,)))
    for label, vector in vectors.items():
        if x.ndim == 0 or vector.shape != expected:
            raise ShapeError(
                f"{name}: {label} is {vector.shape}, but x is {x.shape}, whose channels are its "
                f"last axis. Try: a {label} of shape {expected}."
            )
