"""Elementwise operations: arithmetic, powers and logarithms, comparisons, conversions.

Pullbacks return gradients of the broadcast shape and of the promoted dtype; the engine sums and
casts them back to each input's own.
"""

from typing import Any

import numpy as np

from minigan import backend
from minigan.autograd.engine import Value, array_of, op

# ── arithmetic ───────────────────────────────────────────────────────────────────────────────


@op
def add(x: Value, w: Value) -> Value:
    """x + w."""
    return x + w


add.pullbacks(
    lambda g, y, x, w: g,
    lambda g, y, x, w: g,
)


@op
def subtract(x: Value, w: Value) -> Value:
    """x - w."""
    return x - w


subtract.pullbacks(
    lambda g, y, x, w: g,
    lambda g, y, x, w: -g,
)


@op
def multiply(x: Value, w: Value) -> Value:
    """x * w, element by element."""
    return x * w


multiply.pullbacks(
    lambda g, y, x, w: g * w,
    lambda g, y, x, w: g * x,
)


@op
def divide(x: Value, w: Value) -> Value:
    """x / w."""
    return x / w


divide.pullbacks(
    lambda g, y, x, w: g / w,
    lambda g, y, x, w: -g * y / w,
)


@op
def negative(x: Value) -> Value:
    """-x."""
    return -x


negative.pullbacks(lambda g, y, x: -g)


# ── exponentials, logarithms, powers─────────────────────────────────────────────────────────


@op
def exp(x: Value) -> Value:
    """e ** x."""
    return np.exp(x)


exp.pullbacks(lambda g, y, x: g * y)


@op
def log(x: Value) -> Value:
    """The natural logarithm. Not clamped: log 0 is -inf, as in TensorFlow."""
    return np.log(x)


log.pullbacks(lambda g, y, x: g / x)


@op
def log1p(x: Value) -> Value:
    """log(1 + x), exact for small x."""
    return np.log1p(x)


log1p.pullbacks(lambda g, y, x: g / (1 + x))


@op
def power(x: Value, p: Value) -> Value:
    """x ** p. At x = 0 the gradient to p is 0, its limit from the right."""
    return x**p


power.pullbacks(
    lambda g, y, x, p: g * p * x ** (p - (p != 0)),  # where p = 0: 0 * x^0, not 0 * x^-1
    lambda g, y, x, p: g * y * log(x + (x == 0)),  # where x = 0: log 1, not log 0
)


@op
def sqrt(x: Value) -> Value:
    """The square root. Its slope at 0 is infinite."""
    return np.sqrt(x)


sqrt.pullbacks(lambda g, y, x: g * 0.5 / y)


@op
def square(x: Value) -> Value:
    """x * x."""
    return x * x


square.pullbacks(lambda g, y, x: g * (2 * x))


# ── kinks: the convention at the corner is TensorFlow's ──────────────────────────────────────


@op
def abs(x: Value) -> Value:
    """|x|. The gradient at 0 is 0."""
    return np.abs(x)


abs.pullbacks(lambda g, y, x: g * (x > 0) - g * (x < 0))


@op
def maximum(x: Value, w: Value) -> Value:
    """The larger of x and w, element by element. At a tie the gradient goes to x."""
    return np.maximum(x, w)


maximum.pullbacks(
    lambda g, y, x, w: g * (x >= w),
    lambda g, y, x, w: g * (x < w),
)


@op
def minimum(x: Value, w: Value) -> Value:
    """The smaller of x and w, element by element. At a tie the gradient goes to x."""
    return np.minimum(x, w)


minimum.pullbacks(
    lambda g, y, x, w: g * (x <= w),
    lambda g, y, x, w: g * (x > w),
)


@op
def clip(x: Value, low: float, high: float) -> Value:
    """x held between low and high. The gradient passes where low <= x <= high."""
    return np.clip(x, low, high)


clip.pullbacks(lambda g, y, x, low, high: g * ((x >= low) & (x <= high)))


@op
def where(condition: Value, x: Value, w: Value) -> Value:
    """x where the condition holds, else w; both branches are computed."""
    return np.where(condition, x, w)


where.pullbacks(
    None,
    lambda g, y, condition, x, w: where(condition, g, 0),
    lambda g, y, condition, x, w: where(condition, 0, g),
)


# ── conversions ──────────────────────────────────────────────────────────────────────────────


@op
def astype(x: Value, dtype: Any) -> Value:
    """x converted to another dtype."""
    return x.astype(dtype)


astype.pullbacks(lambda g, y, x, dtype: g)  # the engine converts g back to x's dtype


@op
def to_device(x: Value, device: str) -> Value:
    """x copied to a device: "cpu", "gpu", "gpu:1"."""
    return backend.to_device(x, device)


to_device.pullbacks(lambda g, y, x, device: to_device(g, backend.device_of(array_of(x))))
