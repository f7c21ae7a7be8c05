"""What a gradient check has to say about one element: in words, as a pattern, as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np

from minigan.autograd.verification.numerical import HostArray
from minigan.errors import DataError


@dataclass(frozen=True)
class Finding:
    """One element of a gradient, as the pullback and as numbers have it.

    subject, value, index   of what function, to which value, where
    analytic, numeric       the pullback's answer, and the numbers'
    difference              the central difference for a step of the given size, in float64
    gradient, expected      the whole gradients to the value, if the whole Jacobian was compared
    ignores_g               the pullback gives the same for every cotangent
    float64_op              the op that falls back to float64 where the check has more digits
    """

    subject: str
    value: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    method: str
    cotangent: str
    difference: Callable[[float], float]
    gradient: HostArray | None
    expected: HostArray | None
    ignores_g: bool = False
    float64_op: str | None = None

    @property
    def relative_error(self) -> float:
        """|analytic - numeric|, relative to the larger of the two."""
        largest = max(abs(self.analytic), abs(self.numeric))
        return abs(self.analytic - self.numeric) / largest if largest else 0.0

    @property
    def may_be_rounding(self) -> bool:
        """Whether float64 could have made the difference, and was met on the way."""
        return self.float64_op is not None and self.relative_error < 1e-4

    def report(self) -> str:
        """What a learner needs: one sentence with a way out, then the figures."""
        guess = self.pattern()
        where = element(self.value, self.index)
        shape = "" if self.gradient is None else f"  shape {self.gradient.shape}"
        lines = [
            f"{self.subject}: the gradient to {self.value} {self._verdict()}. Try: {guess.hint}.",
            f"  argument        {self.value}{shape}",
            f"  worst element   {where}",
            f"  analytic        {self.analytic:.12g}",
            f"  numeric         {self.numeric:.12g}  by {self.method}",
            f"  relative error  {self.relative_error:.2g}",
            f"  cotangent       {self.cotangent}",
        ]
        if guess.pattern:
            lines.append(f"  pattern         {guess.pattern}")
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.may_be_rounding:
            return (
                f"differs from the slope by {self.relative_error:.2g} of it, which may be rounding "
                f"alone: f falls back to float64 on the way, in {self.float64_op}, while the check "
                f"computes with more digits"
            )
        digits = 6 if self.relative_error > 1e-5 else 12
        return (
            f"is wrong, the pullback gives {self.analytic:.{digits}g} where the slope is "
            f"{self.numeric:.{digits}g}"
        )

    def pattern(self) -> Guess:
        """A guess at the kind of mistake."""
        if self.may_be_rounding:
            return Guess("", "a.astype(x.dtype) for f's own arrays a, with x one of its inputs")
        if self.ignores_g:
            return Guess(
                "the gradient is the same whatever the cotangent is",
                "multiply by g, the gradient that arrives from above",
            )
        if self.gradient is None or self.expected is None:
            return Guess("", f"compare the formula with the slope at {self.value}{[*self.index]}")
        return guess_pattern(self.gradient, self.expected)


class Disagreement(Exception):  # noqa: N818  it is caught inside minigan, and told as GradientError
    """The pullback and the numbers disagree."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.report())
        self.finding = finding


