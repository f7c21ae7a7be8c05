"""Reverse-mode automatic differentiation: start with engine.py."""

from typing import TYPE_CHECKING, Any

from minigan.autograd.engine import (
    Op,
    Tensor,
    detect_anomaly,
    grad,
    no_grad,
    op,
    record_source,
    stop_gradient,
)
from minigan.autograd.functional import hvp, jvp, vjp
from minigan.autograd.ops import *  # noqa: F403  every op, so that Tensor's operators find theirs

if TYPE_CHECKING:
    from minigan.autograd.check import GradientReport, check_gradients
else:

    def __getattr__(name: str) -> Any:
        """The checker, loaded at its first use: training does not need it."""
        if name in ("GradientReport", "check_gradients"):
            from minigan.autograd import check

            return getattr(check, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "GradientReport", "Op", "Tensor", "check_gradients", "detect_anomaly", "grad", "hvp", "jvp",
    "no_grad", "op", "record_source", "stop_gradient", "vjp",
]  # fmt: skip
