"""Devices: their names, the copies between them, and what is said when there is no GPU.

A fake `cupy` module stands for the installations that break in each known way.
"""

import re
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from minigan import backend
from minigan.errors import DeviceError


@pytest.fixture(autouse=True)
def _ask_again():
    """gpu_problem() remembers its answer; each test here has a GPU of its own."""
    backend.gpu_problem.cache_clear()
    yield
    backend.gpu_problem.cache_clear()


# ── a fake CuPy ──────────────────────────────────────────────────────────────────────────────


class FakeArray:
    """As much of cupy.ndarray as the backend uses."""

    def __init__(self, host, gpu, fails=()):
        self.host, self.fails = host, fails
        self.device = SimpleNamespace(id=gpu)

    def get(self):
        if "launch" in self.fails:  # a GPU works behind the host's back: errors come late
            raise RuntimeError("cudaErrorNoKernelImageForDevice: no kernel image")
        return self.host.copy()

    def astype(self, dtype, copy=True):
        return FakeArray(self.host.astype(dtype), self.device.id)

    def __add__(self, other):
        if "compile" in self.fails:
            raise RuntimeError("Failed to find CUDA headers. Please install CUDA toolkit headers.")
        return self

    def __matmul__(self, other):
        if "cublas" in self.fails:
            raise RuntimeError("libcublas.so.13: cannot open shared object file\nand more") from (
                OSError("libcublas.so.13 is missing")
            )
        return self


def fake_cupy(fails=(), gpus=1):
    """A `cupy` module that works, but for what `fails` names."""
    in_use = [0]

    class Device:
        def __init__(self, number):
            self.number = number

        def use(self):
            in_use[0] = self.number

    cupy = ModuleType("cupy")
    cupy.ndarray = FakeArray
    cupy.asarray = lambda host: FakeArray(np.array(host), in_use[0])
    cupy.ones = lambda shape, dtype: FakeArray(np.ones(shape, dtype), 0, fails)
    cupy.cuda = SimpleNamespace(
        Device=Device,
        is_available=lambda: "driver" not in fails,
        runtime=SimpleNamespace(getDeviceCount=lambda: gpus),
    )
    return cupy


@pytest.fixture
def cupy(monkeypatch):
    """Installs a fake CuPy; called with what fails in it."""

    def install(*fails, gpus=1):
        monkeypatch.setitem(sys.modules, "cupy", fake_cupy(fails, gpus))

    return install


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # `import cupy` raises ModuleNotFoundError


# ── what is wrong with the GPU ───────────────────────────────────────────────────────────────


def check_sentence(problem, *parts):
    assert "\n" not in problem
    assert problem.count(" Try: ") == 1
    assert problem.endswith('device="cpu".')
    for part in parts:
        assert part in problem


INSTALL = 'pip install "cupy-cuda13x[ctk]"'


