"""What a run ran on: versions, BLAS, threads. For env.json and `minigan doctor`."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

LIBRARIES = (
    "numpy", "matplotlib", "pillow", "safetensors", "tensorboardX", "tqdm", "typer", "pooch"
)  # fmt: skip
CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")  # the names it is installed by


def environment() -> dict[str, Any]:
    """Facts that can change a result or a speed, as JSON values."""
    return {
        "minigan": _version("minigan"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": _processors(),
        "blas": blas(),
        "blas_threads": blas_threads(),
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
        "libraries": {name: _version(name) for name in LIBRARIES},
        "cupy": next(filter(None, map(_version, CUPY)), None),
    }


def blas() -> str:
    """The library behind NumPy's matrix products, such as `scipy-openblas 0.3.31`."""
    config: Any = np.show_config(mode="dicts")
    found = config["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


def blas_threads() -> int:
    """How many threads matrix products use; results repeat bit for bit at a fixed number."""
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def _processors() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
