"""What minigan computes, a second time: independent formulas that judge every op and layer.

A `Specification` is one way to call an operation, a layer or a loss, with inputs that are drawn
anew for each seed and a reference: the same function by another formula in plain NumPy. The
tables are in operations.py, convolution.py, layers.py and losses.py. `minigan gradcheck`, the
test-suite and the mutants all read them; an op or a keyword without an entry fails the tests.
"""

from minigan.testing.specifications import convolution, layers, losses, operations
from minigan.testing.specifications.specification import Draw, Specification

__all__ = ["Draw", "Specification", "all_specifications"]


def all_specifications() -> list[Specification]:
    """Every row of every table."""
    tables = operations, convolution, layers, losses
    return [row for table in tables for row in table.SPECIFICATIONS]
