"""Optimizers: what to do with a gradient.

    compute_gradients(loss, var_list)   [(gradient or None, variable), ...]
    apply_gradients(grads_and_vars)     one update, in place
    minimize(loss, var_list)            both

The variables are packed end to end into one flat buffer (each becomes a view of it), and so are
their moments; small gradients are gathered for each update, one pass over memory, whatever the
number of layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigan import backend
from minigan.autograd import Tensor, grad
from minigan.autograd.engine import array_of, leaves_of
from minigan.backend import Array
from minigan.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    GraphError,
    NonFiniteError,
    ShapeError,
)
from minigan.kernels.adam import adam_update

Schedule: TypeAlias = Callable[[int], float]  # update number, from 0 -> learning rate
GradsAndVars: TypeAlias = Sequence[tuple[Any | None, Tensor]]
LARGE = 2**16  # numbers of a gradient


class _Pack:
    """Variables of one dtype and device, laid end to end in one buffer."""

    def __init__(self, variables: Sequence[Tensor], slots: Mapping[str, float]) -> None:
        self.variables = list(variables)
        ends = np.cumsum([x.size for x in variables]).tolist()
        self.slices = [slice(end - x.size, end) for end, x in zip(ends, variables, strict=True)]
        like = variables[0].data
        self.values = np.empty_like(like, shape=(ends[-1],))
        self.slots = {name: np.full_like(self.values, initial) for name, initial in slots.items()}
        self.views: list[Array] = [None] * len(ends)  # type: ignore[list-item]
        self.repack()

    def repack(self) -> None:
        """Make every variable a view of the buffer again, if someone replaced its data."""
        for i, (x, place) in enumerate(zip(self.variables, self.slices, strict=True)):
            if x.data is not self.views[i]:
                if x.device != (home := backend.device_of(self.values)):
                    raise DeviceError(
                        f"{_name(x)} is on {x.device}, its moments on "
                        f"{home}. Try: move the model first, then make its optimizer."
                    )
                self.values[place] = x.data.reshape(-1)
                x.data = self.views[i] = self.values[place].reshape(x.shape)

    def gather(self, gradients: Mapping[int, Any]) -> list[tuple[slice, Array]]:
        """The gradients of neighbours end to end, and the ranges of the values they belong to.

        A large gradient stays where it is: to copy it takes longer than a further update.
        """
        runs: list[list[tuple[slice, Array]]] = []
        for x, place in zip(self.variables, self.slices, strict=True):
            if (g := gradients.get(id(x))) is not None:
                g = g.reshape(-1).astype(self.values.dtype, copy=False)
                neighbours = runs[-1] if runs else []
                adjacent = bool(neighbours) and neighbours[-1][0].stop == place.start
                if adjacent and max(g.size, neighbours[-1][1].size) < LARGE:
                    neighbours.append((place, g))
                else:
                    runs.append([(place, g)])
        return [_joined(run) for run in runs]


def _joined(run: Sequence[tuple[slice, Array]]) -> tuple[slice, Array]:
    places, gradients = zip(*run, strict=True)
    together = gradients[0] if len(run) == 1 else np.concatenate(gradients)
    return slice(places[0].start, places[-1].stop), together


class Optimizer:
    """What all optimizers share; a subclass says how one range of the buffer moves.

    learning_rate  a number, or a function of the number of updates made so far
    Errors: GraphError (no variable has a gradient), ShapeError, NonFiniteError (names the
    variable). Nothing has changed when one is raised.
    """

    slots: Mapping[str, float] = {}  # names of the moments, and their initial values

    def __init__(self, learning_rate: float | Schedule) -> None:
        if not callable(learning_rate):
            sensible = 0 < learning_rate < math.inf
            _check(sensible, "learning_rate", learning_rate, "a positive number")
        self.learning_rate = learning_rate
        self.steps = 0  # updates made so far
        self._packs: list[_Pack] = []

    def compute_gradients(
        self,
        loss: Tensor,
        var_list: Sequence[Tensor] | None = None,
        grad_loss: Any | None = None,
        retain_graph: bool = False,
    ) -> list[tuple[Any | None, Tensor]]:
        """The gradient of the loss for each variable; None where the loss does not depend on it.

        var_list   default: every variable the loss depends on. In a GAN that is both players'!
        grad_loss  the cotangent to start from, default 1
        """
        variables = leaves_of(loss) if var_list is None else list(var_list)
        gradients = grad(loss, variables, grad_loss, retain_graph=retain_graph)
        return list(zip(gradients, variables, strict=True))

    def apply_gradients(self, grads_and_vars: GradsAndVars) -> None:
        """One update of every variable that has a gradient, then of its constraint."""
        self.prepare_update(grads_and_vars)()

    def prepare_update(self, grads_and_vars: GradsAndVars) -> Callable[[], None]:
        """Check everything and change nothing; the update is made by calling the result.

        For players who move together: if either can't, neither does.
        """
        pairs = [(g, x) for g, x in grads_and_vars if g is not None]
        if not pairs:
            names = ", ".join(_name(x) for _, x in grads_and_vars)
            raise GraphError(
                f"no gradients for any variable ({names or 'the list is empty'}). "
                f"Try: a var_list of variables that the loss depends on."
            )
        for g, x in pairs:
            if not x.requires_grad:
                raise GraphError(
                    f"{_name(x)} is not trained: it does not require gradients. "
                    f"Try: Tensor(x, requires_grad=True)."
                )
            if g.shape != x.shape:
                raise ShapeError(
                    f"the gradient of {_name(x)} is {g.shape}, but the variable is {x.shape}. "
                    f"Try: compute_gradients(loss, var_list), which pairs them."
                )
        self.create_slots([x for _, x in pairs])
        for pack in self._packs:
            pack.repack()
        gradients = {id(x): array_of(g) for g, x in pairs}
        parts = [(pack, *part) for pack in self._packs for part in pack.gather(gradients)]
        _check_finite([g for _, _, g in parts], pairs)

        def update() -> None:
            rate = self.learning_rate
            step_size = rate(self.steps) if callable(rate) else rate
            self.steps += 1
            for pack, place, g in parts:
                moments = [slot[place] for slot in pack.slots.values()]
                self._update(step_size, pack.values[place], g, *moments)
            for _, x in pairs:
                constraint = getattr(x, "constraint", None)
                if constraint is not None:
                    x.data[...] = constraint(x.data)
                x.mark_changed()

        return update

    def minimize(self, loss: Tensor, var_list: Sequence[Tensor] | None = None) -> None:
        """compute_gradients, then apply_gradients."""
        self.apply_gradients(self.compute_gradients(loss, var_list))

    def create_slots(self, var_list: Sequence[Tensor]) -> None:
        """Pack variables not seen before, with their moments at the initial values."""
        known = {id(x) for pack in self._packs for x in pack.variables}
        kinds: dict[tuple[Any, str], list[Tensor]] = {}
        for x in var_list:
            if id(x) not in known and x.requires_grad:
                known.add(id(x))
                kinds.setdefault((x.dtype, x.device), []).append(x)
        self._packs += [_Pack(variables, self.slots) for variables in kinds.values()]

    def _update(self, rate: float, w: Array, g: Array, *moments: Array) -> None:
        """Move w in place; all arrays are flat and of one length."""
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Everything a checkpoint needs, as host arrays by name: the step count and the moments."""
        moments = {
            name: backend.to_host(slot[place]).reshape(x.shape).copy()
            for name, x, slot, place in self._named_slots()
        }
        return {"steps": np.array(self.steps), **moments}

    def load_state(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take over a saved state, all of it or nothing; create_slots comes first.

        Errors: CheckpointError if names, shapes or dtypes differ.
        """
        places = {name: (x, slot, place) for name, x, slot, place in self._named_slots()}
        if {*places, "steps"} != set(state):
            different = sorted({*places, "steps"} ^ set(state))
            raise CheckpointError(
                f"the optimizer's state does not fit: {', '.join(different[:3])} is on one side "
                f"only. Try: the checkpoint of the same model and optimizer."
            )
        for name, (x, _, _) in places.items():
            new = state[name]
            if new.shape != x.shape or new.dtype != x.dtype:
                raise CheckpointError(
                    f"the optimizer's {name} is {new.shape} {new.dtype}, the variable {x.shape} "
                    f"{x.dtype}. Try: the checkpoint of the same model."
                )
        for name, (x, slot, place) in places.items():
            slot[place] = backend.to_device(state[name].reshape(-1), x.device)
        self.steps = int(state["steps"])

    def _named_slots(self) -> list[tuple[str, Tensor, Array, slice]]:
        packed = [(p, x, place) for p in self._packs
                  for x, place in zip(p.variables, p.slices, strict=True)]  # fmt: skip
        names = [x.name for _, x, _ in packed]
        return [
            (f"{slot}.{x.name if x.name and names.count(x.name) == 1 else i}", x, array, place)
            for i, (pack, x, place) in enumerate(packed)
            for slot, array in pack.slots.items()
        ]


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for: a = momentum a + g;  w -= rate a."""

    def __init__(self, learning_rate: float | Schedule = 0.01, momentum: float = 0.0) -> None:
        super().__init__(learning_rate)
        _check(0 <= momentum < 1, "momentum", momentum, "a number in [0, 1)")
        self.momentum = momentum
        self.slots = {"momentum": 0.0} if momentum else {}

    def _update(self, rate: float, w: Array, g: Array, *moments: Array) -> None:
        for a in moments:
            a *= self.momentum
            a += g
            g = a
        w -= rate * g


class RMSProp(Optimizer):
    """Steps divided by the running size of the gradient: TensorFlow's RMSPropOptimizer.

    s = decay s + (1 - decay) g^2;  a = momentum a + rate g / sqrt(s + epsilon);  w -= a.
    s starts at 1 and epsilon is under the root; PyTorch starts at 0 and adds it outside.
    Source: Tieleman & Hinton 2012, lecture 6.5.
    """

    slots: Mapping[str, float] = {"mean_square": 1.0, "momentum": 0.0}

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
    ) -> None:
        super().__init__(learning_rate)
        _check(0 <= decay < 1, "decay", decay, "a number in [0, 1)")
        _check(0 <= momentum < 1, "momentum", momentum, "a number in [0, 1)")
        self.decay, self.momentum, self.epsilon = decay, momentum, epsilon

    def _update(self, rate: float, w: Array, g: Array, *moments: Array) -> None:
        s, a = moments
        s += (1 - self.decay) * (g * g - s)
        a *= self.momentum
        a += rate * g / np.sqrt(s + self.epsilon)
        w -= a


