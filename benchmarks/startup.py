"""Seconds that `import minigan` takes, and the peak memory of a training run with logging on."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
MODULES = ("numpy", "minigan")


def import_seconds(interpreters: int) -> dict[str, float]:
    """Medians over fresh interpreters; the modules take turns. minigan's time includes NumPy's."""
    seconds: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(1 + interpreters):
        for module in MODULES:
            command = [sys.executable, "-c", IMPORT.format(module)]
            answer = subprocess.run(command, capture_output=True, check=True, text=True)
            seconds[module].append(float(answer.stdout))
    return {module: median(times[1:]) for module, times in seconds.items()}  # the first one: disk


def peak_megabytes(preset: str, steps: int) -> float:
    """Peak resident memory of `minigan train`, pictures, TensorBoard and checkpoints included."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "minigan", "train", preset,
             "--steps", str(steps), "--out", str(Path(folder) / "run")],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        messages = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"minigan train failed: {messages}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interpreters", type=int, default=10, help="fresh ones for each module")
    parser.add_argument("--steps", type=int, default=2000, help="training steps")
    options = parser.parse_args()
    for module, seconds in import_seconds(options.interpreters).items():
        print(f"import {module:12}{seconds:8.3f} s")
    for preset in ("mlp-gan", "mlp-gan-256"):
        print(f"train {preset:13}{peak_megabytes(preset, options.steps):8.1f} MB peak memory")


if __name__ == "__main__":
    main()
