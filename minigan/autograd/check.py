"""Proof by numbers: `check_gradients` compares every pullback with numerical derivatives.

At one point of one function it asks:
    is J^T g what numerical derivatives say, for one-hot, dense, unique and zero cotangents g?
    does that hold in any memory layout, in float32, for a value used twice; is nothing mutated?
    is the gradient differentiable in turn, with a symmetric Hessian?
A gradient is a function, so its own check is the first question once more: orders are a loop.

No tolerance is absolute. An error is measured against the sum |J||g| of the terms it could come
from, so a gradient of 1e-12 is checked as strictly as one of 1. Where float64 rounds by more, the
question is asked again in extended precision before anything is reported.
The parts are in verification/.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from minigan.autograd.engine import Tensor
from minigan.autograd.verification.comparison import Evidence, compare
from minigan.autograd.verification.disagreement import Disagreement, Finding, save_picture
from minigan.autograd.verification.invariants import (
    check_alone_twice,
    check_dtype,
    check_invariants,
    check_layouts,
    check_state,
)
from minigan.autograd.verification.numerical import EXTENDED, as_dtype
from minigan.autograd.verification.rules import check_rules, nodes_behind
from minigan.autograd.verification.subject import (
    Subject,
    arguments_of,
    build,
    gradient_of,
    in_mode,
    name_of,
    subject_of,
)
from minigan.errors import ConfigError, DtypeError, GradientError, VacuousGradientWarning


@dataclass
class GradientReport:
    """What was verified, and how exactly.

    methods      how the numerical derivatives of each order were taken
    worst        the largest relative error of each order, against the sum |J||g|
    comparisons  how many numbers were compared
    kinks        corners found: there the gradient is a convention
    zero         inputs whose gradient is zero here, so that little was proved about them
    """

    name: str
    methods: list[str] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    comparisons: int = 0
    kinks: list[str] = field(default_factory=list)
    zero: list[str] = field(default_factory=list)

    def add(self, order: int, evidence: Evidence) -> None:
        """Take over what the comparison of one order found."""
        if order > len(self.methods):
            self.methods.append(evidence.method)
            self.worst.append(evidence.worst)
        else:  # the same order in another mode: training, inference
            self.worst[order - 1] = max(self.worst[order - 1], evidence.worst)
        self.comparisons += evidence.comparisons
        known = {kink.split(":")[0] for kink in self.kinks}  # "x[1] = 0"
        self.kinks += [kink for kink in evidence.kinks if kink.split(":")[0] not in known]

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.comparisons:,} numbers compared"]
        for order, (method, worst) in enumerate(zip(self.methods, self.worst, strict=True), 1):
            lines.append(f"  order {order}  by {method}, worst relative error {worst:.1e}")
        lines += [f"  kink     {kink}" for kink in self.kinks]
        lines += [
            f"  VACUOUS  the gradient to {name} is zero: nothing proved" for name in self.zero
        ]
        return "\n".join(lines)


def check_gradients(
    f: Callable[..., Any],
    *inputs: Any,
    reference: Callable[..., Any] | None = None,
    order: int = 2,
    dtypes: str | Sequence[str] = ("float32",),
    layouts: bool = True,
    seed: int = 0,
    modules: Mapping[str, Any] | None = None,
    zero: Sequence[str] = (),
    picture: str | Path | None = None,
) -> GradientReport:
    """Verify all derivatives of f at the inputs, up to an order.

    f          an op, any function of Tensors, or a Module, whose parameters are checked, too
    inputs     arrays; floating-point ones are differentiated, in float64. A function of a random
               generator draws one. Anything else (an axis, a mask, a Tensor that does not
               require gradients) is handed on.
    reference  the same function of arrays by another formula, to differentiate numerically; for
               modules it is called with the inputs, then the parameters. An f that calls grad()
               itself needs one
    order      1: the gradients; 2: theirs, which the Hessian is made of; 3, ...
    dtypes     the gradients in these are also compared with those in float64
    layouts    whether other memory layouts are tried
    modules    modules that f uses, by name: {"D": net}. Their trainable parameters are checked;
               what they keep (moving averages, a dropout counter) is as before afterwards. With
               such state, training and inference are checked both.
    zero       the names of inputs whose true gradient is zero, in training or in inference
    picture    a PNG to draw: the error against the step, and where the gradients differ
    Errors: GradientError with a report; ConfigError (order, or a reference that is missing);
    VacuousGradientWarning if a gradient is zero and not named in `zero`.
    Source: docs/gradient-checking.md

    >>> report = check_gradients(lambda x: x * x * x, np.array([0.5, 2.0]))
    >>> report.methods, max(report.worst) < 1e-12
    (['complex step', 'complex step'], True)
    """
    if order < 1:
        raise ConfigError(f"check_gradients: order is {order}, but must be 1 or more. Try: 2.")
    modules = dict(modules or {})
    if hasattr(f, "named_parameters"):
        modules = {"": f, **modules}
    report = GradientReport(name_of(f))
    arguments = arguments_of(inputs, seed)
    build(f, arguments, modules)
    without_zero = list(zero)  # declared, and not found yet
    for mode in _modes(modules):
        with mode, _explained_dtypes():
            subject = first = subject_of(f, arguments, reference, modules)
            check_state(f, arguments, modules)
            _visit_another_point(subject)
            if reference is None:
                _require_numbers_without_a_graph(subject)
            for k in range(1, order + 1):
                try:
                    evidence = compare(subject, seed)
                except Disagreement as disagreement:
                    finding = replace(disagreement.finding, float64_op=_float64_op(subject))
                    raise _told(finding, first, k, seed, picture) from None
                report.add(k, evidence)
                if k == 1:
                    _warn_of_zero(evidence, report, zero)
                    without_zero = [name for name in without_zero if name not in evidence.zero]
                    check_invariants(subject, evidence)
                    check_rules(subject, evidence, layouts)
                    if layouts:
                        check_layouts(subject, evidence)
                    for dtype in [dtypes] if isinstance(dtypes, str) else dtypes:
                        check_dtype(subject, evidence, dtype)
                    if picture is not None and evidence.finding is not None:
                        save_picture(picture, evidence.finding)
                if k == 2:
                    _check_symmetry(subject, evidence)
                    check_alone_twice(first, seed)
                subject = gradient_of(subject, seed)
    if without_zero:
        raise GradientError(
            f"{report.name}: the gradient to {without_zero[0]} is not zero. "
            f"Try: leave it out of `zero`; the values are {', '.join(first.names)}."
        )
    return report


def _require_numbers_without_a_graph(subject: Subject) -> None:
    """The numbers come from f itself, unrecorded: from values alone, not from gradients in it."""
    subject.pull(subject.points)  # an f that fails at any rate says why
    try:
        if subject.on_arrays(subject.points).dtype == object:
            raise TypeError("the answer is grad()'s None")
    except Exception as error:
        raise ConfigError(
            f"{subject.name} can't do without a graph; perhaps it takes a gradient itself, which "
            f"numbers can't follow: they come from its values alone. Try: reference=g, with g the "
            f"same function of arrays by a formula without grad()."
        ) from error


def _visit_another_point(subject: Subject) -> None:
    """Forward and back elsewhere: a pullback that remembers an earlier call is then found out."""
    flipped = [x.ravel()[::-1].reshape(x.shape) for x in subject.points]  # still in the domain
    with suppress(Exception), warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        pull = subject.pull(flipped)
        pull(np.ones(pull.value().size))


def _warn_of_zero(evidence: Evidence, report: GradientReport, declared: Sequence[str]) -> None:
    """A gradient that is zero proves nothing: half of it would be zero as well."""
    for name in evidence.zero:
        if name not in declared and name not in report.zero:
            report.zero.append(name)
            warnings.warn(
                f"{report.name}: the gradient to {name} is zero, so this check proves nothing "
                f"about it. Try: other inputs or another output, or zero=[{name!r}] if it must be.",
                VacuousGradientWarning,
                stacklevel=3,
            )


def _check_symmetry(gradient: Subject, evidence: Evidence) -> None:
    """The Hessian of <g, f> is symmetric: u'Hv = v'Hu for dense u and v.

    u and v are two cotangents of the gradient; pulled back to the values, they are Hu and Hv.
    """
    u, v = evidence.cotangents[-2:]
    hu, hv = (np.concatenate([x[row] for x in evidence.gradients])[: u.size] for row in (-2, -1))
    scale = max((float(np.max(s, initial=0)) for s in evidence.scales), default=0.0)
    rounding = 1e-12 * u.size * scale + 16 * max(evidence.rounding, default=0.0)
    bound = 1e-9 * (np.abs(v) @ np.abs(hu) + np.abs(u) @ np.abs(hv)) + rounding
    if not abs(v @ hu - u @ hv) <= bound:
        raise GradientError(
            f"{gradient.name} is not the gradient of anything: its Jacobian, the Hessian, is not "
            f"symmetric: v'Hu = {v @ hu:.6g}, u'Hv = {u @ hv:.6g}. "
            f"Try: pullbacks written in ops only, with no number taken out of a Tensor."
        )


@contextmanager
def _explained_dtypes() -> Iterator[None]:
    """A layer that refuses float64 belongs to a module the check does not know of."""
    try:
        yield
    except DtypeError as error:
        error.add_note(
            "check_gradients computes in float64; the parameters of a module that f uses follow "
            'if it is named: check_gradients(f, x, modules={"D": net}).'
        )
        raise


# ── modules with state ───────────────────────────────────────────────────────────────────────


def _modes(modules: Mapping[str, Any]) -> list[Any]:
    """Training and inference if a module keeps something between calls; else as it is."""
    stateful = any(True for m in modules.values() for _ in m.named_buffers())
    modes = (True, False) if stateful else (None,)
    return [in_mode(modules, training) for training in modes]


# ── the report of a failure ──────────────────────────────────────────────────────────────────


def _told(
    finding: Finding, subject: Subject, order: int, seed: int, picture: str | Path | None
) -> GradientError:
    text = finding.report()
    guilty = _guilty_op(subject, order, seed)
    if guilty:
        text += f"\n  at fault        {guilty}"
    if picture is not None:
        save_picture(picture, finding)
        text += f"\n  picture         {picture}"
    return GradientError(text)


def _float64_op(subject: Subject) -> str | None:
    """The first op on the way that turns extended precision into float64."""
    if not EXTENDED:
        return None
    with suppress(Exception):  # whatever f does with numbers it does not expect
        for node in nodes_behind(subject.pull(as_dtype(subject.points, np.longdouble)).outputs):
            if node.dtype == np.float64 and any(x.dtype == np.longdouble for x in node.parents):
                return str(node.op.name)
    return None


def _guilty_op(subject: Subject, order: int, seed: int) -> str | None:
    """Which op of a function of several has the wrong pullback: each is checked by itself."""
    nodes = nodes_behind(subject.pull(subject.points).outputs)
    if len(nodes) < 2:
        return None
    for node in nodes:
        inputs = [x.data if isinstance(x, Tensor) and x.requires_grad else x for x in node.inputs]
        alone = subject_of(node.op, inputs, None, {})
        for _ in range(order - 1):
            alone = gradient_of(alone, seed)
        try:
            compare(alone, seed)
        except Disagreement as disagreement:
            return f"{node.op.name}, argument {disagreement.finding.value}"
    return "no single op: each one's pullback is right by itself; look between them"