class Adam(Optimizer):
    """Adaptive moments, with epsilon where TensorFlow has it.

    m += (1 - beta1) (g - m);  v += (1 - beta2) (g^2 - v)
    w -= rate sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)      t = 1, 2, ...

    TensorFlow adds epsilon to the uncorrected sqrt(v); PyTorch, and the paper's algorithm 1, to
    the corrected one: `pytorch_epsilon=True`.
    Source: Kingma & Ba 2015, "Adam", end of section 2 ("epsilon hat").
    """

    slots: Mapping[str, float] = {"m": 0.0, "v": 0.0}

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        pytorch_epsilon: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        _check(0 <= beta1 < 1, "beta1", beta1, "a number in [0, 1)")
        _check(0 <= beta2 < 1, "beta2", beta2, "a number in [0, 1)")
        _check(epsilon > 0, "epsilon", epsilon, "a positive number")
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.pytorch_epsilon = pytorch_epsilon

    def _update(self, rate: float, w: Array, g: Array, *moments: Array) -> None:
        m, v = moments
        v_correction = math.sqrt(1 - self.beta2**self.steps)
        m_correction = 1 - self.beta1**self.steps
        adam_update(
            w, g, m, v,
            step_size=rate * v_correction / m_correction,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon * v_correction if self.pytorch_epsilon else self.epsilon,
        )  # fmt: skip