def test_cupy_is_not_installed(no_cupy):
    check_sentence(backend.gpu_problem(), "CuPy, which is not installed", INSTALL)


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise ImportError('libcudart.so.13: no such file')", "ImportError: libcudart.so.13"),
        ("raise RuntimeError", "(RuntimeError)"),
        ("import missing_part", "ModuleNotFoundError: No module named 'missing_part'"),
        (
            "try: 1 / 0\nexcept Exception as e: raise ImportError('\\n=====\\nhelp') from e",
            "ZeroDivisionError: division by zero",
        ),
    ],
)
def test_cupy_breaks_at_import(tmp_path, monkeypatch, source, cause):
    (tmp_path / "cupy.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    check_sentence(backend.gpu_problem(), "importing it fails", cause, INSTALL)


@pytest.mark.parametrize(
    ("broken", "parts"),
    [
        ("driver", ["no NVIDIA GPU, or no driver", "nvidia-smi"]),
        ("compile", ["headers", "(RuntimeError: Failed to find CUDA headers)", INSTALL]),
        ("launch", ["compile CuPy's kernels", "no kernel image", INSTALL]),
        ("cublas", ["cuBLAS", "(OSError: libcublas.so.13 is missing)", INSTALL]),
    ],
)
def test_cupy_is_there_but_the_gpu_does_not_work(cupy, broken, parts):
    cupy(broken)
    check_sentence(backend.gpu_problem(), *parts)
    assert backend.resolve_device("auto") == "cpu"
    with pytest.raises(DeviceError) as raised:
        backend.resolve_device("gpu")
    assert str(raised.value) == backend.gpu_problem()


def test_the_first_thing_that_is_wrong_is_named(cupy):
    cupy("cublas", "compile", "driver")
    check_sentence(backend.gpu_problem(), "nvidia-smi")
    backend.gpu_problem.cache_clear()
    cupy("cublas", "compile")
    check_sentence(backend.gpu_problem(), "headers")


def test_a_working_gpu(cupy):
    cupy()
    assert backend.gpu_problem() is None
    assert backend.resolve_device("auto") == "gpu:0"


# ── names ────────────────────────────────────────────────────────────────────────────────────


def test_names_of_gpus(cupy):
    cupy(gpus=2)
    assert [backend.resolve_device(n) for n in ("gpu", "gpu:0", "gpu:1")] == [
        "gpu:0",
        "gpu:0",
        "gpu:1",
    ]
    with pytest.raises(DeviceError, match=r"no gpu:2: .* 2 GPUs, gpu:0 to gpu:1\. Try: device="):
        backend.resolve_device("gpu:2")


def test_the_second_gpu_of_one(cupy):
    cupy(gpus=1)
    with pytest.raises(DeviceError, match=r'no gpu:1: .* 1 GPU, gpu:0\. Try: device="gpu:0"'):
        backend.resolve_device("gpu:1")


@pytest.mark.parametrize("name", ["cuda", "gpu:", "gpu:one", "gpu:-1", "GPU", "", "cpu:0"])
def test_unknown_names_list_the_known_ones(name):
    with pytest.raises(DeviceError, match=r'"cpu", "gpu", "gpu:1" .* or "auto"\. Try') as raised:
        backend.resolve_device(name)
    assert f'"{name}"' in str(raised.value)


# ── arrays ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros(3), True),
        (np.zeros(()), True),
        (np.ma.zeros(3), True),
        (np.float32(1), False),
        ([1.0, 2.0], False),
        (1.0, False),
        (None, False),
        (np.ndarray, False),
    ],
)
def test_what_is_an_array(value, expected):
    assert backend.is_array(value) is expected


def test_an_array_of_the_users_own_cupy(cupy):
    x = FakeArray(np.zeros(2), gpu=1)
    assert not backend.is_array(x)
    cupy(gpus=2)
    assert backend.is_array(x)
    assert backend.device_of(x) == "gpu:1"
    np.testing.assert_array_equal(backend.to_host(x), np.zeros(2))


def test_there_and_back(cupy):
    cupy(gpus=2)
    x = np.arange(6.0).reshape(2, 3)
    y = backend.to_device(x, "gpu:1")
    assert backend.device_of(y) == "gpu:1"
    assert backend.to_device(y, "gpu:1") is y
    assert backend.device_of(backend.to_device(y, "gpu")) == "gpu:0"
    back = backend.to_device(y, "cpu")
    np.testing.assert_array_equal(back, x)
    assert not np.shares_memory(back, x)


def test_on_the_cpu_nothing_is_copied():
    x = np.arange(3)
    assert backend.to_device(x, "cpu") is x
    assert backend.to_host(x) is x
    assert backend.asarray(x) is x
    assert backend.asarray(x, x.dtype) is x


def test_asarray(cupy):
    assert backend.asarray([[1, 2], [3, 4]], "float32").dtype == np.float32
    assert backend.asarray(2.5).shape == ()
    cupy()
    y = backend.asarray([1, 2], device="gpu")
    assert backend.device_of(y) == "gpu:0"
    assert backend.asarray(y, device="gpu") is y
    assert backend.asarray(y, "float32", "gpu").get().dtype == np.float32


def test_only_arrays_have_a_device():
    for ask in (backend.device_of, backend.to_host, lambda x: backend.to_device(x, "cpu")):
        with pytest.raises(DeviceError, match=r"found a list.* Try: backend\.asarray"):
            ask([1, 2])


def test_importing_minigan_does_not_import_cupy(tmp_path):
    (tmp_path / "cupy.py").write_text("raise SystemExit('CuPy was imported')")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import minigan, minigan.cli, minigan.gan;"
        "minigan.Tensor([1.0], requires_grad=True).sum().backward();"
        "minigan.backend.resolve_device('cpu'); assert 'cupy' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_suite_does_not_skip_a_device_that_is_missing():
    command = [sys.executable, "-m", "pytest", "--collect-only", "--device", "gpu:99", __file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert re.search(r"^ERROR: .*Try: ", done.stderr, re.MULTILINE)
