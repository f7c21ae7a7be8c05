"""The form of a specification, and the draws that keep its inputs away from kinks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator

from minigan import backend
from minigan.autograd import Tensor
from minigan.autograd.check import GradientReport, check_gradients
from minigan.autograd.operators import registry
from minigan.errors import ConfigError
from minigan.random import stream

HostArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Draw:
    """An input that is drawn anew for each seed: how, and words that say so in a test's name."""

    draw: Callable[[Generator], HostArray]
    words: str

    def __call__(self, rng: Generator) -> HostArray:
        """The array; the random generator decides."""
        return np.asarray(self.draw(rng))


@dataclass(frozen=True)
class Specification:
    """One way to call a function of minigan, and the same function by another formula.

    name       the op, layer or loss it is about
    function   what is checked; called with the inputs and the keywords
    reference  the same in plain NumPy, by another formula, for real and complex arrays of any
               precision: it branches on `.real`, takes no absolute value and casts nothing down;
               None for a layer whose ops have references of their own
    inputs     for each position a Draw, or a fixed value such as an axis or a shape
    keywords   the keyword arguments, for both
    zero       the names of the inputs whose true gradient is zero for these inputs
    """

    name: str
    function: Callable[..., Tensor]
    reference: Callable[..., Any] | None
    inputs: tuple[Any, ...]
    keywords: dict[str, Any] = field(default_factory=dict)
    zero: tuple[str, ...] = ()

    def draw(self, seed: int, device: str = "cpu") -> list[Any]:
        """The inputs for one seed: float64 arrays in place of the draws."""
        drawn = [x(stream(seed, str(self), i)) if isinstance(x, Draw) else x
                 for i, x in enumerate(self.inputs)]  # fmt: skip
        return [_placed(x, device) for x in drawn]

    def __call__(self, *inputs: Any) -> Any:
        """What minigan computes, with the keywords."""
        return self.function(*inputs, **self.keywords)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's: it tells what the inputs are called."""
        return inspect.signature(self.function)

    def expected(self, *inputs: Any) -> Any:
        """What the reference computes, with the keywords; on the host."""
        if self.reference is None:
            raise ConfigError(f"{self} has no reference. Try: one of its ops' specifications.")
        return self.reference(*[_placed(x, "cpu") for x in inputs], **self.keywords)

    def check(self, seed: int = 0, device: str = "cpu", **options: Any) -> GradientReport:
        """`check_gradients` with the inputs for this seed; options are passed on."""
        return check_gradients(
            self, *self.draw(seed, device),
            reference=self.expected if self.reference else None,
            zero=self.zero, seed=seed, **options,
        )  # fmt: skip

    def __str__(self) -> str:
        parts = [_words(x) for x in self.inputs]
        parts += [f"{name}={_words(value)}" for name, value in self.keywords.items()]
        return f"{self.name}({', '.join(parts)})".replace("\n", "").replace(" ", "")


def _placed(x: Any, device: str) -> Any:
    """An array, also one of an index tuple, on the device; anything else as it is."""
    if isinstance(x, tuple):
        return tuple(_placed(item, device) for item in x)
    return backend.to_device(x, device) if backend.is_array(x) else x


def _words(value: Any) -> str:
    """A draw in its own words, a function by its name."""
    return value.words if isinstance(value, Draw) else getattr(value, "__name__", repr(value))


class Table:
    """Specifications, row by row.

    functions  those that are no op of the registry, by the names the rows call them
    """

    def __init__(self, functions: Mapping[str, Callable[..., Tensor]]) -> None:
        self.rows: list[Specification] = []
        self._functions = functions

    def specify(
        self,
        name: str,
        reference: Callable[..., Any],
        *inputs: Any,
        zero: tuple[str, ...] = (),
        **keywords: Any,
    ) -> None:
        """Add a row: an op or a function by its name, its formula, its inputs."""
        function = self._functions.get(name) or registry[name]
        self.rows.append(Specification(name, function, reference, inputs, keywords, zero))


# ── draws ────────────────────────────────────────────────────────────────────────────────────


def normal(*shape: int) -> Draw:
    """Standard normal numbers."""
    return Draw(lambda rng: rng.normal(size=shape), f"{shape}")


def positive(*shape: int) -> Draw:
    """Uniform in [0.5, 2): for logarithms, roots and powers."""
    return Draw(lambda rng: rng.uniform(0.5, 2.0, shape), f"positive{shape}")


def nonzero(*shape: int) -> Draw:
    """At least 0.2 from the kink at 0; of both signs, where there is more than one number."""
    return Draw(lambda rng: rng.uniform(0.2, 1.5, shape) * (1 - 2 * _half(rng, shape)),
                f"nonzero{shape}")  # fmt: skip


def small(*shape: int) -> Draw:
    """At least 0.1 from every number that `nonzero` draws, and between the two signs."""
    return Draw(lambda rng: rng.uniform(-0.1, 0.1, shape), f"small{shape}")


def whole(*shape: int) -> Draw:
    """Whole numbers from -2 to 2."""
    return Draw(lambda rng: rng.integers(-2, 3, shape).astype(np.float64), f"whole{shape}")


def between(*shape: int) -> Draw:
    """Whole numbers plus 1/2: biases that keep a sum of products of `whole` off the kink at 0."""
    return Draw(lambda rng: rng.integers(0, 3, shape) + 0.5, f"between{shape}")


def distinct(*shape: int) -> Draw:
    """Numbers at least 1/4 apart: a maximum without ties."""
    size = int(np.prod(shape))
    return Draw(lambda rng: rng.permutation(size).reshape(shape) / 4 - 1, f"distinct{shape}")


def probability(*shape: int) -> Draw:
    """Uniform in [0.1, 0.9): probabilities and soft labels."""
    return Draw(lambda rng: rng.uniform(0.1, 0.9, shape), f"probability{shape}")


def mask(*shape: int) -> Draw:
    """True and false, half of each; a lone one is true."""
    return Draw(lambda rng: _half(rng, shape) == 0, f"mask{shape}")


def constant(values: Any) -> Draw:
    """These very numbers, for every seed."""
    array = np.asarray(values)
    return Draw(lambda rng: array.copy(), f"{array.tolist()}")


def _half(rng: Generator, shape: tuple[int, ...]) -> HostArray:
    """Zeros and ones in any order, as many of each; a lone one is 0."""
    return rng.permutation(np.arange(np.prod(shape, dtype=int)) % 2).reshape(shape)
