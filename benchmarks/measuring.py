"""What all benchmarks measure with: turns, memory, waiting, and the machine they ran on."""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS",  # NumPy, PyTorch
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",  # TensorFlow
    "NPROC",  # JAX
)  # fmt: skip
PEERS = ("torch", "tensorflow-cpu", "jax", "dezero", "chainer")


# `minigan train`, as where PyTorch is not installed: tensorboardX imports it if it is there
TRAIN = (
    sys.executable, "-u", "-c",
    "import sys; sys.modules['torch'] = None; from minigan.cli import main; main()", "train",
)  # fmt: skip


def limit_threads(threads: int) -> None:
    """For libraries that are loaded after this, and for child processes."""
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))


def in_turns(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median time of each in seconds, called one after the other; a first round is not timed.

    It is the processor's time where there is one thread, which other programs hardly disturb.
    """
    clock = time.process_time if os.environ.get("OMP_NUM_THREADS") == "1" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(1 + rounds):
        for name, function in functions.items():
            start = clock()
            function()
            seconds[name].append(clock() - start)
    return {name: median(times[1:]) for name, times in seconds.items()}


def seconds_waiting() -> float:
    """How long this process's threads were ready to run while others had the processor (Linux)."""
    waits = [p.read_text().split()[1] for p in Path("/proc/self/task").glob("*/schedstat")]
    return sum(map(int, waits)) / 1e9


def peak_megabytes() -> float:
    return megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def megabytes(maximum_resident: int) -> float:
    """What the system counts in bytes or in kilobytes."""
    return maximum_resident * (1 if sys.platform == "darwin" else 1024) / 1e6


def machine() -> dict[str, str]:
    """Processor, system and versions: what a figure depends on."""
    from minigan.environment import blas

    cpus = Path("/proc/cpuinfo")  # Linux
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    facts = {
        "processor": names[0] if names else platform.processor(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": f"{version('numpy')} with {blas()}",
    }
    for peer in PEERS:
        try:
            facts[peer] = version(peer)
        except PackageNotFoundError:
            facts[peer] = "not installed"
    return facts