def element(name: str, index: tuple[int, ...]) -> str:
    """`x[0, 2]`, or `x` for a single number."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


# ── patterns ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Guess:
    """A pattern in words, and what to look at first."""

    pattern: str
    hint: str


def guess_pattern(analytic: HostArray, expected: HostArray) -> Guess:
    """The first pattern that explains every element.

    >>> guess_pattern(np.array([0.5, 1.0]), np.array([1.0, 2.0])).pattern
    'every element is off by the factor 1/2'
    """
    return next(_patterns(analytic, expected))


def _patterns(a: HostArray, e: HostArray) -> Iterator[Guess]:
    bad = ~_same(a, e)
    if not np.isfinite(a).all():
        count = a.size - int(np.isfinite(a).sum())
        yield Guess(f"{count} of {a.size} elements are not finite", "look for a division by 0")
    if not a.any():
        yield Guess(
            "the gradient is zero everywhere",
            "look for detach(), stop_gradient or .data, which cut the way back",
        )
    if not e.any():
        yield Guess("the slope is zero everywhere", "look for a term that does not belong there")
    if _same(a, -e).all():
        yield Guess("the sign is flipped in every element", "look for a minus sign")
    nonzero = e != 0
    factor = float(np.median(a[nonzero] / e[nonzero])) if nonzero.any() else math.nan
    if a.size > 1 and _same(a, factor * e).all():
        yield Guess(
            f"every element is off by the factor {_fraction(factor)}",
            "look for a missing or extra factor: a mean's 1/N, a square's 2, the inner derivative",
        )
    yield from _rearrangements(a, e)
    offset = float(np.median(a - e))
    if a.size > 1 and _same(a, e + offset).all():
        yield Guess(
            f"every element is off by {offset:.6g}, the same amount",
            "look for a missing or extra term that does not depend on the element",
        )
    yield from _places(bad)
    yield from _factor_per_slice(a, e)
    share = f"{int(bad.sum())} of {bad.size} elements" if bad.size > 1 else "the one element"
    yield Guess(f"wrong in {share}", "derive the formula once more, one input at a time")


def _rearrangements(a: HostArray, e: HostArray) -> Iterator[Guess]:
    """The right numbers in the wrong places."""
    if e.ndim == 2:
        turned = e.T.reshape(e.shape)
        if _same(a, turned).all():
            yield Guess("equal to the transpose", "transpose the factors, or exchange them")
    axes = range(e.ndim)
    for chosen in chain.from_iterable(combinations(axes, n) for n in range(1, e.ndim + 1)):
        if _same(a, np.flip(e, chosen)).all():
            yield Guess(f"flipped along {_axes(chosen)}", "look for a missing or extra [::-1]")
    for axis in axes:
        for shift in (1, -1):
            if _same(a, np.roll(e, shift, axis)).all():
                yield Guess(
                    f"shifted by one along {_axes((axis,))}", "look at where the padding begins"
                )


def _places(bad: HostArray) -> Iterator[Guess]:
    """Wrong only in some places."""
    right = ~bad
    if not right.any():
        return
    if int(bad.sum()) == 1:
        yield Guess("wrong in one element only", "look for an index written twice or left out")
    for axis, length in enumerate(bad.shape):
        lines = np.flatnonzero(bad.any(axis=tuple(k for k in range(bad.ndim) if k != axis)))
        if len(lines) == 1 and length > 2:
            yield Guess(
                f"differs only at index {lines[0]} of axis {axis}",
                "look for a slice that is one too long or too short",
            )
    long = [axis for axis, length in enumerate(bad.shape) if length > 2]
    inside = bad[tuple(slice(1, -1) if axis in long else slice(None) for axis in range(bad.ndim))]
    if long and inside.size and not inside.any():
        yield Guess("differs only at the border", "look at the padding")


def _factor_per_slice(a: HostArray, e: HostArray) -> Iterator[Guess]:
    """Each row, or each column, has a factor of its own."""
    if e.ndim < 2 or not e.all():
        return
    ratio = a / e
    for axis in range(e.ndim):
        if e.shape[axis] > 1 and _same(ratio, ratio.mean(axis=axis, keepdims=True)).all():
            yield Guess(
                f"off by a factor that is the same along axis {axis}",
                "look for a sum or a mean over the wrong axis",
            )


def _same(a: HostArray, b: HostArray) -> HostArray:
    scale = float(np.max(np.abs(b[np.isfinite(b)]), initial=0))
    return np.abs(a - b) <= 1e-6 * np.abs(b) + 1e-9 * scale  # type: ignore[no-any-return]


def _fraction(factor: float) -> str:
    """1/6 rather than 0.166667, where it is one; 1 + 3e-08 rather than 1."""
    if 0 < abs(factor - 1) < 1e-6:
        return f"1 {'+' if factor > 1 else '-'} {abs(factor - 1):.2g}"
    if 0 < abs(factor) < 1 and abs(1 / factor - round(1 / factor)) < 1e-6:
        return f"1/{round(1 / factor)}"
    return f"{factor:.6g}"


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"


# ── the picture ──────────────────────────────────────────────────────────────────────────────


def save_picture(path: str | Path, finding: Finding) -> None:
    """Draw a finding as PNG: the error against the step (the V), and where the gradients differ.

    Errors: DataError if the file can't be written.
    """
    from matplotlib.figure import Figure  # pyplot would ask for a screen

    heatmaps = finding.gradient is not None and finding.gradient.size > 1
    figure = Figure(figsize=(15, 4.6) if heatmaps else (7.5, 4.6), dpi=100, layout="constrained")
    where = element(finding.value, finding.index)
    title = f"{finding.subject}: the gradient to {finding.value}"
    figure.suptitle(f"{title}, worst at {where}" if finding.index else title, fontsize=17)
    panels = figure.subplots(1, 4 if heatmaps else 1, squeeze=False, width_ratios=(
        [2, 1, 1, 1] if heatmaps else None))[0]  # fmt: skip
    _draw_v(panels[0], finding)
    if heatmaps:
        _draw_heatmaps(figure, panels[1:], finding)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise DataError(
            f"the picture {path} can't be written: {error.strerror}. "
            f"Try: a folder you may write to."
        ) from error


def _draw_v(axes: Any, finding: Finding) -> None:
    """How far central differences are from the pullback's answer and from the numerical one."""
    steps = np.logspace(-12, -0.5, 60)
    quotients = np.array([finding.difference(step) for step in steps])
    for name, target, style in [
        ("from the pullback's answer", finding.analytic, "C3o-"),
        (f"from the {finding.method}'s", finding.numeric, "C0.-"),
    ]:
        scale = abs(finding.numeric) or 1.0
        error = np.maximum(np.abs(quotients - target) / scale, 1e-17)
        axes.loglog(steps, error, style, label=name, linewidth=2, markersize=5)
    axes.set_title("central difference: how far off?", fontsize=15)
    axes.set_xlabel("step", fontsize=14)
    axes.set_ylabel("relative error", fontsize=14)
    axes.tick_params(labelsize=12)
    axes.set_ylim(bottom=1e-17)  # room for the legend below the V
    axes.grid(alpha=0.3)
    axes.legend(fontsize=12, loc="lower left")


def _draw_heatmaps(figure: Any, panels: Any, finding: Finding) -> None:
    a, e = _as_matrix(finding.gradient), _as_matrix(finding.expected)
    largest = max(_reach(a), _reach(e)) or 1.0
    off = _reach(a - e) or 1.0
    for axes, title, numbers, reach in [
        (panels[0], "pullback", a, largest),
        (panels[1], "numbers", e, largest),
        (panels[2], "difference", a - e, off),
    ]:
        image = axes.imshow(numbers, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
        axes.set_title(title, fontsize=15)
        axes.set_xticks([])
        axes.set_yticks([])
        figure.colorbar(image, ax=axes, shrink=0.8, format="%.2g")


def _as_matrix(x: Any) -> HostArray:
    return np.asarray(x, float).reshape(-1, x.shape[-1] if x.ndim else 1)


def _reach(x: HostArray) -> float:
    return float(np.max(np.abs(x[np.isfinite(x)]), initial=0))
