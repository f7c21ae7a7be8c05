"""Mutants of batch normalisation, whose pullback has the most terms to forget.

gamma / s * (g - mean(g) - z * mean(g z)), where z = (x - center) / s, s = sqrt(variance + e), and
e is epsilon.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigan.autograd.engine import Value, array_of, stop_gradient
from minigan.autograd.ops import mean, moments, sqrt
from minigan.testing.mutants.mistakes import (
    in_graphs,
    in_memory_order,
    last_element_off,
    of_the_base,
    on_arrays,
    only_if,
    only_in,
    right,
    squaring_g,
    times,
)
from minigan.testing.mutants.mutant import of


def rows(x: Value) -> tuple[int, ...]:
    """All axes but the channels."""
    return tuple(range(x.ndim - 1))


def terms(x: Value, epsilon: float) -> tuple[Value, Value]:
    """z and s."""
    center, variance = moments(x)
    s = sqrt(variance + epsilon)
    return (x - center) / s, s


def to_x(
    g: Value, gamma: Value, z: Value, s: Value, average: Callable[[Value], Value] | None = None
) -> Value:
    """The pullback to x from its parts."""
    average = average or (lambda v: mean(v, rows(z)))
    return gamma / s * (g - average(g) - z * average(g * z))


def sample_terms(x: Value, epsilon: float) -> tuple[Value, Value]:
    """z and s with the variance over N - 1."""
    center, variance = moments(x)
    N = x.size / x.shape[-1]
    s = sqrt(variance * (N / (N - 1)) + epsilon)
    return (x - center) / s, s


def constant_terms(x: Value, epsilon: float) -> tuple[Value, Value]:
    """z and s as they were in the forward pass: constants."""
    z, s = terms(x, epsilon)
    return stop_gradient(z), stop_gradient(s)


def centred(g: Value) -> Value:
    """g less its mean, written into the memory of g: harmless for x, not for gamma."""
    if not isinstance(g, np.ndarray):
        return g - mean(g, rows(g))
    g -= array_of(g).mean(axis=rows(g))
    return g


def stretched_moments(
    g: Value, x: Value, share_of_mean: float = 1, share_of_variance: float = 1
) -> Value:
    """The pullback of the moments, its two terms multiplied by something."""
    (center, _), (to_mean, to_variance), N = moments(x), g, x.size / x.shape[-1]
    return (
        share_of_mean * to_mean / N + share_of_variance * 2 * (x - center) * to_variance / N
    ) * np.ones(x.shape)


PLAIN = r"batch_norm\(\(5,3\)"
PICTURES = r"\(2,2,3,2\)"
TO_X, TO_GAMMA, TO_BETA = (right("batch_norm", i) for i in range(3))

BATCH_NORM = [
    *of("batch_norm", 0,
        ("missing term", "mean and variance are constants", lambda g, y, x, gamma, beta, e: (
            gamma / terms(x, e)[1] * g)),
        ("missing term", "the mean is a constant", lambda g, y, x, gamma, beta, e: (
            gamma / terms(x, e)[1] * (g - terms(x, e)[0] * mean(g * terms(x, e)[0], rows(x))))),
        ("missing term", "the variance is a constant", lambda g, y, x, gamma, beta, e: (
            gamma / terms(x, e)[1] * (g - mean(g, rows(x))))),
        ("missing term", "no gamma", lambda g, y, x, gamma, beta, e: to_x(g, 1.0, *terms(x, e))),
        ("missing term", "no 1 / s", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, terms(x, e)[0], 1.0))),
        ("missing term", "no z in the mean of g z", lambda g, y, x, gamma, beta, e: (
            gamma / terms(x, e)[1]
            * (g - mean(g, rows(x)) - terms(x, e)[0] * mean(g, rows(x))))),
        ("sign", "+ z mean(g z)", lambda g, y, x, gamma, beta, e: (
            gamma / terms(x, e)[1]
            * (g - mean(g, rows(x)) + terms(x, e)[0] * mean(g * terms(x, e)[0], rows(x))))),
        ("factor or 1/N", "sums for means", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *terms(x, e), lambda v: v.sum(axis=rows(v))))),
        ("factor or 1/N", "off by 1 + 1e-6", times(1 + 1e-6, TO_X)),
        ("ddof", "the variance over N - 1", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *sample_terms(x, e)))),
        ("ddof", "means over N - 1", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *terms(x, e),
                 lambda v: v.sum(axis=rows(v)) / (v.size / v.shape[-1] - 1)))),
        ("epsilon", "no epsilon", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *terms(x, 0.0)))),
        ("epsilon", "epsilon beside the root, not in it", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, terms(x, e)[0], terms(x, 0.0)[1] + e))),
        ("wrong term", "the output for z", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, y, terms(x, e)[1]))),
        ("wrong term", "s^2 for s", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, terms(x, e)[0], terms(x, e)[1] * terms(x, e)[1]))),
        ("special case", "the last element is off by 0.001", last_element_off(TO_X)),
        ("special case", "wrong only in float32", only_in("float32", times(1.001, TO_X), TO_X)),
        ("precision", "means in float32", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *terms(x, e),
                 lambda v: mean(v.astype("float32"), rows(v))))),
        ("memory layout", "x as it lies in memory", lambda g, y, x, gamma, beta, e: (
            TO_X(g, y, in_memory_order(x), gamma, beta, e))),
        ("memory layout", "the memory g is a view of", lambda g, y, x, gamma, beta, e: (
            TO_X(of_the_base(g), y, x, gamma, beta, e))),
        ("aliases or mutates", "g is centred in place", lambda g, y, x, gamma, beta, e: (
            to_x(centred(g), gamma, *terms(x, e)))),
        ("second order", "z and s as saved in forward (DeZero)", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *constant_terms(x, e)))),
        ("second order", "s as saved in forward", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, terms(x, e)[0], stop_gradient(terms(x, e)[1])))),
        ("second order", "the batch's mean as saved in forward", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, (x - stop_gradient(moments(x)[0])) / terms(x, e)[1], terms(x, e)[1]))),
        ("second order", "gamma is a constant", lambda g, y, x, gamma, beta, e: (
            to_x(g, stop_gradient(gamma), *terms(x, e)))),
        ("second order", "the mean of g is a constant", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *terms(x, e)) + gamma / terms(x, e)[1]
            * (mean(g, rows(x)) - stop_gradient(mean(g, rows(x)))))),
        ("second order", "the mean of g z is a constant", lambda g, y, x, gamma, beta, e: (
            gamma / terms(x, e)[1] * (g - mean(g, rows(x)) - terms(x, e)[0]
                                      * stop_gradient(mean(g * terms(x, e)[0], rows(x)))))),
        ("second order", "the kernel for arrays is right, the one for graphs has no mean",
         in_graphs(lambda g, y, x, gamma, beta, e: (
             gamma / terms(x, e)[1] * (g - mean(g, rows(x)))), TO_X)),
        ("second order", "no graph", on_arrays(TO_X)),
        where=PLAIN,
    ),
    *of("batch_norm", 0,
        ("wrong axis", "means over the first axis alone", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *terms(x, e), lambda v: v.mean(axis=0)))),
        ("wrong axis", "means over the channels, too", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *terms(x, e), lambda v: v.mean()))),
        ("special case", "wrong only for pictures: N is the batch", only_if(
            lambda x, *_: x.ndim == 4,
            lambda g, y, x, gamma, beta, e: to_x(
                g, gamma, *terms(x, e), lambda v: v.sum(axis=rows(v)) / len(v)), TO_X)),
        where=PICTURES,
    ),
    *of("batch_norm", 0,
        ("epsilon", "always 1e-5", lambda g, y, x, gamma, beta, e: (
            to_x(g, gamma, *terms(x, 1e-5)))),
        where="epsilon=0.001",
    ),
    *of("batch_norm", 0,
        ("special case", "z from the output: 0 / 0 where gamma is 0 (Chainer)",
         lambda g, y, x, gamma, beta, e: to_x(g, gamma, (y - beta) / gamma, terms(x, e)[1])),
        where=r"\[0\.0,1\.0\]",
    ),
    *of("batch_norm", 1,
        ("wrong term", "the output for z", lambda g, y, x, gamma, beta, e: g * y),
        ("missing term", "x - center: not divided by s", lambda g, y, x, gamma, beta, e: (
            g * (x - mean(x, rows(x))))),
        ("missing term", "x: not normalised", lambda g, y, x, gamma, beta, e: g * x),
        ("wrong term", "gamma once more", lambda g, y, x, gamma, beta, e: (
            g * terms(x, e)[0] * gamma)),
        ("epsilon", "no epsilon", lambda g, y, x, gamma, beta, e: g * terms(x, 0.0)[0]),
        ("ddof", "the variance over N - 1", lambda g, y, x, gamma, beta, e: (
            g * sample_terms(x, e)[0])),
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, gamma, beta, e: (
            g * terms(x, e)[0] / len(x))),
        ("second order", "z as saved in forward (DeZero)", lambda g, y, x, gamma, beta, e: (
            g * stop_gradient(terms(x, e)[0]))),
        ("second order", "s as saved in forward", lambda g, y, x, gamma, beta, e: (
            g * (x - mean(x, rows(x))) / stop_gradient(terms(x, e)[1]))),
        ("second order", "g is a constant", lambda g, y, x, gamma, beta, e: (
            stop_gradient(g) * terms(x, e)[0])),
        where=PLAIN,
    ),
    *of("batch_norm", 2,
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, gamma, beta, e: g / len(g)),
        ("wrong term", "gamma's share: g z", TO_GAMMA),
        ("un-broadcast", "only the first row", lambda g, y, x, gamma, beta, e: g[0]),
        ("ignores or bends g", "squares g", squaring_g(TO_BETA)),
        ("second order", "no graph", on_arrays(TO_BETA)),
        where=PLAIN,
    ),
]  # fmt: skip

PARTS = [
    *of("moments", 0,
        ("factor or 1/N", "no 2", lambda g, y, x, batches: (
            stretched_moments(g, x, share_of_variance=0.5))),
        ("missing term", "no gradient of the mean", lambda g, y, x, batches: (
            stretched_moments(g, x, share_of_mean=0))),
        ("missing term", "no gradient of the variance", lambda g, y, x, batches: (
            stretched_moments(g, x, share_of_variance=0))),
        ("ddof", "the variance over N - 1", lambda g, y, x, batches: (
            stretched_moments(g, x, 1, (x.size / x.shape[-1]) / (x.size / x.shape[-1] - 1)))),
        ("transposed or flipped", "mean and variance exchanged", lambda g, y, x, batches: (
            stretched_moments(g[::-1], x))),
        ("wrong axis", "N is the size of all of x", lambda g, y, x, batches: (
            stretched_moments(g / x.shape[-1], x))),
        ("second order", "x is a constant", lambda g, y, x, batches: (
            stretched_moments(g, stop_gradient(x)))),
        ("second order", "the mean is a constant", lambda g, y, x, batches: (
            right("moments")(g, stop_gradient(y), x, batches))),
        where=r"\(5,3\)",
    ),
    *of("moments", 0,
        ("wrong axis", "N is the batch", lambda g, y, x, batches: (
            right("moments")(g, y, x, batches) * (x.size / x.shape[-1] / len(x)))),
        where=PICTURES,
    ),
    *of("moments", 0,
        ("special case", "several batches are taken for one", lambda g, y, x, batches: (
            right("moments")(g.sum(1), y.sum(1) / batches, x, 1))),
        ("factor or 1/N", "N is that of all batches", lambda g, y, x, batches: (
            right("moments")(g, y, x, batches) / batches)),
        where="batches=2",
    ),
    *of("scale_channels", 0,
        ("missing term", "no scale", lambda g, y, x, scale: g * 1),
        ("wrong term", "the scales of the batches the other way round", lambda g, y, x, scale: (
            right("scale_channels")(g, y, x, scale[::-1]))),
        ("special case", "every batch by the first one's scale", lambda g, y, x, scale: (
            g * scale[0])),
        ("second order", "the scale is a constant", lambda g, y, x, scale: (
            right("scale_channels")(g, y, x, stop_gradient(scale)))),
        where=r"\(6,2\)",
    ),
    *of("scale_channels", 1,
        ("missing term", "the sum of g", lambda g, y, x, scale: g.sum(0)),
        ("un-broadcast", "only the first row", lambda g, y, x, scale: (g * x)[0]),
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, scale: (
            right("scale_channels", 1)(g, y, x, scale) / len(x))),
        ("second order", "no graph", on_arrays(right("scale_channels", 1))),
        where=r"\(5,3\)",
    ),
    *of("scale_and_shift", 0,
        ("missing term", "no scale", lambda g, y, x, center, scale, shift: g * 1),
        ("transposed or flipped", "divided by the scale", lambda g, y, x, center, scale, shift: (
            g / scale)),
        ("second order", "the scale is a constant", lambda g, y, x, center, scale, shift: (
            g * stop_gradient(scale))),
        where=r"\(5,3\)",
    ),
    *of("scale_and_shift", 1,
        ("sign", "no minus", lambda g, y, x, center, scale, shift: g * scale),
        ("missing term", "no scale", lambda g, y, x, center, scale, shift: -g),
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, center, scale, shift: (
            -g * scale / len(x))),
        ("second order", "the scale is a constant", lambda g, y, x, center, scale, shift: (
            -g * stop_gradient(scale))),
        where=r"\(5,3\)",
    ),
    *of("scale_and_shift", 2,
        ("missing term", "no center", lambda g, y, x, center, scale, shift: g * x),
        ("wrong term", "the output", lambda g, y, x, center, scale, shift: g * y),
        ("un-broadcast", "only the first row", lambda g, y, x, center, scale, shift: (
            g * (x - center))[0]),
        ("second order", "x is a constant", lambda g, y, x, center, scale, shift: (
            g * (stop_gradient(x) - center))),
        where=r"\(5,3\)",
    ),
    *of("scale_and_shift", 3,
        ("factor or 1/N", "averaged over the batch", lambda g, y, x, center, scale, shift: (
            g / len(x))),
        ("wrong term", "times the scale", lambda g, y, x, center, scale, shift: g * scale),
        ("second order", "no graph", on_arrays(right("scale_and_shift", 3))),
        where=r"\(5,3\)",
    ),
    *of("sum_of_products", 0,
        ("missing term", "no center", lambda v, y, g, x, center: v * x),
        ("sign", "x + center", lambda v, y, g, x, center: v * (x + center)),
        ("second order", "v is a constant", lambda v, y, g, x, center: (
            stop_gradient(v) * (x - center))),
        where=r"\(5,3\)",
    ),
    *of("sum_of_products", 1,
        ("transposed or flipped", "x for g", lambda v, y, g, x, center: v * x),
        ("factor or 1/N", "averaged over the batch", lambda v, y, g, x, center: v * g / len(x)),
        ("second order", "g is a constant", lambda v, y, g, x, center: v * stop_gradient(g)),
        where=r"\(5,3\)",
    ),
    *of("sum_of_products", 2,
        ("sign", "no minus", lambda v, y, g, x, center: v * g),
        ("missing term", "0, as for a constant", lambda v, y, g, x, center: v * 0),
        ("factor or 1/N", "averaged over the batch", lambda v, y, g, x, center: -v * g / len(x)),
        ("second order", "no graph", on_arrays(right("sum_of_products", 2))),
        where=r"\(5,3\)",
    ),
]  # fmt: skip

MUTANTS = [*BATCH_NORM, *PARTS]
