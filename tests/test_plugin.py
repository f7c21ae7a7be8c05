"""The pytest plugin, in a project of its own: what a learner sees, right or wrong."""

import subprocess
import sys

import pytest

from minigan.autograd.operators import registry

pytest_plugins = "pytester"


@pytest.fixture(autouse=True)
def _ops_of_the_projects_are_forgotten():
    ops = dict(registry)
    yield
    registry.clear()
    registry.update(ops)


PRELUDE = """
import numpy as np
import pytest

import minigan as mg


def swish(x):
    return x * mg.sigmoid(x)


def constant(x):
    return mg.sum(mg.exp(mg.log_softmax(x)))


@mg.op
def cube(x):
    return x * x * x


cube.pullbacks(lambda g, y, x: g * (2 * x * x))  # wrong: 3 x^2


def draw(rng):
    return rng.normal(size=(4, 3))
"""

SWISH = """
def test_swish(gradcheck):
    gradcheck(swish, draw)
"""


@pytest.fixture
def run(pytester):
    """`pytest ARGUMENTS` in a project with one test file."""

    def run_tests(tests, *arguments):
        pytester.makepyfile(test_project=PRELUDE + tests)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)

    return run_tests


# ── right and wrong gradients ────────────────────────────────────────────────────────────────


def test_a_right_gradient_passes_and_gives_the_report(run):
    result = run("""
def test_swish(gradcheck):
    report = gradcheck(swish, draw)
    assert report.name == "swish"
    assert report.methods == ["complex step"] * 2
    assert max(report.worst) < 1e-13
    assert report.comparisons == 504
""")
    result.assert_outcomes(passed=1)


def test_a_failure_is_the_learners_report_without_minigans_lines(run):
    result = run("""
def test_cube(gradcheck):
    gradcheck(cube, draw, seeds=3)
""")
    result.assert_outcomes(failed=1)
    lines = result.outlines
    call = lines.index(">       gradcheck(cube, draw, seeds=3)")
    assert lines[call + 1] == (
        "E       minigan.errors.GradientError: seed 0 fails. "
        "Again: pytest test_project.py::test_cube --gradcheck-seed 0"
    )
    assert lines[call + 2].startswith("E       cube: the gradient to x is wrong, the pullback")
    assert lines[call + 3] == "E         argument        x  shape (4, 3)"
    assert "E         pattern         every element is off by the factor 0.666667" in lines
    assert not [text for text in lines if ".py:" in text and "test_project.py:" not in text]


def test_the_repeating_command_checks_the_seed_that_fails_and_no_other(run, pytester):
    result = run("""
from minigan.random import stream

UNLUCKY = stream(2, "input", 0).normal(size=3)
factor = 2


@mg.op
def square(x):
    return x * x


square.pullbacks(lambda g, y, x: g * (factor * x))


def draw_and_spoil(rng):
    global factor
    x = rng.normal(size=3)
    factor = 2.002 if (x == UNLUCKY).all() else 2
    return x


@pytest.mark.gradcheck(seeds=5)
@pytest.mark.parametrize("unit", ["m / s"])
def test_square(gradcheck, unit):
    gradcheck(square, draw_and_spoil)
""")
    test = "test_project.py::test_square[m / s]"
    assert f"seed 2 fails. Again: pytest '{test}' --gradcheck-seed 2" in result.stdout.str()
    again = pytester.runpytest_inprocess(test, "--gradcheck-seed", "2")
    assert "seed 2 fails" in again.stdout.str()
    pytester.runpytest_inprocess(test, "--gradcheck-seed", "1").assert_outcomes(passed=1)


def test_a_module_is_checked_with_its_parameters(run):
    result = run("""
def test_net(gradcheck):
    net = mg.Sequential(mg.Dense(2, activation=mg.tanh), mg.Dropout(0.5, seed=1), mg.Dense(1))
    alone = gradcheck(mg.tanh, draw).comparisons
    assert gradcheck(net, draw).comparisons > alone
    assert net.layers[1].training
""")
    result.assert_outcomes(passed=1)


def test_a_vacuous_check_passes_with_a_warning(run):
    result = run(
        "def test_constant(gradcheck):\n    assert gradcheck(constant, draw).zero == ['x']\n",
        "-W", "default",
    )  # fmt: skip
    result.assert_outcomes(passed=1, warnings=1)
    assert "VacuousGradientWarning: constant: the gradient to x is zero" in result.stdout.str()


def test_where_warnings_are_errors_a_vacuous_check_fails(run):
    result = run(
        "def test_constant(gradcheck):\n    gradcheck(constant, draw)\n",
        "-W", "error::minigan.errors.VacuousGradientWarning",
    )  # fmt: skip
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*VacuousGradientWarning: seed 0 fails.*", "E*constant: the*"])


# ── options ──────────────────────────────────────────────────────────────────────────────────

COUNTING = """
calls = []


def counted(rng):
    calls.append(rng)
    return draw(rng)
"""


def test_options_come_from_the_call_then_the_marker_then_the_command_line(run):
    result = run(
        COUNTING
        + """
@pytest.fixture(autouse=True)
def from_zero():
    calls.clear()


def test_command_line(gradcheck):
    assert len(gradcheck(swish, counted).worst) == 1
    assert len(calls) == 4


@pytest.mark.gradcheck(order=3, seeds=2)
class TestMarked:
    def test_marker(self, gradcheck):
        assert len(gradcheck(swish, counted).worst) == 3
        assert len(calls) == 2

    @pytest.mark.gradcheck(seeds=1)
    def test_closest_marker(self, gradcheck):
        assert len(gradcheck(swish, counted).worst) == 3
        assert len(calls) == 1

    def test_call(self, gradcheck):
        assert len(gradcheck(swish, counted, order=2, seeds=3).worst) == 2
        assert len(calls) == 3

    def test_one_seed(self, gradcheck):
        gradcheck(swish, counted, seed=7)
        assert len(calls) == 1
""",
        "--gradcheck-order", "1", "--gradcheck-seeds", "4", "--strict-markers",
    )  # fmt: skip
    result.assert_outcomes(passed=5)


