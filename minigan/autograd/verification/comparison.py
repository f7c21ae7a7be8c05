"""Is J^T g what numerical derivatives say? One-hot, dense and unique cotangents, every element."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from minigan.autograd.verification.disagreement import Disagreement, Finding
from minigan.autograd.verification.numerical import (
    COMPLEX,
    EXTENDED,
    EXTENDED_COMPLEX,
    Derivative,
    Function,
    HostArray,
    Method,
    Points,
    as_dtype,
    moved,
    precise_methods,
)
from minigan.autograd.verification.subject import Pullback, Subject
from minigan.autograd.verification.suspect import MethodFailsError, Suspect
from minigan.backend import Array
from minigan.errors import GradientError
from minigan.random import stream

FULL = 256  # up to so many elements the whole Jacobian is compared; beyond, a sample of directions
SAMPLED = 8  # one-hot and dense directions each, where the Jacobian is too large


@dataclass
class Evidence:
    """What the comparison of one order found.

    method       how the numerical derivatives were taken
    comparisons  how many numbers were compared
    worst        the largest error relative to the sum |J||g| of the terms it could come from
    cotangents   (C, M): one cotangent a row, the last two dense and unique
    gradients    for each value (C, N): the analytic gradients
    scales       for each value (C, K): the sums |J||g|, for K directions
    rounding     for each value: how much float64 rounds here; 0 where it was not needed
    zero         the names of values that move no output
    kinks        corners found, in words
    finding      the element with the largest error
    """

    method: str
    cotangents: HostArray
    gradients: list[HostArray]
    comparisons: int = 0
    worst: float = 0.0
    scales: list[HostArray] = field(default_factory=list)
    rounding: list[float] = field(default_factory=list)
    zero: list[str] = field(default_factory=list)
    kinks: list[str] = field(default_factory=list)
    finding: Finding | None = None


def compare(subject: Subject, seed: int) -> Evidence:
    """Compare every pullback with numbers, by the most exact method that works.

    Errors: Disagreement.
    """
    rng = stream(seed, f"directions of {subject.name}")
    everywhere = [np.asarray(rng.normal(size=x.shape)) for x in subject.points]
    method, *others = precise_methods(subject.on_arrays, subject.points, everywhere)
    try:
        return _Comparison(subject, method, rng).evidence
    except MethodFailsError:
        return _Comparison(subject, others[0], rng).evidence


class _Quotients(NamedTuple):
    """<g, J v> for each cotangent g (a row) and direction v (a column), by pullback and number."""

    analytic: HostArray
    numeric: HostArray
    scale: HostArray  # the sum of the magnitudes of the terms
    error: HostArray  # of the numerical derivative


class _Comparison:
    """The comparison by one method: everything it finds goes into `evidence`."""

    def __init__(self, subject: Subject, method: Method, rng: Generator) -> None:
        self.subject, self.method = subject, method
        pull = subject.pull(subject.points)
        self._compare_outputs(pull)
        self.cotangents = _cotangents(sum(y.size for y in pull.outputs), rng)
        gradients = gradients_of(pull, self.cotangents)
        self.evidence = Evidence(method.name, self.cotangents, gradients)
        for i, x in enumerate(subject.points):
            self._compare_gradients(i, _directions(x.size, rng, dense=SAMPLED))

    def _compare_outputs(self, pull: Pullback) -> None:
        """The same values as the reference's; or, of a gradient, as without create_graph."""
        subject = self.subject
        value, expected = pull.value(), subject.on_arrays(subject.points)
        if value.shape != expected.shape:
            raise GradientError(
                f"{subject.name} gives {value.size} numbers, its reference {expected.size}. "
                f"Try: look at the shapes of both."
            )
        wrong = ~_close(value, expected)
        if wrong.any():  # is it float64's rounding?
            jitter = jitter_of(lambda points: subject.pull(points).value(), subject.points)
            jitter += jitter_of(subject.on_arrays, subject.points)
            wrong &= ~_close(value, expected, 16 * jitter)
        if wrong.any():
            first = int(np.argmax(wrong))
            raise GradientError(
                f"{subject.name} gives {value[first]:.12g} at output {first}, its reference "
                f"{expected[first]:.12g}. Try: derive both once more; one of them is wrong."
            )

    def _compare_gradients(self, i: int, directions: HostArray) -> None:
        evidence = self.evidence
        found = self._quotients(i, directions, evidence.gradients[i], self.method)
        bound = self.method.tolerance * found.scale + found.error
        wrong = ~(np.abs(found.analytic - found.numeric) <= bound)  # NaN is wrong, too
        zero = bool((np.abs(found.numeric) <= found.error).all())
        rounding = 0.0
        if wrong.any() or zero:
            wrong, rounding, zero = self._second_opinion(i, directions, found, wrong)
        if wrong.any():
            self._explain(i, directions, found, wrong)
        evidence.scales.append(found.scale)
        evidence.rounding.append(rounding)
        evidence.comparisons += found.numeric.size
        if found.numeric.size and zero:
            evidence.zero.append(self.subject.names[i])
        elif found.numeric.size:
            self._keep_worst(i, directions, found, rounding)

    def _quotients(
        self, i: int, directions: HostArray, gradients: HostArray, method: Method
    ) -> _Quotients:
        columns, g = jacobian_columns(self.subject, i, directions, method), self.cotangents
        by_number = np.abs(g) @ np.abs(columns.value)
        by_pullback = np.abs(gradients) @ np.abs(directions.T)
        return _Quotients(
            analytic=gradients @ directions.T,
            numeric=g @ columns.value,
            scale=np.maximum(by_number, by_pullback),
            error=np.abs(g) @ columns.error,
        )

    def _second_opinion(
        self, i: int, directions: HostArray, found: _Quotients, wrong: HostArray
    ) -> tuple[HostArray, float, bool]:
        """What is still wrong with 64 bits of precision; how much float64 rounds; if J is zero.

        The difference between the two precisions is float64's rounding. In extended precision it
        is 2,048 times smaller, so a disagreement larger than a 16th of it is real. Where they
        agree there, the difference has to be rounding indeed, not another formula for float64.
        """
        gradients = self._extended_gradients(i, self.subject.points, self.cotangents)
        if gradients is None:
            return wrong, 0.0, not (wrong.any() or found.numeric.any())
        method = EXTENDED_COMPLEX if self.method is COMPLEX else self.method
        exact = self._quotients(i, directions, gradients, method)
        off = np.abs(found.analytic - exact.analytic)
        rounding = _largest(off) + _largest(found.numeric - exact.numeric)
        bound = method.tolerance * exact.scale + exact.error
        still = wrong & ~(np.abs(exact.analytic - exact.numeric) <= bound + rounding / 16)
        nothing = rounding + np.max(exact.error, initial=0)
        zero = bool((np.abs(exact.numeric) <= nothing).all())
        if still.any() or not wrong.any():
            return still, rounding, zero
        return wrong & ~(off <= bound + self._rounding(i, directions, off)), rounding, zero

    def _rounding(self, i: int, directions: HostArray, off: HostArray) -> float:
        """How far float64's gradients may be off: rounding is noise, and changes from x to x.

        At points nearby the errors of another formula would be the same, those of rounding are
        not: they scatter. What is too flat for float64 to resolve (a change of x as large as x
        moves y by less than its last digit) is rounding, too.
        """
        rng, subject = stream(0, "nearby"), self.subject
        rows = self.cotangents[np.argsort(-off.max(axis=1))[:4]]
        errors = []
        for near in (1e-15, 1e-12, 1e-9, 1e-6) * 2:
            points = [np.asarray(x * (1 + near * rng.uniform(-1, 1, x.shape)))
                      for x in subject.points]  # fmt: skip
            gradients = gradients_of(subject.pull(points), rows)[i]
            exact = self._extended_gradients(i, points, rows)
            if exact is not None:
                errors.append((gradients - exact) @ directions.T)
        scatter = float(np.max(np.ptp(errors, axis=0), initial=0)) if errors else 0.0
        reach = _largest(subject.points[i]) or 1.0
        height = np.max(np.abs(self.cotangents) @ np.abs(subject.on_arrays(subject.points)))
        return 32 * scatter + float(np.finfo(np.float64).eps * height) / reach

    def _extended_gradients(
        self, i: int, points: Points, cotangents: HostArray
    ) -> HostArray | None:
        """The gradients in long double; None if the function does not stay in it."""
        if not EXTENDED or self.subject.device != "cpu":
            return None
        try:
            pull = self.subject.pull(as_dtype(points, np.longdouble))
            gradients = gradients_of(pull, cotangents)[i]
        except Exception:  # noqa: BLE001  whatever f does with numbers it does not expect
            return None
        return gradients if gradients.dtype == np.longdouble else None

    def _explain(self, i: int, directions: HostArray, found: _Quotients, wrong: HostArray) -> None:
        """Raise a Disagreement about the worst element that no kink explains; leave kinks out."""
        error = np.abs(found.analytic - found.numeric)
        error = np.where(wrong, np.where(np.isnan(error), np.inf, error), 0)
        one_hots = error[:-2]  # they tell the function's own slopes, the others weighted sums
        error = np.where(one_hots.any(axis=0), np.vstack([one_hots, 0 * error[-2:]]), error)
        for column in np.argsort(-error.max(axis=0))[: np.count_nonzero(wrong.any(axis=0))]:
            row = int(np.argmax(error[:, column]))
            suspect = self._suspect(i, row, directions[column]).narrowed()
            kink = suspect.kink()
            if kink is None:
                raise Disagreement(self._finding(suspect, row, found))
            self.evidence.kinks.append(kink)
            found.analytic[:, column] = found.numeric[:, column]

    def _keep_worst(
        self, i: int, directions: HostArray, found: _Quotients, rounding: float
    ) -> None:
        """The element with the largest relative error that rounding does not explain."""
        evidence, error = self.evidence, np.abs(found.analytic - found.numeric)
        relative = np.where(error > rounding, error, 0) / np.where(found.scale > 0, found.scale, 1)
        if evidence.finding is None or np.max(relative) > evidence.worst:
            row, column = np.unravel_index(int(np.argmax(relative)), relative.shape)
            evidence.worst = float(np.max(relative))
            suspect = self._suspect(i, int(row), directions[column])
            evidence.finding = self._finding(suspect, int(row), found)

    def _suspect(self, i: int, row: int, direction: HostArray) -> Suspect:
        gradient = self.evidence.gradients[i][row]
        return Suspect(self.subject, self.method, i, self.cotangents[row], direction, gradient)

    def _finding(self, suspect: Suspect, row: int, found: _Quotients) -> Finding:
        """What there is to tell: the element, and all of the gradient under a dense cotangent."""
        gradients = self.evidence.gradients[suspect.position]
        shape = self.subject.points[suspect.position].shape
        whole = found.numeric.shape[1] == gradients.shape[1]
        dense = len(self.cotangents) - 2
        shown = row if np.array_equal(found.analytic[dense], found.numeric[dense]) else dense
        return Finding(
            subject=self.subject.name,
            value=suspect.name,
            index=suspect.index,
            analytic=suspect.analytic,
            numeric=suspect.numeric,
            method=self.method.name,
            cotangent=self._words(row),
            difference=suspect.difference,
            gradient=gradients[shown].reshape(shape) if whole else None,
            expected=found.numeric[shown].reshape(shape).astype(float) if whole else None,
            ignores_g=len(gradients) > 3
            and bool(gradients.any() and not np.ptp(gradients, 0).any()),
        )

    def _words(self, row: int) -> str:
        one_hots = len(self.cotangents) - 2
        if row >= one_hots:
            return ("dense", "unique")[row - one_hots]
        return f"one-hot at output {int(np.argmax(self.cotangents[row]))}"


