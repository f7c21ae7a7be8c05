"""Seconds that `import minigan` takes, and the peak memory of a training run with logging on."""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from statistics import median
from typing import Any

import report
from measuring import TRAIN, megabytes

IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
MODULES = ("numpy", "minigan", "torch", "jax", "tensorflow")


def import_seconds(interpreters: int) -> dict[str, float]:
    """Of what is installed: medians over fresh interpreters. The modules take turns.

    NumPy's time is part of all the others'. Bytecode is kept, as it is for what pip installs.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    modules = [module for module in MODULES if find_spec(module)]
    seconds: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(1 + interpreters):
        for module in modules:
            command = [sys.executable, "-c", IMPORT.format(module)]
            answer = subprocess.run(
                command, capture_output=True, check=True, text=True, env=environment
            )
            seconds[module].append(float(answer.stdout))
    return {module: median(times[1:]) for module, times in seconds.items()}  # the first one: disk


def peak_megabytes(preset: str, steps: int) -> float:
    """Peak resident memory of `minigan train`, pictures, TensorBoard and checkpoints included."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*TRAIN, preset, "--steps", str(steps), "--out", f"{folder}/run"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        messages = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"minigan train failed: {messages}")
    return megabytes(usage.ru_maxrss)


def tables(figures: dict[str, Any]) -> str:
    imports = [{"": f"import {m}", "s": f"{s:.3f}"} for m, s in figures["import_seconds"].items()]
    peaks = [
        {"": f"minigan train {preset}", "peak MB": f"{peak:.0f}"}
        for preset, peak in figures["peak_megabytes"].items()
    ]
    return f"{report.table(imports)}\n\n{report.table(peaks)}"


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("--interpreters", type=int, default=10, help="fresh ones for each module")
    parser.add_argument("--steps", type=int, default=2000, help="training steps")
    options = parser.parse_args()
    if options.quick:
        options.interpreters, options.steps = 1, 100
    figures = {
        "import_seconds": import_seconds(options.interpreters),
        "peak_megabytes": {
            preset: peak_megabytes(preset, options.steps) for preset in ("mlp-gan", "mlp-gan-256")
        },
    }
    print(tables(figures))
    report.save(options, figures)


if __name__ == "__main__":
    main()
