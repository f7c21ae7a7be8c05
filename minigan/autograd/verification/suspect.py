"""One number that looks wrong: is it the pullback, the numerical method, or a kink?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from minigan.autograd.verification.disagreement import element
from minigan.autograd.verification.numerical import (
    COMPLEX,
    EXTENDED,
    HostArray,
    Method,
    as_dtype,
    differences,
    moved,
    one_sided_slopes,
)
from minigan.autograd.verification.subject import Subject

FAR, NEAR = 1e-4, 1e-6  # steps to the left and to the right, in search of a kink


class MethodFailsError(Exception):
    """The numerical method is wrong about this function, not the pullback."""


@dataclass(frozen=True)
class Suspect:
    """<g, J v> for one cotangent g and one direction v of one value, where two answers differ.

    position  of the value among the subject's
    gradient  J^T g as the pullback gives it, flat
    """

    subject: Subject
    method: Method
    position: int
    g: HostArray
    direction: HostArray
    gradient: HostArray

    @property
    def analytic(self) -> float:
        """By the pullback."""
        return float(self.gradient @ self.direction)

    @property
    def numeric(self) -> float:
        """By numbers."""
        return self._by(self.method)

    def _by(self, method: Method) -> float:
        points = as_dtype(self.subject.points, method.dtype)
        derivative = method.derivative(
            self.subject.on_arrays, points, self._directions(), method.dtype
        )
        return float(self.g @ derivative.value)

    def difference(self, step: float) -> float:
        """By a central difference in float64."""
        points, v = self.subject.points, self._directions()
        return float(self._f(moved(points, step, v)) - self._f(moved(points, -step, v))) / (
            2 * step
        )

    def _f(self, values: Sequence[HostArray]) -> HostArray:
        """<g, f>, one number."""
        return self.g @ self.subject.on_arrays(values)

    def _directions(self) -> list[HostArray]:
        v = [np.zeros_like(x) for x in self.subject.points]
        v[self.position] = self.direction.reshape(v[self.position].shape)
        return v

    @property
    def name(self) -> str:
        """What the value is called."""
        return self.subject.names[self.position]

    @property
    def index(self) -> tuple[int, ...]:
        """The element in question, or the one that the direction moves most."""
        shape = self.subject.points[self.position].shape
        place = np.unravel_index(int(np.argmax(np.abs(self.direction))), shape)
        return tuple(int(k) for k in place)

    def narrowed(self) -> Suspect:
        """The one element where the answers differ most, found by halving the direction."""
        suspect = self
        while (places := np.flatnonzero(suspect.direction)).size > 1:
            halves = []
            for part in np.array_split(places, 2):
                half = np.zeros_like(suspect.direction)
                half[part] = suspect.direction[part]
                halves.append(replace(suspect, direction=half))
            suspect = max(halves, key=lambda half: abs(half.analytic - half.numeric))
        place = suspect.direction != 0
        return replace(suspect, direction=place.astype(np.float64))

    def kink(self) -> str | None:
        """The corner that explains the difference, in words; None if there is no such excuse.

        At a corner any slope between those of its two sides will do: that is a convention. A
        smooth function's two slopes come closer with the step, a corner's do not, and where the
        function jumps they grow.
        Errors: MethodFailsError where real numbers side with the pullback.
        """
        dtype = np.longdouble if EXTENDED and self.method.dtype is not np.float64 else np.float64
        points, v = as_dtype(self.subject.points, dtype), self._directions()
        far_left, far_right = one_sided_slopes(self._f, points, v, FAR)
        left, right = one_sided_slopes(self._f, points, v, NEAR)
        rounding = 100 * float(np.finfo(dtype).eps * np.abs(self._f(points))) / NEAR
        slack = 1e-5 * float(np.abs(left) + np.abs(right)) + rounding
        gap, far_gap = abs(right - left), abs(far_right - far_left)
        between = min(left, right) - slack <= self.analytic <= max(left, right) + slack
        where = f"{element(self.name, self.index)} = {self._value():.6g}"
        steepest, far_steepest = max(abs(left), abs(right)), max(abs(far_left), abs(far_right))
        if steepest > 10 * far_steepest + slack:
            return f"{where}: {self.subject.name} jumps"
        if gap > slack and gap > far_gap / 2 and between:
            return (
                f"{where}: slopes {left:.6g} and {right:.6g} at its two sides, "
                f"the pullback takes {self.analytic:.6g}"
            )
        if self.method is COMPLEX:
            real = float(differences(self._f_vector, points, v, dtype).value[0])
            if abs(real - self.analytic) < abs(real - self.numeric):
                raise MethodFailsError
        elif gap <= slack and between:
            return f"{where}: a kink within the step of the difference"
        return None

    def _f_vector(self, values: Sequence[HostArray]) -> HostArray:
        return np.atleast_1d(self._f(values))

    def _value(self) -> float:
        return float(self.subject.points[self.position][self.index])
