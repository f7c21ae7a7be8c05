"""What `minigan gradcheck` does: check every specification, or what a learner's file defines.

The pytest plugin's summary is made of the same lines.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from textwrap import indent
from types import FunctionType, ModuleType
from typing import Any, TypeAlias

import numpy as np

from minigan.autograd import GradientReport, Op, Tensor, check_gradients, no_grad
from minigan.errors import ConfigError, GradientError, MiniganError, VacuousGradientWarning
from minigan.layers import Module
from minigan.random import stream
from minigan.testing.specifications import Specification, all_specifications

Say: TypeAlias = Callable[[str], None]  # what prints a line
Shape: TypeAlias = tuple[int, ...]

# ── the lines of a table ─────────────────────────────────────────────────────────────────────


def line(
    width: int, name: str, order: object, count: object, worst: str, verdict: str, remarks: str
) -> str:
    """One line; `width` is that of the first column."""
    return f"{name:<{width}}  {order:>5}  {count:>7}  {worst:>7}  {verdict:<7}  {remarks}"


def header(names: Iterable[str], counted: str) -> tuple[int, str]:
    """The width of the first column, and the titles; the third one says what was counted."""
    width = max(map(len, ["function", *names]))
    return width, line(width, "function", "order", counted, "worst", "verdict", "method")


def line_of(report: GradientReport, width: int, count: int) -> str:
    """The line of a function in which nothing is wrong."""
    remarks = [", ".join(unique(", ".join(report.methods).split(", ")))]
    if report.zero:
        remarks.append(f"zero gradient to {', '.join(report.zero)}")
    if report.kinks:
        remarks.append(f"kinks: {len(report.kinks)}")
    worst = max(report.worst)
    return line(
        width, report.name, len(report.worst), f"{count:,}", f"{worst:.1e}" if worst else "0",
        "vacuous" if report.zero else "ok", "; ".join(remarks),
    )  # fmt: skip


def merged(reports: Sequence[GradientReport]) -> GradientReport:
    """One report of several about the same function: the worst errors, all of the numbers."""
    methods = zip_longest(*(report.methods for report in reports))
    errors = zip_longest(*(report.worst for report in reports), fillvalue=0.0)
    return GradientReport(
        reports[0].name,
        [", ".join(unique(filter(None, words))) for words in methods],
        [max(error) for error in errors],
        sum(report.comparisons for report in reports),
        unique(kink for report in reports for kink in report.kinks),
        unique(name for report in reports for name in report.zero),
    )


def unique(words: Iterable[str]) -> list[str]:
    """Each word once, in the order of their first appearance."""
    return list(dict.fromkeys(words))


# ── all of minigan ───────────────────────────────────────────────────────────────────────────


def check_specifications(only: str | None, order: int, seed: int, say: Say) -> bool:
    """Check all specifications, or those of one name; a line for each name. Is all right?

    Errors: ConfigError if nothing is called `only`.
    """
    tables = _specifications_by_name(only)
    width, titles = header(tables, "checks")
    reports, failures = [], {}
    say(f"Gradients against numerical derivatives of a second formula, seed {seed}\n\n{titles}")
    for name, rows in tables.items():
        found = [_report_or_failure(row, order, seed) for row in rows]
        failed = [x for x in found if isinstance(x, str)]
        right = [x for x in found if isinstance(x, GradientReport)]
        if failed:
            failures[name] = failed[0]
            remarks = f"{len(failed)} of {len(rows)} checks fail"
            say(line(width, name, order, len(rows), "-", "WRONG", remarks))
        else:
            say(line_of(merged(right), width, len(rows)))
        reports += right
    for failure in failures.values():
        say(f"\n{failure}")
    vacuous = unique(report.name for report in reports if report.zero)
    verdicts = [f"WRONG: {', '.join(failures)}"] if failures else []
    verdicts += [f"vacuous: {', '.join(vacuous)}"] if vacuous else []
    say(
        f"\n{_count(len(tables), 'function')}, "
        f"{_count(sum(map(len, tables.values())), 'check')} to order {order}, "
        f"{sum(report.comparisons for report in reports):,} numbers compared: "
        f"{'; '.join(verdicts) or 'all right'}."
    )
    return not failures


def _specifications_by_name(only: str | None) -> Mapping[str, list[Specification]]:
    tables = defaultdict(list)
    for row in all_specifications():
        tables[row.name].append(row)
    if only is None:
        return tables
    if only not in tables:
        raise ConfigError(
            f"no op, layer or loss is called {only!r}. Try: {_like(only, list(tables))}."
        )
    return {only: tables[only]}


def _report_or_failure(row: Specification, order: int, seed: int) -> GradientReport | str:
    with _no_vacuous_warning():
        try:
            return row.check(seed, order=order)
        except GradientError as error:
            return f"{row}\n{indent(str(error), '  ')}"
        except Exception as error:  # noqa: BLE001  whatever a wrong pullback leads to
            return f"{row}\n  {type(error).__name__}: {error}"


@contextmanager
def _no_vacuous_warning() -> Iterator[None]:
    """The report says so, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VacuousGradientWarning)
        yield


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _like(name: str, names: Sequence[str]) -> str:
    """The names that a misspelt one may have meant."""
    return " or ".join(difflib.get_close_matches(name, names) or names[:5])


