"""Reverse-mode automatic differentiation: start with engine.py."""

from minigan.autograd.check import GradientReport, check_gradients
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

__all__ = [
    "GradientReport", "Op", "Tensor", "check_gradients", "detect_anomaly", "grad", "hvp", "jvp",
    "no_grad", "op", "record_source", "stop_gradient", "vjp",
]  # fmt: skip
