"""The form of a mutant: one mistake in one pullback, and how it stands in for the right one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias, get_args

from minigan.autograd import engine
from minigan.autograd.engine import Pullback
from minigan.autograd.operators import registry
from minigan.testing.specifications import Specification, all_specifications

Family: TypeAlias = Literal[
    "sign",
    "factor or 1/N",
    "wrong term",
    "missing term",
    "wrong axis",
    "un-broadcast",
    "transposed or flipped",
    "off by one",
    "border",
    "ddof",
    "epsilon",
    "ignores or bends g",
    "aliases or mutates",
    "overwrites",
    "precision",
    "special case",
    "memory layout",
    "second order",
    "engine",
]
FAMILIES: tuple[Family, ...] = get_args(Family)

# whose specifications show a mistake, where it is not the op of the same name
JUDGES = {
    "_join": {"concatenate", "stack", "_join"},
    "engine": {"add", "multiply", "astype", "dense", "batch_norm", "log_softmax"},
}


@dataclass(frozen=True)
class Mutant:
    """A pullback with a mistake that somebody really makes.

    op           whose pullback it is; "engine" for a function of engine.py
    family       the kind of mistake
    mistake      the mistake in words
    argument     the position of the input that the pullback belongs to; or the engine's function
    replacement  the wrong pullback; or, if it remembers earlier calls, what makes a new one
    remembers    whether it does
    where        a regular expression for the specifications where the mistake shows
    """

    op: str
    family: Family
    mistake: str
    argument: int | str
    replacement: Callable[..., Any]
    remembers: bool = False
    where: str = ""

    def __str__(self) -> str:
        return f"{self.op}[{self.argument}]: {self.mistake}"

    def specifications(self) -> list[Specification]:
        """Those that judge it: calls of its op where the mistake shows."""
        names = JUDGES.get(self.op, {self.op})
        return [row for row in _with_numbers() if row.name in names
                and re.search(self.where, str(row))]  # fmt: skip

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Inside, minigan computes with the mistake; afterwards it is as it was."""
        wrong = self.replacement() if self.remembers else self.replacement
        target: Any = engine
        if isinstance(self.argument, str):
            name, changed = self.argument, wrong
        else:
            target, name = registry[self.op], "rules"
            changed = (*target.rules[: self.argument], wrong, *target.rules[self.argument + 1 :])
        right = getattr(target, name)
        setattr(target, name, changed)
        try:
            yield
        finally:
            setattr(target, name, right)


Row: TypeAlias = tuple[Family, str, Pullback]


def of(
    op: str, argument: int | str, *rows: Row, where: str = "", remembers: bool = False
) -> list[Mutant]:
    """Mutants of one pullback, one for each (family, mistake in words, wrong pullback)."""
    return [
        Mutant(op, family, mistake, argument, replacement, remembers, where)
        for family, mistake, replacement in rows
    ]


@cache
def _with_numbers() -> list[Specification]:
    """The specifications whose inputs hold at least one number each."""
    return [row for row in all_specifications()
            if all(getattr(x, "size", 1) for x in row.draw(0))]  # fmt: skip
