"""The sentences the engine says when something is wrong, and the user's line they point to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigan import backend
from minigan.errors import DeviceError, GraphError, NonFiniteError

if TYPE_CHECKING:
    from minigan.autograd.engine import Op, Tensor

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def user_line() -> str:
    """`train.py:31`: the innermost line outside minigan that led here."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def label(x: Tensor) -> str:
    """How messages call a tensor: by its name, or by how it was made."""
    if x.name:
        return f'"{x.name}"'
    made = f" made by {x.op.name}" if x.op else ""
    kind = f"{x.shape} tensor" if x.shape else "number"
    return f"the {kind}{made}{_at(x.source)}"


def _at(source: str | None) -> str:
    return f" at {source}" if source else ""


def explain(error: Exception, name: str, arrays: Sequence[Any]) -> None:
    """Add a note naming the op and its inputs; raise DeviceError if their devices differ."""
    devices = {backend.device_of(x): x for x in arrays if backend.is_array(x)}
    if len(devices) > 1:
        (first, x), (second, w) = list(devices.items())[:2]
        raise DeviceError(
            f"{name}: one input {x.shape} is on {first}, another {w.shape} on {second}; "
            f'nothing is copied silently. Try: x.to("{second}").'
        ) from error
    error.add_note(f"in {name}({', '.join(map(_describe, arrays))})")


def _describe(x: Any) -> str:
    return f"{x.shape} {x.dtype}" if backend.is_array(x) else repr(x)


# ── the graph ────────────────────────────────────────────────────────────────────────────────


def not_one_number(y: Tensor) -> GraphError:
    """Backward needs a scalar to start from."""
    return GraphError(
        f"backward() needs one number; {label(y)} has shape {y.shape}. "
        f"Try: mean(loss), or pass a cotangent of shape {y.shape}."
    )


def no_leaves(y: Tensor) -> GraphError:
    """Nothing in the graph wants a gradient."""
    return GraphError(
        f"{label(y)} does not depend on any tensor that requires gradients. Try: "
        f"Tensor(data, requires_grad=True), and compute it outside no_grad() and detach()."
    )


def freed(node: Tensor) -> GraphError:
    """A walk came to a node that an earlier walk has freed."""
    return GraphError(
        f"the graph behind {label(node)} was freed by an earlier backward pass. "
        f"Try: compute the value again, or pass retain_graph=True to the first pass."
    )


def changed_in_place(node: Tensor, inputs: Sequence[Tensor]) -> GraphError:
    """A value the pullback would read is no longer the one the forward pass used."""
    made_by = f"{node.op.name if node.op else 'an op'}{_at(node.source)}"
    now = f", before this backward pass{_at(user_line())}"
    if node.changed:
        changed = node
        what = f"{label(node)} was computed"
    else:
        changed = inputs[0]
        what = f"{label(changed)} was used by {made_by}"
    hint = "" if node.source else "; wrap the code in record_source() to see the lines"
    return GraphError(
        f"{what}, then changed in place{_at(changed.changed_at)}{now}. "
        f"Try: compute the forward pass again after the change{hint}."
    )


def wrong_device(x: Tensor, value: Any) -> DeviceError:
    """A new value that lies in another memory."""
    return DeviceError(
        f"assign: {label(x)} is on {x.device}, the new value on {backend.device_of(value)}; "
        f'nothing is copied silently. Try: backend.to_device(value, "{x.device}").'
    )


def no_pullback(op: Op[...], position: int) -> GraphError:
    """The input has no gradient rule."""
    argument = list(op.signature.parameters)[min(position, op.arity - 1)]
    return GraphError(
        f"{op.name} has no pullback for its input {argument!r}. "
        f"Try: {argument}.detach(), or declare one with {op.name}.pullbacks(...)."
    )


def stale_grad(leaf: Tensor) -> str:
    """Adding a new gradient to one that was computed before the last update."""
    return (
        f"{label(leaf)}.grad still holds a gradient from before its last update; backward() adds "
        f"to it. Try: x.grad = None first, or minimize(loss), which starts fresh."
    )


# ── NaN and infinity ─────────────────────────────────────────────────────────────────────────

_REMEDIES = {
    "log": "sigmoid_cross_entropy_with_logits, which never takes log of 0",
    "divide": "add a small epsilon to the denominator",
    "exp": "softplus or sigmoid_cross_entropy_with_logits, which do not overflow",
    "sqrt": "sqrt(x + epsilon): its slope at 0 is infinite",
}


def check_finite_forward(name: str, arrays: Sequence[Any], data: Any) -> None:
    """Raise NonFiniteError if an op's result holds a NaN or an infinity."""
    if _finite(data):
        return
    raise NonFiniteError(
        f"first non-finite value: {name} at {user_line()} gives {_first_bad(data)}; "
        f"inputs: {', '.join(map(_range, arrays))}. {_remedy(name)}"
    )


def check_finite_backward(node: Tensor, position: int, gradient: Any) -> None:
    """Raise NonFiniteError if a pullback made the first NaN or infinity."""
    if _finite(gradient):
        return
    name = node.op.name if node.op else "the op"
    raise NonFiniteError(
        f"first non-finite gradient: backward through {name}{_at(node.source)} gives "
        f"{_first_bad(gradient)} for input {position}; "
        f"inputs: {', '.join(map(_range, node.arrays))}. {_remedy(name)}"
    )


def _remedy(name: str) -> str:
    return f"Try: {_REMEDIES.get(name, 'look at the inputs named here')}."


def _finite(data: Any) -> bool:
    return data.dtype.kind not in "fc" or bool(np.isfinite(data).all())


def _first_bad(data: Any) -> str:
    host = np.asarray(backend.to_host(data) if backend.is_array(data) else data)
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(host))[0])
    return f"{host[index]} at index {index}" if index else f"{host[()]}"


def _range(x: Any) -> str:
    if not backend.is_array(x) or x.size == 0 or x.dtype.kind not in "fiu":
        return _describe(x)
    return f"{_describe(x)} from {float(x.min()):.4g} to {float(x.max()):.4g}"
