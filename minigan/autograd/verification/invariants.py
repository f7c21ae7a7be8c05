"""What must hold of every pullback besides its value: nothing mutated, any layout, any dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Any

import numpy as np

from minigan import backend
from minigan.autograd.engine import Tensor, grad
from minigan.autograd.verification.comparison import Evidence, jitter_of
from minigan.autograd.verification.numerical import HostArray, Points, as_dtype
from minigan.autograd.verification.subject import (
    Pullback,
    Subject,
    alone,
    as_list,
    flat,
    float32_leaves,
    gradient_of,
    name_of,
    standing_in,
)
from minigan.backend import Array
from minigan.errors import GradientError
from minigan.random import stream

# the same numbers, differently in memory; each places the array on the device
LAYOUTS: Mapping[str, Callable[[HostArray, Callable[[HostArray], Array]], Array]] = {
    "column-major": lambda x, place: place(x.T.copy()).T,
    "every second element": lambda x, place: place(np.repeat(x, 2, axis=-1))[..., ::2],
    "backwards": lambda x, place: place(x[..., ::-1].copy())[..., ::-1],
    "read-only": lambda x, place: _read_only(place(x.copy())),
}
REPEATED = "zero strides"  # other numbers: the first row again and again

ROUNDING = 256  # units of rounding that a lower precision may be off, of the largest sum |J||g|


def _read_only(x: Array) -> Array:
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
    return x


def check_invariants(subject: Subject, evidence: Evidence) -> None:
    """Twice the same, nothing written or shared, linear in g, added up where a value is used twice.

    Errors: GradientError.
    """
    pull = subject.pull(subject.points)
    dense = evidence.cotangents[-2]
    g = pull.cotangents(dense)
    before = [_copies(x) for x in (_data(pull.leaves), _data(pull.outputs), g)]
    first = pull.raw(g)
    kept = _copies(first)

    again = subject.pull(subject.points)
    _require(
        _equal(_data(again.outputs), before[1]),
        subject, "two calls with the same inputs give different values",
        "give dropout and noise a seed; a check needs a function",
    )  # fmt: skip
    for words, arrays, copies in [
        ("an input", _data(pull.leaves), before[0]),
        ("the output", _data(pull.outputs), before[1]),
        ("the cotangent g", g, before[2]),
    ]:
        _require(
            _equal(arrays, copies),
            subject, f"the pullback writes into {words}", "x + y instead of x += y, or a copy",
        )  # fmt: skip
    for x, d in zip(pull.leaves, first, strict=True):
        _require(
            d is None or (d.shape == x.shape and d.dtype == x.dtype),
            subject, f"a gradient is {d is not None and (d.shape, str(d.dtype))}, its input "
            f"{(x.shape, str(x.dtype))}", "the shape and dtype of the input",
        )  # fmt: skip
    _require_own_memory(subject, first, _data(pull.leaves), g)

    twice = pull.raw(pull.cotangents(2 * dense))
    _require(
        _equal(twice, [d if d is None else 2 * d for d in kept]),
        subject, "the pullback of 2 g is not twice the pullback of g",
        "a pullback that is linear in g and multiplies by it last or first, but once",
    )  # fmt: skip
    _require(
        _equal(first, kept),
        subject, "an earlier gradient changed when the next one was computed",
        "a new array for every result, not a buffer that is used again",
    )  # fmt: skip
    opposite = pull.raw(pull.cotangents(-dense))
    _require(
        _equal(opposite, [d if d is None else -d for d in kept]),
        subject, "the pullback of -g is not the opposite of the pullback of g",
        "a pullback that is linear in g: no mask, clip or absolute value of g",
    )  # fmt: skip
    zeros = pull.raw(pull.cotangents(np.zeros_like(dense)))
    _require(
        all(d is None or not backend.to_host(d).any() for d in zeros),
        subject, "the gradient is not zero for a cotangent of zero", "multiply by g",
    )  # fmt: skip
    _require_sum(subject, evidence, kept)
    _require_alone(subject, evidence, kept)


def _require_own_memory(
    subject: Subject, gradients: Sequence[Any], inputs: Sequence[Array], g: Sequence[Array]
) -> None:
    own = [x for x in gradients if isinstance(x, np.ndarray)]
    others = [x for x in [*inputs, *g] if isinstance(x, np.ndarray)]
    pairs = [*combinations(own, 2), *((a, b) for a in own for b in others)]
    _require(
        not any(np.may_share_memory(a, b) for a, b in pairs),
        subject, "a gradient shares memory with another one, an input or the cotangent",
        "return a copy",
    )  # fmt: skip


def _require_sum(subject: Subject, evidence: Evidence, once: Sequence[Any]) -> None:
    """Values used by two calls receive the sum of both gradients."""
    leaves = subject.leaves(subject.points)
    one, two = Pullback(subject, leaves), Pullback(subject, leaves)
    dense = evidence.cotangents[-2]
    both = _joined(one, two).raw([*one.cotangents(dense), *two.cotangents(3 * dense)])
    for i, (d, single) in enumerate(zip(both, once, strict=True)):
        if d is not None:
            _require_close(
                subject, i, evidence, backend.to_host(d), 4 * backend.to_host(single),
                "a value used twice does not receive the sum of both gradients",
                "add to the gradient that is there, never overwrite it",
            )  # fmt: skip


def _require_alone(subject: Subject, evidence: Evidence, together: Sequence[Any]) -> None:
    """The gradient to one input is the same, in the graph too, when the others are plain arrays."""
    for i, expected in enumerate(together[: subject.inputs]):
        pull = alone(subject, i).pull([subject.points[i]])
        g = pull.cotangents(evidence.cotangents[-2])
        (gradient,) = grad(pull.outputs, pull.leaves, g, create_graph=True)
        if gradient is not None and expected is not None:
            _require_close(
                subject, i, evidence, gradient.numpy(), backend.to_host(expected), ALONE, BOTH
            )


ALONE = "the gradient is different when the other inputs are arrays, not Tensors"
BOTH = "the same rule for both"


def check_alone_twice(subject: Subject, seed: int) -> None:
    """The same of the gradient's gradient: to the input itself and to g.

    Errors: GradientError.
    """
    if subject.inputs < 2:
        return
    whole = gradient_of(subject, seed)
    together, count = whole.pull(whole.points), len(subject.points)
    sizes = np.cumsum([0, *(x.size for x in subject.points)])
    for i in range(subject.inputs):
        by_itself = gradient_of(alone(subject, i), seed)
        u = stream(seed, "alone", i).normal(size=subject.points[i].size)
        embedded = np.zeros(sizes[-1])
        embedded[sizes[i] : sizes[i + 1]] = u
        wide = together(embedded)
        narrow = by_itself.pull(by_itself.points)(u)
        for a, b in zip(narrow, [wide[i], *wide[count:]], strict=True):
            none = np.zeros(())
            a, b = none if a is None else a, none if b is None else b
            bound = 1e-10 * float(np.max(np.abs(b), initial=0))
            error = float(np.max(np.abs(a - b), initial=0))
            if error > bound:
                bound += 32 * jitter_of(
                    lambda x: flat([d for d in whole.pull(x)(embedded) if d is not None]),  # noqa: B023
                    whole.points,
                )
            _require(error <= bound, whole, f"{ALONE} (to {subject.names[i]})", BOTH)


def _joined(one: Pullback, two: Pullback) -> Pullback:
    both = object.__new__(Pullback)
    both.leaves, both.outputs = one.leaves, [*one.outputs, *two.outputs]
    both.device = one.device
    return both


# ── modules with state ──────────────────────────────────────────────────────────────────────


def check_state(
    f: Callable[..., Any], arguments: Sequence[Any], modules: Mapping[str, Any]
) -> None:
    """What a module keeps moves in training's forward pass alone, and by the same every time.

    Errors: GradientError.
    """
    if not _buffers(modules):
        return
    name, moved = name_of(f), []
    training = all(m.training for m in modules.values())
    for _ in range(2):
        with standing_in(modules, {}):
            before = _buffers(modules)
            outputs = [y for y in as_list(f(*float32_leaves(arguments))) if isinstance(y, Tensor)]
            after = _buffers(modules)
            for y in outputs:
                if y.requires_grad:
                    y.backward(np.ones_like(y.data), retain_graph=True)
            later = _buffers(modules)
        moved.append(after)
        for key, x in after.items():
            label = ".".join(filter(None, key))
            if not training and not _equal([x], [before[key]]):
                raise GradientError(
                    f"{name}: {label} moves in inference. Try: `if self.training:` before it."
                )
            if not _equal([x], [later[key]]):
                raise GradientError(
                    f"{name}: {label} moves in backward. Try: update it in forward()."
                )
    if not _equal([*moved[0].values()], [*moved[1].values()]):
        raise GradientError(
            f"{name}: two calls from the same state leave different ones. "
            f"Try: give dropout and noise a seed."
        )


def _buffers(modules: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (prefix, name): backend.to_host(x).copy()
        for prefix, module in modules.items()
        for name, x in module.named_buffers()
    }


# ── memory layouts ───────────────────────────────────────────────────────────────────────────


def check_layouts(subject: Subject, evidence: Evidence) -> None:
    """The same gradients whatever the memory layout of the inputs and of the cotangent.

    Errors: GradientError.
    """
    for layout, lay_out in LAYOUTS.items():
        _compare_layout(subject, evidence, subject.points, layout, lay_out)
    repeated = [np.repeat(x[:1], len(x), axis=0) if x.ndim else x for x in subject.points]
    _compare_layout(
        subject, evidence, repeated, REPEATED,
        lambda x, place: np.broadcast_to(place(x[:1].copy()), x.shape),
    )  # fmt: skip


def _compare_layout(
    subject: Subject,
    evidence: Evidence,
    points: Sequence[HostArray],
    layout: str,
    lay_out: Callable[[HostArray, Callable[[HostArray], Array]], Array],
) -> None:
    def place(x: HostArray) -> Array:
        return backend.asarray(x, device=subject.device)

    plain = subject.pull(points)
    leaves = [Tensor(lay_out(x, place) if x.ndim else place(x), requires_grad=True) for x in points]
    other = Pullback(subject, leaves)
    dense = evidence.cotangents[-2]
    g = plain.cotangents(dense)
    placed = [
        lay_out(backend.to_host(x), lambda a, x=x: backend.asarray(a, device=_device(x)))  # type: ignore[misc]
        if x.ndim
        else x
        for x in other.cotangents(dense)
    ]
    if layout == REPEATED:  # the cotangent then is another one, too
        g = [backend.asarray(backend.to_host(x).copy(), device=_device(x)) for x in placed]
    value, expected = other.value(), plain.value()
    largest = float(np.max(np.abs(expected), initial=0))
    hint = "index arrays by their shape, never by their memory (no .ravel('K'), no as_strided)"
    error = float(np.max(np.abs(value - expected), initial=0))
    _require(
        error <= 1e-12 * largest
        or error <= 32 * jitter_of(lambda x: subject.pull(x).value(), points),
        subject, f"the value is different for inputs laid out {layout}", hint,
    )  # fmt: skip
    for i, (a, b) in enumerate(zip(other.raw(placed), plain.raw(g), strict=True)):
        if a is not None and b is not None:
            _require_close(
                subject, i, evidence, backend.to_host(a), backend.to_host(b),
                f"the gradient is different for inputs laid out {layout}", hint, points,
            )  # fmt: skip


# ── lower precision ──────────────────────────────────────────────────────────────────────────


def check_dtype(subject: Subject, evidence: Evidence, dtype: str) -> None:
    """The gradients in float32 or float16 are those in float64, up to rounding.

    Errors: GradientError.
    """
    dense = evidence.cotangents[-2].astype(dtype)
    dense64, points = (
        dense.astype(np.float64),
        [x.astype(dtype).astype(float) for x in subject.points],
    )
    low, exact = (
        subject.pull([x.astype(dtype) for x in points])(dense),
        subject.pull(points)(dense64),
    )
    unit = float(np.finfo(dtype).eps)
    for i, (a, b) in enumerate(zip(low, exact, strict=True)):
        name = subject.names[i]
        if a is None or b is None or name in evidence.zero:
            continue
        _require(
            a.dtype == np.dtype(dtype),
            subject, f"the gradient to {name} is {a.dtype} for inputs of {dtype}",
            f"keep constants as Python numbers, or x.astype({dtype!r})",
        )  # fmt: skip
        scale = float(np.max(evidence.scales[i][-2], initial=0))
        bound = ROUNDING * unit * scale
        error = float(np.max(np.abs(a.astype(np.float64) - b), initial=0))
        if error > bound:  # is the function itself so ill-conditioned?
            rounding = _rounding(subject, i, points, dense64, b)
            bound += 16 * rounding * unit / float(np.finfo(np.float64).eps)
        _require(
            error <= bound,
            subject, f"the gradient to {name} in {dtype} is off by {error:.2g} from float64, "
            f"more than rounding explains", "the same formula for every dtype",
        )  # fmt: skip


def _rounding(subject: Subject, i: int, points: Points, g: HostArray, gradient: HostArray) -> float:
    """How much float64 rounds in a gradient: how it jitters, and what long double makes of it."""
    jitter = jitter_of(lambda x: _one(subject.pull(x)(g), i), points)
    with suppress(Exception):  # not every function takes long double
        exact = _one(subject.pull(as_dtype(points, np.longdouble))(g), i)
        return jitter + float(np.max(np.abs(exact - gradient), initial=0))
    return jitter


def _one(gradients: Sequence[HostArray | None], i: int) -> HostArray:
    gradient = gradients[i]
    return np.zeros(0) if gradient is None else gradient


# ── in all of them ───────────────────────────────────────────────────────────────────────────


def _require(holds: bool, subject: Subject, problem: str, remedy: str) -> None:
    if not holds:
        raise GradientError(f"{subject.name}: {problem}. Try: {remedy}.")


def _require_close(
    subject: Subject, i: int, evidence: Evidence, a: HostArray, b: HostArray,
    problem: str, remedy: str, points: Points | None = None,
) -> None:  # fmt: skip
    """Equal up to the rounding of float64 at the points, measured against the sums |J||g|."""
    if subject.names[i] in evidence.zero:
        return  # what is there is nothing but rounding
    scale = float(np.max(evidence.scales[i][-2:], initial=0))
    bound = 1e-10 * np.abs(b) + 1e-12 * max(scale, float(np.max(np.abs(b), initial=0)))
    error = np.abs(a - b)
    if not np.all(error <= bound):
        dense = evidence.cotangents[-2]
        points = subject.points if points is None else points
        bound += 32 * jitter_of(lambda x: _one(subject.pull(x)(dense), i), points)
    _require(bool(np.all(error <= bound)), subject, f"{problem} (to {subject.names[i]})", remedy)


def _copies(arrays: Sequence[Any]) -> list[Any]:
    return [None if x is None else x.copy() for x in arrays]


def _data(tensors: Sequence[Tensor]) -> list[Array]:
    return [x.data for x in tensors]


def _device(x: Array) -> str:
    return backend.device_of(x)


def _equal(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Bit for bit; NaN equals NaN."""
    return all(
        x is w is None or np.array_equal(_on_host(x), _on_host(w), equal_nan=True)
        for x, w in zip(a, b, strict=True)
    )


def _on_host(x: Any) -> Any:
    return backend.to_host(x) if backend.is_array(x) else x  # 2 * a 0-d array is a number