def jacobian_columns(subject: Subject, i: int, directions: HostArray, method: Method) -> Derivative:
    """J v for each direction v of value i: (K, N) -> (M, K)."""
    points = as_dtype(subject.points, method.dtype)
    along = [np.zeros_like(x) for x in subject.points]
    columns = []
    for v in directions:
        along[i] = v.reshape(along[i].shape)
        columns.append(method.derivative(subject.on_arrays, points, along, method.dtype))
    if not columns:
        size = subject.on_arrays(subject.points).size
        return Derivative(np.zeros((size, 0)), np.zeros((size, 0)))
    return Derivative(
        np.stack([c.value for c in columns], axis=1), np.stack([c.error for c in columns], axis=1)
    )


def gradients_of(pull: Pullback, cotangents: HostArray) -> list[HostArray]:
    """For each value its gradients, one row for each cotangent; zeros where nothing depends."""
    rows = [[x if x is None else x.copy() for x in pull(g)] for g in cotangents]
    return [np.stack([_flat_or_zero(row[i], x.data) for row in rows])
            for i, x in enumerate(pull.leaves)]  # fmt: skip


def _flat_or_zero(gradient: HostArray | None, x: Array) -> HostArray:
    return np.zeros(x.size, x.dtype) if gradient is None else gradient.ravel()