# ── learning-rate schedules ──────────────────────────────────────────────────────────────────


def exponential_decay(
    initial: float, decay_steps: int, decay_rate: float, staircase: bool = False
) -> Schedule:
    """initial * decay_rate ^ (step / decay_steps); with staircase, whole powers only."""
    _check(decay_steps > 0, "decay_steps", decay_steps, "a positive number of updates")

    def rate(step: int) -> float:
        return initial * decay_rate ** (step // decay_steps if staircase else step / decay_steps)

    return rate


def piecewise_constant(boundaries: Sequence[int], values: Sequence[float]) -> Schedule:
    """values[0] up to and including update boundaries[0], then values[1], and so on."""
    if len(values) != len(boundaries) + 1:
        raise ConfigError(
            f"piecewise_constant: {len(boundaries)} boundaries need {len(boundaries) + 1} values, "
            f"not {len(values)}. Try: one value more than boundaries."
        )
    return lambda step: values[sum(step > b for b in boundaries)]


def linear_decay(initial: float, final: float, decay_steps: int) -> Schedule:
    """From initial to final in equal steps, then constant."""
    _check(decay_steps > 0, "decay_steps", decay_steps, "a positive number of updates")
    return lambda step: initial + (final - initial) * min(step / decay_steps, 1.0)


# ── checks ───────────────────────────────────────────────────────────────────────────────────


def _check_finite(gathered: Sequence[Array], pairs: GradsAndVars) -> None:
    """Raise NonFiniteError, naming a variable, if a gradient holds NaN or infinity."""
    with np.errstate(over="ignore"):
        if all(np.isfinite(np.dot(g, g)) for g in gathered):  # fast; overflows where g does not
            return
    for g, x in pairs:
        if not np.isfinite(array_of(g)).all():
            raise NonFiniteError(
                f"the gradient of {_name(x)} holds NaN or infinity; this optimizer updated "
                f"nothing. Try: detect_anomaly() to find its origin, a smaller learning rate, "
                f"or a loss on logits."
            )


def _name(x: Tensor) -> str:
    return x.name or f"a {x.shape} variable"


def _check(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(
            f"{name} is {value}, but must be {expected}. Try: leave it out, for the usual value."
        )
