"""The third derivative of every op: one specification each, the first that has an element."""

import pytest

from minigan.errors import VacuousGradientWarning
from minigan.testing.specifications import all_specifications


def sample():
    """For each name the first row whose inputs are not empty."""
    rows = {}
    for row in all_specifications():
        if all(getattr(x, "size", 1) for x in row.draw(0)):
            rows.setdefault(row.name, row)
    return rows.values()


@pytest.mark.filterwarnings("ignore", category=VacuousGradientWarning)
@pytest.mark.parametrize("specification", sample(), ids=str)
def test_third_derivative(specification):
    report = specification.check(order=3, layouts=False, dtypes=())
    assert len(report.methods) == 3
    assert max(report.worst) < 1e-9
