"""Devices: the memory that arrays live in, and the explicit ways to move them.

Operations never ask for the device: they call NumPy's functions, and the array decides who
answers. This is the one file that imports CuPy, and only once a GPU is asked for.
"""

import re
import sys
from functools import cache
from typing import Any, Protocol, TypeAlias

import numpy as np

from minigan.errors import DeviceError

HostArray: TypeAlias = np.ndarray[Any, Any]
Array: TypeAlias = HostArray  # or a device's array that answers to NumPy's functions, like CuPy's

INSTALL = 'pip install "cupy-cuda13x[ctk]"'

# ── kinds of memory ──────────────────────────────────────────────────────────────────────────


class Device(Protocol):
    """One kind of memory: whose arrays it holds, and how they get there and back."""

    @property
    def array_type(self) -> Any:
        """What `isinstance` compares with."""

    def name_of(self, array: Array) -> str:
        """The place of one of its arrays, such as "gpu:1"."""

    def from_host(self, array: HostArray, name: str) -> Array:
        """A copy of a host array at the place called `name`."""

    def to_host(self, array: Array) -> HostArray:
        """A copy of one of its arrays on the host."""


class _Host:
    """NumPy."""

    array_type = np.ndarray

    def name_of(self, array: Array) -> str:
        return "cpu"

    def from_host(self, array: HostArray, name: str) -> Array:
        return array

    def to_host(self, array: Array) -> HostArray:
        return array


class _Gpu:
    """CUDA through CuPy, which may not be installed."""

    @property
    def array_type(self) -> Any:
        # a CuPy array can exist only where CuPy was imported, by minigan or by the user
        return getattr(sys.modules.get("cupy"), "ndarray", ())

    def name_of(self, array: Any) -> str:
        return f"gpu:{array.device.id}"

    def from_host(self, array: HostArray, name: str) -> Array:
        import cupy

        cupy.cuda.Device(_number(name)).use()  # CuPy computes on the GPU in use, so use this one
        copy: Array = cupy.asarray(array)
        return copy

    def to_host(self, array: Any) -> HostArray:
        copy: HostArray = array.get()
        return copy


_devices: dict[str, Device] = {"cpu": _Host(), "gpu": _Gpu()}


def register_device(name: str, device: Device) -> None:
    """Add a kind of memory; `device=name` then works wherever minigan takes a device."""
    _devices[name] = device


# ── arrays ───────────────────────────────────────────────────────────────────────────────────


def is_array(value: object) -> bool:
    """Whether value is an array of NumPy or of another device; lists and numbers are not.

    >>> is_array(np.zeros(3)), is_array([0, 0, 0]), is_array(np.float32(0))
    (True, False, False)
    """
    return type(value) is np.ndarray or _home(value) is not None


def device_of(array: Array) -> str:
    """Where an array is: "cpu", "gpu:0", "gpu:1", ..."""
    return "cpu" if type(array) is np.ndarray else _device(array).name_of(array)


def asarray(values: Any, dtype: Any = None, device: str = "cpu") -> Array:
    """Numbers, nested lists or an array, as an array on a device; one already there as it is.

    >>> asarray([[1, 2], [3, 4]], "float32").shape
    (2, 2)
    """
    if not is_array(values):
        return to_device(np.asarray(values, dtype), device)
    array = to_device(values, device)
    return array if dtype is None else array.astype(dtype, copy=False)


def to_device(array: Array, device: str) -> Array:
    """A copy on a device; the array itself if it is there already.

    Errors: DeviceError (no such device, or it does not work).
    """
    name = resolve_device(device)
    if device_of(array) == name:
        return array
    return _devices[name.partition(":")[0]].from_host(to_host(array), name)


def to_host(array: Array) -> HostArray:
    """A copy as a NumPy array; a NumPy array as it is."""
    return _device(array).to_host(array)


def _home(value: object) -> Device | None:
    """The device whose array this is; None if it is not an array."""
    return next((d for d in _devices.values() if isinstance(value, d.array_type)), None)


def _device(array: object) -> Device:
    device = _home(array)
    if device is None:
        raise DeviceError(
            f"expected an array, but found a {type(array).__name__}, which has no device. "
            f"Try: backend.asarray(x)."
        )
    return device


# ── names ────────────────────────────────────────────────────────────────────────────────────


def resolve_device(name: str) -> str:
    """The full name of a device: "gpu" is "gpu:0"; "auto" is "gpu:0" if it works, else "cpu".

    Errors: DeviceError (unknown name, GPU missing or broken; the message says what to do).

    >>> resolve_device("cpu")
    'cpu'
    """
    if name == "auto":
        return "cpu" if gpu_problem() else "gpu:0"
    if re.fullmatch(r"gpu(:\d+)?", name):
        return _existing_gpu(_number(name))
    if name in _devices:
        return name
    raise DeviceError(
        f'there is no device called "{name}": expected "cpu", "gpu", "gpu:1" (the second GPU) '
        f'or "auto". Try: device="auto".'
    )


def _existing_gpu(number: int) -> str:
    if problem := gpu_problem():
        raise DeviceError(problem)
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    if number >= count:
        gpus = "1 GPU, gpu:0" if count == 1 else f"{count} GPUs, gpu:0 to gpu:{count - 1}"
        raise DeviceError(
            f'there is no gpu:{number}: this machine has {gpus}. Try: device="gpu:0".'
        )
    return f"gpu:{number}"


def _number(name: str) -> int:
    return int(name.partition(":")[2] or 0)


# ── does the GPU work? ───────────────────────────────────────────────────────────────────────


@cache
def gpu_problem() -> str | None:
    """What keeps the GPU from working and what to try, in a sentence; None if it works.

    Asked once in a process: it imports CuPy, then computes on the GPU what training needs.
    """
    try:
        import cupy
    except Exception as error:  # noqa: BLE001  a broken library can raise anything
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return f'the GPU needs CuPy, which is not installed. Try: {INSTALL}, or device="cpu".'
        return (
            f"CuPy is installed, but importing it fails ({_cause(error)}). "
            f'Try: {INSTALL} --force-reinstall, or device="cpu".'
        )
    if not cupy.cuda.is_available():
        return (
            "CuPy works, but finds no NVIDIA GPU, or no driver new enough for its CUDA. "
            'Try: nvidia-smi, which should list a GPU, or device="cpu".'
        )
    stage = "compile CuPy's kernels, which needs NVRTC and CUDA's headers"
    try:
        matrix = cupy.ones((2, 2), "float32") + 1
        matrix.get()  # waits for the GPU, so that its errors surface here
        stage = "multiply matrices, which needs cuBLAS"
        (matrix @ matrix).get()
    except Exception as error:  # noqa: BLE001
        return f'the GPU can\'t {stage} ({_cause(error)}). Try: {INSTALL}, or device="cpu".'
    return None


def _cause(error: BaseException) -> str:
    """The first error of a chain, and the first sentence of what it says."""
    while error.__cause__ is not None:
        error = error.__cause__
    sentence = str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
    return f"{type(error).__name__}: {sentence}" if sentence else type(error).__name__
