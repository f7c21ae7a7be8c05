"""Where time and memory go: by op, by module and by line of code, forward and backward.

    with minigan.profile(generator=G, discriminator=D) as profile:
        ...                           # some training steps
    print(profile)                    # a table by op
    print(profile.by("module"))       # or by "line"
    profile.save_trace("trace.json")  # for https://ui.perfetto.dev or chrome://tracing

While a profile is taken, timed twins stand in for the four methods that everything passes
through: `Op.__call__`, `Op.rules_for`, `Module.__call__` and `Optimizer.prepare_update`. At all
other times nothing here runs.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any, NamedTuple, Self

from minigan import backend
from minigan.autograd import Op, Tensor
from minigan.autograd.engine import array_of, sum_to
from minigan.backend import Array
from minigan.errors import ConfigError
from minigan.layers import Module
from minigan.optimizers import Optimizer

KEYS = ("op", "module", "line")
NO_MODULE = "no module"
OUTSIDE = "outside of ops"
EARLIER = "before the profile"  # where a pullback's op was called, if nobody saw it

_PACKAGE = str(Path(__file__).parent) + os.sep
_MODELS = _PACKAGE + "gan" + os.sep  # written with minigan, as users' code is: its lines count

_taken = threading.Lock()  # held while a profile is taken: two would time each other


def clock() -> int:
    """Now, in nanoseconds."""
    return time.perf_counter_ns()


# ── what is recorded ─────────────────────────────────────────────────────────────────────────


@dataclass(slots=True, eq=False)
class Span:
    """A stretch of time that one op, pullback, update or module took."""

    kind: str  # "forward", "backward", "prepare" or "update" (an optimizer's), "module"
    op: str  # the name of the op, of the optimizer's class or of the module
    module: str  # the path of the module that called the op, also for its pullbacks
    line: str  # the line that called the op, likewise
    outer: Span | None = None  # the op or pullback that this one is a part of
    began: int = 0
    ended: int = 0

    def outermost(self) -> Span:
        """The op or pullback that users' code, or the walk back, has called."""
        span = self
        while span.outer is not None:
            span = span.outer
        return span


class Change(NamedTuple):
    """An array that an op or a pullback returned came to life, or died."""

    when: int
    span: Span  # the outermost one that returned it
    size: int  # bytes; negative when it died


class Living(NamedTuple):
    """An array that is alive."""

    reference: weakref.ref[Array]  # tells when it dies
    span: Span
    size: int


# ── taking a profile ─────────────────────────────────────────────────────────────────────────