# ── a learner's file ─────────────────────────────────────────────────────────────────────────


def check_file(
    target: str, inputs: Sequence[str], order: int, seed: int, picture: Path | None, say: Say
) -> bool:
    """Check what FILE.py:NAME names, for standard normal inputs of the given shapes. Is it right?

    Errors: ConfigError, one sentence for each mistake a learner can make.
    """
    path, name = _path_and_name(target)
    f = _named(_imported(path), name, path)
    shapes = [shape_of(text) for text in inputs]
    _require_an_input_each(f, name, shapes)
    arrays = [stream(seed, "input", i).normal(size=shape) for i, shape in enumerate(shapes)]
    command = " ".join(f"--input {text}" for text in inputs)
    try:
        with _explained(path, f"for {command}", f"another --input, or correct {path}"):
            _require_tensors(f, name, arrays)
            say(f"{name} of {path}, normal inputs of shape {_and(shapes)}, seed {seed}\n")
            with _no_vacuous_warning():
                report = check_gradients(
                    f, *arrays, order=order, seed=seed, modules=_modules_used(f), picture=picture
                )
    except GradientError as error:
        say(str(error))
        return False
    say(str(report))
    if report.zero:
        say(
            f"\nNothing is wrong with {name}, but its gradient to {_and(report.zero)} is zero "
            f"here, which proves nothing. Try: --seed {seed + 1}, or another output."
        )
    else:
        say(f"\nEvery gradient of {name} is right, to order {order}.")
    if picture is not None:
        say(f"Look at {picture}: the element with the largest error.")
    return True


def shape_of(text: str) -> Shape:
    """The shape that "4,28,28,1" means.

    >>> shape_of("4,28,28,1")
    (4, 28, 28, 1)
    """
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = (0,)
    if min(shape) < 1:
        raise ConfigError(
            f"--input is {text!r}, but must be a shape: whole numbers from 1, with commas. "
            f"Try: --input 4,28,28,1."
        )
    return shape


def _path_and_name(target: str) -> tuple[Path, str]:
    path, colon, name = target.rpartition(":")
    return (Path(path), name) if colon else (Path(target), "")


