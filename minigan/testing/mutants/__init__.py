"""The mutants that grade the checker: hundreds of pullbacks, each wrong as people get them wrong.

    python -m minigan.testing.mutants

puts one after the other into minigan, runs the gradient check and the peers' published checks, and
prints how many each of them noticed. The tables are sorted by op; mistakes.py holds the mistakes
that can be made in any pullback, grading.py judges.
"""

from minigan.testing.mutants import (
    core,
    elementwise,
    images,
    movement,
    normalization,
    reductions,
)
from minigan.testing.mutants.mutant import FAMILIES, Family, Mutant

MUTANTS: list[Mutant] = [
    *elementwise.MUTANTS,
    *reductions.MUTANTS,
    *movement.MUTANTS,
    *images.MUTANTS,
    *normalization.MUTANTS,
    *core.MUTANTS,
]

__all__ = ["FAMILIES", "MUTANTS", "Family", "Mutant"]