def jitter_of(f: Function, points: Points) -> float:
    """How much a result changes when the inputs change in their last digits: f's rounding."""
    rng, exact = stream(0, "jitter"), f(points)
    epsilon = 4 * np.finfo(np.float64).eps
    nearby = [[x * epsilon * rng.uniform(-1, 1, x.shape) for x in points] for _ in range(8)]
    return max(_largest(f(moved(points, 1, v)) - exact) for v in nearby)


def _cotangents(size: int, rng: Generator) -> HostArray:
    """One-hot vectors, then a dense and a unique one (no two of its numbers are the same)."""
    unique = 0.5 + (np.arange(1, size + 1) * 0.6180339887498949) % 1  # the golden ratio's multiples
    return np.vstack([_directions(size, rng, dense=0), rng.normal(size=size), unique])


def _directions(size: int, rng: Generator, dense: int) -> HostArray:
    """Every one-hot vector; for a large size the first, the last, a few others and dense ones."""
    if size <= FULL:
        return np.eye(size)
    places = [0, size - 1, *rng.integers(size, size=SAMPLED - 2)]
    one_hots = np.zeros((SAMPLED, size))
    one_hots[np.arange(SAMPLED), places] = 1
    return np.vstack([one_hots, rng.normal(size=(dense, size))])


def _close(a: HostArray, b: HostArray, rounding: float = 0.0) -> HostArray:
    largest = np.max(np.abs(b), initial=0)
    return np.abs(a - b) <= 1e-10 * np.abs(b) + 1e-13 * largest + rounding  # type: ignore[no-any-return]


def _largest(x: HostArray) -> float:
    return float(np.max(np.abs(x[np.isfinite(x)]), initial=0))