class Profile:
    """What a `with` block did. Entered once more, it adds to what it has.

    Only the thread that entered it is timed. On a GPU, an op's time ends when its work is queued.
    """

    def __init__(self, **modules: Module) -> None:
        self.periods: list[tuple[int, int]] = []  # when it began and ended, in nanoseconds
        self.spans: list[Span] = []  # of ops, pullbacks and updates
        self.module_calls: list[Span] = []
        self.changes: list[Change] = []
        self.calls_elsewhere = 0  # made by other threads
        self._thread: int | None = None  # that is timed
        self._began = 0
        self._methods: list[tuple[Any, str, Any]] = []  # that twins stand in for
        self._open: list[Span] = []  # ops, pullbacks and updates, the innermost last
        self._open_modules: list[str] = []
        self._paths: dict[int, tuple[str, Module]] = {}  # by id of the module, which it keeps alive
        self._unnamed: Counter[str] = Counter()  # modules without a given name, by class
        self._made_by: dict[tuple[int, str], tuple[weakref.ref[Array], Span]] = {}
        self._living: dict[int, Living] = {}  # by id of the array
        for name, module in modules.items():
            if not isinstance(module, Module):
                raise ConfigError(
                    f"profile: {name} is a {type(module).__name__}, but must be a Module. "
                    f"Try: without it; modules that get no name are called by their class."
                )
            self._name(module, name)

    def __enter__(self) -> Self:
        if not _taken.acquire(blocking=False):
            raise ConfigError(
                "a profile is being taken already, and a second one would time the first. "
                "Try: one `with minigan.profile()` around all of it."
            )
        self._thread = threading.get_ident()
        twins: list[tuple[Any, str, Any]] = [
            (Op, "__call__", self._call_op),
            (Op, "rules_for", self._timed_rules),
            (Module, "__call__", self._call_module),
            (Optimizer, "prepare_update", self._prepare_update),
        ]
        self._methods = [(owner, name, vars(owner)[name]) for owner, name, _ in twins]
        for (owner, name, original), (_, _, timed) in zip(self._methods, twins, strict=True):
            setattr(owner, name, self._twin(original, timed))
        self._began = clock()
        return self

    def __exit__(self, *error: object) -> None:
        ended = clock()
        for owner, name, original in self._methods:
            setattr(owner, name, original)
        self.periods.append((self._began, ended))
        self._thread = None
        self._made_by.clear()
        while self._living:  # from here on nobody hears of their death
            _, (_, span, size) = self._living.popitem()
            self.changes.append(Change(ended, span, -size))
        _taken.release()

    def _twin(self, original: Any, timed: Any) -> Callable[..., Any]:
        @wraps(original)
        def twin(*arguments: Any, **keywords: Any) -> Any:
            if threading.get_ident() != self._thread:
                self.calls_elsewhere += 1
                return original(*arguments, **keywords)
            return timed(original, *arguments, **keywords)

        return twin

    # the four twins

    def _call_op(self, call: Any, op: Op[...], /, *inputs: Any, **keywords: Any) -> Any:
        span = self._span("forward", op.name)
        y = self._timed(span, call, op, *inputs, **keywords)
        data = array_of(y)
        self._count(span, data, (*inputs, *keywords.values()))
        if isinstance(y, Tensor) and y.op is op:  # its pullbacks will meet this array again
            key = (id(data), op.name)
            reference = weakref.ref(data, lambda _: self._made_by.pop(key, None))
            self._made_by[key] = reference, span
        return y

    def _timed_rules(self, rules_for: Any, op: Op[...], inputs: Sequence[Any]) -> list[Any]:
        return [
            rule and partial(self._pull_back, op.name, position, rule)
            for position, rule in enumerate(rules_for(op, inputs))
        ]

    def _pull_back(self, name: str, position: int, rule: Any, g: Any, y: Any, *inputs: Any) -> Any:
        span = self._span("backward", name)
        _, made_by = self._made_by.get((id(array_of(y)), name), (None, None))
        span.module = made_by.module if made_by else EARLIER
        span.line = made_by.line if made_by else EARLIER

        def gradient() -> Any:
            """With the sum that undoes broadcasting, which the walk would do outside of ops."""
            gx, x = rule(g, y, *inputs), inputs[position]
            return gx if gx.shape == x.shape else sum_to(gx, x.shape)

        gx = self._timed(span, gradient)
        self._count(span, array_of(gx), (g, y, *inputs))
        return gx

    def _call_module(self, call: Any, module: Module, /, *inputs: Any) -> Any:
        path = self._path_of(module)
        span = Span("module", path, path, "", began=clock())
        self.module_calls.append(span)
        self._open_modules.append(path)
        try:
            return call(module, *inputs)
        finally:
            self._open_modules.pop()
            span.ended = clock()

    def _prepare_update(self, prepare: Any, optimizer: Optimizer, pairs: Any) -> Any:
        name = type(optimizer).__name__
        update = self._timed(self._span("prepare", name, name), prepare, optimizer, pairs)

        def timed_update() -> None:
            if threading.get_ident() != self._thread:  # the profile may be over
                update()
            else:
                self._timed(self._span("update", name, name), update)

        return timed_update

    # what they share

    def _span(self, kind: str, op: str, module: str | None = None) -> Span:
        if self._open:
            outer = self._open[-1]
            return Span(kind, op, outer.module, outer.line, outer)
        here = self._open_modules[-1] if self._open_modules else NO_MODULE
        return Span(kind, op, module or here, _users_line())

    def _timed(self, span: Span, function: Any, *arguments: Any, **keywords: Any) -> Any:
        self.spans.append(span)
        self._open.append(span)
        span.began = clock()
        try:
            return function(*arguments, **keywords)
        finally:
            span.ended = clock()
            self._open.pop()

    def _count(self, span: Span, result: Any, inputs: Iterable[Any]) -> None:
        """Count the memory of a result, unless it is a view of something older."""
        if not backend.is_array(result):
            return
        owner = _owner(result)
        key = id(owner)
        if key in self._living or any(_owner(array_of(x)) is owner for x in inputs):
            return
        outermost, size = span.outermost(), owner.nbytes

        def died(_: Any) -> None:
            if self._living.pop(key, None):
                self.changes.append(Change(clock(), outermost, -size))

        self._living[key] = Living(weakref.ref(owner, died), outermost, size)
        self.changes.append(Change(clock(), outermost, size))

    # modules

    def _name(self, module: Module, name: str) -> None:
        for path, part in module.named_modules(name):
            self._paths.setdefault(id(part), (path, part))

    def _path_of(self, module: Module) -> str:
        if id(module) not in self._paths:
            kind = type(module).__name__
            if self._open_modules:  # made during the call: not an attribute of anything
                return f"{self._open_modules[-1]}.{kind}"
            self._unnamed[kind] += 1
            count = self._unnamed[kind]
            self._name(module, kind if count == 1 else f"{kind} {count}")
        path, _ = self._paths[id(module)]
        return path

    # what it shows

    def by(self, key: str) -> Table:
        """The table by "op", "module" or "line".

        Errors: ConfigError (another key).
        """
        if key not in KEYS:
            raise ConfigError(
                f'a profile has no table by "{key}": expected "op", "module" or "line". '
                f'Try: profile.by("module").'
            )
        rows: dict[str, Row] = {}
        total = Row("total", outside=self._time())
        for span in self.spans:
            if span.outer is None:
                name = getattr(span, key)
                rows.setdefault(name, Row(name)).add(span)
                total.add(span)
                total.outside -= span.ended - span.began
        for change in self.changes:
            rows[getattr(change.span, key)].memory.add(change.size)
            total.memory.add(change.size)
        ordered = sorted(rows.values(), key=lambda row: row.nanoseconds, reverse=True)
        outside = Row(OUTSIDE, outside=total.outside)
        return Table(key, [*ordered, outside], total, self.calls_elsewhere)

    def __repr__(self) -> str:
        return repr(self.by("op"))

    def _time(self) -> int:
        """How long it has run, in nanoseconds, also while it runs."""
        running = 0 if self._thread is None else clock() - self._began
        return running + sum(ended - began for began, ended in self.periods)

    def save_trace(self, path: str | Path) -> None:
        """Write the Chrome trace: what ran when, inside of what, and how memory grew and shrank."""
        import json

        events = list(_events(self))
        text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})
        Path(path).write_text(text, encoding="utf-8")


