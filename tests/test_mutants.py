"""The gradient check is graded: it notices hundreds of wrong pullbacks, and no right one."""

from collections import Counter

import numpy as np
import pytest

from minigan.autograd import engine
from minigan.autograd.operators import registry
from minigan.testing.mutants import FAMILIES, MUTANTS, Mutant
from minigan.testing.mutants.__main__ import summary, table
from minigan.testing.mutants.grading import (
    METHODS,
    MINIGAN,
    SCALES,
    Grade,
    Verdict,
    alarm,
    cries_wolf,
    grade,
    notices,
    scaled,
)
from minigan.testing.mutants.mistakes import right
from minigan.testing.specifications import all_specifications

PLAIN, SMALL = SCALES


def specification(words):
    return next(row for row in all_specifications() if str(row) == words)


# ── the grade ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.mutation
def test_every_mutant_is_killed_on_twenty_seeds_and_nothing_right_raises_an_alarm():
    result = grade(seeds=20, peer_seeds=0, true_checks=10_000)
    assert len(result.of(MINIGAN, PLAIN)) == len(result.of(MINIGAN, SMALL)) == len(MUTANTS)
    assert [(str(v.mutant), v.scale) for v in result.survivors] == []
    assert result.true_checks == 10_000
    assert result.false_alarms == []


def test_every_mutant_is_noticed_on_one_seed():
    assert [str(m) for m in MUTANTS if not notices(MINIGAN, m, PLAIN, seed=0)] == []


# ── the mutants ──────────────────────────────────────────────────────────────────────────────


def test_there_are_hundreds_and_each_has_a_name_of_its_own():
    assert len(MUTANTS) >= 250
    assert Counter(map(str, MUTANTS)).most_common(1)[0][1] == 1


def test_every_pullback_and_every_family_has_mutants():
    own = {
        name: op for name, op in registry.items() if op.forward.__module__.startswith("minigan.")
    }
    pullbacks = {(name, i) for name, op in own.items() for i, rule in enumerate(op.rules) if rule}
    assert pullbacks <= {(mutant.op, mutant.argument) for mutant in MUTANTS}
    assert set(FAMILIES) == {mutant.family for mutant in MUTANTS}


def test_an_op_has_few_mutants_that_are_only_a_factor():
    factors = Counter((m.op, m.argument) for m in MUTANTS if m.mistake.startswith("off by 1"))
    assert max(factors.values()) <= 3


def test_specifications_can_show_each_mistake():
    assert [str(m) for m in MUTANTS if not m.specifications()] == []


@pytest.mark.parametrize("place", [0, -1])  # a pullback, and a function of the engine
def test_a_mutant_leaves_no_trace(place):
    mutant = MUTANTS[place]

    def rules():
        return [op.rules for op in registry.values()], engine.sum_to, engine._like, engine._seed

    before = rules()
    with mutant.installed():
        assert rules() != before
    assert rules() == before
    with pytest.raises(ZeroDivisionError), mutant.installed():
        raise ZeroDivisionError
    assert rules() == before


# ── the judge ────────────────────────────────────────────────────────────────────────────────


def test_a_right_pullback_is_no_mutant():
    same = Mutant("tanh", "sign", "none", 0, right("tanh"))
    assert not any(notices(method, same, scale, 0) for method in METHODS for scale in SCALES)


def test_a_peer_misses_what_its_tolerance_allows():
    slightly_off = Mutant(
        "tanh", "factor or 1/N", "off by 1 + 1e-6", 0,
        lambda g, y, x: (1 + 1e-6) * right("tanh")(g, y, x),
    )  # fmt: skip
    assert notices(MINIGAN, slightly_off, SMALL, 0)
    assert not notices("PyTorch gradcheck", slightly_off, PLAIN, 0)


def test_an_alarm_that_a_right_pullback_raises_too_is_no_kill():
    """Chainer's direction has no length if there are no numbers."""
    empty = specification("negative((0,))")
    assert "ZeroDivisionError" in alarm("Chainer check_backward", empty, PLAIN, 0)
    assert cries_wolf("Chainer check_backward", str(empty), PLAIN, 0)
    assert not cries_wolf(MINIGAN, str(empty), PLAIN, 0)


def test_scaled_specifications_keep_inputs_names_and_options():
    row = specification("var((4,3),axis=0,keepdims=True,ddof=1)")
    small = scaled(row, SMALL)
    x = row.draw(3)[0]
    np.testing.assert_array_equal(small.draw(3)[0], x)
    np.testing.assert_array_equal(small(x), 1e-6 * row(x))
    np.testing.assert_array_equal(small.expected(x), 1e-6 * row.expected(x))
    assert list(small.__signature__.parameters) == list(row.__signature__.parameters)


def test_the_table_says_who_survived():
    verdicts = [Verdict(place, method, scale, (True, method == MINIGAN or place > 0))
                for place in range(4) for method in METHODS for scale in SCALES]  # fmt: skip
    result = Grade(verdicts, 12, ["add((3,)), seed 1, times 1: GradientError"])
    lines = table(result).splitlines()
    assert {line.count("|") for line in lines} == {len(METHODS) + 3}
    assert lines[-1].startswith("| **all** | 4 | 100 / 100 | 75 / 75 |")
    assert summary(result).splitlines() == [
        "Noticed on each of 2 seeds (peers: 2), in percent; plain / with outputs times 1e-06.",
        "4 mutants, 0 survive; 12 true checks, 1 false alarms.",
        "- false alarm: add((3,)), seed 1, times 1: GradientError",
    ]