def _imported(path: Path) -> ModuleType:
    """The file as a module. Meanwhile it can import its neighbours."""
    specification = importlib.util.spec_from_file_location(f"checked_{path.stem}", path)
    if not path.is_file() or specification is None or specification.loader is None:
        neighbours = [str(p) for p in sorted(path.parent.glob("*.py"))]
        raise ConfigError(
            f"there is no Python file {path}. "
            f"Try: {_like(str(path), neighbours) or f'a path from {Path.cwd()}'}."
        )
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module  # where dataclasses look for their module
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        with _explained(path, "when it is imported", f"python {path}"):
            specification.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _named(module: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    """What the module calls so, ready to be called."""
    value = vars(module).get(name)
    if isinstance(value, type) and issubclass(value, Module):
        return _made(value, path)
    if callable(value) and not isinstance(value, type):
        return value  # type: ignore[no-any-return]
    offered = [x for x, value in vars(module).items() if _can_be_checked(value, module)]
    problem = f"has no {name!r} to check" if name else "is given without a name"
    if not offered:
        raise ConfigError(
            f"{path} {problem}, and offers no Module, op or function. Try: a file that defines one."
        )
    raise ConfigError(
        f"{path} {problem}; it offers {', '.join(offered)}. "
        f"Try: minigan gradcheck {path}:{_like(name, offered).split(' or ')[0]}"
    )


def _can_be_checked(value: Any, module: ModuleType) -> bool:
    """Whether the file made it: a Module, an op, a function, a class of Modules."""
    if isinstance(value, Module):
        return True
    is_class = isinstance(value, type) and issubclass(value, Module)
    own = getattr(value, "__module__", None) == module.__name__
    return own and (is_class or isinstance(value, Op | FunctionType))


def _made(kind: type[Module], path: Path) -> Module:
    parameters = inspect.signature(kind).parameters.values()
    needed = [p.name for p in parameters if _is_required(p)]
    if needed:
        raise ConfigError(
            f"{kind.__name__} needs arguments ({', '.join(needed)}). Try: a line "
            f"`layer = {kind.__name__}(...)` in {path}, then minigan gradcheck {path}:layer"
        )
    with _explained(path, f"in {kind.__name__}()", "a class that can be made without arguments"):
        return kind()


def _is_required(parameter: inspect.Parameter) -> bool:
    variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variadic


def _require_an_input_each(f: Callable[..., Any], name: str, shapes: Sequence[Shape]) -> None:
    signature = inspect.signature(getattr(f, "forward", f))
    try:
        signature.bind(*shapes)
        fits = bool(shapes)
    except TypeError:
        fits = False
    if not fits:
        needed = [p.name for p in signature.parameters.values() if _is_required(p)]
        raise ConfigError(
            f"{name} takes {_and(needed) or 'anything'}, "
            f"and the command has {len(shapes) or 'no'} --input. "
            f"Try:{' --input 4,3' * max(1, len(needed))}"
        )


def _require_tensors(
    f: Callable[..., Any], name: str, arrays: Sequence[np.ndarray[Any, Any]]
) -> None:
    """The most common mistake of all is a forgotten `return`."""
    with no_grad():
        y = f(*[Tensor(x.astype(np.float32)) for x in arrays])
    for output in y if isinstance(y, tuple | list) else [y]:
        if not isinstance(output, Tensor):
            raise ConfigError(
                f"{name} returns {'None' if output is None else type(output).__name__}, "
                f"but must return a Tensor. Try: `return` in its last line."
            )


def _modules_used(f: Callable[..., Any]) -> dict[str, Module]:
    """The modules that a function finds in its file: a loss knows its network."""
    if not isinstance(f, FunctionType):
        return {}
    found = inspect.getclosurevars(f).globals
    return {name: value for name, value in found.items() if isinstance(value, Module)}


@contextmanager
def _explained(path: Path, when: str, remedy: str) -> Iterator[None]:
    """An exception told in one sentence, with the line of the learner's file that led to it."""
    try:
        yield
    except GradientError:
        raise
    except (Exception, SystemExit) as error:
        place = _line_in(path, error)
        where = f"{path}, line {place}," if place else f"{path},"
        problem = " ".join(" ".join([str(error), *getattr(error, "__notes__", [])]).split())
        if not isinstance(error, MiniganError):
            problem = f"{type(error).__name__}: {problem}. Try: {remedy}."
        raise ConfigError(f"{where} {when}: {problem}") from error


def _line_in(path: Path, error: BaseException) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if Path(frame.filename).resolve() == path.resolve()]  # fmt: skip
    return lines[-1] if lines else None


def _and(things: Iterable[object]) -> str:
    return " and ".join(map(str, things))
