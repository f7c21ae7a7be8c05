"""Numerical derivatives along a direction, from the most exact method to the most general one.

    complex step   f(x + ih v) = f(x) + ih J v + ...: the imaginary part, divided by h. Nothing is
                   subtracted, so h can be 1e-30 and the result is exact to rounding. It needs an
                   f that is analytic: no absolute value, no conversion to real numbers.
    long double    central differences with 64 bits of precision, extrapolated to a step of zero
    float64        the same with 53 bits, for a function that converts its inputs

Sources: Squire & Trapp 1998, "Using complex variables to estimate derivatives of real functions";
Ridders 1982, "Accurate computation of F'(x) and F'(x) F''(x)".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

HostArray: TypeAlias = np.ndarray[Any, Any]
Points: TypeAlias = Sequence[HostArray]
Function: TypeAlias = Callable[
    [Sequence[HostArray]], HostArray
]  # to all outputs in one flat vector

COMPLEX_STEP = 1e-30
FIRST_STEP = 2.0**-11  # of the differences, for numbers of order 1: less than 1e-3
HALVINGS = 6
EXTENDED = bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps)  # not on every platform


class Derivative(NamedTuple):
    """J v, one number for each output, and how far it may be off."""

    value: HostArray
    error: HostArray


class Method(NamedTuple):
    """A way to differentiate: what it is called, what it computes in, how exact it is."""

    name: str
    dtype: Any
    tolerance: float  # relative to the sum of the terms' magnitudes
    derivative: Callable[[Function, Points, Points, Any], Derivative]


def complex_step(f: Function, x: Points, v: Points, dtype: Any) -> Derivative:
    """J v by one evaluation at x + ih v."""
    y = f(moved(x, dtype(COMPLEX_STEP * 1j), v))
    value = y.imag / COMPLEX_STEP
    return Derivative(value, np.zeros_like(value))


def differences(f: Function, x: Points, v: Points, dtype: Any, noise: float = 0.0) -> Derivative:
    """J v by central differences, extrapolated; each output keeps its best estimate.

    Row k of the table has half the step of row k - 1; each column removes one more even power of
    the step. Where two neighbours agree best, the answer is best. `noise` is how much f's own
    values are off by rounding, if that is more than their last digit.
    """
    epsilon = np.finfo(dtype).eps
    step = dtype(FIRST_STEP)
    previous: list[HostArray] = []
    value, error = np.zeros(0), np.zeros(0)
    for level in range(HALVINGS):
        ahead, behind = f(moved(x, step, v)), f(moved(x, -step, v))
        rounding = 4 * (epsilon * np.maximum(np.abs(ahead), np.abs(behind)) + noise) / step
        row = [(ahead - behind) / (2 * step)]
        if level == 0:
            value, error = row[0], np.full(row[0].shape, np.inf, dtype)
        for column, above in enumerate(previous):
            row.append(row[column] + (row[column] - above) / (4 ** (column + 1) - 1))
            gap = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - above)) + rounding
            better = gap < error
            value, error = np.where(better, row[-1], value), np.where(better, gap, error)
        step, previous = step / 2, row
    return Derivative(value, error)


def one_sided_slopes(f: Function, x: Points, v: Points, step: float) -> tuple[HostArray, HostArray]:
    """The slopes to the left and to the right of x along v: they differ at a kink."""
    y = f(list(x))
    left, right = f(moved(x, -step, v)), f(moved(x, step, v))
    return (y - left) / step, (right - y) / step


def moved(x: Points, step: Any, v: Points) -> list[HostArray]:
    """x + step * v, for each input."""
    return [np.asarray(a + step * b) for a, b in zip(x, v, strict=True)]


COMPLEX = Method("complex step", np.complex128, 1e-10, complex_step)
LONG_DOUBLE = Method("long double", np.longdouble, 1e-9, differences)
FLOAT64 = Method("float64", np.float64, 1e-6, differences)
EXTENDED_COMPLEX = Method("complex step", np.clongdouble, 1e-10, complex_step)


def precise_methods(f: Function, x: Points, v: Points) -> list[Method]:
    """The methods that work for f at x, the most exact one first.

    The complex step is taken if f keeps complex numbers and has the slope along v that differences
    show; long double if f does not fall back to float64 on the way. Where both precisions work,
    they tell how much f rounds.
    """
    slope, unsure, methods = _slope(f, x, v), 0.0, [FLOAT64]
    extended = as_dtype(x, np.longdouble)
    exact = _attempt(f, extended) if EXTENDED else None
    if exact is not None:
        noise = _distance(f(x), exact)
        float64_slope, slope = slope, _slope(f, extended, v)
        unsure = 10 * _distance(slope, float64_slope)
        methods = [_noisy(LONG_DOUBLE, noise / 2048), _noisy(FLOAT64, noise)]
    if _attempt(f, as_dtype(x, np.complex128)) is not None:
        exact_slope = complex_step(f, as_dtype(x, np.complex128), v, np.complex128).value
        if _distance(exact_slope, slope) <= 1e-3 * np.max(np.abs(slope), initial=0) + unsure:
            methods.insert(0, COMPLEX)
    return methods


def _distance(a: HostArray, b: HostArray) -> float:
    return float(np.max(np.abs(a - b), initial=0))


def _slope(f: Function, x: Points, v: Points, step: float = 1e-5) -> HostArray:
    """A plain central difference: good to a few digits, for a function without surprises."""
    return (f(moved(x, step, v)) - f(moved(x, -step, v))) / (2 * step)


def _noisy(method: Method, noise: float) -> Method:
    return method._replace(derivative=partial(differences, noise=noise))


def as_dtype(x: Points, dtype: Any) -> list[HostArray]:
    """The inputs converted."""
    return [a.astype(dtype) for a in x]


def _attempt(f: Function, x: Points) -> HostArray | None:
    """f in another precision; None if it refuses or leaves it on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            y = f(x)
        except Exception:  # noqa: BLE001  whatever f does with numbers it does not expect
            return None
    return y if all(y.dtype == a.dtype for a in x) else None
