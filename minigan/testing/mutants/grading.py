"""Judging: which mutants are noticed, by minigan's check and by the peers', on which seeds.

A method notices a mutant on a seed if any of the mutant's specifications raises an alarm. It
kills the mutant if it notices on every seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial, wraps
from itertools import product
from multiprocessing import get_context
from typing import Any

import numpy as np

from minigan.random import stream
from minigan.testing.mutants import MUTANTS
from minigan.testing.mutants.mutant import Family, Mutant
from minigan.testing.peers import PROTOCOLS
from minigan.testing.specifications import Specification, all_specifications

MINIGAN = "minigan"
METHODS = (MINIGAN, *PROTOCOLS)
SCALES = (1.0, 1e-6)  # of the function's outputs: an absolute tolerance is blind to small ones


@dataclass(frozen=True)
class Verdict:
    """Whether one method noticed one mutant, the one at this place of MUTANTS, seed by seed."""

    place: int
    method: str
    scale: float
    noticed: tuple[bool, ...]

    @property
    def mutant(self) -> Mutant:
        """The mutant itself: it holds functions, so it does not travel between processes."""
        return MUTANTS[self.place]

    @property
    def killed(self) -> bool:
        """On every seed."""
        return all(self.noticed)


@dataclass(frozen=True)
class Grade:
    """What became of all mutants, and of the right pullbacks."""

    verdicts: Sequence[Verdict]
    true_checks: int
    false_alarms: Sequence[str]

    def of(self, method: str, scale: float, family: Family | None = None) -> Sequence[Verdict]:
        """The verdicts of one method at one scale, on one family or on all."""
        return [v for v in self.verdicts if (v.method, v.scale) == (method, scale)
                and family in (None, v.mutant.family)]  # fmt: skip

    @property
    def survivors(self) -> Sequence[Verdict]:
        """The verdicts of minigan's check that let a mutant live."""
        return [v for v in self.verdicts if v.method == MINIGAN and not v.killed]


# ── one check ────────────────────────────────────────────────────────────────────────────────


def scaled(specification: Specification, scale: float) -> Specification:
    """The same with all outputs multiplied by the scale."""
    f, formula = specification.function, specification.reference

    @wraps(f)
    def function(*inputs: Any, **keywords: Any) -> Any:
        return scale * f(*inputs, **keywords)

    def reference(*inputs: Any, **keywords: Any) -> Any:
        return scale * formula(*inputs, **keywords)  # type: ignore[misc]

    if scale == 1:
        return specification
    return replace(specification, function=function, reference=formula and reference)


def alarm(method: str, specification: Specification, scale: float, seed: int) -> str | None:
    """What the method reports; None if it finds nothing wrong."""
    checked = scaled(specification, scale)
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        try:
            if method == MINIGAN:
                checked.check(seed)
            else:
                PROTOCOLS[method](checked, checked.draw(seed), stream(seed, str(checked)))
        except Exception as error:  # noqa: BLE001  whatever a wrong pullback leads to
            return f"{type(error).__name__}: {error}"
    return None


def notices(method: str, mutant: Mutant, scale: float, seed: int) -> bool:
    """Whether an alarm is raised that a right pullback does not raise."""
    for specification in mutant.specifications():
        with mutant.installed():
            raised = alarm(method, specification, scale, seed) is not None
        if raised and not cries_wolf(method, str(specification), scale, seed):
            return True
    return False


@cache
def cries_wolf(method: str, specification: str, scale: float, seed: int) -> bool:
    """Whether the method raises an alarm although all pullbacks are right.

    minigan's own false alarms are counted elsewhere, in `true_checks`.
    """
    if method == MINIGAN:
        return False
    row = next(row for row in all_specifications() if str(row) == specification)
    return alarm(method, row, scale, seed) is not None


# ── all of them, in parallel ─────────────────────────────────────────────────────────────────


def grade(
    seeds: int = 20,
    peer_seeds: int = 5,
    true_checks: int = 10_000,
    processes: int | None = None,
    progress: bool = False,
) -> Grade:
    """Judge all mutants and as many true checks as are asked for.

    seeds       for minigan's check; peer_seeds for each of the others, which 0 leaves out
    processes   how many at once; None for one on each processor
    progress    whether to draw a bar on the error stream
    """
    from tqdm import tqdm

    verdict = partial(judge, seeds=seeds, peer_seeds=peer_seeds)
    places = range(len(MUTANTS))
    with (
        ProcessPoolExecutor(processes, get_context("spawn")) as pool,
        tqdm(total=len(places) + true_checks, disable=not progress) as bar,
    ):
        verdicts, alarms = [], []
        for found in pool.map(verdict, places, chunksize=4):
            verdicts += found
            bar.update()
        for words in pool.map(true_check, range(true_checks), chunksize=50):
            alarms += [words] if words else []
            bar.update()
    return Grade(verdicts, true_checks, alarms)


def judge(place: int, seeds: int, peer_seeds: int) -> list[Verdict]:
    """The verdicts of all methods at both scales on the mutant at this place of the table."""
    mutant = MUTANTS[place]
    verdicts = []
    for method, scale in product(METHODS if peer_seeds else [MINIGAN], SCALES):
        tried = range(seeds if method == MINIGAN else peer_seeds)
        noticed = tuple(notices(method, mutant, scale, seed) for seed in tried)
        verdicts.append(Verdict(place, method, scale, noticed))
    return verdicts


def true_check(number: int) -> str | None:
    """A check of right pullbacks: seed by seed and scale by scale, every specification."""
    rows = all_specifications()
    number, place = divmod(number, len(rows))
    seed, scale = divmod(number, len(SCALES))
    found = alarm(MINIGAN, rows[place], SCALES[scale], seed)
    return found and f"{rows[place]}, seed {seed}, times {SCALES[scale]:g}: {found}"
