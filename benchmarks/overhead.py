"""Microseconds that minigan adds to an operation, beyond NumPy's own work.

Chains of 100 operations on 4 x 4 float32 arrays: so small that the overhead is all one sees, so
long that what happens once a chain hardly counts. Only the chain's first value asks for a gradient.

forward     Op.__call__ with nothing to record (no value asks for a gradient)
recorded    the same, and the graph is built
+ backward  the graph is built, `grad` walks it back and frees it; NumPy's side of the
            comparison computes the same gradients by hand
"""

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy loads it

import numpy as np
import report

import minigan
from minigan import Tensor, grad

LENGTH = 100


class Operation(NamedTuple):
    """One link of a chain: y = operation(x, w)."""

    name: str
    minigan: Callable[[Any, Any], Any]
    numpy: Callable[[Any, Any], Any]
    pullback: Callable[[Any, Any, Any, Any], Any]  # (g, y, x, w) -> gradient of x


OPERATIONS = (
    Operation("add", minigan.add, np.add, lambda g, y, x, w: g),
    Operation("multiply", minigan.multiply, np.multiply, lambda g, y, x, w: g * w),
    Operation("x * w (operator)", lambda x, w: x * w, np.multiply, lambda g, y, x, w: g * w),
    Operation("matmul", minigan.matmul, np.matmul, lambda g, y, x, w: g @ w.T),
    Operation(
        "relu",
        lambda x, w: minigan.relu(x),
        lambda x, w: np.maximum(x, 0),
        lambda g, y, x, w: g * (x > 0),
    ),
    Operation(
        "tanh",
        lambda x, w: minigan.tanh(x),
        lambda x, w: np.tanh(x),
        lambda g, y, x, w: g * (1 - y * y),
    ),
)


def chain(function: Callable[[Any, Any], Any], x: Any, w: Any) -> Any:
    for _ in range(LENGTH):
        x = function(x, w)
    return x


def chain_and_gradient_by_hand(operation: Operation, x: Any, w: Any, g: Any) -> Any:
    values = [x]
    for _ in range(LENGTH):
        values.append(operation.numpy(values[-1], w))
    while len(values) > 1:
        y = values.pop()
        g = operation.pullback(g, y, values[-1], w)
    return g


def microseconds(chains: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Medians per operation; the chains take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in chains}
    for _ in range(repeats):
        for name, run in chains.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e6 * median(times) / LENGTH for name, times in seconds.items()}


def measure(operation: Operation, repeats: int) -> tuple[float, float, float, float]:
    """NumPy's own time, then the three overheads."""
    w = np.eye(4, dtype=np.float32)
    g = np.ones_like(w)
    constant, variable = Tensor(w), Tensor(w, requires_grad=True)
    t = microseconds(
        {
            "numpy": lambda: chain(operation.numpy, w, w),
            "forward": lambda: chain(operation.minigan, constant, w),
            "recorded": lambda: chain(operation.minigan, variable, w),
            "numpy both": lambda: chain_and_gradient_by_hand(operation, w, w, g),
            "both": lambda: grad(chain(operation.minigan, variable, w), variable, g),
        },
        repeats,
    )
    numpy = t["numpy"]
    return numpy, t["forward"] - numpy, t["recorded"] - numpy, t["both"] - t["numpy both"]


def tables(figures: dict[str, Any]) -> str:
    columns = ("NumPy alone", "forward", "recorded", "+ backward")
    rows = [
        {
            "microseconds an op": name,
            **{c: f"{v:.2f}" for c, v in zip(columns, values, strict=True)},
        }
        for name, values in figures["operations"].items()
    ]
    return report.table(rows)


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=500, help="chains of each kind")
    options = parser.parse_args()
    repeats = 20 if options.quick else options.repeats
    figures = {"operations": {o.name: measure(o, repeats) for o in OPERATIONS}}
    print(tables(figures))
    report.save(options, figures)


if __name__ == "__main__":
    main()