def profile(**modules: Module) -> Profile:
    """A context manager that finds out where time and memory go.

    modules  what the tables call them: profile(discriminator=D) gives paths such as
             discriminator.conv1. A module without a name goes by its class.
    Results don't change by a bit. Each call takes tens of microseconds longer, most of which counts
    as "outside of ops". Every call is remembered: profile tens of steps, not thousands.
    Errors: ConfigError (two at the same time).

    >>> import numpy as np, minigan as mg
    >>> w = mg.Tensor(np.ones((3, 2)), requires_grad=True)
    >>> with mg.profile() as profile:
    ...     mg.sum(mg.matmul(np.ones((4, 3)), w)).backward()
    >>> sorted(row.name for row in profile.by("op").rows)
    ['matmul', 'outside of ops', 'sum']
    """
    return Profile(**modules)


@cache
def _place(file: str, line: int) -> str:
    return f"{Path(file).name}:{line}"


def _users_line() -> str:
    """`train.py:31`: the innermost line that is not the framework's own."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_framework(frame.f_code.co_filename):
        frame = frame.f_back
    return _place(frame.f_code.co_filename, frame.f_lineno)


@cache
def _is_framework(file: str) -> bool:
    return file.startswith(_PACKAGE) and not file.startswith(_MODELS)


def _owner(value: Any) -> Any:
    """The array whose memory an array is a view of; anything else as it is."""
    base = getattr(value, "base", None)
    return value if base is None or not backend.is_array(base) else _owner(base)


# ── tables ───────────────────────────────────────────────────────────────────────────────────


@dataclass
class Memory:
    """Bytes of new arrays: all that were ever made, and the most that lived at once."""

    made: int = 0
    alive: int = 0
    peak: int = 0

    def add(self, size: int) -> None:
        """One more came to life, or, if negative, died."""
        self.made += max(size, 0)
        self.alive += size
        self.peak = max(self.peak, self.alive)


@dataclass
class Row:
    """One line of the table; times in nanoseconds, ops that are parts of other ops in those."""

    name: str
    calls: int = 0  # of ops and updates; a backward pass is not one
    forward: int = 0
    backward: int = 0
    update: int = 0  # in optimizers
    outside: int = 0  # in none of these
    memory: Memory = field(default_factory=Memory)

    @property
    def nanoseconds(self) -> int:
        """All time, which adds up over the rows to that of the `with` block."""
        return self.forward + self.backward + self.update + self.outside

    def add(self, span: Span) -> None:
        """Count a span."""
        took = span.ended - span.began
        self.calls += span.kind in ("forward", "update")
        match span.kind:
            case "forward":
                self.forward += took
            case "backward":
                self.backward += took
            case _:
                self.update += took


@dataclass(repr=False)
class Table:
    """Rows by their time, longest first, then what is outside of ops, and the sum of all."""

    key: str
    rows: list[Row]
    total: Row
    calls_elsewhere: int

    def __repr__(self) -> str:
        titles = (self.key, "calls", "ms", "share", "forward ms", "backward ms", "MB made", "peak")
        cells = [titles, *map(self._cells, [*self.rows, self.total])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        head, *lines = ["  ".join(_aligned(row, widths)).rstrip() for row in cells]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        notes = ["MB made: new arrays that ops and pullbacks returned; peak: alive at once."]
        if self.calls_elsewhere:
            notes.append(f"Not counted: {self.calls_elsewhere:,} calls from other threads.")
        return "\n".join([head, rule, *lines[:-1], rule, lines[-1], *notes])

    def _cells(self, row: Row) -> tuple[str, ...]:
        share = row.nanoseconds / max(self.total.nanoseconds, 1)
        numbers = [row.forward / 1e6, row.backward / 1e6, row.memory.made / 1e6,
                   row.memory.peak / 1e6]  # fmt: skip
        forward, backward, made, peak = (f"{x:,.2f}" if x else "" for x in numbers)
        calls = f"{row.calls:,}" if row.calls else ""
        took = f"{row.nanoseconds / 1e6:,.2f}"
        return row.name, calls, took, f"{share:.1%}", forward, backward, made, peak


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    yield row[0].ljust(widths[0])
    yield from (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))


# ── the trace ────────────────────────────────────────────────────────────────────────────────


def _events(profile: Profile) -> Iterator[dict[str, Any]]:
    """Complete events ("X"), which viewers nest by their times, and a counter of memory ("C").

    Source: Google, "Trace Event Format".
    """
    start = profile.periods[0][0] if profile.periods else 0
    here = {"pid": os.getpid(), "tid": threading.get_native_id()}

    def complete(name: str, kind: str, began: int, ended: int, **facts: str) -> dict[str, Any]:
        times = {"ts": (began - start) / 1e3, "dur": (ended - began) / 1e3}  # microseconds
        return {"ph": "X", "name": name, "cat": kind, **times, **here, "args": facts}

    yield {"ph": "M", "name": "process_name", **here, "args": {"name": "minigan"}}
    for began, ended in profile.periods:
        yield complete("profile", "profile", began, ended)
    for span in profile.module_calls:
        yield complete(span.op, span.kind, span.began, span.ended)
    for span in profile.spans:
        name = span.op if span.kind == "forward" else f"{span.op} {span.kind}"
        yield complete(name, span.kind, span.began, span.ended, module=span.module, line=span.line)
    memory = Memory()
    for change in profile.changes:
        memory.add(change.size)
        when = {"ts": (change.when - start) / 1e3}
        yield {"ph": "C", "name": "MB", **when, **here, "args": {"MB": memory.alive / 1e6}}
