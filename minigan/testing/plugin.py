"""The pytest plugin: the fixture and the marker `gradcheck`, options, a summary of what is proved.

pytest loads it wherever minigan is installed; it loads no other library.
"""

from __future__ import annotations

import argparse
import shlex
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from typing import Any

import pytest

from minigan.autograd import GradientReport, check_gradients
from minigan.errors import ConfigError, GradientError, VacuousGradientWarning

MARKER = "gradcheck(order=2, dtypes=('float32',), seeds=1): options of the fixture `gradcheck`"
MARKER_OPTIONS = ("order", "dtypes", "seeds")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a run."""
    group = parser.getgroup("minigan", "gradient checks (minigan)")
    group.addoption(
        "--gradcheck-order", metavar="N", type=_whole(1),
        help="check derivatives up to this order where a test does not say (default 2)",
    )  # fmt: skip
    group.addoption(
        "--gradcheck-seeds", metavar="N", type=_whole(1),
        help="check with the seeds 0 to N-1 where a test does not say (default 1)",
    )  # fmt: skip
    group.addoption(
        "--gradcheck-seed", metavar="SEED", type=_whole(0),
        help="check with this seed only, whatever a test says: a failure again",
    )  # fmt: skip


def _whole(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least}")
        return int(text)

    return number


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, for --strict-markers and `pytest --markers`."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> Callable[..., GradientReport]:
    """`gradcheck(f, *inputs, **options)`: minigan.check_gradients, for every seed.

    Options come from the call, else from @pytest.mark.gradcheck, else from the command line.
    Besides those of check_gradients there is seeds=N: seeds 0 to N-1. Returns a GradientReport.
    """
    options = {**_of_command_line(request.config), **_of_markers(request.node)}
    again = request.config.getoption("--gradcheck-seed")

    def check(f: Callable[..., Any], *inputs: Any, **own: Any) -> GradientReport:
        __tracebackhide__ = True
        from minigan.testing.gradcheck import merged

        keywords = {**options, **own}
        seeds = _seeds(keywords, again)
        reports = []
        for seed in seeds:
            try:
                reports.append(check_gradients(f, *inputs, seed=seed, **keywords))
            except (GradientError, VacuousGradientWarning) as error:
                raise type(error)(
                    f"seed {seed} fails. "
                    f"Again: pytest {shlex.quote(request.node.nodeid)} --gradcheck-seed {seed}\n"
                    f"{error}"
                ) from None
        report = merged(reports)
        request.node.user_properties.append(("gradcheck", asdict(_named(report, request.node))))
        return report

    return check


def _of_command_line(config: pytest.Config) -> dict[str, Any]:
    given = {name: config.getoption(f"--gradcheck-{name}") for name in ("order", "seeds")}
    return {name: value for name, value in given.items() if value is not None}


def _of_markers(node: pytest.Item) -> dict[str, Any]:
    """The options of all markers around a test; the closest one counts."""
    options: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("gradcheck"))):
        unknown = [*map(repr, marker.args), *(k for k in marker.kwargs if k not in MARKER_OPTIONS)]
        if unknown:
            pytest.fail(
                f"@pytest.mark.gradcheck takes order, dtypes and seeds, not {', '.join(unknown)}. "
                f"Try: @pytest.mark.gradcheck(order=3).",
                pytrace=False,
            )
        options.update(marker.kwargs)
    return options


def _seeds(keywords: dict[str, Any], again: int | None) -> Sequence[int]:
    """Which seeds to check; takes them out of the keywords."""
    count, seed = keywords.pop("seeds", 1), keywords.pop("seed", None)
    if again is not None:
        return [again]
    if seed is not None:
        return [seed]
    if not isinstance(count, int) or count < 1:
        raise ConfigError(
            f"gradcheck: seeds is {count!r}, but must be how many. Try: seeds=5, for 0 to 4."
        )
    return range(count)


def _named(report: GradientReport, node: pytest.Item) -> GradientReport:
    """A lambda is called `f`, and every test may have one."""
    if report.name != "f":
        return report
    return replace(report, name=f"f of {getattr(node, 'originalname', node.name)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each function that was verified.

    What was verified travels in the tests' reports, so it may have happened in other processes.
    """
    from minigan.testing.gradcheck import header, line_of, merged

    reports = defaultdict(list)
    for result in chain.from_iterable(terminalreporter.stats.values()):
        if getattr(result, "when", None) == "teardown":  # by then, all has been said
            for name, value in result.user_properties:
                if name == "gradcheck":
                    reports[value["name"]].append(GradientReport(**value))
    if not reports or terminalreporter.verbosity < 0:
        return
    width, titles = header(reports, "numbers")
    terminalreporter.write_sep("=", "gradients verified")
    terminalreporter.write_line(titles)
    for found in map(merged, reports.values()):
        terminalreporter.write_line(line_of(found, width, found.comparisons))
