"""Every pullback on the way back, watched while it runs: a function may hide what its ops do.

The cotangent that reaches an op inside a function is one that the engine made, always contiguous.
Here each rule is also called with other layouts of it, and its arguments are looked at afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan import backend
from minigan.autograd.engine import Tensor
from minigan.autograd.verification.comparison import Evidence, jitter_of
from minigan.autograd.verification.invariants import LAYOUTS
from minigan.autograd.verification.numerical import HostArray
from minigan.autograd.verification.subject import Subject
from minigan.backend import Array
from minigan.errors import GradientError


def check_rules(subject: Subject, evidence: Evidence, layouts: bool) -> None:
    """No rule writes into its arguments or hands them out, and no layout of g matters.

    Errors: GradientError.
    """
    pull = subject.pull(subject.points)
    for node in nodes_behind(pull.outputs):
        node.op = _WatchedOp(node.op, layouts)
    pull(evidence.cotangents[-2])


def nodes_behind(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The results of ops that the outputs were computed from, oldest first."""
    found: dict[int, Tensor] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.op is not None and id(node) not in found:
            found[id(node)] = node
            stack += node.parents
    return sorted(found.values(), key=lambda node: node.age)


class _WatchedOp:
    """Stands in for the op of one node, and watches its rules."""

    def __init__(self, op: Any, layouts: bool) -> None:
        self._op, self._layouts = op, layouts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._op, name)

    def rules_for(self, inputs: Sequence[Any]) -> list[Any]:
        """The op's rules, each one watched."""
        return [rule and self._watched(rule) for rule in self._op.rules_for(inputs)]

    def _watched(self, rule: Any) -> Any:
        def watched(g: Array, y: Array, *inputs: Any) -> Any:
            arrays = {"the output": y}
            arrays |= {f"input {i}": x for i, x in enumerate(inputs) if backend.is_array(x)}
            for cotangent in (np.ones_like(g), g):
                seen = {"its cotangent g": cotangent, **arrays}
                before = {words: x.copy() for words, x in seen.items()}
                result = rule(cotangent, y, *inputs)
                for words, x in seen.items():
                    if not _equal(x, before[words]):
                        raise self._error(f"writes into {words}", "x + y instead of x += y")
                for words, x in arrays.items():
                    if _shares_memory(result, x):
                        raise self._error(f"hands out {words} as a gradient", "a copy")
            if self._layouts:
                self._check_layouts(lambda g: rule(g, y, *inputs), g, result)
            return result

        return watched

    def _check_layouts(self, rule: Any, g: Array, expected: Any) -> None:
        """The same result for g in any layout, up to rounding."""
        device, host = backend.device_of(g), _host(g)
        if not host.ndim:
            return
        for layout, lay_out in LAYOUTS.items():
            other = rule(lay_out(host, lambda x: backend.asarray(x, device=device)))
            error = np.max(np.abs(_host(other) - _host(expected)), initial=0)
            bound = 1e-12 * np.max(np.abs(_host(expected)), initial=0)
            if not error <= bound and not error <= 32 * self._jitter(rule, host, device):
                raise self._error(
                    f"gives something else for a cotangent laid out {layout}",
                    "index arrays by their shape, never by their memory",
                )

    @staticmethod
    def _jitter(rule: Any, g: HostArray, device: str) -> float:
        def on_host(points: Sequence[HostArray]) -> HostArray:
            return _host(rule(backend.asarray(points[0], device=device)))

        return jitter_of(on_host, [g])

    def _error(self, problem: str, remedy: str) -> GradientError:
        return GradientError(f"a pullback of {self._op.name} {problem}. Try: {remedy}.")


def _host(x: Any) -> HostArray:
    return backend.to_host(x) if backend.is_array(x) else np.asarray(x)


def _equal(a: Array, b: Array) -> bool:
    return np.array_equal(_host(a), _host(b), equal_nan=a.dtype.kind in "fc")


def _shares_memory(a: Any, b: Any) -> bool:
    """Whether two host arrays overlap."""
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.may_share_memory(a, b)