def test_the_marker_sets_dtypes(run):
    result = run("""
@mg.op
def square(x):
    return x * x


square.pullbacks(lambda g, y, x: g * (3 if x.dtype == "float16" else 2) * x)


def test_float32(gradcheck):
    gradcheck(square, 1 + np.arange(3.0))


@pytest.mark.gradcheck(dtypes=("float32", "float16"))
def test_float16(gradcheck):
    gradcheck(square, 1 + np.arange(3.0))
""")
    result.assert_outcomes(passed=1, failed=1)
    assert "the gradient to x in float16 is off by" in result.stdout.str()


@pytest.mark.parametrize("arguments", ["ordr=3", "3"])
def test_a_wrong_marker_is_told_in_one_sentence(run, arguments):
    result = run(f"@pytest.mark.gradcheck({arguments}){SWISH}")
    result.assert_outcomes(errors=1)
    wrong = arguments.split("=")[0]
    assert (
        f"@pytest.mark.gradcheck takes order, dtypes and seeds, not {wrong}. "
        "Try: @pytest.mark.gradcheck(order=3)."
    ) in result.outlines
    assert "plugin.py" not in result.stdout.str()


@pytest.mark.parametrize("seeds", ["0", "[1, 2]"])
def test_the_number_of_seeds_is_a_number(run, seeds):
    result = run(f"@pytest.mark.gradcheck(seeds={seeds}){SWISH}")
    result.assert_outcomes(failed=1)
    assert f"gradcheck: seeds is {seeds}, but must be how many." in result.stdout.str()


@pytest.mark.parametrize("option", ["--gradcheck-order=0", "--gradcheck-seeds=many"])
def test_a_wrong_option_is_refused(run, option):
    result = run(SWISH, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "is no whole number from 1" in result.stderr.str()


# ── the summary ──────────────────────────────────────────────────────────────────────────────

SUMMARIZED = """
def test_swish(gradcheck):
    gradcheck(swish, draw)
    gradcheck(swish, draw, order=3)


def test_corners(gradcheck):
    gradcheck(lambda x: mg.relu(x), np.array([-1.0, 0.0, 0.0]))


@pytest.mark.filterwarnings("ignore::minigan.errors.VacuousGradientWarning")
def test_constant(gradcheck):
    gradcheck(constant, draw, order=1)


def test_cube(gradcheck):
    gradcheck(cube, draw)
"""

LINES = [
    "*= gradients verified =*",
    "function           order  numbers    worst  verdict  method",
    "swish                  3    1,944  ?.?e-1?  ok       complex step",
    "f of test_corners      2       45  ?.?e-1?  ok       long double; kinks: 2",
    "constant               1       36        0  vacuous  complex step; zero gradient to x",
    "*= short test summary info =*",
]

SERIALIZE = """
import json

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report, hook = (yield), item.config.hook
    data = hook.pytest_report_to_serializable(config=item.config, report=report)
    data = json.loads(json.dumps(data))
    return hook.pytest_report_from_serializable(config=item.config, data=data)
"""


def test_the_summary_has_a_line_for_each_function_that_was_verified(run):
    run(SUMMARIZED).stdout.fnmatch_lines(LINES, consecutive=True)


def test_the_summary_travels_between_processes_as_text(run, pytester):
    pytester.makeconftest(SERIALIZE)
    run(SUMMARIZED).stdout.fnmatch_lines(LINES, consecutive=True)


@pytest.mark.parametrize(
    ("tests", "option"), [(SUMMARIZED, "-q"), ("def test_nothing():\n    pass\n", "-v")]
)
def test_no_summary_where_it_should_be_quiet_or_nothing_was_checked(run, tests, option):
    result = run(tests, option)
    assert "test_" in result.stdout.str()
    assert "gradients verified" not in result.stdout.str()


# ── installation ─────────────────────────────────────────────────────────────────────────────


def test_in_a_process_of_its_own_nothing_is_needed_but_the_installed_package(pytester):
    pytester.makepyfile(test_project=PRELUDE + SWISH)
    result = pytester.runpytest_subprocess("-W", "error", "--strict-markers", "--strict-config")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["plugins:*minigan*", "*= gradients verified =*"])


def test_the_plugin_can_be_named_once_more(run, pytester):
    run(SWISH, "-p", "minigan.testing.plugin").assert_outcomes(passed=1)
    pytester.makeconftest('pytest_plugins = "minigan.testing.plugin"')
    run(SWISH).assert_outcomes(passed=1)


def test_the_plugin_can_be_left_out(run):
    result = run("def test_nothing():\n    pass\n", "-p", "no:minigan.testing.plugin", "--help")
    assert "--gradcheck-order" not in result.stdout.str()


def test_importing_the_plugin_loads_no_heavy_library():
    heavy = ["hypothesis", "matplotlib", "typer", "PIL", "pooch", "tqdm", "safetensors"]
    code = f"""
import sys

import minigan.testing.plugin

print([name for name in {heavy} if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
